"""Makes `radio/phy/dsp/fourier_wisdom.py` anew, for another FFTW: python -m lab_scripts.fourier_planning > WISDOM."""

from __future__ import annotations

import sys
from typing import Final

import numpy as np
import pyfftw

from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB

_FFT_SIZES: Final = (128, 256, 384, 512, 768, 1024, 1536, 2048)
_RIGOUR: Final = {14: "FFTW_PATIENT", 12: "FFTW_MEASURE"}
"""Planning effort by SC-FDMA symbols of a subframe: normal and extended cyclic prefix."""
_CODEWORD_SYMBOLS: Final = 11
_CODEWORD_PRBS: Final = (50, 20, 10, 25, 40, 48, 45, 36, 30, 24, 15, 12, 8)


def wisdom() -> bytes:
    """Plan the transforms of whole subframes and of PSSCH, both ways; takes about two minutes."""
    pyfftw.forget_wisdom()
    for n_symbols, rigour in _RIGOUR.items():
        for size in _FFT_SIZES:
            _plan(n_symbols, size, rigour)
    for n_prb in _CODEWORD_PRBS:
        _plan(_CODEWORD_SYMBOLS, n_prb * SUBCARRIERS_PER_PRB, "FFTW_MEASURE")
    single_precision: bytes = pyfftw.export_wisdom()[1]
    return single_precision


def _plan(n_rows: int, size: int, rigour: str) -> None:
    for direction in ("FFTW_FORWARD", "FFTW_BACKWARD"):
        source = pyfftw.zeros_aligned((n_rows, size), dtype=np.complex64)
        target = pyfftw.empty_aligned((n_rows, size), dtype=np.complex64)
        pyfftw.FFTW(source, target, axes=(1,), direction=direction, flags=(rigour,))


if __name__ == "__main__":
    sys.stdout.buffer.write(wisdom())
