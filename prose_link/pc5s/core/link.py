"""One link of a UE, and the table of all of them. A link keeps its secrets here and nowhere else; `wipe` ends them.

A link is a record, not an actor: the roles of its profile, the rekey and the upkeep act on it. Its fields are grouped
by their owner, so that it is clear which part may write which field: `setup` and `terms` belong to the roles of the
set-up, `keys` to whatever makes contexts, `liveness` and `ending` to the upkeep, `rekey` to a rekey under way. `state`
is written by the state machine of the link's profile only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from prose_link.pc5s.core.fsm import State
from prose_link.pc5s.core.policy import LinkPolicy, Profile
from prose_link.pc5s.core.rekey_parts import Rekey
from prose_link.pc5s.core.secret import Answers, Secret
from prose_link.pc5s.core.timers import ANSWER_AGAIN_AFTER_S, Timer
from prose_link.pc5s.core.transcript import DIRECTION_OF_RESPONDER, Agreed, Asked
from prose_link.pc5s.core.used_ids import LSBS, UsedIds
from prose_link.pc5s.wire.messages import (
    ChosenAlgorithms,
    Kdf,
    ReleaseReason,
    SecurityCapabilities,
)
from prose_link.pc5s.wire.party import UNKNOWN_L2, CarrierTraits, Party, Via
from security.link.context import SecurityContext

MAX_PROVISIONAL: Final = 8
"""Provisional links of all signers (PROFILE 2)."""
MAX_ESTABLISHED: Final = 32
"""Most established links (PROFILE 2); own requests count, since they may become links."""
MAX_CARRIERS: Final = 8
"""Most carriers by which one Request is answered; there are fewer carriers than this."""
UP: Final = frozenset({State.ESTABLISHED, State.RELEASING, State.LINGERING})


@dataclass(slots=True, eq=False, kw_only=True)
class Setup:
    """Data of the set-up: its messages, for repetitions, and its secret, until KD is made.

    `request_octets`, `accept_octets`, `confirm_octets`: the messages as they were sent or received; in the `ts24334`
    profile the Security Mode Command and Complete replace the last two. `mutual_asked`: the mutual authentication that
    the Request asks for, in words. `heard_by`: at the responder, the way by which the Request, or its last copy, came;
    None at the initiator. `answered_at_s`: the time of the last answer, by carrier.
    """

    request_octets: bytes = b""
    accept_octets: bytes = b""
    confirm_octets: bytes = b""
    mutual_asked: str = ""
    remembered_cause: int | None = None
    answers: Answers = field(default_factory=Answers)
    ssv: Secret = field(default_factory=Secret)
    provisional_since_s: float = 0.0
    heard_by: Via | None = None
    answered_at_s: dict[CarrierTraits, float] = field(default_factory=dict)

    def count_answer(self, via: Via, now_s: float) -> None:
        """Note that the answer is sent for the first time, by this way."""
        self.answered_at_s[via.traits] = now_s

    @property
    def longest_t4111_s(self) -> float:
        """T4111 of the link: the longest of all carriers that brought the Request (PROFILE 12)."""
        return max(traits.t4111_s for traits in self.answered_at_s)

    def take_answer_again(self, now_s: float) -> bool:
        """Count one more transmission of the stored answer, by the carrier of the last copy.

        Returns False if it is too early for it.
        """
        if self.heard_by is None:
            return False
        last_s = self.answered_at_s.get(self.heard_by.traits)
        if last_s is None and len(self.answered_at_s) >= MAX_CARRIERS:
            return False
        if last_s is not None and now_s - last_s < ANSWER_AGAIN_AFTER_S:
            return False
        self.answered_at_s[self.heard_by.traits] = now_s
        return True

    def wipe(self) -> None:
        """Wipe its secrets."""
        self.ssv.wipe()
        self.answers.wipe()


@dataclass(slots=True, eq=False, kw_only=True)
class Terms:
    """What both ends have agreed on besides keys; the set-up writes it, the user plane reads it."""

    mutual: bool = False
    peer_link_local: bytes | None = None
    ip_versions: frozenset[int] = frozenset()
    inactivity_period_s: float = 0.0


@dataclass(slots=True, eq=False, kw_only=True)
class LinkKeys:
    """KD-next with the age of its KD, and the contexts by KD-sess ID; set-up and rekey write here.

    KD itself is not kept: the memory of a UE opens no past context, and not the one in use from KD (PROFILE 5).
    `current_id` is the context to send on; `old_id` the one before, still received for a while; `tx` and
    `expected_conf_i` belong to the exchange that made the one in use.
    """

    kd_next: Secret = field(default_factory=Secret)
    born_ntp_s: float = 0.0
    tx: bytes = b""
    expected_conf_i: bytes = b""
    context_kind: type[SecurityContext] = SecurityContext
    """The class of the contexts that the link's profile makes."""
    contexts: dict[int, SecurityContext] = field(default_factory=dict)
    current_id: int = 0
    old_id: int = 0
    used_ids: UsedIds = field(default_factory=UsedIds)
    nonce_only_rekeys: int = 0
    rekeyed: bool = False
    told_period_end_ntp_s: float = 0.0
    """The key period whose end is told: this end has no keys of the one after it."""
    renewal_tried_at_s: float | None = None
    """The time of the last request for new keys because a bearer ran out of numbers."""

    def drop_context(self, kd_sess_id: int) -> None:
        """Wipe one context, if it exists."""
        context = self.contexts.pop(kd_sess_id, None)
        if context is not None:
            context.wipe()

    def wipe(self) -> None:
        """Wipe KD-next and every context."""
        self.kd_next.wipe()
        self.expected_conf_i = self.tx = b""
        self.current_id = self.old_id = 0
        for kd_sess_id in list(self.contexts):
            self.drop_context(kd_sess_id)


