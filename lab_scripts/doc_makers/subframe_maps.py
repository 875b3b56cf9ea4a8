"""The use of each resource element of a subframe, found by letting each channel write into an empty grid."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radio.arrays import Grid
from radio.phy.lte.channels.mib import MibSl, MibSlV2x
from radio.phy.lte.channels.psbch import map_psbch
from radio.phy.lte.channels.pscch import map_pscch
from radio.phy.lte.channels.psdch import MESSAGE_BITS, map_psdch
from radio.phy.lte.channels.pssch import map_pssch
from radio.phy.lte.channels.sci import SciFormat0, SciFormat1
from radio.phy.lte.channels.slss import PSSS_SYMBOLS, SSSS_SYMBOLS, map_slss
from radio.phy.lte.channels.transmissions import PsdchTx, PsschTx
from radio.phy.lte.channels.v2x_pscch import map_v2x_pscch
from radio.phy.lte.grid.layout import Mode, SymbolLayout, broadcast_layout, communication_layout, pssch_layout
from radio.phy.lte.grid.numerology import Carrier, Cp
from radio.phy.lte.grid.tbs import v2x_transport_block_size

_N_PRB = 6
_MCS = 5


class ElementUse(enum.IntEnum):
    """The use of a resource element."""

    SILENT = 0
    DATA = 1
    DMRS = 2
    GUARD = 3
    PSSS = 4
    SSSS = 5
    CONTROL = 6

    @property
    def label(self) -> str:
        """Words for a legend."""
        return {
            ElementUse.SILENT: "nothing",
            ElementUse.DATA: "data",
            ElementUse.DMRS: "reference signal (DMRS)",
            ElementUse.GUARD: "guard: counted, not sent",
            ElementUse.PSSS: "PSSS",
            ElementUse.SSSS: "SSSS",
            ElementUse.CONTROL: "data of PSCCH beside PSSCH",
        }[self]


Uses = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelMap:
    """A channel's name and the function that gives (n_symbols, n_subcarriers) of `ElementUse`."""

    title: str
    draw: Callable[[], Uses]


def _uses(grid: Grid, layout: SymbolLayout, data: ElementUse = ElementUse.DATA) -> Uses:
    """Uses of the subcarriers that a channel has written to."""
    written = np.abs(grid).max(axis=0) > 0
    uses = np.zeros(grid.shape, dtype=np.int8)
    uses[np.ix_(layout.dmrs, written)] = ElementUse.DMRS
    uses[np.ix_(layout.data, written)] = ElementUse.GUARD
    uses[np.ix_(layout.sent, written)] = data
    return uses


def _empty(carrier: Carrier) -> Grid:
    return np.zeros((carrier.n_symbols, carrier.n_subcarriers), np.complex64)


def _broadcast(mode: Mode, cp: Cp) -> Uses:
    carrier = Carrier(_N_PRB, cp)
    mib = (MibSl if mode is Mode.TM12 else MibSlV2x)(bandwidth_prb=_N_PRB, dfn=0, subframe=0, in_coverage=False)
    grid, signals = _empty(carrier), _empty(carrier)
    map_psbch(grid, carrier, mib, 168)
    map_slss(signals, carrier, 168, mode)
    uses = _uses(grid, broadcast_layout(mode, cp))
    for symbols, use in ((PSSS_SYMBOLS[cp], ElementUse.PSSS), (SSSS_SYMBOLS[cp], ElementUse.SSSS)):
        for symbol in symbols:
            uses[symbol, np.abs(signals[symbol]) > 0] = use
    return uses


def _pssch(cp: Cp) -> Uses:
    carrier, grid = Carrier(_N_PRB, cp), _empty(Carrier(_N_PRB, cp))
    prbs = (1, 2, 3, 4)
    block = bytes(v2x_transport_block_size(_MCS, len(prbs), 0) // 8)
    map_pssch(grid, carrier, PsschTx(prbs=prbs, mcs=_MCS, n_id_sa=1, n_ssf=0, rv=0, transport_block=block))
    return _uses(grid, communication_layout(Mode.TM12, cp))


def _pscch() -> Uses:
    carrier, grid = Carrier(_N_PRB), _empty(Carrier(_N_PRB))
    map_pscch(grid, carrier, SciFormat0(riv=0, i_trp=0, mcs=0, group_destination_id=1), 2)
    return _uses(grid, communication_layout(Mode.TM12, Cp.NORMAL))


def _psdch() -> Uses:
    carrier, grid = Carrier(_N_PRB), _empty(Carrier(_N_PRB))
    map_psdch(grid, carrier, PsdchTx(prb=2, rv=0, message=bytes(MESSAGE_BITS // 8)))
    return _uses(grid, communication_layout(Mode.TM12, Cp.NORMAL))


def _v2x() -> Uses:
    carrier = Carrier(_N_PRB)
    control, shared = _empty(carrier), _empty(carrier)
    sci = SciFormat1(
        priority=0, resource_reservation=0, frequency_location=0, time_gap=0, mcs=_MCS, retransmission_index=0
    )
    n_id_x = map_v2x_pscch(control, carrier, sci, 0, 1)
    prbs = (2, 3, 4, 5)
    block = bytes(v2x_transport_block_size(_MCS, len(prbs), 0) // 8)
    tx = PsschTx(prbs=prbs, mcs=_MCS, n_id_sa=n_id_x, n_ssf=0, rv=0, transport_block=block)
    map_pssch(shared, carrier, tx, Mode.TM34)
    layout = pssch_layout(Mode.TM34, Cp.NORMAL)
    return np.maximum(_uses(control, layout, ElementUse.CONTROL), _uses(shared, layout))


CHANNEL_MAPS = (
    ChannelMap(title="SLSS and PSBCH, modes 1 and 2", draw=lambda: _broadcast(Mode.TM12, Cp.NORMAL)),
    ChannelMap(title="the same, extended CP", draw=lambda: _broadcast(Mode.TM12, Cp.EXTENDED)),
    ChannelMap(title="SLSS and PSBCH, modes 3 and 4", draw=lambda: _broadcast(Mode.TM34, Cp.NORMAL)),
    ChannelMap(title="PSCCH, 1 PRB", draw=_pscch),
    ChannelMap(title="PSSCH, 4 PRB", draw=lambda: _pssch(Cp.NORMAL)),
    ChannelMap(title="PSDCH, 2 PRB", draw=_psdch),
    ChannelMap(title="PSCCH and PSSCH, modes 3 and 4", draw=_v2x),
)
