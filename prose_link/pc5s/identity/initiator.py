"""The initiator: from the wish to connect to a confirmed link (PROFILE 6, 7)."""

from __future__ import annotations

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.events import (
    AcceptRefused,
    LinkFailed,
    RequestSent,
    RequestYielded,
)
from prose_link.pc5s.core.fsm import Action, Input, State
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.link import Link, Secret
from prose_link.pc5s.core.policy import LinkPolicy, Profile, ip_versions_of
from prose_link.pc5s.core.shared import Desk, LinkActions, LinkMachine, Turn
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.core.upkeep import obstacle_to_asking
from prose_link.pc5s.identity.initiator_checks import Candidate, examine_accept
from prose_link.pc5s.identity.key_exchange import BuiltRequest, build_request
from prose_link.pc5s.identity.responder_checks import Waits
from prose_link.pc5s.wire.codec import encode
from prose_link.pc5s.wire.messages import DirectReject, DirectRequest, Keepalive, Mutual, ProfileAndFlags
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.errors import SecurityError


class Initiator:
    """Makes requests of this UE's own."""

    def __init__(self, desk: Desk, machine: LinkMachine, limits: Limits) -> None:
        self._desk = desk
        self._machine = machine
        self._limits = limits

    @property
    def actions(self) -> LinkActions:
        """The initiator's own actions."""
        return {
            Action.SEND_REQUEST: self._send_request,
            Action.RESEND_REQUEST: self._resend_request,
            Action.SEND_CONFIRM: self._send_confirm,
            Action.RESEND_CONFIRM: self._resend_confirm,
            Action.YIELD: self._yield,
        }

    def connect(self, peer: str, peer_l2: int, carrier: str, now: Instant) -> None:
        """Send a request; a link that is coming up with this peer already is left to come."""
        desk = self._desk
        if desk.links.with_peer(peer, State.WAIT_ACCEPT, State.CONFIRMING, State.PROVISIONAL):
            return
        fault = obstacle_to_asking(desk, peer, now)
        if fault is None:
            try:
                built = self._request(peer, desk.config.policy.towards(peer), now)
            except (SecurityError, ProseLinkError) as error:
                fault = f"request can't be made: {error}"
            else:
                link = self._link(peer, peer_l2, carrier, built, now)
                desk.links.add(link)
                self._machine.run(link, Input.CONNECT, now)
                return
        desk.outbox.emit(LinkFailed(peer=peer, peer_l2=peer_l2, cause=None, why=fault))

    def _request(self, peer: str, policy: LinkPolicy, now: Instant) -> BuiltRequest[DirectRequest]:
        desk, config = self._desk, self._desk.config
        draft = DirectRequest(
            sequence_number=desk.outbox.next_sequence_number(),
            user_info=desk.credentials.uri,
            ip_address_config=config.ip_address_config,
            maximum_inactivity_period_s=config.maximum_inactivity_period_s,
            nonce_1=desk.random_bytes(16),
            capabilities=policy.offer(),
            kd_sess_id_msb=desk.links.free_msb(desk.random_bytes) or 0,
            link_local=config.link_local,
            target_user_info=peer,
            link_l2_id=config.l2_id,
            profile=ProfileAndFlags(kdf=policy.kdfs[0], mutual=policy.mutual_ask),
            i_message=b"",
        )
        return build_request(draft, desk.credentials, ntp_s=now.ntp_s)

    def _link(self, peer: str, peer_l2: int, carrier: str, built: BuiltRequest[DirectRequest], now: Instant) -> Link:
        return Link(
            number=self._desk.links.next_number(),
            initiator=True,
            peer=peer,
            peer_l2=peer_l2,
            carrier=carrier,
            policy=self._desk.config.policy.towards(peer),
            asked=built.asked,
            request_octets=built.octets,
            inactivity_period_s=float(built.asked.message.maximum_inactivity_period_s),
            ssv=Secret(built.ssv),
            kd_born_ntp_s=now.ntp_s,
        )

    def on_accept(self, pdu: ReceivedPdu, now: Instant) -> None:
        """Take a DCA through steps 1 to 7."""
        candidate = Candidate(desk=self._desk, limits=self._limits, pdu=pdu, now=now)
        fault = examine_accept(candidate)
        if isinstance(fault, Waits):
            return
        if fault is None:
            self._install(candidate)
            self._machine.run(candidate.link, Input.GOOD_ACCEPT, now)
            return
        self._desk.outbox.counters[fault.why] += 1
        if candidate.repeated:
            self._machine.run(candidate.link, Input.SAME_ACCEPT, now)
            return
        refused = AcceptRefused(
            step=fault.step, why=fault.why, detail=fault.detail, peer=candidate.peer, peer_l2=pdu.src_l2
        )
        self._desk.outbox.emit(refused)

    def _install(self, candidate: Candidate) -> None:
        """The link takes over what a good DCA has brought; the SSV has done its work."""
        link, accept, agreed = candidate.link, candidate.accept, candidate.agreed
        link.peer_l2 = accept.link_l2_id
        link.accept_octets = candidate.pdu.data
        link.mutual = accept.i_message is not None
        link.peer_link_local = accept.link_local
        link.ip_versions = ip_versions_of(link.asked.message.ip_address_config) & ip_versions_of(
            accept.ip_address_config
        )
        link.kd = Secret(agreed.kd)
        link.tx = agreed.tx
        link.ssv.wipe()
        link.answers.wipe()
        link.current_id = link.asked.message.kd_sess_id_msb << 8 | accept.kd_sess_id_lsb
        self._desk.make_context(link, link.current_id, accept.algorithms, agreed)
        confirm = Keepalive(
            sequence_number=self._desk.outbox.next_sequence_number(), counter=0, confirmation=agreed.keys.conf_i
        )
        link.confirm_octets = encode(confirm)

    def on_reject(self, pdu: ReceivedPdu, reject: DirectReject, now: Instant) -> None:
        """Remember the cause of a Reject that names an open request; it proves nothing and ends nothing."""
        for link in self._desk.links.in_state(State.WAIT_ACCEPT):
            if link.asked.request_hash.startswith(reject.request_hash):
                link.remembered_cause = reject.cause
                self._machine.run(link, Input.REJECT, now)
                return
        self._desk.drop(pdu, "reject", "no open request")

    def on_timer(self, link: Link, timer: Timer, now: Instant) -> bool:
        """T4100, and T4101 while confirming; False if the timer is somebody else's."""
        if timer is Timer.T4100:
            again = link.sent[timer] < self._desk.config.timers.requests(link.carrier)
            return self._machine.run(link, Input.T4100_TRIES_LEFT if again else Input.T4100_NONE_LEFT, now)
        if timer is Timer.T4101 and link.state is State.CONFIRMING:
            again = link.sent[timer] < self._desk.config.timers.n4101
            return self._machine.run(link, Input.T4101_TRIES_LEFT if again else Input.T4101_NONE_LEFT, now)
        return False

    def _send_request(self, turn: Turn) -> None:
        """The first time after a short wait at random."""
        wait_s = self._desk.first_wait_s()
        if wait_s:
            turn.link.sent[Timer.T4100] = 0
            self._desk.start(turn.link, Timer.T4100, wait_s, turn.now)
        else:
            self._resend_request(turn)

    def _resend_request(self, turn: Turn) -> None:
        link, desk = turn.link, self._desk
        link.sent[Timer.T4100] = link.sent.get(Timer.T4100, 0) + 1
        desk.send_plain(link.request_octets, link.peer_l2, link.carrier)
        desk.start(link, Timer.T4100, desk.spread(desk.config.timers.t4100(link.carrier)), turn.now)
        if link.sent[Timer.T4100] == 1:
            desk.outbox.emit(
                RequestSent(
                    peer=link.peer,
                    peer_l2=link.peer_l2,
                    request_hash=link.asked.request_hash,
                    octets=len(link.request_octets),
                    mutual=_mutual_asked(link),
                )
            )

    def _send_confirm(self, turn: Turn) -> None:
        self._desk.stop(turn.link, Timer.T4100)
        self._resend_confirm(turn)

    def _resend_confirm(self, turn: Turn) -> None:
        link = turn.link
        link.sent[Timer.T4101] = link.sent.get(Timer.T4101, 0) + 1
        self._desk.send_protected(link, link.confirm_octets)
        self._desk.start(link, Timer.T4101, self._desk.config.timers.t4101_s, turn.now)

    def _yield(self, turn: Turn) -> None:
        link = turn.link
        self._desk.outbox.emit(RequestYielded(peer=link.peer, peer_l2=link.peer_l2))


def _mutual_asked(link: Link) -> str:
    """What the Request asks of the peer; in the `ts24334` profile both ends always sign."""
    if link.profile is Profile.TS24334:
        return Mutual.REQUIRED.name.lower()
    mutual: Mutual = link.asked.message.profile.mutual
    return mutual.name.lower()