@dataclass(slots=True, eq=False, kw_only=True)
class Liveness:
    """Data of the upkeep: the number of complete Keepalive exchanges, and the open Keepalive, or b""."""

    keepalives: int = 0
    keepalive_octets: bytes = b""


@dataclass(slots=True, eq=False, kw_only=True)
class Ending:
    """Data of the upkeep: why this end releases the link, its Release, and the KD-sess ID under which it is sent.

    `why`: the reason for the owner if the link can't go on, empty if the owner asked for the end. `also_under`: a
    context that the peer may use already without this end's knowledge, 0 if there is none.
    """

    reason: ReleaseReason = ReleaseReason.NO_LONGER_NEEDED
    why: str = ""
    octets: bytes = b""
    kd_sess_id: int = 0
    also_under: int = 0

    @property
    def is_wanted(self) -> bool:
        """Whether an owner asked for the end. If not, the link can't go on, and another one may replace it."""
        return self.reason is not ReleaseReason.NO_LONGER_AVAILABLE


@dataclass(slots=True, eq=False, kw_only=True)
class Link:
    """One link, from the request on. The data of each procedure is in a part of its own.

    `asked` holds a DirectRequest, in the `ts24334` profile a SignedRequest. `sent` counts the transmissions of the
    message that a timer repeats. `peer_l2` is 0 until it is known; `via` is the way of the set-up, by one carrier.
    """

    number: int
    initiator: bool
    peer: str
    peer_l2: int
    via: Via
    policy: LinkPolicy
    profile: Profile
    asked: Asked[Any]
    state: State = State.IDLE
    sent: dict[Timer, int] = field(default_factory=dict)
    setup: Setup
    terms: Terms
    keys: LinkKeys
    liveness: Liveness = field(default_factory=Liveness)
    ending: Ending = field(default_factory=Ending)
    rekey: Rekey = field(default_factory=Rekey)

    @property
    def party(self) -> Party:
        """The peer, at the end of the way by which the link is set up."""
        return self.party_by(self.via)

    def party_by(self, via: Via) -> Party:
        """The peer, at the end of a given way."""
        l2_id = None if self.peer_l2 == UNKNOWN_L2 else self.peer_l2
        return Party(identity=self.peer, l2_id=l2_id, via=via)

    @property
    def capabilities(self) -> SecurityCapabilities:
        """The algorithms offered at set-up."""
        offered: SecurityCapabilities = self.asked.message.capabilities
        return offered

    @property
    def kdf(self) -> Kdf:
        """The table of FC numbers of this link."""
        kdf: Kdf = self.asked.message.profile.kdf
        return kdf

    @property
    def eea(self) -> int:
        """The ciphering algorithm of the context in use."""
        return self.context.eea

    @property
    def eia(self) -> int:
        """The integrity algorithm of the context in use."""
        return self.context.eia

    @property
    def context(self) -> SecurityContext:
        """The context in use."""
        return self.keys.contexts[self.keys.current_id]

    def make_context(self, kd_sess_id: int, algorithms: ChosenAlgorithms, agreed: Agreed) -> None:
        """Add the context of a KD-sess ID."""
        self.keys.contexts[kd_sess_id] = self.keys.context_kind(
            kd_sess_id=kd_sess_id,
            pek=agreed.keys.pek,
            pik=agreed.keys.pik,
            eea=algorithms.eea,
            eia=algorithms.eia,
            direction=1 - DIRECTION_OF_RESPONDER if self.initiator else DIRECTION_OF_RESPONDER,
        )
        self.keys.used_ids.add(kd_sess_id)

    def wipe(self) -> None:
        """Wipe every secret and context of the link."""
        self.setup.wipe()
        self.keys.wipe()
        self.rekey.wipe()


