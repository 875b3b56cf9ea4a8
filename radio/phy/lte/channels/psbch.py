"""Physical sidelink broadcast channel: MIB-SL on the middle six PRBs (TS 36.211 9.6, TS 36.212 5.4.1).

PSBCH tells what a synchronisation source's signals can't: bandwidth, frame and subframe number, coverage. It stands in
the same subframe as PSSS and SSSS, on the symbols they leave free, and its scrambling and reference signals follow from
the identity that SSSS gives; so it can be received only after those, and a good CRC is what confirms them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radio.arrays import Bits, Grid
from radio.phy.dsp.modulation import QPSK
from radio.phy.lte.channels.control_block import decode_control_blocks, encode_control_block
from radio.phy.lte.channels.mib import MibError, MibSl, MibSlV2x
from radio.phy.lte.grid.dmrs import psbch_dmrs
from radio.phy.lte.grid.layout import Mode, broadcast_layout
from radio.phy.lte.grid.mapping import map_codeword, receive_codeword
from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB, Carrier

_N_SUBCARRIERS = 6 * SUBCARRIERS_PER_PRB


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PsbchReception:
    """Result of one PSBCH subframe; `mib` is None if the CRC fails or the bits are not a MIB-SL."""

    mib: MibSl | None
    bits: Bits
    crc_ok: bool
    snr_db: float
    evm_db: float
    cfo_hz: float
    timing_error_samples: float
    signal_power: float


def _subcarriers(carrier: Carrier) -> npt.NDArray[np.int64]:
    first = carrier.n_subcarriers // 2 - _N_SUBCARRIERS // 2
    return np.arange(first, first + _N_SUBCARRIERS)


def map_psbch(grid: Grid, carrier: Carrier, mib: MibSl, n_sl_id: int) -> None:
    """Write PSBCH and its reference signals into `grid`, complex64 (n_symbols, 12 * N_RB^SL).

    A MibSlV2x is written in the form of transmission modes 3 and 4. TS 36.211 9.6. Raises MibError, BitFieldError or
    LayoutError.
    """
    mode = Mode.TM34 if isinstance(mib, MibSlV2x) else Mode.TM12
    layout = broadcast_layout(mode, carrier.cp)
    codeword = encode_control_block(mib.to_bits(), len(layout.data) * _N_SUBCARRIERS * QPSK)
    map_codeword(grid, _subcarriers(carrier), layout, psbch_dmrs(n_sl_id, mode), codeword, QPSK, n_sl_id)


def receive_psbch(carrier: Carrier, grid: Grid, n_sl_id: int, mode: Mode = Mode.TM12) -> PsbchReception:
    """Receive the PSBCH of `n_sl_id` from one subframe.

    `grid` is complex64 (n_symbols, 12 * N_RB^SL) of any amplitude. The estimates are there whether the CRC holds or
    not. TS 36.211 9.6. Raises LayoutError.
    """
    layout = broadcast_layout(mode, carrier.cp)
    dmrs = psbch_dmrs(n_sl_id, mode)
    received = receive_codeword(carrier, grid, _subcarriers(carrier), layout, dmrs, QPSK, n_sl_id)
    message = MibSl if mode is Mode.TM12 else MibSlV2x
    bits, crc_ok, _ = decode_control_blocks(received.llrs[None, :], message.n_bits())
    # The all-zero codeword of an empty subframe has a good CRC.
    is_good = bool(crc_ok[0]) and bool(received.llrs.any())
    mib: MibSl | None = None
    if is_good:
        try:
            mib = message.from_bits(bits[0])
        except MibError:
            mib = None
    return PsbchReception(
        mib=mib,
        bits=bits[0],
        crc_ok=is_good,
        snr_db=received.snr_db,
        evm_db=received.evm_db,
        cfo_hz=received.cfo_hz,
        timing_error_samples=received.timing_error_samples,
        signal_power=received.signal_power,
    )
