"""Which SC-FDMA symbols of a subframe carry data and which reference signals, channel by channel.

TS 36.211 9.3.6, 9.4.6, 9.5.6, 9.6.6 and 9.8. The last symbol is a guard: counted as data, never transmitted.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from radio.errors import RadioError
from radio.phy.lte.grid.numerology import Cp


class LayoutError(RadioError):
    """A transmission mode and cyclic prefix that do not go together."""


class Mode(enum.Enum):
    """The two families of sidelink transmission modes."""

    TM12 = "tm12"
    """Modes 1 and 2: device to device."""
    TM34 = "tm34"
    """Modes 3 and 4: V2X, normal cyclic prefix only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolLayout:
    """Symbols of one channel: `data` those the codeword is laid out over, `sent` those of them that are on the air.

    The last symbol of the subframe is the guard, which no one transmits but most codewords count.
    """

    n_symbols: int
    dmrs: tuple[int, ...]
    data: tuple[int, ...] = field(repr=False)
    sent: tuple[int, ...] = field(repr=False)


@lru_cache(maxsize=64)
def symbol_rows(symbols: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Symbols as an index, int64, read-only."""
    rows = np.array(symbols, dtype=np.int64)
    rows.setflags(write=False)
    return rows


def _layout(n_symbols: int, dmrs: tuple[int, ...], others: tuple[int, ...] = ()) -> SymbolLayout:
    data = tuple(symbol for symbol in range(n_symbols) if symbol not in dmrs and symbol not in others)
    return SymbolLayout(n_symbols=n_symbols, dmrs=dmrs, data=data, sent=data[:-1])


_COMMUNICATION = {
    (Mode.TM12, Cp.NORMAL): _layout(14, (3, 10)),
    (Mode.TM12, Cp.EXTENDED): _layout(12, (2, 8)),
    (Mode.TM34, Cp.NORMAL): _layout(14, (2, 5, 8, 11)),
}
_V2X_COMMUNICATION = _COMMUNICATION[Mode.TM34, Cp.NORMAL]
_GUARD_LEFT_OUT = replace(_V2X_COMMUNICATION, data=_V2X_COMMUNICATION.sent)
"""PSSCH of modes 3 and 4 in transmission format 1."""
_BROADCAST = {
    (Mode.TM12, Cp.NORMAL): _layout(14, (3, 10), (1, 2, 11, 12)),
    (Mode.TM12, Cp.EXTENDED): _layout(12, (2, 8), (0, 1, 9, 10)),
    (Mode.TM34, Cp.NORMAL): _layout(14, (4, 6, 9), (1, 2, 11, 12)),
}


def communication_layout(mode: Mode, cp: Cp) -> SymbolLayout:
    """Layout of PSSCH, PSCCH and (modes 1 and 2) PSDCH. Raises LayoutError."""
    return _lookup(_COMMUNICATION, mode, cp)


def pssch_layout(mode: Mode, cp: Cp, transmission_format: int = 0) -> SymbolLayout:
    """Layout of PSSCH: format 1 of modes 3 and 4 leaves the guard symbol out (TS 36.211 9.3.6). Raises LayoutError."""
    layout = communication_layout(mode, cp)
    if not transmission_format:
        return layout
    if mode is not Mode.TM34:
        raise LayoutError("transmission format 1 belongs to transmission modes 3 and 4")
    return _GUARD_LEFT_OUT


def broadcast_layout(mode: Mode, cp: Cp) -> SymbolLayout:
    """Layout of PSBCH. Raises LayoutError."""
    return _lookup(_BROADCAST, mode, cp)


def _lookup(layouts: dict[tuple[Mode, Cp], SymbolLayout], mode: Mode, cp: Cp) -> SymbolLayout:
    try:
        return layouts[mode, cp]
    except KeyError:
        raise LayoutError("transmission modes 3 and 4 have no extended cyclic prefix (TS 36.211 9.2.1)") from None
