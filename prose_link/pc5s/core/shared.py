"""The parts that all roles of one entity share: configuration, keys, record, links, timers, and the outbox.

An entity consists of many roles: initiator, responder, rekeying and upkeep of each profile, keyer and member of groups.
They don't refer to each other. Each gets one `Desk`, which has the common state and the common actions: run a link
through its table, start and stop timers, make contexts, and send messages, in the clear or under a context, by the
carrier that bears the link.

The `Outbox` is the only way out of the entity. PDUs and events wait there until the owner takes them. Both queues are
bounded. Events that any sender can cause (dropped and refused messages) have a bounded rate, because a flood on the air
must not become a flood in the logs; the number of events left out is reported.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, assert_never

from prose_link.instant import Instant
from prose_link.pc5s.core.buckets import Bucket, Rate
from prose_link.pc5s.core.credentials import Credentials, RandomBytes
from prose_link.pc5s.core.events import (
    AcceptRefused,
    CarrierMismatch,
    Dropped,
    Event,
    EventsHeldBack,
    RejectReceived,
    RequestRefused,
)
from prose_link.pc5s.core.fsm import Role, State, Table
from prose_link.pc5s.core.group_config import GroupConfig
from prose_link.pc5s.core.link import Link, LinkTable
from prose_link.pc5s.core.machine import UNLISTED, Actions, Place, StateMachine
from prose_link.pc5s.core.own_clock import OwnClock, RequireKms
from prose_link.pc5s.core.policy import Policy, Profile
from prose_link.pc5s.core.profile import LinkProfile
from prose_link.pc5s.core.replay import WINDOW_S, Record
from prose_link.pc5s.core.timers import T4100_SPREAD, Timer, TimerSet, TimerValues
from prose_link.pc5s.core.transcript import Agreed
from prose_link.pc5s.core.verify_budget import VERIFY_PER_S, check_rate
from prose_link.pc5s.wire.codec import encode
from prose_link.pc5s.wire.messages import ChosenAlgorithms, IpAddressConfig, Message
from prose_link.pc5s.wire.party import CarrierTraits, Party, Via, by_radio
from prose_link.pc5s.wire.pdus import LCID_PROTECTED, LCID_UNPROTECTED, OutgoingPdu, ReceivedPdu
from security.link.context import SecurityContext
from security.link.key_ladder import SessionKeys

MAX_QUEUED_PDUS: Final = 256
MAX_QUEUED_EVENTS: Final = 4096
KD_AGE_S: Final = 24 * 3600.0
"""Longest use of a KD (PROFILE 2)."""
SEQUENCE_NUMBERS: Final = 1 << 16

KeyLog = Callable[[int, SecurityContext, SessionKeys], None]
"""Called with (peer layer-2 id, context, its keys) for every context, if keys for captures are to be logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pc5sConfig:
    """Configuration of one UE's links; `link_local` has 16 octets.

    `reject_unverified` and `key_log` are for labs only.
    """

    l2_id: int
    ip_address_config: IpAddressConfig = IpAddressConfig.NOT_SUPPORTED
    link_local: bytes | None = None
    maximum_inactivity_period_s: int = 30
    policy: Policy = field(default_factory=Policy)
    timers: TimerValues = field(default_factory=TimerValues)
    kd_age_s: float = KD_AGE_S
    reject_unverified: bool = False
    refuses_mismatch: bool = True
    """Whether a message is dropped whose carrier names another sender than its User Info (PROFILE 12)."""
    key_log: KeyLog | None = None
    groups: tuple[GroupConfig, ...] = ()
    verify_per_s: float = VERIFY_PER_S
    """Most signatures of other UEs that this UE verifies in a second."""
    marks_lost_at_ntp_s: float | None = None
    """The time when the device's record was found lost: the UE must not take an old group key for a new one. None: it
    is complete.
    """
    require_kms: RequireKms = RequireKms.NEVER
    """The cases in which the home KMS must have given the time before a link is set up."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises TimerError if the timers don't fit the inactivity period, and VerifyBudgetError for an impossible rate.
        """
        self.timers.check_inactivity(self.maximum_inactivity_period_s)
        check_rate(self.verify_per_s)


ANYBODYS: Final = (AcceptRefused, CarrierMismatch, Dropped, RejectReceived, RequestRefused)
"""Events that any sender near can cause at any rate."""
ANYBODYS_EVENTS: Final = Rate(per_s=50, burst=1000)
"""Most of these events per second that are emitted, so that a flood on the air does not flood the logs (P)."""


