"""The discovery entity of a UE: announces and monitors (Model A), asks and answers (Model B); no sockets, no clock."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from prose_link.discovery.codec import (
    CONTENT_OCTETS,
    DiscoveryFormatError,
    DiscoveryPdu,
    decode,
    encode,
    encode_content,
)
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
from prose_link.discovery.restricted import RestrictedKeys, protect, unprotect
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
_RESTRICTED_TYPES = frozenset({RestrictedAnnouncement.TYPE, RestrictedQuery.TYPE, RestrictedResponse.TYPE})
_TOO_FAR: Final = "counter too far from the clock"
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
class RestrictedFilter:
    """Restricted codes to monitor under keys of their own; `answer`: the 23-octet code to answer queries with.

    `valid_until_utc_s`: when the validity timer of the code runs out (TS 24.334 6.2), None for never.
    """

    codes: CodeFilter
    keys: RestrictedKeys
    answer: bytes | None = None
    valid_until_utc_s: float | None = None


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
    restricted: tuple[RestrictedFilter, ...] = ()
    duik: bytes | None = None
    validity_s: float = 30.0
    transmit_probability: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryTransmission:
    """29 octets to send on a PSDCH resource of the coming discovery period."""

    n_psdch: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Own:
    """How a message of one's own is protected, and until when it may be sent."""

    keys: RestrictedKeys | None = None
    valid_until_utc_s: float | None = None


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
        self._announced: dict[DiscoveryMessage, _Own] = {}
        self._limited: dict[DiscoveryMessage, int] = {}
        self._limited_keys: dict[DiscoveryMessage, RestrictedKeys] = {}
        self._newest: OrderedDict[DiscoveryMessage, int] = OrderedDict()
        self._heard: OrderedDict[DiscoveryMessage, _Heard] = OrderedDict()
        self._events: deque[DiscoveryEvent] = deque(maxlen=MAX_QUEUED_EVENTS)
        self._counters: Counter[str] = Counter()

    @property
    def counters(self) -> Mapping[str, int]:
        """How often each reason to drop has come up."""
        return Counter(self._counters)

    def announce(
        self,
        message: DiscoveryMessage,
        *,
        keys: RestrictedKeys | None = None,
        valid_until_utc_s: float | None = None,
    ) -> None:
        """Send a message in every period from now on (Model A), until its validity timer runs out.

        `keys` are those of a restricted code. Raises DiscoveryFormatError.
        """
        encode_content(message)
        if len(self._announced) >= MAX_OWN_MESSAGES:
            raise DiscoveryFormatError(f"more than {MAX_OWN_MESSAGES} announcements")
        self._announced[message] = _Own(keys, valid_until_utc_s)

    def stop_announcing(self, message: DiscoveryMessage) -> None:
        """Send it no more."""
        self._announced.pop(message, None)

    def solicit(self, message: DiscoveryMessage, *, keys: RestrictedKeys | None = None) -> None:
        """Send a solicitation or query in the next few periods (Model B); raises DiscoveryFormatError."""
        encode_content(message)
        self._enqueue(message, SOLICITATIONS, keys)

    def transmissions(
        self, n_resources: int, now: Instant, *, avoid: Collection[int] = ()
    ) -> list[DiscoveryTransmission]:
        """What goes out in the coming discovery period, each message on a random resource of its own.

        `n_resources`: PSDCH resources of the pool; `avoid`: those on which others were heard in the last period.
        """
        self._end_validity(now)
        messages = [message for message in self._announced if self._rng.random() < self._config.transmit_probability]
        messages += list(self._limited)
        protected = {message: self._protected(message, now) for message in messages}
        for message in list(self._limited):
            self._limited[message] -= 1
            if self._limited[message] == 0:
                del self._limited[message]
                self._limited_keys.pop(message, None)
        free = [n for n in range(n_resources) if n not in avoid] or list(range(n_resources))
        chosen = self._rng.permutation(len(free))[: len(messages)]
        return [
            DiscoveryTransmission(n_psdch=free[index], data=protected[message])
            for index, message in zip(chosen, messages, strict=False)
        ]

    def receive(self, octets: bytes, now: Instant) -> None:
        """Take 29 octets from PSDCH; whatever is wrong with them becomes an event."""
        try:
            pdu = decode(octets)
        except DiscoveryFormatError as error:
            self._drop("unknown", "malformed", str(error))
            return
        counter = full_counter(pdu.counter_lsb, now.utc_s)
        if self._receive_restricted(octets, counter, now):
            return
        if not self._wanted(pdu.message):
            self._counters["not asked for"] += 1
            return
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

    def _receive_restricted(self, octets: bytes, counter: int, now: Instant) -> bool:
        """Try the keys of every restricted filter that is valid; False if the message is nobody's."""
        if octets[0] not in _RESTRICTED_TYPES:
            return False
        for one in self._config.restricted:
            if one.valid_until_utc_s is not None and now.utc_s >= one.valid_until_utc_s:
                continue
            content = unprotect(octets, counter, one.keys)
            if content is None or not one.codes.passes(content[1:]):
                continue
            message = decode(content + octets[CONTENT_OCTETS:]).message
            fault = self._counter_fault(message, counter, now)
            if fault is not None:
                self._drop(_name(message), fault)
            else:
                self._note_restricted(one, message, counter, now)
            return True
        return False

    def _note_restricted(self, one: RestrictedFilter, message: DiscoveryMessage, counter: int, now: Instant) -> None:
        repeated = self._newest.get(message) == counter
        self._note(message, counter, now, verified=one.keys.duik is not None)
        if isinstance(message, RestrictedQuery) and one.answer is not None and not repeated:
            self._enqueue(RestrictedResponse(code=one.answer), RESPONSES, one.keys)

    def _end_validity(self, now: Instant) -> None:
        for message, own in list(self._announced.items()):
            if own.valid_until_utc_s is not None and now.utc_s >= own.valid_until_utc_s:
                del self._announced[message]

    def _protected(self, message: DiscoveryMessage, now: Instant) -> bytes:
        counter = utc_counter(now.utc_s)
        own = self._announced.get(message)
        keys = self._limited_keys.get(message) or (own.keys if own else None)
        if keys is not None:
            return protect(encode_content(message), counter, keys)
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
            return _TOO_FAR
        duik = self._config.duik
        if duik and not mic_matches(duik, pdu.content, counter, pdu.mic):
            return "MIC does not verify"
        return self._counter_fault(pdu.message, counter, now)

    def _counter_fault(self, message: DiscoveryMessage, counter: int, now: Instant) -> str | None:
        """A counter lies near the clock, and never behind the newest one of the same message."""
        if abs(_ahead(counter, utc_counter(now.utc_s))) > MAX_OFFSET_S:
            return _TOO_FAR
        newest = self._newest.get(message)
        return "counter is stale" if newest is not None and _ahead(counter, newest) < 0 else None

    def _note(self, message: DiscoveryMessage, counter: int, now: Instant, *, verified: bool = False) -> None:
        valid_until_s = now.mono_s + self._config.validity_s
        self._newest[message] = counter
        self._newest.move_to_end(message)
        if len(self._newest) > MAX_HEARD:
            self._newest.popitem(last=False)
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
            self._report(message, verified=verified or self._config.duik is not None)

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

    def _report(self, message: DiscoveryMessage, *, verified: bool) -> None:
        if isinstance(message, _CODES):
            self._events.append(CodeDiscovered(message=_name(message), code=message.code, verified=verified))
        else:
            self._events.append(PeerDiscovered(message=_name(message), verified=verified, **_sender(message)))

    def _enqueue(self, message: DiscoveryMessage, times: int, keys: RestrictedKeys | None = None) -> None:
        if message in self._limited or len(self._limited) < MAX_OWN_MESSAGES:
            self._limited[message] = times
            if keys is not None:
                self._limited_keys[message] = keys
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
