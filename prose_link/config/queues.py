"""The `[queues]` section of a UE's configuration: which priority a packet has, and how long it may wait."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from prose_link.config.section import Section
from prose_link.userplane.queueing.codel import CodelConfig
from prose_link.userplane.queueing.fair_queue import FairQueueConfig
from prose_link.userplane.queueing.link_queue import QueueSettings
from prose_link.userplane.queueing.priorities import DEFAULT_RULE, DSCP_NAMES, ORDINARY_PPPP, PriorityRule
from radio.l2.logical_channels import HIGHEST_PPPP, LOWEST_PPPP

_CODEL = CodelConfig()
_FAIR_QUEUE = FairQueueConfig()
_HIGHEST_DSCP = 63


def _dscp(value: int | str) -> int:
    if isinstance(value, str):
        if value.upper() not in DSCP_NAMES:
            raise ValueError(f"no DSCP is called {value!r}; there are {', '.join(DSCP_NAMES)}, and 0..{_HIGHEST_DSCP}")
        return DSCP_NAMES[value.upper()]
    if not 0 <= value <= _HIGHEST_DSCP:
        raise ValueError(f"DSCP {value} is not in 0..{_HIGHEST_DSCP}")
    return value


Dscp = Annotated[int | str, AfterValidator(_dscp)]
"""A Differentiated Services code point: its number, or its name in the RFCs."""
Pppp = Annotated[int, Field(ge=HIGHEST_PPPP, le=LOWEST_PPPP)]


class PriorityEntry(Section):
    """Packets with one of these DSCPs have this priority."""

    dscp: Annotated[tuple[Dscp, ...], Field(min_length=1, max_length=64)]
    """Numbers 0..63, or names: `"EF"`, `"VA"`, `"CS0"` to `"CS7"`, `"AF11"` to `"AF43"`, `"DF"`, `"LE"`."""
    pppp: Pppp
    """ProSe per-packet priority: 1, the most urgent, to 8."""


class QueuesSection(Section):
    """Which packets go first over a link, and when a queue drops.

    A packet's DSCP gives its ProSe per-packet priority (PPPP). As long as `[[queues.priorities]]` does not say
    otherwise, that is 1 for CS6 and CS7; 2 for EF and VA; 3 for CS5; 4 for CS4 and AF4x; 5 for CS3 and AF3x; 6 for CS2
    and AF2x; 8 for CS1 and LE; and `ordinary_pppp` for all others. Ordinary packets go on LCID 1, those of another
    priority p on LCID 1 + p. Within a priority flows share the link fairly, and each has a queue with active management
    (FQ-CoDel, RFC 8290).
    """

    ordinary_pppp: Pppp = ORDINARY_PPPP
    """Of packets whose DSCP is named nowhere."""
    priorities: Annotated[tuple[PriorityEntry, ...], Field(max_length=64)] = ()
    """What differs from the mapping above."""
    target_ms: Annotated[float, Field(ge=1, le=1000)] = _CODEL.target_s * 1e3
    """How long packets may wait in a useful queue: about an SC period, for which the link holds them anyway."""
    interval_ms: Annotated[float, Field(ge=10, le=10_000)] = _CODEL.interval_s * 1e3
    """How long they may wait longer before the first one is dropped, or marked; ten times `target_ms`."""
    quantum_octets: Annotated[int, Field(ge=64, le=8188)] = _FAIR_QUEUE.quantum_octets
    """What a flow may send before the next one's turn."""
    max_packets: Annotated[int, Field(ge=8, le=10_000)] = _FAIR_QUEUE.max_packets
    """Of one priority on one link."""
    max_octets: Annotated[int, Field(ge=16_384, le=4 * 1024 * 1024)] = _FAIR_QUEUE.max_octets
    """Of one priority on one link."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.target_ms >= self.interval_ms:
            raise ValueError(f"target_ms {self.target_ms:g} is not below interval_ms {self.interval_ms:g}")
        named = [dscp for entry in self.priorities for dscp in entry.dscp]
        if twice := sorted({int(dscp) for dscp in named if named.count(dscp) > 1}):
            raise ValueError(f"DSCP {', '.join(map(str, twice))}: more than one of [[queues.priorities]] names it")
        return self

    @property
    def rule(self) -> PriorityRule:
        """From DSCP to PPPP and LCID."""
        own = {int(dscp): entry.pppp for entry in self.priorities for dscp in entry.dscp}
        return PriorityRule(pppp_of_dscp={**DEFAULT_RULE, **own}, ordinary=self.ordinary_pppp)

    def to_settings(self, mtu_octets: int, perturbation: bytes) -> QueueSettings:
        """The settings as the queues take them.

        Args:
            mtu_octets: of the user plane's interface.
            perturbation: of the hash that tells flows apart.
        """
        codel = CodelConfig(target_s=self.target_ms * 1e-3, interval_s=self.interval_ms * 1e-3, mtu_octets=mtu_octets)
        fair_queue = FairQueueConfig(
            max_packets=self.max_packets,
            max_octets=self.max_octets,
            quantum_octets=self.quantum_octets,
            codel=codel,
        )
        return QueueSettings(rule=self.rule, fair_queue=fair_queue, perturbation=perturbation)
