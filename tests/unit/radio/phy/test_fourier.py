"""Transforms of rows against numpy's, and that their plans don't change from one run to the next."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from radio.phy.dsp.fourier import RowTransform, learn

SHAPES = [(14, 128), (14, 768), (14, 1024), (12, 1536), (14, 2048), (11, 600), (11, 12), (10, 300), (1, 2048)]


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_transform_is_that_of_the_definition(shape: tuple[int, int], inverse: bool) -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(*shape, 2)).astype(np.float32).view(np.complex64)[..., 0]
    transform = RowTransform(*shape, inverse=inverse)
    transform.input[:] = rows
    found = transform.execute()
    plain = (
        np.fft.ifft(rows.astype(np.complex128), norm="forward") if inverse else np.fft.fft(rows.astype(np.complex128))
    )
    np.testing.assert_allclose(found, plain, atol=2e-6 * np.abs(plain).max())


def test_the_wisdom_fits_the_fftw_that_is_installed() -> None:
    pytest.importorskip("pyfftw", reason="pyfftw is not installed")
    assert learn()


DIGEST = """
import hashlib, numpy as np
from radio.phy.dsp.fourier import RowTransform
digest = hashlib.sha256()
for shape in ((14, 768), (14, 1024), (11, 600), (10, 300)):
    transform = RowTransform(*shape, inverse=True)
    rng = np.random.default_rng(2)
    transform.input[:] = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    digest.update(transform.execute().tobytes())
print(digest.hexdigest())
"""


def test_every_process_rounds_alike() -> None:
    said = {subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, check=True).stdout for _ in range(3)}
    assert len(said) == 1 and said != {b""}