class LinkTable:
    """All links of a UE. MAX_PROVISIONAL and MAX_ESTABLISHED bound their number; the roles check these bounds."""

    def __init__(self) -> None:
        self._links: dict[int, Link] = {}
        self._next_number = 1

    def __iter__(self) -> Iterator[Link]:
        return iter(tuple(self._links.values()))

    def __len__(self) -> int:
        return len(self._links)

    def get(self, number: int) -> Link | None:
        """The link of this number; None if it has ended."""
        return self._links.get(number)

    def next_number(self) -> int:
        """A number for a new link, never used before."""
        self._next_number += 1
        return self._next_number - 1

    def add(self, link: Link) -> None:
        """Add a link."""
        self._links[link.number] = link

    def remove(self, link: Link) -> None:
        """Remove a link."""
        self._links.pop(link.number, None)

    def in_state(self, *states: State) -> list[Link]:
        """Links in any of these states."""
        return [link for link in self if link.state in states]

    def with_peer(self, peer: str, *states: State) -> Link | None:
        """The link with a peer in one of these states."""
        return next((link for link in self.in_state(*states) if link.peer == peer), None)

    def of_request(self, request_hash: bytes) -> Link | None:
        """The link whose request has this HR."""
        return next((link for link in self if link.asked.request_hash == request_hash), None)

    def of_context(self, peer_l2: int, kd_sess_id: int) -> Link | None:
        """The link that holds the context of (own, peer layer-2 id, KD-sess ID)."""
        for link in self._links.values():
            if link.peer_l2 == peer_l2 and kd_sess_id in link.keys.contexts:
                return link
        return None

    def established_with_l2(self, peer_l2: int) -> Link | None:
        """The established link with this peer layer-2 id; asked for every PDU of user data."""
        for link in self._links.values():
            if link.peer_l2 == peer_l2 and link.state is State.ESTABLISHED:
                return link
        return None

    def peer_with_l2(self, l2_id: int, *, other_than: str) -> bool:
        """Whether a link with another peer has this peer layer-2 id."""
        return any(link.peer_l2 == l2_id and link.peer != other_than for link in self.in_state(*UP, State.PROVISIONAL))

    def has_room(self, peer: str) -> bool:
        """Whether one more link may be set up; it replaces another one with the same peer."""
        links = self.in_state(*UP, State.WAIT_ACCEPT, State.CONFIRMING, State.PROVISIONAL)
        return len([link for link in links if link.peer != peer]) < MAX_ESTABLISHED

    def has_provisional_room(self, signer: str, via: Via) -> bool:
        """Whether a signer may have one more provisional link; it replaces an older one of the same signer.

        Carriers other than direct have half of the room: requests that a core holds back and delivers all at once must
        not fill it.
        """
        others = [link for link in self.in_state(State.PROVISIONAL) if link.peer != signer]
        elsewhere = [link for link in others if not link.via.is_direct]
        return len(others) < MAX_PROVISIONAL and (via.is_direct or len(elsewhere) < MAX_PROVISIONAL // 2)

    def draw_msb(self, random_bytes: Callable[[int], bytes], used: Collection[int] = ()) -> int | None:
        """Draw a KD-sess ID MSB (1..255) that no context and no open request has; None if all are used.

        `used`: earlier MSBs that must not be used again.
        """
        taken = set(used)
        taken |= {kd_sess_id >> 8 for link in self for kd_sess_id in link.keys.contexts}
        taken |= {link.asked.message.kd_sess_id_msb for link in self if link.initiator}
        taken |= {link.rekey.own.asked.message.kd_sess_id_msb for link in self if link.rekey.own.asked}
        return _pick([msb for msb in range(1, 256) if msb not in taken], random_bytes)

    def draw_lsb(self, msb: int, peer_l2: int, used: UsedIds, random_bytes: Callable[[int], bytes]) -> int | None:
        """Draw an LSB so that MSB || LSB names no context with this peer and was never used.

        Returns None if there is none left.
        """
        taken = {kd_sess_id for link in self if link.peer_l2 == peer_l2 for kd_sess_id in link.keys.contexts}
        ids = {lsb: msb << 8 | lsb for lsb in range(LSBS)}
        return _pick(
            [lsb for lsb, kd_sess_id in ids.items() if kd_sess_id not in taken and kd_sess_id not in used], random_bytes
        )


def _pick(choices: list[int], random_bytes: Callable[[int], bytes]) -> int | None:
    return choices[int.from_bytes(random_bytes(2)) % len(choices)] if choices else None
