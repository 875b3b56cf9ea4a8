"""Which SC-FDMA symbols of a subframe carry data and which reference signals, channel by channel.

TS 36.211 9.3.6, 9.4.6, 9.5.6, 9.6.6 and 9.8. The last symbol is a guard: counted as data, never transmitted.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from radio.errors import RadioError
from radio.phy.numerology import Cp


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
    """Symbols of one channel: `data` ends with the guard symbol, which no one transmits."""

    n_symbols: int
    dmrs: tuple[int, ...]
    data: tuple[int, ...] = field(repr=False)

    @property
    def sent(self) -> tuple[int, ...]:
        """Data symbols that are on the air."""
        return self.data[:-1]


def _layout(n_symbols: int, dmrs: tuple[int, ...], others: tuple[int, ...] = ()) -> SymbolLayout:
    data = tuple(symbol for symbol in range(n_symbols) if symbol not in dmrs and symbol not in others)
    return SymbolLayout(n_symbols=n_symbols, dmrs=dmrs, data=data)


_COMMUNICATION = {
    (Mode.TM12, Cp.NORMAL): _layout(14, (3, 10)),
    (Mode.TM12, Cp.EXTENDED): _layout(12, (2, 8)),
    (Mode.TM34, Cp.NORMAL): _layout(14, (2, 5, 8, 11)),
}
_BROADCAST = {
    (Mode.TM12, Cp.NORMAL): _layout(14, (3, 10), (1, 2, 11, 12)),
    (Mode.TM12, Cp.EXTENDED): _layout(12, (2, 8), (0, 1, 9, 10)),
    (Mode.TM34, Cp.NORMAL): _layout(14, (4, 6, 9), (1, 2, 11, 12)),
}


def communication_layout(mode: Mode, cp: Cp) -> SymbolLayout:
    """Layout of PSSCH, PSCCH and (modes 1 and 2) PSDCH. Raises LayoutError."""
    return _lookup(_COMMUNICATION, mode, cp)


def broadcast_layout(mode: Mode, cp: Cp) -> SymbolLayout:
    """Layout of PSBCH. Raises LayoutError."""
    return _lookup(_BROADCAST, mode, cp)


def _lookup(layouts: dict[tuple[Mode, Cp], SymbolLayout], mode: Mode, cp: Cp) -> SymbolLayout:
    try:
        return layouts[mode, cp]
    except KeyError:
        raise LayoutError("transmission modes 3 and 4 have no extended cyclic prefix (TS 36.211 9.2.1)") from None
