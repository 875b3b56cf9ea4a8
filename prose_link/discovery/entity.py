"""The discovery entity of a UE: announces and monitors (Model A), asks and answers (Model B); no sockets, no clock."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from prose_link.discovery.codec import DiscoveryFormatError, DiscoveryPdu, decode, encode, encode_content
from prose_link.discovery.events import (
    CodeDiscovered,
    DiscoveryDropped,
    DiscoveryEvent,
    PeerDiscovered,
    PeerLost,
    Solicited,
)
from prose_link.discovery.messages import (
    DiscoveryMessage,
    GroupMemberResponse,
    GroupMemberSolicitation,
    OpenAnnouncement,
    RelayAnnouncement,
    RelayResponse,
    RelaySolicitation,
    RestrictedAnnouncement,
    RestrictedQuery,
    RestrictedResponse,
)
from prose_link.discovery.mic import COUNTER_BITS, NO_MIC, calculate_mic, full_counter, mic_matches, utc_counter
from prose_link.instant import Instant

MAX_HEARD: Final = 1024
MAX_QUEUED_EVENTS: Final = 1024
MAX_OWN_MESSAGES: Final = 16
MAX_OFFSET_S: Final = 60
"""How far a message's counter may lie from the own clock (MAX_OFFSET, TS 24.334; below half of the 8 LSB's range)."""
SOLICITATIONS: Final = 4
"""Transmissions of a solicitation or query."""
RESPONSES: Final = 2
"""Transmissions of a response."""

_CODES = OpenAnnouncement | RestrictedAnnouncement | RestrictedQuery | RestrictedResponse
_RELAYS = RelayAnnouncement | RelaySolicitation | RelayResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFilter:
    """A code to monitor: 23 octets, compared where the mask has ones (TS 24.334 11.2.2)."""

    code: bytes
    mask: bytes = b"\xff" * 23

    def passes(self, code: bytes) -> bool:
        """Whether a code is one that this filter asks for."""
        ours, theirs, mask = (int.from_bytes(value) for value in (self.code, code, self.mask))
        return (ours ^ theirs) & mask == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryConfig:
    """Who this UE is in discovery, what it listens for, and its integrity key; without `duik` nothing is verified.

    `user_info_id` 48 bits, `prose_ue_id` the own layer-2 id.
    """

    user_info_id: int = 0
    prose_ue_id: int = 0
    group_ids: frozenset[int] = frozenset()
    relay_service_codes: frozenset[int] = frozenset()
    code_filters: tuple[CodeFilter, ...] = ()
    duik: bytes | None = None
    validity_s: float = 30.0
    transmit_probability: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryTransmission:
    """29 octets to send on a PSDCH resource of the coming discovery period."""

    n_psdch: int
    data: bytes


@dataclass(slots=True)
class _Heard:
    """The newest counter of a sender, and until when its message is valid."""

    message: DiscoveryMessage
    counter: int
    valid_until_s: float


class DiscoveryEntity:
    """Sans-IO: PDUs go in by `receive`, come out of `transmissions` once a discovery period; events by `next_event`."""

    def __init__(self, config: DiscoveryConfig, rng: np.random.Generator) -> None:
        self._config = config
        self._rng = rng
        self._announced: dict[DiscoveryMessage, None] = {}
        self._limited: dict[DiscoveryMessage, int] = {}
        self._heard: OrderedDict[DiscoveryMessage, _Heard] = OrderedDict()
        self._events: deque[DiscoveryEvent] = deque(maxlen=MAX_QUEUED_EVENTS)
        self._counters: Counter[str] = Counter()

    @property
    def counters(self) -> Mapping[str, int]:
        """How often each reason to drop has come up."""
        return Counter(self._counters)

    def announce(self, message: DiscoveryMessage) -> None:
        """Send a message in every period from now on (Model A); raises DiscoveryFormatError."""
        encode_content(message)
        if len(self._announced) >= MAX_OWN_MESSAGES:
            raise DiscoveryFormatError(f"more than {MAX_OWN_MESSAGES} announcements")
        self._announced[message] = None

    def stop_announcing(self, message: DiscoveryMessage) -> None:
        """Send it no more."""
        self._announced.pop(message, None)

    def solicit(self, message: DiscoveryMessage) -> None:
        """Send a solicitation or query in the next few periods (Model B); raises DiscoveryFormatError."""
        encode_content(message)
        self._enqueue(message, SOLICITATIONS)

    def transmissions(
        self, n_resources: int, now: Instant, *, avoid: Collection[int] = ()
    ) -> list[DiscoveryTransmission]:
        """What goes out in the coming discovery period, each message on a random resource of its own.

        `n_resources`: PSDCH resources of the pool; `avoid`: those on which others were heard in the last period.
        """
        messages = [message for message in self._announced if self._rng.random() < self._config.transmit_probability]
        messages += list(self._limited)
        for message in list(self._limited):
            self._limited[message] -= 1
            if self._limited[message] == 0:
                del self._limited[message]
        free = [n for n in range(n_resources) if n not in avoid] or list(range(n_resources))
        chosen = self._rng.permutation(len(free))[: len(messages)]
        return [
            DiscoveryTransmission(n_psdch=free[index], data=self._protected(message, now))
            for index, message in zip(chosen, messages, strict=False)
        ]

    def receive(self, octets: bytes, now: Instant) -> None:
        """Take 29 octets from PSDCH; whatever is wrong with them becomes an event."""
        try:
            pdu = decode(octets)
        except DiscoveryFormatError as error:
            self._drop("unknown", "malformed", str(error))
            return
        if not self._wanted(pdu.message):
            self._counters["not asked for"] += 1
            return
        counter = full_counter(pdu.counter_lsb, now.utc_s)
        fault = self._fault(pdu, counter, now)
        if fault is not None:
            self._drop(_name(pdu.message), fault)
            return
        self._note(pdu.message, counter, now)

    def next_timer(self) -> float | None:
        """The monotonic time at which the next heard message loses its validity, None if there is none."""
        return min((heard.valid_until_s for heard in self._heard.values()), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Report what hasn't been heard for the validity time."""
        for message, heard in list(self._heard.items()):
            if heard.valid_until_s <= now.mono_s:
                del self._heard[message]
                if not isinstance(message, _CODES):
                    self._events.append(PeerLost(message=_name(message), **_sender(message)))

    def next_event(self) -> DiscoveryEvent | None:
        """The oldest event not yet taken, None if there is none."""
        return self._events.popleft() if self._events else None

    def _protected(self, message: DiscoveryMessage, now: Instant) -> bytes:
        counter = utc_counter(now.utc_s)
        duik = self._config.duik
        mic = calculate_mic(duik, encode_content(message), counter) if duik else NO_MIC
        return encode(message, mic=mic, counter=counter)

    def _wanted(self, message: DiscoveryMessage) -> bool:
        if isinstance(message, _CODES):
            return any(one.passes(message.code) for one in self._config.code_filters)
        if message.prose_ue_id == self._config.prose_ue_id:
            return False
        if isinstance(message, _RELAYS):
            return message.relay_service_code in self._config.relay_service_codes
        return message.discovery_group_id in self._config.group_ids

    def _fault(self, pdu: DiscoveryPdu, counter: int, now: Instant) -> str | None:
        """What is wrong with a message that is asked for: its counter, its MIC, or that it is old."""
        if abs(_ahead(counter, utc_counter(now.utc_s))) > MAX_OFFSET_S:
            return "counter too far from the clock"
        duik = self._config.duik
        if duik and not mic_matches(duik, pdu.content, counter, pdu.mic):
            return "MIC does not verify"
        heard = self._heard.get(pdu.message)
        if heard is not None and _ahead(counter, heard.counter) < 0:
            return "counter is stale"
        return None

    def _note(self, message: DiscoveryMessage, counter: int, now: Instant) -> None:
        valid_until_s = now.mono_s + self._config.validity_s
        heard = self._heard.get(message)
        repeated = heard is not None and heard.counter == counter
        self._heard[message] = _Heard(message, counter, valid_until_s)
        self._heard.move_to_end(message)
        if len(self._heard) > MAX_HEARD:
            self._heard.popitem(last=False)
        if isinstance(message, GroupMemberSolicitation):
            if not repeated:
                self._answer(message)
        elif heard is None:
            self._report(message)

    def _answer(self, asked: GroupMemberSolicitation) -> None:
        """Answer a solicitation that asks for this UE."""
        if asked.target_user_info_id not in (0, self._config.user_info_id):
            return
        self._events.append(Solicited(**_sender(asked)))
        answer = GroupMemberResponse(
            discovery_group_id=asked.discovery_group_id,
            user_info_id=self._config.user_info_id,
            prose_ue_id=self._config.prose_ue_id,
        )
        self._enqueue(answer, RESPONSES)

    def _report(self, message: DiscoveryMessage) -> None:
        verified = self._config.duik is not None
        if isinstance(message, _CODES):
            self._events.append(CodeDiscovered(message=_name(message), code=message.code, verified=verified))
        else:
            self._events.append(PeerDiscovered(message=_name(message), verified=verified, **_sender(message)))

    def _enqueue(self, message: DiscoveryMessage, times: int) -> None:
        if message in self._limited or len(self._limited) < MAX_OWN_MESSAGES:
            self._limited[message] = times
        else:
            self._counters["too many messages of one's own"] += 1

    def _drop(self, message: str, why: str, detail: str = "") -> None:
        self._counters[why] += 1
        self._events.append(DiscoveryDropped(message=message, why=why, detail=detail))


def _ahead(counter: int, other: int) -> int:
    """How far a counter is ahead of another, modulo its 32 bits."""
    half = 1 << (COUNTER_BITS - 1)
    return (counter - other + half) % (1 << COUNTER_BITS) - half


def _sender(message: DiscoveryMessage) -> dict[str, int]:
    """Group or relay service, user and UE of a message that names them."""
    scope = getattr(message, "discovery_group_id", None)
    scope_id = getattr(message, "relay_service_code", 0) if scope is None else scope
    return {
        "scope_id": scope_id,
        "user_info_id": getattr(message, "user_info_id", 0),
        "prose_ue_id": getattr(message, "prose_ue_id", 0),
    }


def _name(message: DiscoveryMessage) -> str:
    """The type of a message in words."""
    return message.TYPE.name.lower().replace("_", " ")
