"""From the DSCP of an IP packet to its ProSe per-packet priority, and from that to the logical channel it goes on.

The application says how urgent a packet is (TS 36.300 23.10.3), and the only word that a stock program has for it is
the DSCP. Priorities go from 1, the most urgent, to 8. The table gives each service class of RFC 4594 its own, with what
RFC 8325 says of the same classes on another radio: everything that is not named is ordinary, and only CS1 and LE come
after it.

Which logical channel has which priority is for the sender to choose (TS 36.321 5.14.1.3.1), and receivers need not
know. Ordinary packets go on LCID 1, those of another priority p on LCID 1 + p. So LCIDs are 1..9, of the 1..10 that
there are for user data, and a UE that does not know priorities understands each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from radio.l2.logical_channels import FIRST_USER_LCID, HIGHEST_PPPP, LOWEST_PPPP, USER_LCIDS

PRIORITIES: Final = range(HIGHEST_PPPP, LOWEST_PPPP + 1)
"""Most urgent first."""
ORDINARY_PPPP: Final = 7
"""Of what has no DSCP that says more (P)."""
DSCP_NAMES: Final[Mapping[str, int]] = MappingProxyType(
    {
        **{f"CS{n}": 8 * n for n in range(8)},
        **{f"AF{n}{m}": 8 * n + 2 * m for n in range(1, 5) for m in range(1, 4)},
        "DF": 0,
        "LE": 1,
        "VA": 44,
        "EF": 46,
    }
)
"""RFC 2474 4.2.2, RFC 2597 6, RFC 3246 2.7, RFC 5865 4, RFC 8622 7.1."""
_DEFAULT_CLASSES: Final = {
    1: ("CS6", "CS7"),
    2: ("EF", "VA"),
    3: ("CS5",),
    4: ("CS4", "AF41", "AF42", "AF43"),
    5: ("CS3", "AF31", "AF32", "AF33"),
    6: ("CS2", "AF21", "AF22", "AF23"),
    8: ("CS1", "LE"),
}
"""Control; speech; its signalling; video in conversation; video that is watched; short exchanges; what can wait (P)."""
DEFAULT_RULE: Final[Mapping[int, int]] = MappingProxyType(
    {DSCP_NAMES[name]: pppp for pppp, names in _DEFAULT_CLASSES.items() for name in names}
)
"""DSCP -> PPPP, those left out being ordinary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityRule:
    """DSCP -> PPPP; a DSCP that is not named has the `ordinary` one."""

    pppp_of_dscp: Mapping[int, int] = field(default_factory=lambda: DEFAULT_RULE)
    ordinary: int = ORDINARY_PPPP

    def pppp(self, dscp: int) -> int:
        """The priority of a packet."""
        return self.pppp_of_dscp.get(dscp, self.ordinary)

    def lcid(self, pppp: int) -> int:
        """The logical channel of a priority."""
        return FIRST_USER_LCID if pppp == self.ordinary else FIRST_USER_LCID + pppp

    def pppp_by_lcid(self) -> tuple[int, ...]:
        """The priorities of LCIDs 1, 2, ... 10, as layer 2 takes them; LCIDs that are not used have the lowest."""
        by_lcid = {self.lcid(pppp): pppp for pppp in PRIORITIES}
        return tuple(by_lcid.get(lcid, LOWEST_PPPP) for lcid in USER_LCIDS)
