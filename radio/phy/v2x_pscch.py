"""Physical sidelink control channel of transmission modes 3 and 4: SCI format 1 on two PRBs.

TS 36.211 9.4, 9.8, TS 36.212 5.4.3, TS 36.213 14.2. The transmitter draws the cyclic shift of the reference signals;
the receiver tells it from the phase slope it leaves over the subcarriers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radio.arrays import Bits, Grid
from radio.phy.dmrs import V2X_PSCCH_CYCLIC_SHIFTS, v2x_pscch_dmrs
from radio.phy.fec.control_block import decode_control_blocks, encode_control_block
from radio.phy.fec.crc import CRC16, crc
from radio.phy.layout import Mode, SymbolLayout, communication_layout, symbol_rows
from radio.phy.level import levelled
from radio.phy.mapping import allocation_subcarriers, map_codeword, receive_codeword
from radio.phy.modulation import QPSK
from radio.phy.numerology import Carrier
from radio.phy.pscch import C_INIT
from radio.phy.sci import SciFormat1

_MIN_RELATIVE_ENERGY = 1e-5
_MIN_COHERENCE = 0.15


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class V2xPscchReception:
    """An SCI format 1 received with a good CRC; `crc` is n_ID^X of its PSSCH."""

    prb: int
    sci: SciFormat1
    bits: Bits
    crc: int
    cyclic_shift: int
    snr_db: float
    evm_db: float
    cfo_hz: float
    timing_error_samples: float


def map_v2x_pscch(
    grid: Grid, carrier: Carrier, sci: SciFormat1, prb: int, n_subchannels: int, cyclic_shift: int = 0
) -> int:
    """Write an SCI on PRBs `prb` and `prb` + 1; returns its CRC, n_ID^X of the PSSCH.

    Raises BitFieldError, AllocationError or LayoutError.
    """
    layout = communication_layout(Mode.TM34, carrier.cp)
    bits = sci.to_bits(n_subchannels)
    subcarriers = allocation_subcarriers(carrier, (prb, prb + 1))
    codeword = encode_control_block(bits, len(layout.data) * subcarriers.size * QPSK)
    map_codeword(grid, subcarriers, layout, v2x_pscch_dmrs(cyclic_shift), codeword, QPSK, C_INIT)
    return crc(bits, CRC16)


def receive_v2x_pscch(carrier: Carrier, grid: Grid, prbs: Sequence[int], n_subchannels: int) -> list[V2xPscchReception]:
    """Every SCI with a good CRC among candidates whose lower PRBs are `prbs`. Raises AllocationError or LayoutError."""
    layout = communication_layout(Mode.TM34, carrier.cp)
    received = []
    grid, _ = levelled(grid, symbol_rows(layout.dmrs))
    energies = [_reference_energy(grid, allocation_subcarriers(carrier, (p, p + 1)), layout) for p in prbs]
    for prb, energy in zip(prbs, energies, strict=True):
        if energy <= _MIN_RELATIVE_ENERGY * max(energies):
            continue
        subcarriers = allocation_subcarriers(carrier, (prb, prb + 1))
        cyclic_shift, coherence = _cyclic_shift(grid, subcarriers, layout)
        if coherence < _MIN_COHERENCE:
            continue
        dmrs = v2x_pscch_dmrs(cyclic_shift)
        received.append((prb, cyclic_shift, receive_codeword(carrier, grid, subcarriers, layout, dmrs, QPSK, C_INIT)))
    if not received:
        return []
    bits, crc_ok, crcs = decode_control_blocks(np.stack([r.llrs for _, _, r in received]), SciFormat1.N_BITS)
    return [
        V2xPscchReception(
            prb=prb,
            sci=SciFormat1.from_bits(bits[i], n_subchannels),
            bits=bits[i],
            crc=int(crcs[i]),
            cyclic_shift=cyclic_shift,
            snr_db=codeword.snr_db,
            evm_db=codeword.evm_db,
            cfo_hz=codeword.cfo_hz,
            timing_error_samples=codeword.timing_error_samples,
        )
        for i, (prb, cyclic_shift, codeword) in enumerate(received)
        if crc_ok[i]
    ]


def _reference_energy(grid: Grid, subcarriers: npt.NDArray[np.int64], layout: SymbolLayout) -> float:
    elements = grid[list(layout.dmrs)][:, subcarriers]
    return float(np.vdot(elements, elements).real)


def _cyclic_shift(grid: Grid, subcarriers: npt.NDArray[np.int64], layout: SymbolLayout) -> tuple[int, float]:
    """The cyclic shift whose phase slope is nearest, and how coherent neighbouring elements are (0 to 1)."""
    h = grid[list(layout.dmrs)][:, subcarriers] * np.conj(v2x_pscch_dmrs(V2X_PSCCH_CYCLIC_SHIFTS[0]))
    product = np.vdot(h[:, :-1], h[:, 1:])
    quarter_turns = round(float(np.angle(product)) / (np.pi / 2)) % len(V2X_PSCCH_CYCLIC_SHIFTS)
    return V2X_PSCCH_CYCLIC_SHIFTS[quarter_turns], float(abs(product) / np.vdot(h, h).real)
