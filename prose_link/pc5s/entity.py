"""The PC5-S entity of a UE: all its links and groups, without sockets and clocks (PROFILE 3, 6, 7, 9).

The entity dispatches. It owns the parts that all roles share (configuration, keys, record, links, timers, outbox), and
passes each PDU, timer and request of the owner to exactly one role. Link profiles make and keep links (`core.profile`
is their port); `groups` distributes group keys.

* A PDU without a context goes to the taker that claims it most surely; no other one sees it.
* A PDU under a context goes to the profile of the link that holds the context.
* A message that waits for the verification of its signature is processed again, along the same path, when there is a
  token for it; one that gets no token in time is reported.
* A link whose bearer runs out of numbers gets new keys: that is due at once, so `next_timer` says so, and
  `handle_timer` does it.

Nothing that a peer sends raises, and no query changes anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

from prose_link.instant import Instant
from prose_link.pc5s.core.clock_watch import ClockWatch
from prose_link.pc5s.core.credentials import Credentials, RandomBytes
from prose_link.pc5s.core.events import Event, RequestRefused
from prose_link.pc5s.core.fsm import State
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.link import Link
from prose_link.pc5s.core.profile import Claim, LinkProfile, PduTaker
from prose_link.pc5s.core.profile_parts import ProfileMaker, ProfileParts
from prose_link.pc5s.core.replay import Record
from prose_link.pc5s.core.request import Requests
from prose_link.pc5s.core.shared import Desk, Pc5sConfig
from prose_link.pc5s.core.timers import TimerValues
from prose_link.pc5s.core.upkeep import Upkeep
from prose_link.pc5s.core.verify_budget import TOO_MANY, VerifyBudget, Waiting
from prose_link.pc5s.groups.groups import Groups
from prose_link.pc5s.profiles import PROFILES
from prose_link.pc5s.wire.codec import message_type
from prose_link.pc5s.wire.messages import MessageType, ReleaseReason
from prose_link.pc5s.wire.party import Party
from prose_link.pc5s.wire.pdus import LCID_UNPROTECTED, OutgoingPdu, ReceivedPdu
from security.device.record import RecordError
from security.identifiers import KeyRing
from security.link.context import SecurityContext

LEAST_SPACING: Final = 0.5
"""The part of T4100 that must lie between two copies for the second to be a repetition: T4100 at its shortest, less
what the air may have held the first one up."""

_Taker = TypeVar("_Taker", bound=PduTaker)


class Pc5sEntity:
    """Connects to peers, answers them, and keeps the contexts of all links of one UE.

    It is a `SansIoEntity`. PDUs go in by `receive` and come out of `pdus_to_send`; the owner calls `handle_timer` when
    `next_timer` is due and takes events with `next_event`. The class is longer than most: it also has a short method
    for each request of its owner.
    """

    def __init__(
        self,
        config: Pc5sConfig,
        credentials: Credentials,
        record: Record,
        random_bytes: RandomBytes,
        *,
        chance: RandomBytes | None = None,
        profiles: Sequence[ProfileMaker] = PROFILES,
    ) -> None:
        """`random_bytes` makes secrets; `chance` makes random times only.

        Raises StateMachineError for a profile whose state tables and actions don't fit together.
        """
        desk = Desk(
            config=config,
            direct=config.timers.direct,
            credentials=credentials,
            record=record,
            random_bytes=random_bytes,
            chance=chance or random_bytes,
        )
        self._desk = desk
        self._clock = ClockWatch(desk)
        self._upkeep = Upkeep(desk)
        limits = Limits(
            verify=VerifyBudget(
                random_bytes, per_s=config.verify_per_s, spacing_s=config.timers.t4100_s * LEAST_SPACING
            )
        )
        self._verify = limits.verify
        parts = ProfileParts(desk=desk, limits=limits, requests=Requests(desk), upkeep=self._upkeep)
        for make_profile in profiles:
            profile = make_profile(parts)
            desk.profiles[profile.name] = profile
        self._profiles: tuple[LinkProfile, ...] = tuple(desk.profiles.values())
        self.groups = Groups(desk, limits)
        self._takers: tuple[PduTaker, ...] = (self.groups, *self._profiles)
        self._is_leaving = False

    @property
    def links(self) -> tuple[Link, ...]:
        """All links, in any state, for reading only."""
        return tuple(self._desk.links)

    @property
    def timers(self) -> TimerValues:
        """The values of its timers."""
        return self._desk.config.timers

    @property
    def counters(self) -> Mapping[str, int]:
        """The number of PDUs dropped or refused, for each reason."""
        return Counter(self._desk.outbox.counters)

    @property
    def time_told(self) -> bool:
        """Whether the home KMS has given the time since the start."""
        return self._desk.clock.told

    @property
    def kms_is_awaited(self) -> bool:
        """Whether the UE sets up no link until the home KMS has given the time, or has no usable record."""
        try:
            return self._desk.kms_is_awaited
        except RecordError:
            return True

    # Requests of the owner.

    def connect(self, party: Party, now: Instant) -> None:
        """Start a set-up with a peer, by the way that the party names; events report its result."""
        self._clock.observe(now)
        self._desk.profiles[self._desk.config.policy.towards(party.identity).profile].connect(party, now)

    def release(self, peer: str, now: Instant, *, reason: ReleaseReason = ReleaseReason.NO_LONGER_NEEDED) -> None:
        """Release the link with a peer, or stop the attempt to set one up."""
        for link in self._desk.links:
            if link.peer == peer:
                self._upkeep.release(link, reason, now)

    def leave(self, now: Instant) -> None:
        """Release every link, because this UE is about to switch off, and accept no request any more."""
        self._is_leaving = True
        for link in self._desk.links:
            if link.state not in (State.RELEASING, State.LINGERING):
                self._upkeep.release(link, ReleaseReason.NO_LONGER_AVAILABLE, now)

    @property
    def is_releasing(self) -> bool:
        """Whether a Release of this end waits for its Accept."""
        return bool(self._desk.links.in_state(State.RELEASING))

    def rekey(self, peer: str, now: Instant, *, new_kd: bool = False) -> None:
        """Start a rekey of the link with a peer, with new I_MESSAGEs if `new_kd` or policy says so."""
        link = self._desk.links.with_peer(peer, State.ESTABLISHED)
        if link is not None:
            self._profile_of(link).renew(link, now, new_kd=new_kd)

    def trigger_rekey(self, peer: str, now: Instant) -> None:
        """Ask the peer to start a rekey if the link's profile has a message for that; else start one."""
        link = self._desk.links.with_peer(peer, State.ESTABLISHED)
        if link is not None:
            self._profile_of(link).ask_for_renewal(link, now)

    def deny(self, denied: Iterable[str], now: Instant) -> None:
        """Use this deny list: links with the identities on it end at once."""
        self._desk.credentials.replace_denied(denied)
        for link in self._desk.links:
            if self._desk.credentials.denies(link.peer):
                self._upkeep.end(link, now, "the peer is on the deny list")

    def replace_keys(self, key_ring: KeyRing, granted: frozenset[str] | None, now: Instant) -> None:
        """Use the keys and lists of a contact with the KMS: links that are due for new keys ask for them at once.

        Links with identities that the KMS no longer allows end. Raises IdentityError if no trusted KMS speaks for this
        UE; nothing changes then.
        """
        self._desk.credentials.replace_keys(key_ring)
        self._desk.credentials.replace_granted(granted)
        for link in self._desk.links:
            if not self._desk.credentials.grants(link.peer):
                self._upkeep.end(link, now, "the KMS no longer allows links with the peer")
        for link in self._desk.links.in_state(State.ESTABLISHED):
            if self._is_overdue(link, now):
                self._profile_of(link).renew(link, now, new_kd=True)

    def kms_contact(self, kms_ntp_s: int, now: Instant) -> None:
        """Take the time that the home KMS has just given.

        An event reports a time that is more than W from the own clock's.
        """
        self._clock.kms_contact(kms_ntp_s, now)

    def trust_clock(self, now: Instant) -> None:
        """Take the own clock as right after a jump, because the operator says so, by a program of theirs.

        No command and no configuration key does this: a UE that starts anew trusts its clock as far as the time floor
        allows.
        """
        self._desk.clock.trust(now)

    def shut_down(self, now: Instant) -> None:
        """End every link at once, without a message to the peers, and drop all values computed from RSKs."""
        for link in self._desk.links:
            self._upkeep.end(link, now, "shut down")
        self.groups.shut_down()
        self._desk.credentials.forget_receiver_keys()
        self._verify.wipe()

    # PDUs, timers and events.

    def receive(self, pdu: ReceivedPdu, now: Instant) -> None:
        """Process one PDU; every fault in it becomes an event."""
        self._clock.observe(now)
        if pdu.lcid == LCID_UNPROTECTED and pdu.kd_sess_id == 0:
            self._receive_unprotected(pdu, now)
            self._work_off(now)
        elif pdu.kd_sess_id != 0 and any(pdu.lcid in profile.protected_lcids for profile in self._profiles):
            self._receive_protected(pdu, now)
        else:
            self._desk.drop(pdu, self._name(pdu), "no place for this logical channel and protection")

    def pdus_to_send(self, now: Instant) -> list[OutgoingPdu]:
        """Return the queued PDUs for PDCP, in order."""
        self.groups.note_time(now)
        return self._desk.outbox.take_pdus()

    def next_timer(self) -> float | None:
        """The monotonic time of the next deadline, None if no timer runs."""
        deadlines = (
            self._desk.timers.next_deadline_s(),
            self.groups.next_timer(),
            self._verify.next_timer(),
            self._upkeep.next_renewal_s(),
        )
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Do all work that is due."""
        self._clock.observe(now)
        for number, timer in self._desk.timers.take_due(now.mono_s):
            link = self._desk.links.get(number)
            if link is not None:
                self._profile_of(link).handle_timer(link, timer, now)
        self._upkeep.renew_what_is_due(now)
        self.groups.handle_timer(now)
        self._work_off(now)

    def next_event(self) -> Event | None:
        """Take the oldest event, None if there is none."""
        return self._desk.outbox.next_event()

    # Queries of PDCP and of the user plane.

    def context(self, peer_l2: int, kd_sess_id: int) -> SecurityContext | None:
        """The context of (own, peer layer-2 id, KD-sess ID); None if there is none."""
        link = self._desk.links.of_context(peer_l2, kd_sess_id)
        return link.keys.contexts[kd_sess_id] if link else None

    def may_bring(self, carrier: str, peer_l2: int, kd_sess_id: int) -> bool:
        """Whether a carrier may bring PDUs under a context: it bears the link, or there is no such context.

        The owner asks before PDCP opens a PDU: a copy by another carrier must use up no number.
        """
        link = self._desk.links.of_context(peer_l2, kd_sess_id)
        return link is None or self._desk.bearer(link).carrier == carrier

    def user_data_party(self, peer_l2: int) -> Party | None:
        """The party to which user data for a peer goes; None while none may be sent."""
        link = self._desk.links.established_with_l2(peer_l2)
        return link.party_by(self._desk.bearer(link)) if link else None

    def by_radio(self, identity: str, l2_id: int) -> Party:
        """A party at a layer-2 id of the sidelink, to connect to."""
        return self._desk.by_radio(identity, l2_id)

    def make_context_from(self, pdu: ReceivedPdu, now: Instant) -> SecurityContext | None:
        """Make the context for an unverified PDU for which `context` finds none, so that PDCP can verify it.

        Returns None if the PDU brings no keys, or not acceptable ones; an event then gives the reason.
        """
        taker = self._surest(pdu, self._profiles)
        return taker.make_context_from(pdu, now) if taker else None

    def user_data_id(self, peer_l2: int) -> int | None:
        """The KD-sess ID under which to send user data; None while none may be sent to this peer."""
        link = self._desk.links.established_with_l2(peer_l2)
        return link.keys.current_id if link else None

    def note_user_data(self, peer_l2: int, kd_sess_id: int, now: Instant) -> None:
        """Take note that PDCP has verified user data under a context: the peer is alive."""
        link = self._desk.links.of_context(peer_l2, kd_sess_id)
        if link is not None and self._profile_of(link).admits(link, kd_sess_id):
            self._profile_of(link).note_verified(link, kd_sess_id, now)

    def admits_user_data(self, peer_l2: int, kd_sess_id: int) -> bool:
        """Whether user data that PDCP has verified under a context may be passed up."""
        link = self._desk.links.of_context(peer_l2, kd_sess_id)
        if link is None or not self._profile_of(link).admits(link, kd_sess_id):
            return False
        return link.state is State.ESTABLISHED

    # Dispatch.

    def _profile_of(self, link: Link) -> LinkProfile:
        return self._desk.profiles[link.profile]

    def _receive_unprotected(self, pdu: ReceivedPdu, now: Instant) -> None:
        taker = self._surest(pdu, self._takers)
        if self._is_leaving:
            self._desk.drop(pdu, self._name(pdu), "this UE is about to switch off")
        elif taker is None:
            self._desk.drop(pdu, self._name(pdu), "not allowed without protection")
        else:
            taker.receive(pdu, now)

    def _receive_protected(self, pdu: ReceivedPdu, now: Instant) -> None:
        link = self._desk.links.of_context(pdu.src_l2, pdu.kd_sess_id)
        if link is None or pdu.lcid not in self._profile_of(link).protected_lcids:
            self._desk.drop(pdu, self._name(pdu), "no context")
        elif self._desk.bearer(link).carrier != pdu.via.carrier:
            self._desk.drop(pdu, self._name(pdu), "not by the carrier that bears the link")
        elif self.groups.claims_on_link(pdu) and self._admits_signalling(link, pdu):
            self._profile_of(link).note_verified(link, pdu.kd_sess_id, now)
            self.groups.receive(pdu, now, link_peer=link.peer)
        else:
            self._profile_of(link).receive_on_link(link, pdu, now)

    def _admits_signalling(self, link: Link, pdu: ReceivedPdu) -> bool:
        """Whether a group message may be accepted under a link: it is established, and this is its context in use."""
        return link.state is State.ESTABLISHED and pdu.kd_sess_id == link.keys.current_id

    @staticmethod
    def _surest(pdu: ReceivedPdu, takers: Sequence[_Taker]) -> _Taker | None:
        """The taker with the surest claim, the first of equal ones; None if no taker claims the PDU."""
        claims = [(taker.claims(pdu), taker) for taker in takers]
        surest = max((claim for claim, _ in claims), default=Claim.NONE)
        if surest is Claim.NONE:
            return None
        return next(taker for claim, taker in claims if claim is surest)

    def _is_overdue(self, link: Link, now: Instant) -> bool:
        """Whether a key period has ended since a link got its KD, so that it should have another KD by now."""
        period_end, _ = self._desk.credentials.key_times(link.peer, link.keys.born_ntp_s)
        return now.ntp_s >= period_end

    def _work_off(self, now: Instant) -> None:
        """Process the messages again that waited for their verification and have a token now."""
        while (pdu := self._verify.draw(now.mono_s)) is not None:
            if not pdu.kd_sess_id:
                self._receive_unprotected(pdu, now)
            elif self._desk.links.of_context(pdu.src_l2, pdu.kd_sess_id) is None:
                self.make_context_from(pdu, now)
            else:
                self._receive_protected(pdu, now)
        for lapsed in self._verify.take_lapsed():
            self._report_lapsed(lapsed)

    def _report_lapsed(self, lapsed: Waiting) -> None:
        """Report messages that got no token in time; a request is refused as at that step of the checks."""
        pdu, why = lapsed.pdu, TOO_MANY
        if message_type(pdu.data) is not MessageType.REQUEST:
            self._desk.drop(pdu, self._name(pdu), why)
            return
        self._desk.outbox.counters[why] += 1
        refused = RequestRefused(step=9, cause=None, why=why, detail="", peer=lapsed.signer, peer_l2=pdu.src_l2)
        self._desk.outbox.emit(refused)

    def _name(self, pdu: ReceivedPdu) -> str:
        """The type of a message in words."""
        names = (profile.message_name(pdu.data) for profile in self._profiles)
        return next((name for name in names if name), "unknown")
