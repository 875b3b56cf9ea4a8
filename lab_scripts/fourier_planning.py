"""Makes `radio/phy/fourier_wisdom.py` anew, for another FFTW: python -m lab_scripts.fourier_planning > WISDOM."""

from __future__ import annotations

import sys
from typing import Final

import numpy as np
import pyfftw

_FFT_SIZES: Final = (128, 256, 384, 512, 768, 1024, 1536, 2048)
_RIGOUR: Final = {14: "FFTW_PATIENT", 12: "FFTW_MEASURE"}
"""How hard to look, by SC-FDMA symbols of a subframe: normal and extended cyclic prefix."""


def wisdom() -> bytes:
    """Plan the transforms of whole subframes, both ways; takes about two minutes."""
    pyfftw.forget_wisdom()
    for n_symbols, rigour in _RIGOUR.items():
        for size in _FFT_SIZES:
            for direction in ("FFTW_FORWARD", "FFTW_BACKWARD"):
                shape = (n_symbols, size)
                source = pyfftw.zeros_aligned(shape, dtype=np.complex64)
                target = pyfftw.empty_aligned(shape, dtype=np.complex64)
                pyfftw.FFTW(source, target, axes=(1,), direction=direction, flags=(rigour,))
    single_precision: bytes = pyfftw.export_wisdom()[1]
    return single_precision


if __name__ == "__main__":
    sys.stdout.buffer.write(wisdom())
