"""The discovery entity of a UE: announces and monitors (Model A), asks and answers (Model B); no sockets, no clock.

Once a discovery period it returns the messages to send, each with its PSDCH resource. Messages that the PHY hears come
in by `receive` and become events. An announcement is sent in every period; a question (solicitation or query) in rounds
of a few transmissions, until it is answered; an answer a few times.

A received message passes these checks: its format, whether the UE listens for it, the MIC under the keys of the present
period or periods, and then the counter. The counter must be near the clock and not behind the newest one of the same
message. The same counter again is a repeat for a short while, and a replay after that. The numbers of remembered
messages, counters and events are bounded.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from prose_link.discovery.codec import DiscoveryFormatError, decode, encode_content
from prose_link.discovery.events import (
    CodeDiscovered,
    CodeLost,
    DiscoveryDropped,
    DiscoveryEvent,
    DiscoveryUnprotected,
    NotListened,
    NotSent,
    PeerDiscovered,
    PeerLost,
    Solicited,
)
from prose_link.discovery.filters import CodeFilter, DiscoveryConfig
from prose_link.discovery.key_periods import UNPROTECTED, KeyPeriods
from prose_link.discovery.messages import (
    DiscoveryMessage,
    DiscoveryType,
    GroupMemberAnnouncement,
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
from prose_link.discovery.mic import counters_ahead, full_counter, utc_counter
from prose_link.discovery.numbers import NUMBERS
from prose_link.discovery.own_messages import RESPONSES, OwnMessages
from prose_link.discovery.protection import protect, unprotect
from prose_link.instant import Instant

MAX_HEARD: Final = 1024
MAX_QUEUED_EVENTS: Final = 1024
REPEATS_S: Final = 2.0
"""Time after its first reception in which a counter may come again: its second, and one more for a discovery period on
the air.
"""
KEEP_RESOURCE: Final = 0.5
"""Probability with which a message keeps its resource if no other UE was heard there (beyond the standard, which draws
in every period). Other UEs can't avoid one that never keeps its resource. A UE that always keeps it never notices that
another one uses the same subframes.
"""

_CODES = OpenAnnouncement | RestrictedAnnouncement | RestrictedQuery | RestrictedResponse
_RELAYS = RelayAnnouncement | RelaySolicitation | RelayResponse
_RESPONSES = GroupMemberResponse | RelayResponse
_SOLICITATIONS = GroupMemberSolicitation | RelaySolicitation
_TOO_FAR: Final = "counter too far from the clock"
_OVER: Final = "its validity is over"
_NO_KEY: Final = "no key of this time is held"
_BAD_MIC: Final = "MIC does not verify"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryTransmission:
    """29 octets to send on a PSDCH resource of the coming discovery period."""

    n_psdch: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Newest:
    """The newest counter of a message, and when it first came."""

    counter: int
    first_mono_s: float


class DiscoveryEntity:
    """A `SansIoEntity`: PDUs go in by `receive`, and come out of `pdus_to_send` after `open_period`.

    The class is longer than most: sending and receiving share the received messages, and each check takes a few lines.
    """

    def __init__(self, config: DiscoveryConfig, rng: np.random.Generator) -> None:
        self._config = config
        self._rng = rng
        self._own = OwnMessages()
        self._resources: dict[DiscoveryMessage, int] = {}
        self._out: list[DiscoveryTransmission] = []
        self._keyless: set[DiscoveryMessage] = set()
        self._deaf_to: set[CodeFilter] = set()
        self._newest: OrderedDict[DiscoveryMessage, _Newest] = OrderedDict()
        self._heard: OrderedDict[DiscoveryMessage, float] = OrderedDict()
        self._events: deque[DiscoveryEvent] = deque(maxlen=MAX_QUEUED_EVENTS)
        self._counters: Counter[str] = Counter()
        if config.group_ids and config.keys is UNPROTECTED:
            self._events.append(DiscoveryUnprotected(group_ids=config.group_ids))

    @property
    def counters(self) -> Mapping[str, int]:
        """The number of dropped messages for each reason."""
        return Counter(self._counters)

    def announce(
        self,
        message: DiscoveryMessage,
        *,
        keys: KeyPeriods | None = None,
        valid_until_utc_s: float | None = None,
    ) -> None:
        """Send a message in every period from now on (Model A), until its validity timer expires.

        `keys` are those of a code; group member and relay messages use the configured ones. Raises
        DiscoveryFormatError.
        """
        self._own.announce(message, self._keys_for(message, keys), valid_until_utc_s)

    def solicit(
        self,
        message: DiscoveryMessage,
        *,
        keys: KeyPeriods | None = None,
        every_s: float = math.inf,
        answered_by: Callable[[DiscoveryMessage], bool] = lambda _: False,
        valid_until_utc_s: float | None = None,
    ) -> None:
        """Send a solicitation or query in the next few periods (Model B), and again until it is answered.

        Raises DiscoveryFormatError.
        """
        self._own.ask(message, self._keys_for(message, keys), every_s, answered_by, valid_until_utc_s)

    def replace_keys(self, config: DiscoveryConfig, own: Mapping[DiscoveryMessage, KeyPeriods]) -> None:
        """Use the keys of another contact with the KMS; received messages stay known.

        Args:
            config: the same as at first, except for its keys.
            own: the keys of the codes that this UE sends; its other messages use the configured ones.
        """
        self._config = config
        self._deaf_to &= set(config.codes)
        self._own.replace_keys({message: own.get(message, config.keys) for message in self._own.standing})

    def open_period(
        self, n_resources: int, now: Instant, *, n_t: int | None = None, avoid: Collection[int] = ()
    ) -> None:
        """Draw the messages of the coming discovery period, each with a random resource of its own.

        `pdus_to_send` returns them; messages of the period before that were not taken are dropped. `n_resources`: PSDCH
        resources of the pool; those that are equal modulo `n_t` are in the same subframes. `avoid`: resources on which
        other UEs were heard recently. A UE that sends doesn't hear, so it uses half of the subframes at most, and
        messages without a place wait for a later period.
        """
        for message in self._own.end_validity(now.utc_s):
            self._events.append(NotSent(message=_name(message), why=_OVER))
        self._check_filters(now)
        self._own.ask_again(self._heard, now)
        drawn = [one for one in self._own.announced if self._rng.random() < self._config.transmit_probability]
        due = [*self._own.limited, *drawn]
        ready = {message: data for message in due if (data := self._protected(message, now)) is not None}
        self._resources = self._choose(list(ready), n_resources, n_t or n_resources, avoid)
        for message in self._resources:
            self._own.count_sent(message)
        self._out = [DiscoveryTransmission(n_psdch=n, data=ready[message]) for message, n in self._resources.items()]

    def pdus_to_send(self, now: Instant) -> list[DiscoveryTransmission]:  # noqa: ARG002
        """Return the messages that were drawn for the coming discovery period."""
        drawn, self._out = self._out, []
        return drawn

    def receive(self, octets: bytes, now: Instant) -> None:
        """Process 29 octets from PSDCH; every fault in them becomes an event."""
        try:
            pdu = decode(octets)
        except DiscoveryFormatError as error:
            self._drop("unknown", "malformed", str(error))
            return
        counter = full_counter(pdu.counter_lsb, now.utc_s)
        if isinstance(pdu.message, _CODES):
            self._receive_code(pdu.message, octets, counter, now)
        elif self._wanted(pdu.message):
            self._receive_member(pdu.message, octets, counter, now)
        else:
            self._counters["not asked for"] += 1

    def next_timer(self) -> float | None:
        """The monotonic time at which the next heard message loses its validity, None if there is none."""
        return min(self._heard.values(), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Report messages that haven't been heard for the validity time."""
        for message, valid_until_s in list(self._heard.items()):
            if valid_until_s <= now.mono_s:
                del self._heard[message]
                if isinstance(message, _CODES):
                    self._events.append(CodeLost(message=_name(message), code=message.code))
                elif not isinstance(message, _SOLICITATIONS):
                    self._events.append(PeerLost(message=_name(message), **_sender(message)))

    def next_event(self) -> DiscoveryEvent | None:
        """The oldest event not yet taken, None if there is none."""
        return self._events.popleft() if self._events else None

    # Sending.

    def _keys_for(self, message: DiscoveryMessage, keys: KeyPeriods | None) -> KeyPeriods:
        if keys is not None:
            return keys
        return UNPROTECTED if isinstance(message, _CODES) else self._config.keys

    def _protected(self, message: DiscoveryMessage, now: Instant) -> bytes | None:
        """A message as it is sent; None if no key for this time is held, which is reported once."""
        keys = self._own.keys_of(message).to_send(now.utc_s)
        if keys is None:
            if message not in self._keyless:
                self._events.append(NotSent(message=_name(message), why=_NO_KEY))
                self._keyless.add(message)
            self._own.count_sent(message)
            return None
        self._keyless.discard(message)
        return protect(encode_content(message), utc_counter(now.utc_s), keys)

    def _choose(
        self, messages: Sequence[DiscoveryMessage], n_resources: int, n_t: int, avoid: Collection[int]
    ) -> dict[DiscoveryMessage, int]:
        """Resources for random ones of the messages: the earlier one, or a random one on which no UE was heard.

        No two are in the same subframes, of which a single-carrier transmitter can use one resource only.
        """
        free = [n for n in range(n_resources) if n not in avoid] or list(range(n_resources))
        chosen: dict[DiscoveryMessage, int] = {}
        for message in (messages[index] for index in self._rng.permutation(len(messages))[: max(1, n_t // 2)]):
            taken = {n % n_t for n in chosen.values()}
            left = [n for n in free if n % n_t not in taken]
            if not left:
                break
            had = self._resources.get(message)
            stays = had in left and self._rng.random() < KEEP_RESOURCE
            chosen[message] = had if had is not None and stays else left[int(self._rng.integers(len(left)))]
        return chosen

    # Receiving.

    def _check_filters(self, now: Instant) -> None:
        """Report once each filter that passes no message any more."""
        for one in self._config.codes:
            valid = one.valid_at(now.utc_s)
            if valid and one.keys.to_accept(now.utc_s):
                self._deaf_to.discard(one)
            elif one not in self._deaf_to:
                self._deaf_to.add(one)
                self._events.append(
                    NotListened(message=_type_name(one.type), code=one.code, why=_NO_KEY if valid else _OVER)
                )

    def _receive_code(self, as_heard: _CODES, octets: bytes, counter: int, now: Instant) -> None:
        """Try the keys of every valid filter of this type; ignore a code that none of them opens."""
        fault = ""
        for one in self._config.codes:
            if one.type != as_heard.TYPE or not one.valid_at(now.utc_s):
                continue
            for keys in one.keys.to_accept(now.utc_s):
                content = unprotect(octets, counter, keys)
                if content is not None and one.passes(content[1:]):
                    message = type(as_heard)(code=content[1:])
                    if self._take(message, counter, now, verified=keys.duik is not None):
                        self._answer_query(one)
                    return
                if content is None and keys.readable and one.passes(as_heard.code):
                    fault = _BAD_MIC
        if fault:
            self._drop(_name(as_heard), fault)
        else:
            self._counters["not asked for"] += 1

    def _receive_member(self, message: DiscoveryMessage, octets: bytes, counter: int, now: Instant) -> None:
        keys = self._config.keys.to_accept(now.utc_s)
        opening = next((one for one in keys if unprotect(octets, counter, one) is not None), None)
        if opening is None:
            far = abs(counters_ahead(counter, utc_counter(now.utc_s))) > NUMBERS.max_offset_s
            self._drop(_name(message), _NO_KEY if not keys else _TOO_FAR if far else _BAD_MIC)
        elif self._take(message, counter, now, verified=opening.duik is not None):
            self._answer_solicitation(message)

    def _wanted(self, message: DiscoveryMessage) -> bool:
        if isinstance(message, _CODES) or message.prose_ue_id == self._config.prose_ue_id:
            return False
        if isinstance(message, _SOLICITATIONS):
            in_role = self._config.respond
        else:
            in_role = self._config.monitor or (self._own.asks and isinstance(message, _RESPONSES))
        if isinstance(message, _RELAYS):
            return in_role and message.relay_service_code in self._config.relay_service_codes
        return in_role and message.discovery_group_id in self._config.group_ids

    def _counter_fault(self, message: DiscoveryMessage, counter: int, now: Instant) -> str | None:
        """The reason to refuse a counter.

        A counter has to be near the clock, must not be behind the newest one of its message, and must not come back
        later.
        """
        if abs(counters_ahead(counter, utc_counter(now.utc_s))) > NUMBERS.max_offset_s:
            return _TOO_FAR
        newest = self._newest.get(message)
        if newest is None or counters_ahead(counter, newest.counter) > 0:
            return None
        if counter == newest.counter:
            return "replayed" if now.mono_s - newest.first_mono_s > REPEATS_S else None
        return "counter is stale"

    def _take(self, message: DiscoveryMessage, counter: int, now: Instant, *, verified: bool) -> bool:
        """Note a message with a good MIC. Returns False if its counter is refused or is a repeat."""
        fault = self._counter_fault(message, counter, now)
        if fault is not None:
            self._drop(_name(message), fault)
            return False
        newest = self._newest.get(message)
        repeated = newest is not None and newest.counter == counter
        if not repeated:
            self._newest[message] = _Newest(counter, now.mono_s)
        self._newest.move_to_end(message)
        known = message in self._heard
        self._heard[message] = now.mono_s + self._config.validity_s
        self._heard.move_to_end(message)
        for kept in (self._newest, self._heard):
            if len(kept) > MAX_HEARD:
                kept.popitem(last=False)
        if not known:
            self._report(message, verified=verified)
        return not repeated

    def _report(self, message: DiscoveryMessage, *, verified: bool) -> None:
        if isinstance(message, _CODES):
            self._events.append(CodeDiscovered(message=_name(message), code=message.code, verified=verified))
        elif not isinstance(message, _SOLICITATIONS):
            self._events.append(PeerDiscovered(message=_name(message), verified=verified, **_sender(message)))

    def _answer_query(self, one: CodeFilter) -> None:
        if one.answer is not None:
            self._send_answer(RestrictedResponse(code=one.answer), one.keys)

    def _answer_solicitation(self, asked: DiscoveryMessage) -> None:
        """Answer a solicitation that asks for this UE."""
        own = self._config
        if isinstance(asked, GroupMemberSolicitation) and asked.target_user_info_id in (0, own.user_info_id):
            self._events.append(Solicited(**_sender(asked)))
            answer = GroupMemberResponse(
                discovery_group_id=asked.discovery_group_id,
                user_info_id=own.user_info_id,
                prose_ue_id=own.prose_ue_id,
            )
            self._send_answer(answer, own.keys)

    def _send_answer(self, message: DiscoveryMessage, keys: KeyPeriods) -> None:
        if not self._own.send_few(message, keys, RESPONSES):
            self._counters["too many own messages"] += 1

    def _drop(self, message: str, why: str, detail: str = "") -> None:
        self._counters[why] += 1
        self._events.append(DiscoveryDropped(message=message, why=why, detail=detail))


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
    return _type_name(message.TYPE)


def _type_name(kind: DiscoveryType) -> str:
    return kind.name.lower().replace("_", " ")


def answers_member(asked: GroupMemberSolicitation) -> Callable[[DiscoveryMessage], bool]:
    """Whether a received message answers a solicitation.

    Only a solicitation for a particular member is ever answered.
    """

    def answered(heard: DiscoveryMessage) -> bool:
        return (
            isinstance(heard, GroupMemberResponse | GroupMemberAnnouncement)
            and heard.discovery_group_id == asked.discovery_group_id
            and heard.user_info_id == asked.target_user_info_id != 0
        )

    return answered
