"""Discrete Fourier transforms of the rows of small complex64 matrices, planned once for each shape.

A subframe is demodulated by one transform of all its symbols, and a codeword by another of its allocation's width, so
the same few shapes come again and again. A plan for a shape is made at first use and kept with its input and output
arrays, aligned for vector instructions; a call fills the input and runs the plan, with no allocation.

FFTW does the transforms where pyfftw is installed, scipy elsewhere: three to six times slower, equal to rounding. FFTW
plans by estimate on wisdom that comes with the code (`radio.phy.fourier_wisdom`): planning is quick, and does not
depend on what else the machine is doing, which would change the last bit of results from run to run.

Transforms are not normalised: callers fold the scale into a pass they make anyway. One transform serves one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import scipy.fft

from radio.arrays import Grid
from radio.phy.dsp.fourier_wisdom import WISDOM

try:
    import pyfftw
except ImportError:  # pragma: no cover - depends on the installation
    pyfftw = None


@lru_cache(maxsize=1)
def learn() -> bool:
    """Give FFTW its wisdom once. Returns False if this FFTW refuses it; it then plans by estimate."""
    return pyfftw is not None and bool(pyfftw.import_wisdom((b"", WISDOM, b""))[1])


class RowTransform:
    """DFT of every row of `input`: fill that array, call `execute`, use the result before the next call.

    The transform owns both arrays and overwrites them in each call. So one transform serves one thread only.
    """

    def __init__(self, n_rows: int, size: int, *, inverse: bool) -> None:
        shape = (n_rows, size)
        self.input: Grid
        self._run: Callable[[], Grid]
        if pyfftw is None:
            self.input = np.zeros(shape, dtype=np.complex64)
            self._run = self._run_scipy_inverse if inverse else self._run_scipy_forward
        else:
            learn()
            self.input = pyfftw.zeros_aligned(shape, dtype=np.complex64)
            output = pyfftw.empty_aligned(shape, dtype=np.complex64)
            direction = "FFTW_BACKWARD" if inverse else "FFTW_FORWARD"
            plan = pyfftw.FFTW(self.input, output, axes=(1,), direction=direction, flags=("FFTW_ESTIMATE",))
            self.input[:] = 0
            self._output = output
            self._plan = plan
            self._run = self._execute_plan

    def _run_scipy_forward(self) -> Grid:
        return np.asarray(scipy.fft.fft(self.input, axis=1), dtype=np.complex64)

    def _run_scipy_inverse(self) -> Grid:
        return np.asarray(scipy.fft.ifft(self.input, axis=1, norm="forward"), dtype=np.complex64)

    def _execute_plan(self) -> Grid:
        self._plan.execute()
        return self._output

    def execute(self) -> Grid:
        """The unnormalised transform of `input`, shape (n_rows, size), complex64."""
        return self._run()


@lru_cache(maxsize=256)
def row_transform(n_rows: int, size: int, *, inverse: bool = False) -> RowTransform:
    """The transform of this shape, planned at first use."""
    return RowTransform(n_rows, size, inverse=inverse)
