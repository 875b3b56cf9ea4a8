"""Numerology of a sidelink carrier: resource grid sizes, FFT size, cyclic prefixes (TS 36.211 9.2, 9.9, 5.6)."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from itertools import accumulate

from radio.errors import RadioError

SUBCARRIER_SPACING_HZ = 15_000
SUBCARRIERS_PER_PRB = 12
SUBFRAMES_PER_DFN_CYCLE = 10_240

_DEFAULT_FFT_SIZE = {6: 128, 15: 256, 25: 512, 50: 1024, 75: 1536, 100: 2048}
_REFERENCE_FFT_SIZE = 2048
_NORMAL_CP = (160, 144, 144, 144, 144, 144, 144) * 2
_EXTENDED_CP = (512,) * 12
_FFT_SIZE_STEP = 128
"""The sizes at which every cyclic prefix is a whole number of samples are the multiples of this one."""


class NumerologyError(RadioError):
    """A carrier that TS 36.211 does not define or that this sampling rate cannot hold."""


class Cp(enum.Enum):
    """Cyclic prefix length (TS 36.211 5.6)."""

    NORMAL = "normal"
    EXTENDED = "extended"

    @property
    def n_symbols(self) -> int:
        """SC-FDMA symbols in a subframe."""
        return len(_CP_LENGTHS[self])


_CP_LENGTHS = {Cp.NORMAL: _NORMAL_CP, Cp.EXTENDED: _EXTENDED_CP}


@dataclass(frozen=True, slots=True, init=False)
class Carrier:
    """A sidelink carrier as sampled: bandwidth in PRBs, cyclic prefix and FFT size.

    `symbol_starts` is the first sample of each symbol's cyclic prefix, `cp_samples` the prefix lengths. Any FFT size
    that is a multiple of 128 and holds the subcarriers is accepted, so that captures at 3/4 of the usual rate work.
    Raises NumerologyError.
    """

    n_prb: int
    cp: Cp
    fft_size: int
    cp_samples: tuple[int, ...] = field(compare=False, repr=False)
    symbol_starts: tuple[int, ...] = field(compare=False, repr=False)

    def __init__(self, n_prb: int, cp: Cp = Cp.NORMAL, fft_size: int | None = None) -> None:
        if n_prb not in _DEFAULT_FFT_SIZE:
            raise NumerologyError(f"N_RB^SL = {n_prb} is not one of {sorted(_DEFAULT_FFT_SIZE)}")
        size = _DEFAULT_FFT_SIZE[n_prb] if fft_size is None else fft_size
        if size % _FFT_SIZE_STEP or size <= n_prb * SUBCARRIERS_PER_PRB:
            raise NumerologyError(
                f"FFT size {size} does not fit {n_prb} PRB: it must be a multiple of {_FFT_SIZE_STEP} "
                f"above {n_prb * SUBCARRIERS_PER_PRB}"
            )
        cp_samples = tuple(length * size // _REFERENCE_FFT_SIZE for length in _CP_LENGTHS[cp])
        object.__setattr__(self, "n_prb", n_prb)
        object.__setattr__(self, "cp", cp)
        object.__setattr__(self, "fft_size", size)
        object.__setattr__(self, "cp_samples", cp_samples)
        starts = tuple(accumulate((length + size for length in cp_samples[:-1]), initial=0))
        object.__setattr__(self, "symbol_starts", starts)

    @classmethod
    def at_rate(cls, n_prb: int, sample_rate_hz: float, cp: Cp = Cp.NORMAL) -> Carrier:
        """The carrier of `n_prb` PRBs in a signal sampled at `sample_rate_hz`. Raises NumerologyError."""
        fft_size = round(sample_rate_hz / SUBCARRIER_SPACING_HZ)
        if fft_size * SUBCARRIER_SPACING_HZ != sample_rate_hz:
            raise NumerologyError(f"{sample_rate_hz} samples/s is no multiple of {SUBCARRIER_SPACING_HZ} Hz")
        return cls(n_prb, cp, fft_size)

    @property
    def sample_rate_hz(self) -> int:
        """Samples in a second: the FFT size times the subcarrier spacing."""
        return self.fft_size * SUBCARRIER_SPACING_HZ

    @property
    def samples_per_subframe(self) -> int:
        """Samples in 1 ms."""
        return self.fft_size * SUBCARRIER_SPACING_HZ // 1000

    @property
    def n_symbols(self) -> int:
        """SC-FDMA symbols in a subframe: 14 or 12."""
        return len(self.cp_samples)

    @property
    def n_subcarriers(self) -> int:
        """Subcarriers of the whole carrier: 12 to a PRB."""
        return self.n_prb * SUBCARRIERS_PER_PRB
