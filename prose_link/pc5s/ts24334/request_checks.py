"""The responder's checks of a signed Request: form and policy first, then the signature, then record and bucket.

Only a sender whose signature has verified gets the verdict of the policy; all others get no answer. A Request that
passes is remembered by its hash, which leaves out the signature, since ECCSI signatures are malleable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from prose_link.instant import Instant
from prose_link.pc5s.core.fsm import State
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.link import Link
from prose_link.pc5s.core.policy import NULL_ALGORITHM, LinkPolicy, Profile, ip_versions_of
from prose_link.pc5s.core.replay import WINDOW_S
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.transcript import Asked
from prose_link.pc5s.core.verify_budget import SAME_OCTETS, TOO_MANY, Admission, Waits
from prose_link.pc5s.ts24334 import keys
from prose_link.pc5s.ts24334.messages import SecurityModeCommand, SignedRequest
from prose_link.pc5s.wire.messages import Cause, ChosenAlgorithms
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.device.record import RecordError
from security.errors import SecurityError


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A Request is refused: the step and the reason; `cause` is sent to a sender whose signature has verified."""

    step: int
    why: str
    cause: Cause | None = None
    detail: str = ""


@dataclass(slots=True, kw_only=True)
class Asking:
    """A Request under examination."""

    pdu: ReceivedPdu
    request: SignedRequest
    now: Instant
    policy: LinkPolicy
    asked: Asked[SignedRequest]
    algorithms: ChosenAlgorithms | None = None
    yields: Link | None = None
    answer: SecurityModeCommand = field(init=False)

    @property
    def peer(self) -> str:
        """The identity that the Request names as its sender."""
        return self.request.user_info


class RequestChecks:
    """Checks the Requests of other UEs."""

    def __init__(self, desk: Desk, limits: Limits) -> None:
        self._desk = desk
        self._limits = limits

    def examine(self, asking: Asking) -> Refused | Waits | None:
        """Take a Request through the checks. Returns None if it passed them all. Without a record none passes."""
        try:
            return self._examine(asking)
        except RecordError as error:
            return Refused(step=5, why="record can't be used", detail=str(error))

    def _examine(self, asking: Asking) -> Refused | Waits | None:
        """Check form and policy, then the signature. Only a verified sender gets the verdict of the policy."""
        desk, peer, now = self._desk, asking.peer, asking.now
        if (refused := self._form_verdict(asking)) is not None:
            return refused
        if asking.request.signature is None:
            return Refused(step=2, why="signature is missing")
        digest = asking.asked.request_hash
        if desk.record.contains(digest):
            return Refused(step=5, why="replay")
        if (fault := desk.clock_fault(now)) is not None:
            return Refused(step=5, why=fault)
        deferred = self._policy_verdict(asking)
        match self._limits.verify.ask(asking.pdu, peer, now.mono_s):
            case Admission.GRANTED:
                pass
            case Admission.WAITS:
                return Waits.WAITS
            case Admission.FAILED_BEFORE:
                return Refused(step=8, why="signature does not verify", detail=SAME_OCTETS)
            case Admission.REFUSED:
                return Refused(step=7, why=TOO_MANY)
            case _ as never:
                assert_never(never)
        try:
            keys.verify(asking.asked.t1, asking.request.signature, peer, desk.credentials, now.ntp_s)
        except SecurityError as error:
            return Refused(step=8, why="signature does not verify", detail=str(error))
        self._limits.verify.verified(asking.pdu, peer)
        if deferred is not None:
            return deferred
        stands = self._collision(asking)
        if stands is not None:
            return stands
        expires = int(now.ntp_s) + WINDOW_S + 1
        if not desk.record.remember(digest, signer=peer, expires_ntp_s=expires, now_ntp_s=int(now.ntp_s)):
            return Refused(step=9, why="replay")
        if not self._limits.pair.take(peer, now.mono_s):
            return Refused(step=10, why="too many requests to answer", cause=Cause.LACK_OF_RESOURCES)
        return None

    def _form_verdict(self, asking: Asking) -> Refused | None:
        if asking.policy.profile is not Profile.TS24334:
            return Refused(step=1, why="profile not accepted")
        if asking.peer == self._desk.credentials.uri:
            return Refused(step=2, why="sender is this identity")
        if not asking.pdu.addresses_count:
            return Refused(step=2, why="the carrier's layer-2 ids do not count, and the request names none")
        return None

    def _policy_verdict(self, asking: Asking) -> Refused | None:
        desk, request, peer, src_l2 = self._desk, asking.request, asking.peer, asking.pdu.src_l2
        chosen = asking.policy.choose(request.capabilities)
        if desk.credentials.denies(peer) or not desk.authorises(peer):
            return Refused(step=6, why="not authorised", cause=Cause.NOT_ALLOWED)
        if not ip_versions_of(request.ip_address_config) & ip_versions_of(desk.config.ip_address_config):
            return Refused(step=6, why="no IP version in common", cause=Cause.IP_VERSION_MISMATCH)
        if chosen is None or chosen.eia == NULL_ALGORITHM:  # MAC-I of the Complete is the only proof of the keys
            return Refused(step=6, why="no algorithms in common", cause=Cause.OTHER)
        if src_l2 == desk.config.l2_id or desk.links.peer_with_l2(src_l2, other_than=peer):
            return Refused(step=6, why="layer-2 id is taken", cause=Cause.L2_ID_CONFLICT)
        roomy = desk.links.has_room(peer) and desk.links.has_provisional_room(peer, asking.pdu.via)
        if not roomy or not desk.record.has_room(peer, now_ntp_s=int(asking.now.ntp_s)):
            return Refused(step=6, why="no room for a link", cause=Cause.LACK_OF_RESOURCES)
        asking.algorithms = chosen
        return None

    def _collision(self, asking: Asking) -> Refused | None:
        """Decide between two open Requests: the one with the greater hash stands."""
        own = self._desk.links.with_peer(asking.peer, State.WAIT_ACCEPT, State.CONFIRMING)
        if own is None or not own.initiator:
            return None
        if own.state is State.CONFIRMING:
            return Refused(step=9, why="a link with this peer is being confirmed")
        if own.asked.request_hash >= asking.asked.request_hash:
            return Refused(step=9, why="collision: own request stands")
        asking.yields = own
        return None
