"""Physical sidelink control channel of transmission modes 3 and 4: SCI format 1 on two PRBs.

TS 36.211 9.4, 9.8, TS 36.212 5.4.3, TS 36.213 14.2.

As PSCCH of modes 1 and 2 with four reference symbols and one more unknown: the transmitter draws the cyclic shift of
its reference signal from four values, so that two SCIs on the same PRBs can be told apart. A cyclic shift is a phase
slope of whole quarter turns from one subcarrier to the next, far more than any delay makes; so the receiver correlates
neighbouring elements, reads the nearest quarter turn, and takes that shift's reference signal from there on. The CRC
of the SCI is not only its check: it seeds scrambling and reference signals of the PSSCH that it announces.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Bits, Complexes, Floats, Grid, Llrs, Places
from radio.phy.dsp.level import levelled
from radio.phy.dsp.modulation import QPSK
from radio.phy.fec.crc import CRC16, crc
from radio.phy.lte.channels.control_block import decode_control_blocks, encode_control_block
from radio.phy.lte.channels.pscch import C_INIT
from radio.phy.lte.channels.sci import SciFormat1
from radio.phy.lte.grid.codeword_batch import receive_codewords
from radio.phy.lte.grid.dmrs import V2X_PSCCH_CYCLIC_SHIFTS, v2x_pscch_dmrs
from radio.phy.lte.grid.layout import Mode, communication_layout, symbol_rows
from radio.phy.lte.grid.mapping import AllocationError, allocation_subcarriers, map_codeword
from radio.phy.lte.grid.numerology import Carrier

_MIN_RELATIVE_ENERGY = 1e-5
MIN_COHERENCE = 0.18
"""Noise alone exceeds this at one place in twenty, an SCI at -5 dB at three places in four."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class V2xPscchReception:
    """An SCI format 1 received with a good CRC; `crc` is n_ID^X of its PSSCH, `llrs` are its soft bits."""

    prb: int
    n_subchannels: int
    bits: Bits
    crc: int
    cyclic_shift: int
    snr_db: float
    evm_db: float
    cfo_hz: float
    timing_error_samples: float
    llrs: Llrs = field(repr=False)

    @property
    def sci(self) -> SciFormat1:
        """The SCI, decoded for a pool of `n_subchannels` sub-channels."""
        return SciFormat1.from_bits(self.bits, self.n_subchannels)


def map_v2x_pscch(
    grid: Grid, carrier: Carrier, sci: SciFormat1, prb: int, n_subchannels: int, cyclic_shift: int = 0
) -> int:
    """Write an SCI on PRBs `prb` and `prb` + 1 of `grid`, complex64 (n_symbols, 12 * N_RB^SL).

    Returns the CRC of the SCI, which is n_ID^X of its PSSCH. TS 36.211 9.4. Raises BitFieldError, AllocationError or
    LayoutError.
    """
    layout = communication_layout(Mode.TM34, carrier.cp)
    bits = sci.to_bits(n_subchannels)
    subcarriers = allocation_subcarriers(carrier, (prb, prb + 1))
    codeword = encode_control_block(bits, len(layout.data) * subcarriers.size * QPSK)
    map_codeword(grid, subcarriers, layout, v2x_pscch_dmrs(cyclic_shift), codeword, QPSK, C_INIT)
    return crc(bits, CRC16)


def receive_v2x_pscch(
    carrier: Carrier,
    grid: Grid,
    prbs: Sequence[int],
    n_subchannels: int,
    min_coherence: float = MIN_COHERENCE,
    max_coherence: float = math.inf,
) -> list[V2xPscchReception]:
    """Every SCI with a good CRC among the candidates whose lower PRBs are `prbs`.

    `grid` is complex64 (n_symbols, 12 * N_RB^SL) of any amplitude. Neighbouring elements of the reference signal must
    have a coherence above `min_coherence` up to `max_coherence`. Raises AllocationError or LayoutError.
    """
    layout = communication_layout(Mode.TM34, carrier.cp)
    candidates = np.array(prbs, dtype=np.int64)
    if not candidates.size:
        return []
    if candidates.min() < 0 or candidates.max() + 1 >= carrier.n_prb:
        raise AllocationError(f"a candidate's PRBs are outside 0..{carrier.n_prb - 1}")
    dmrs = v2x_pscch_dmrs(V2X_PSCCH_CYCLIC_SHIFTS[0])
    grid, _ = levelled(grid, symbol_rows(layout.dmrs))
    near, energies = _neighbours(grid, candidates, np.array(layout.dmrs), dmrs)
    strength = np.abs(near)
    is_there = (energies > _MIN_RELATIVE_ENERGY * energies.max()) & (strength > min_coherence * energies)
    if max_coherence < math.inf:
        is_there &= strength <= max_coherence * energies
    there = np.flatnonzero(is_there)
    if not there.size:
        return []
    shifts = [_cyclic_shift(complex(value)) for value in near[there]]
    batch = receive_codewords(
        carrier, grid, candidates[there], layout, _shifted_dmrs()[shifts], QPSK, np.full(there.size, C_INIT)
    )
    bits, crc_ok, crcs = decode_control_blocks(batch.llrs, SciFormat1.N_BITS)
    received = []
    for i in np.flatnonzero(crc_ok).tolist():
        snr_db, evm_db, cfo_hz, timing_error, _ = batch.figures[i]
        received.append(
            V2xPscchReception(
                prb=int(candidates[there[i]]),
                n_subchannels=n_subchannels,
                bits=bits[i],
                crc=int(crcs[i]),
                cyclic_shift=V2X_PSCCH_CYCLIC_SHIFTS[shifts[i]],
                snr_db=snr_db,
                evm_db=evm_db,
                cfo_hz=cfo_hz,
                timing_error_samples=timing_error,
                llrs=batch.llrs[i],
            )
        )
    return received


@lru_cache(maxsize=1)
def _shifted_dmrs() -> npt.NDArray[np.complex64]:
    """Reference signals of every cyclic shift, complex64 (4, 4, 24)."""
    return np.array([v2x_pscch_dmrs(shift) for shift in V2X_PSCCH_CYCLIC_SHIFTS])


def _cyclic_shift(near: complex) -> int:
    """The place among the cyclic shifts of the one whose phase slope is nearest to that of neighbouring elements."""
    return round(cmath.phase(near) / (math.pi / 2)) % len(V2X_PSCCH_CYCLIC_SHIFTS)


@njit(cache=True, nogil=True, fastmath=True)
def _neighbours(grid: Complexes, prbs: Places, symbols: Places, dmrs: Complexes) -> tuple[Complexes, Floats]:
    """Correlation of neighbouring elements in the reference symbols of every candidate, and their energy.

    The reference signal of shift 0 is taken out before: complex64 (n,) and float32 (n,).
    """
    width = dmrs.shape[1]
    near = np.zeros(prbs.size, dtype=np.complex64)
    energies = np.zeros(prbs.size, dtype=np.float32)
    h = np.empty(width, dtype=np.complex64)
    for i in range(prbs.size):
        for d in range(symbols.size):
            for k in range(width):
                h[k] = grid[symbols[d], prbs[i] * 12 + k] * np.conj(dmrs[d, k])
                energies[i] += h[k].real * h[k].real + h[k].imag * h[k].imag
            for k in range(width - 1):
                near[i] += h[k + 1] * np.conj(h[k])
    return near, energies
