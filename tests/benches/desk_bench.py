"""The shared parts of an entity with a clock of their own, and links on them; for the tests of each part."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from prose_link.instant import NTP_EPOCH_OFFSET_S, Instant
from prose_link.pc5s.core.link import Link, LinkKeys, Setup, Terms
from prose_link.pc5s.core.policy import LinkPolicy, Profile
from prose_link.pc5s.core.replay import MemoryRecord
from prose_link.pc5s.core.shared import (
    Desk,
    Outbox,
    Pc5sConfig,
)
from prose_link.pc5s.core.timers import TimerValues
from prose_link.pc5s.core.transcript import Asked
from prose_link.pc5s.wire.party import CarrierTraits, Via
from security.device.record import RecordError

TIMERS = TimerValues(t4100_s=1.0, n4100=3, t4111_s=6.0)
NOW = Instant(100.0, 5000.0 - NTP_EPOCH_OFFSET_S)
PEER = "tel:+447700900002"
CORE = CarrierTraits(
    name="core",
    addresses_count=False,
    knows_sources=True,
    repeats_by_itself=True,
    bears_links=False,
    max_pdu_octets=10,
)


class Credentials:
    """Grants every right to all peers but some."""

    def __init__(self) -> None:
        self.denied: set[str] = set()
        self.granted = True

    def grants(self, _peer: str) -> bool:
        return self.granted

    def denies(self, peer: str) -> bool:
        return peer in self.denied

    def is_group(self, identity: str) -> bool:
        return identity == "tel:group"


class Record(MemoryRecord):
    """A record that may be unusable."""

    broken = False

    @property
    def time_floor_ntp_s(self) -> int:
        if self.broken:
            raise RecordError("torn")
        return super().time_floor_ntp_s


def desk_of(*, chance: int = 0, record: Any = None, **config: Any) -> Desk:
    credentials: Any = Credentials()
    return Desk(
        config=Pc5sConfig(l2_id=1, **{"timers": TIMERS, **config}),
        direct=TIMERS.direct,
        credentials=credentials,
        record=Record() if record is None else record,
        random_bytes=bytes,
        chance=lambda n: chance.to_bytes(n, "big"),
    )


def link_of(desk: Desk, *, initiator: bool = True, via: Via | None = None, octets: bytes = b"request") -> Link:
    return Link(
        number=desk.links.next_number(),
        initiator=initiator,
        peer=PEER,
        peer_l2=0xB,
        via=via or Via(traits=TIMERS.direct, address=0xB),
        policy=LinkPolicy(),
        profile=Profile.IDENTITY,
        asked=Asked(message=SimpleNamespace(kd_sess_id_msb=1), t1=b"", signed_part=b"", request_hash=b"hr"),
        setup=Setup(request_octets=octets, mutual_asked="wanted"),
        terms=Terms(),
        keys=LinkKeys(current_id=0x0107),
    )


def events_of(outbox: Outbox) -> list[Any]:
    events = []
    while (event := outbox.next_event()) is not None:
        events.append(event)
    return events
