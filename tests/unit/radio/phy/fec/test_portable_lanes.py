"""Kernels compiled for a processor without octet shuffles give the same answers."""

import os
import subprocess
import sys

import numpy as np

from radio.phy.fec.turbo_layout import lane_selectors

PROGRAM = """
import numpy as np
from numba import njit, uint64
from radio.phy.fec import simd

@njit
def permute(values, selectors, out):
    simd.store(out, uint64(0), simd.permute(simd.load(values, uint64(0)), selectors, uint64(0)))

out = np.empty(16, dtype=np.int16)
permute(np.arange(16, dtype=np.int16) - 5, np.frombuffer(bytes.fromhex("{selectors}"), dtype=np.uint8).copy(), out)
print(simd.has_byte_shuffle(), *out.tolist())
"""


def permuted(sources, environment):
    program = PROGRAM.format(selectors=lane_selectors(sources[None, :]).tobytes().hex())
    result = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    shuffles, *lanes = result.stdout.split()
    return shuffles == "True", np.array(lanes, dtype=np.int64)


def test_permute_on_this_and_on_a_plain_processor():
    sources = np.random.default_rng(1).permutation(16)
    for environment in ({}, {"NUMBA_CPU_NAME": "generic"}):
        shuffles, lanes = permuted(sources, environment)
        assert np.array_equal(lanes, sources - 5)
        assert not (environment and shuffles)
