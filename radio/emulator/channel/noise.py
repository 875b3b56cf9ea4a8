"""White Gaussian noise from a counter: sample i of block b under a key is always the same number.

A generator with a state would make the noise of a block depend on what was drawn before, and so on the order of the
work. Here a 32-bit mixer turns (key, counter) into uniform words, and Box-Muller turns pairs of words into complex
Gaussians. The key of a block is a hash of the process's key and the block's number. `noise_block_plain` is the
definition in numpy; the kernel computes the same with approximations of logarithm, sine and cosine that vectorise, and
a test holds it to the definition.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from radio.arrays import Floats, Iq

_MASK_64 = 0xFFFF_FFFF_FFFF_FFFF
_MIX_1, _MIX_2 = 0x21F0_AAAD, 0xD35A_2D97
"""Multipliers of the 32-bit mixer: the low-bias pair found by the public `hash-prospector` search."""


def block_keys(key: int, block: int) -> tuple[int, int]:
    """Return the two 32-bit keys of one block: SplitMix64 of (key, block)."""
    z = (key + (block + 1) * 0x9E37_79B9_7F4A_7C15) & _MASK_64
    z = ((z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9) & _MASK_64
    z = ((z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB) & _MASK_64
    z ^= z >> 31
    return z & 0xFFFF_FFFF, z >> 32


def noise_block(n_samples: int, sigma: float, key: int, block: int) -> Iq:
    """Return (n_samples,) complex64 white Gaussian noise of mean power sigma ** 2.

    `key` names the process (64 bits), `block` the block; at most 2 ** 30 samples.
    """
    out = np.empty(n_samples, dtype=np.complex64)
    key_0, key_1 = block_keys(key, block)
    _fill(out.view(np.float32), np.float32(sigma * np.sqrt(0.5)), np.uint32(key_0), np.uint32(key_1))
    return out


def noise_block_plain(n_samples: int, sigma: float, key: int, block: int) -> Iq:
    """Return the same as `noise_block`, as the definition reads."""
    key_0, key_1 = block_keys(key, block)
    words = _mix_plain(np.arange(2 * n_samples, dtype=np.uint32), key_0, key_1)
    radius = np.sqrt(-2 * np.log(((words[0::2] >> np.uint32(1)) + 0.5) * 2.0**-31))
    angle = (words[1::2] >> np.uint32(2)) * 2.0**-30 * (np.pi / 2) - np.pi / 4
    swap, flip = words[1::2] & np.uint32(1), words[1::2] & np.uint32(2)
    major, minor = np.cos(angle) * np.where(flip, -1.0, 1.0), np.sin(angle)
    unit = np.where(swap, minor + 1j * major, major + 1j * minor)
    return (sigma * np.sqrt(0.5) * radius * unit).astype(np.complex64)


def _mix_plain(counter: npt.NDArray[np.uint32], key_0: int, key_1: int) -> npt.NDArray[np.uint32]:
    x = counter + np.uint32(key_0)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(_MIX_1)
    x = (x ^ (x >> np.uint32(15))) + np.uint32(key_1)
    x = x * np.uint32(_MIX_2)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(_MIX_1)
    return x ^ (x >> np.uint32(16))


@intrinsic
def _bits_of(typing_context: Any, value: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), generate


@intrinsic
def _float_of(typing_context: Any, value: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate


@njit(nogil=True)
def _mix(counter: np.uint32, key_0: np.uint32, key_1: np.uint32) -> np.uint32:
    x = np.uint32(counter + key_0)
    x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(16))) * np.uint32(_MIX_1))
    x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(15))) + key_1)
    x = np.uint32(x * np.uint32(_MIX_2))
    x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(15))) * np.uint32(_MIX_1))
    return np.uint32(x ^ np.uint32(x >> np.uint32(16)))


@njit(nogil=True)
def _log(x: np.float32) -> np.float32:
    """ln x of a normal positive float32: exponent and mantissa apart, then the series of 2 atanh((m - 1) / (m + 1))."""
    bits = np.int32(_bits_of(x) - np.int32(0x3F3504F3))
    exponent = np.float32(np.int32(bits >> np.int32(23)))
    mantissa = _float_of(np.int32(np.int32(bits & np.int32(0x007FFFFF)) + np.int32(0x3F3504F3)))
    s = (mantissa - np.float32(1)) / (mantissa + np.float32(1))
    q = s * s
    series = np.float32(1 / 7) + q * np.float32(1 / 9)
    series = np.float32(1 / 3) + q * (np.float32(1 / 5) + q * series)
    return exponent * np.float32(0.6931471805599453) + np.float32(2) * s * (np.float32(1) + q * series)


@njit(cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
def _fill(out: Floats, scale: np.float32, key_0: np.uint32, key_1: np.uint32) -> None:
    for i in range(np.uint32(out.shape[0] >> 1)):
        even = np.uint32(np.uint32(i) << np.uint32(1))
        u = _mix(even, key_0, key_1)
        v = _mix(np.uint32(even | np.uint32(1)), key_0, key_1)
        uniform = (np.float32(np.int32(u >> np.uint32(1))) + np.float32(0.5)) * np.float32(2.0**-31)
        radius = scale * np.sqrt(np.float32(-2) * _log(uniform))
        theta = np.float32(np.int32(v >> np.uint32(2))) * np.float32(2.0**-30 * np.pi / 2) - np.float32(np.pi / 4)
        q = theta * theta
        sine = np.float32(1 / 120) - q * np.float32(1 / 5040)
        sine = theta * (np.float32(1) - q * (np.float32(1 / 6) - q * sine))
        cosine = np.float32(1 / 720) - q * np.float32(1 / 40320)
        cosine = np.float32(1) - q * (np.float32(0.5) - q * (np.float32(1 / 24) - q * cosine))
        major = -cosine if v & np.uint32(2) else cosine
        swap = (v & np.uint32(1)) != 0
        out[np.uint64(2) * np.uint64(i)] = radius * (sine if swap else major)
        out[np.uint64(2) * np.uint64(i) + np.uint64(1)] = radius * (major if swap else sine)