class Outbox:
    """Outgoing PDUs and events of an entity.

    Both queues are bounded: if one is full, its oldest item is dropped and counted. Events that any sender can cause
    are emitted at a bounded rate; the number of events left out precedes the next one.
    """

    def __init__(self) -> None:
        self._now_s = 0.0
        self._allowance: Bucket | None = None
        self._held_back = 0
        self._pdus: deque[OutgoingPdu] = deque()
        self._events: deque[Event] = deque()
        self._sequence_number = 0
        self.counters: Counter[str] = Counter()

    def next_sequence_number(self) -> int:
        """Sequence number of the next new message; copies of a message keep their number."""
        self._sequence_number = (self._sequence_number + 1) % SEQUENCE_NUMBERS
        return self._sequence_number

    def put(self, pdu: OutgoingPdu) -> None:
        """Queue a PDU."""
        if len(self._pdus) == MAX_QUEUED_PDUS:
            self._pdus.popleft()
            self.counters["PDUs lost in the queue"] += 1
        self._pdus.append(pdu)

    @property
    def now_s(self) -> float:
        """The time of the last call of `go_to`."""
        return self._now_s

    def go_to(self, now_s: float) -> None:
        """Set the present time on the monotonic clock."""
        self._now_s = now_s

    def emit(self, event: Event) -> None:
        """Queue an event."""
        if isinstance(event, ANYBODYS):
            if not self._take_allowance():
                self._held_back += 1
                self.counters["events held back"] += 1
                return
            if self._held_back:
                self._queue(EventsHeldBack(number=self._held_back))
                self._held_back = 0
        self._queue(event)

    def _take_allowance(self) -> bool:
        if self._allowance is None:
            self._allowance = Bucket(ANYBODYS_EVENTS, self._now_s)
        return self._allowance.take(self._now_s)

    def _queue(self, event: Event) -> None:
        if len(self._events) == MAX_QUEUED_EVENTS:
            self._events.popleft()
            self.counters["events lost in the queue"] += 1
        self._events.append(event)

    def take_pdus(self) -> list[OutgoingPdu]:
        """All queued PDUs, in order."""
        taken = list(self._pdus)
        self._pdus.clear()
        return taken

    def next_event(self) -> Event | None:
        """The oldest event, None if there is none."""
        return self._events.popleft() if self._events else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The parts that the roles of one entity share."""

    config: Pc5sConfig
    direct: CarrierTraits
    """Direct radio. It bears every link whose own carrier bears no links."""
    credentials: Credentials
    record: Record
    random_bytes: RandomBytes
    chance: RandomBytes
    """Randomness for times of transmissions; it protects nothing."""
    links: LinkTable = field(default_factory=LinkTable)
    timers: TimerSet[int] = field(default_factory=TimerSet)
    outbox: Outbox = field(default_factory=Outbox)
    clock: OwnClock = field(default_factory=OwnClock)
    profiles: dict[Profile, LinkProfile] = field(default_factory=dict)
    """The profiles of the entity, added when they are made."""

    def run(self, link: Link, event: Enum, now: Instant, why: str = "") -> bool:
        """Run a link through the table of its profile. Returns False if the input has no effect in its state."""
        return self.profiles[link.profile].run(link, event, now, why)

    def authorises(self, peer: str) -> bool:
        """Whether this UE's own lists and its KMS allow links with a peer."""
        return self.config.policy.authorises(peer) and self.credentials.grants(peer)

    def refuses_named_sender(self, pdu: ReceivedPdu, user_info: str) -> bool:
        """Whether to drop a message because its carrier names another sender; an event reports any mismatch.

        The name on a carrier proves nothing. The UE compares it nevertheless, because other programs may show it to
        users.
        """
        if pdu.named_sender in ("", user_info):
            return False
        refused = self.config.refuses_mismatch
        self.outbox.emit(
            CarrierMismatch(
                carrier=pdu.via.carrier, peer=user_info, named=pdu.named_sender, peer_l2=pdu.src_l2, refused=refused
            )
        )
        return refused

    def clock_fault(self, now: Instant) -> str | None:
        """The reason why the own clock can't be trusted now; None if it can. Raises RecordError without a record."""
        if now.ntp_s < self.record.time_floor_ntp_s - WINDOW_S:
            return "clock below the time floor"
        if self.clock.out_of_step:
            return "clock out of step with the monotonic counter"
        return "the home KMS has not told the time" if self.kms_is_awaited else None

    @property
    def kms_is_awaited(self) -> bool:
        """Whether the UE sets up no link until the home KMS has given the time. Raises RecordError without a record."""
        match self.config.require_kms:
            case RequireKms.AFTER_START:
                return not self.clock.told
            case RequireKms.AFTER_LOSS:
                return not self.clock.told and self.record.time_unproven
            case RequireKms.NEVER:
                return False
            case _ as never:
                assert_never(never)

    def make_context(self, link: Link, kd_sess_id: int, algorithms: ChosenAlgorithms, agreed: Agreed) -> None:
        """Add a context to a link; pass its keys to the key log if the owner has configured one."""
        link.make_context(kd_sess_id, algorithms, agreed)
        if self.config.key_log is not None:
            self.config.key_log(link.peer_l2, link.keys.contexts[kd_sess_id], agreed.keys)

    def by_radio(self, identity: str, l2_id: int) -> Party:
        """A party at a layer-2 id of the sidelink."""
        return by_radio(self.direct, identity, l2_id)

    def bearer(self, link: Link) -> Via:
        """The way of a link's protected PDUs: the carrier of its set-up if that bears links, else direct radio."""
        return link.via if link.via.traits.bears_links else self.by_radio(link.peer, link.peer_l2).via

    def send_plain(self, octets: bytes, to: Party) -> None:
        """Send a DCR, DCA or Reject."""
        self.outbox.put(OutgoingPdu(data=octets, to=to, lcid=LCID_UNPROTECTED))

    def send_protected(self, link: Link, octets: bytes, *, kd_sess_id: int = 0, lcid: int = LCID_PROTECTED) -> None:
        """Send a message under a context of a link (by default the one in use), by the carrier that bears the link."""
        under = kd_sess_id or link.keys.current_id
        to = link.party_by(self.bearer(link))
        self.outbox.put(OutgoingPdu(data=octets, to=to, lcid=lcid, kd_sess_id=under))

    def send_message(self, link: Link, message: Message, *, kd_sess_id: int = 0) -> bytes:
        """Encode a message and send it under a context. Returns its octets, for repetitions."""
        octets = encode(message)
        self.send_protected(link, octets, kd_sess_id=kd_sess_id)
        return octets

    def start(self, link: Link, timer: Timer, after_s: float, now: Instant) -> None:
        """Start or restart a timer of a link."""
        self.timers.start(link.number, timer, now.mono_s + after_s)

    def stop(self, link: Link, *timers: Timer) -> None:
        """Stop timers of a link."""
        self.timers.stop(link.number, *timers)

    def first_wait_s(self) -> float:
        """The random wait of a new Request or keying message before it is sent, so that UEs don't send in step."""
        return self.part_of(self.config.timers.first_within_s)

    def part_of(self, most_s: float) -> float:
        """A random part of a time."""
        return most_s * self._fraction()

    def is_group(self, identity: str) -> bool:
        """Whether an identity is that of a group known to this UE. No UE may speak as such an identity."""
        return any(group.identity == identity for group in self.config.groups) or self.credentials.is_group(identity)

    def spread(self, t4100_s: float) -> float:
        """T4100 with its random jitter."""
        return t4100_s * (1.0 - T4100_SPREAD + 2 * T4100_SPREAD * self._fraction())

    def _fraction(self) -> float:
        return float(int.from_bytes(self.chance(4)) / (1 << 32))

    def drop(self, pdu: ReceivedPdu, message: str, why: str, detail: str = "") -> None:
        """Count a PDU that has no effect, and emit an event. `why` is one of a few texts, `detail` is free."""
        self.outbox.counters[why] += 1
        self.outbox.emit(Dropped(src_l2=pdu.src_l2, lcid=pdu.lcid, message=message, why=why, detail=detail))

    def count_unlisted(self) -> None:
        """Count an input for which a state table lists no transition."""
        self.outbox.counters[UNLISTED] += 1

    def discard(self, link: Link) -> None:
        """Wipe a link and remove it."""
        self.timers.stop_all(link.number)
        link.wipe()
        self.links.remove(link)


def link_machine(desk: Desk, tables: Mapping[Role, Table[State]], actions: Actions[Link]) -> StateMachine[Link]:
    """The machine for one profile's links, with a table for each role. A link that reaches IDLE is wiped and removed.

    Raises StateMachineError if tables and actions don't fit.
    """

    def place(link: Link) -> Place:
        """The table that a link uses, and the link itself, which holds the state."""
        return Place(table=Role.INITIATOR if link.initiator else Role.RESPONDER, holder=link)

    def let_go(link: Link) -> None:
        """Discard a link that has ended."""
        if link.state is State.IDLE:
            desk.discard(link)

    return StateMachine(tables, actions, place=place, on_unlisted=desk.count_unlisted, after=let_go)
