"""Physical sidelink shared channel: one SL-SCH transport block (TS 36.211 9.3, TS 36.212 5.4.2).

One transmission of a block is one redundancy version on one allocation in one subframe. Everything a receiver needs is
in the SCI and in the pool: PRBs, MCS (and so the block's size), the destination id and the counter n_ssf of the pool's
subframes, which together start scrambling and reference signals. What a transmission gives is soft bits;
`sl_sch.SlSchSoftBuffer` adds those of all transmissions of a block and decodes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from radio.arrays import Grid
from radio.errors import RadioError
from radio.phy.dsp.bitfields import bytes_to_bits
from radio.phy.lte.channels.sl_sch import encode_sl_sch
from radio.phy.lte.channels.transmissions import PsschTx
from radio.phy.lte.grid.codeword_batch import CodewordBatch, receive_codewords
from radio.phy.lte.grid.dmrs import pssch_dmrs, pssch_dmrs_of
from radio.phy.lte.grid.layout import Mode, pssch_layout
from radio.phy.lte.grid.mapping import CodewordReception, allocation_subcarriers, map_codeword, receive_codeword
from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB, Carrier, Cp
from radio.phy.lte.grid.tbs import v2x_modulation_order, v2x_transport_block_size


class PsschError(RadioError):
    """A transport block that is not the size its MCS and allocation ask for."""


def pssch_codeword_bits(n_prb: int, mcs: int, cp: Cp, mode: Mode = Mode.TM12, transmission_format: int = 0) -> int:
    """G, the coded bits of an allocation.

    The guard symbol counts, except in transmission format 1 of modes 3 and 4. Raises TransportBlockSizeError or
    LayoutError.
    """
    n_symbols = len(pssch_layout(mode, cp, transmission_format).data)
    return n_symbols * n_prb * SUBCARRIERS_PER_PRB * v2x_modulation_order(mcs, transmission_format)


def pssch_c_init(n_id_x: int, n_ssf: int) -> int:
    """Start value of the scrambling sequence (TS 36.211 9.3.1)."""
    return (n_id_x << 14) + (n_ssf << 9) + 510


def map_pssch(grid: Grid, carrier: Carrier, tx: PsschTx, mode: Mode = Mode.TM12, transmission_format: int = 0) -> None:
    """Write one redundancy version of a transport block into `grid`, complex64 (n_symbols, 12 * N_RB^SL).

    In modes 3 and 4 `tx.n_id_sa` holds n_ID^X, the CRC of the SCI, and `transmission_format` is the SCI's. TS 36.211
    9.3. Raises PsschError, AllocationError, LayoutError or TransportBlockSizeError.
    """
    n_prb = len(tx.prbs)
    size = v2x_transport_block_size(tx.mcs, n_prb, transmission_format)
    if len(tx.transport_block) * 8 != size:
        raise PsschError(f"{len(tx.transport_block)} octets where MCS {tx.mcs} over {n_prb} PRBs takes {size // 8}")
    subcarriers = allocation_subcarriers(carrier, tx.prbs)
    qm = v2x_modulation_order(tx.mcs, transmission_format)
    g = pssch_codeword_bits(n_prb, tx.mcs, carrier.cp, mode, transmission_format)
    codeword = encode_sl_sch(bytes_to_bits(tx.transport_block), g, qm, tx.rv)
    dmrs = pssch_dmrs(n_prb, tx.n_id_sa, tx.n_ssf, mode)
    layout = pssch_layout(mode, carrier.cp, transmission_format)
    map_codeword(grid, subcarriers, layout, dmrs, codeword, qm, pssch_c_init(tx.n_id_sa, tx.n_ssf))


def receive_pssch(
    carrier: Carrier,
    grid: Grid,
    prbs: tuple[int, ...],
    mcs: int,
    n_id_sa: int,
    n_ssf: int,
    mode: Mode = Mode.TM12,
    dmrs_n_ssf: int | None = None,
    transmission_format: int = 0,
) -> CodewordReception:
    """Soft bits of one transmission of a transport block, for SlSchSoftBuffer.

    `dmrs_n_ssf` is for generators of V2X signals that count the reference signals' slots from each subframe anew
    (the clause lets itself be read so): 0 for those, None for n_ssf. Raises AllocationError,
    TransportBlockSizeError or LayoutError.
    """
    subcarriers = allocation_subcarriers(carrier, prbs)
    layout = pssch_layout(mode, carrier.cp, transmission_format)
    dmrs = pssch_dmrs(len(prbs), n_id_sa, n_ssf if dmrs_n_ssf is None else dmrs_n_ssf, mode)
    qm = v2x_modulation_order(mcs, transmission_format)
    return receive_codeword(carrier, grid, subcarriers, layout, dmrs, qm, pssch_c_init(n_id_sa, n_ssf))


def receive_pssch_batch(
    carrier: Carrier,
    grid: Grid,
    first_prbs: npt.NDArray[np.int64],
    n_prb: int,
    qm: int,
    n_id_xs: npt.NDArray[np.int64],
    n_ssfs: npt.NDArray[np.int64],
    mode: Mode,
    transmission_format: int = 0,
) -> CodewordBatch:
    """`receive_pssch` of several transmissions of one width and modulation, each on PRBs side by side.

    The arrays are int64 (n,). Raises AllocationError or LayoutError.
    """
    layout = pssch_layout(mode, carrier.cp, transmission_format)
    dmrs = pssch_dmrs_of(n_prb, n_id_xs, n_ssfs, mode)
    c_inits = (n_id_xs << 14) + (n_ssfs << 9) + 510
    return receive_codewords(carrier, grid, first_prbs, layout, dmrs, qm, c_inits)
