"""Physical sidelink discovery channel: one SL-DCH message on two adjacent PRBs (TS 36.211 9.5, TS 36.212 5.4.4)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from radio.arrays import Grid
from radio.errors import RadioError
from radio.phy.dsp.bitfields import bytes_to_bits
from radio.phy.dsp.modulation import QPSK
from radio.phy.lte.channels.sl_sch import encode_sl_sch
from radio.phy.lte.channels.transmissions import PsdchTx
from radio.phy.lte.grid.codeword_batch import CodewordBatch, receive_codewords
from radio.phy.lte.grid.dmrs import psdch_dmrs
from radio.phy.lte.grid.layout import Mode, SymbolLayout, communication_layout
from radio.phy.lte.grid.mapping import CodewordReception, allocation_subcarriers, map_codeword, receive_codeword
from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB, Carrier, Cp

MESSAGE_BITS = 232
"""Size of the discovery message (TS 36.521-1 A.6, TS 24.334 PC5_DISCOVERY)."""
N_PSDCH_PRBS = 2
_C_INIT = 510


class PsdchError(RadioError):
    """A discovery message of the wrong size."""


def _layout(cp: Cp) -> SymbolLayout:
    return communication_layout(Mode.TM12, cp)


def psdch_codeword_bits(cp: Cp) -> int:
    """Size of the codeword in bits; the guard symbol counts."""
    return len(_layout(cp).data) * N_PSDCH_PRBS * SUBCARRIERS_PER_PRB * QPSK


def map_psdch(grid: Grid, carrier: Carrier, tx: PsdchTx) -> None:
    """Write one transmission of a discovery message into `grid`, complex64 (n_symbols, 12 * N_RB^SL).

    TS 36.211 9.5. Raises PsdchError or AllocationError.
    """
    if len(tx.message) * 8 != MESSAGE_BITS:
        raise PsdchError(f"discovery message of {len(tx.message)} octets, not {MESSAGE_BITS // 8}")
    subcarriers = allocation_subcarriers(carrier, (tx.prb, tx.prb + 1))
    codeword = encode_sl_sch(bytes_to_bits(tx.message), psdch_codeword_bits(carrier.cp), QPSK, tx.rv)
    map_codeword(grid, subcarriers, _layout(carrier.cp), psdch_dmrs(), codeword, QPSK, _C_INIT)


def receive_psdch(carrier: Carrier, grid: Grid, prb: int) -> CodewordReception:
    """Soft bits of a discovery message on PRBs `prb` and `prb` + 1, for SlSchSoftBuffer.

    `grid` is complex64 (n_symbols, 12 * N_RB^SL) of any amplitude. TS 36.211 9.5. Raises AllocationError.
    """
    subcarriers = allocation_subcarriers(carrier, (prb, prb + 1))
    return receive_codeword(carrier, grid, subcarriers, _layout(carrier.cp), psdch_dmrs(), QPSK, _C_INIT)


def receive_psdch_batch(carrier: Carrier, grid: Grid, prbs: npt.NDArray[np.int64]) -> CodewordBatch:
    """`receive_psdch` on every pair of PRBs that begins at one of `prbs`, int64 (n,). Raises AllocationError."""
    dmrs = np.broadcast_to(psdch_dmrs(), (prbs.size, *psdch_dmrs().shape))
    c_inits = np.full(prbs.size, _C_INIT)
    return receive_codewords(carrier, grid, prbs, _layout(carrier.cp), np.ascontiguousarray(dmrs), QPSK, c_inits)
