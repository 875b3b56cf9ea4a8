"""The initiator of the `identity` profile, from the Request to a confirmed link (PROFILE 6, 7).

The Request (DCR) carries an I_MESSAGE: an SSV that only the target can open, signed by this identity and bound to the
head of the Request. So the sender of a good answer must have opened it. Answers (DCAs) come over an air on which any
party can send, so a bad one ends nothing: it is dropped and counted, and the Request goes on until a good one comes or
T4100 has run out for the last time. A good DCA brings conf_R, which proves that its sender has the same KD over the
same transcript, and, where the flags asked for it, an I_MESSAGE of the peer's own.

From then on this end holds the context and sends the Confirm under it, with conf_I, until an Ack or any other PDU
verifies under the context. The link is then established at the peer, and so it is here. The SSV is wiped as soon as KD
is made.

If both ends ask at once, the Request with the greater H(T1) stands. The end with the smaller one answers it, but keeps
its own until the other one has led to a link: what came may be a recording that will never be confirmed. A good DCA for
its own then wins, since an honest peer with the greater Request doesn't send one. Where a Reject has named the greater
Request, its end answers the smaller one too: the peer may refuse the one and want the other. It then follows the end
with the smaller one, which drops the link that it has answered when it confirms its own: an Ack of the one or a Confirm
of the other tells which link there is.
"""

from __future__ import annotations

from prose_link.instant import Instant
from prose_link.pc5s.core.asking import CONFIRM_OR_KEEPALIVE
from prose_link.pc5s.core.events import AcceptRefused, RequestYielded
from prose_link.pc5s.core.fsm import Action, Input, State
from prose_link.pc5s.core.link import Link, LinkKeys, Setup, Terms
from prose_link.pc5s.core.machine import Actions, Turn
from prose_link.pc5s.core.policy import LinkPolicy, Profile, ip_versions_of
from prose_link.pc5s.core.profile_parts import ProfileParts
from prose_link.pc5s.core.secret import Secret
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.core.verify_budget import Waits
from prose_link.pc5s.identity.initiator_checks import Candidate, examine_accept
from prose_link.pc5s.identity.key_exchange import BuiltRequest, build_request
from prose_link.pc5s.wire.codec import encode
from prose_link.pc5s.wire.messages import DirectReject, DirectRequest, Keepalive, ProfileAndFlags
from prose_link.pc5s.wire.party import UNKNOWN_L2, Party
from prose_link.pc5s.wire.pdus import ReceivedPdu


class Initiator:
    """Makes this UE's own requests."""

    def __init__(self, parts: ProfileParts) -> None:
        self._desk = parts.desk
        self._limits = parts.limits
        self._requests = parts.requests

    @property
    def actions(self) -> Actions[Link]:
        """The initiator's own actions."""
        return {
            Action.SEND_CONFIRM: self._send_confirm,
            Action.RESEND_CONFIRM: self._resend_confirm,
            Action.YIELD: self._yield,
        }

    def connect(self, party: Party, now: Instant) -> None:
        """Send a request. Does nothing while a link with this peer is coming up."""

        def make_link() -> Link:
            """Raises SecurityError, ProseLinkError."""
            policy = self._desk.config.policy.towards(party.identity)
            return self._link(party, policy, self._request(party.identity, policy, now), now)

        self._requests.ask(party, now, make_link)

    def _request(self, peer: str, policy: LinkPolicy, now: Instant) -> BuiltRequest[DirectRequest]:
        desk, config = self._desk, self._desk.config
        draft = DirectRequest(
            sequence_number=desk.outbox.next_sequence_number(),
            user_info=desk.credentials.uri,
            ip_address_config=config.ip_address_config,
            maximum_inactivity_period_s=config.maximum_inactivity_period_s,
            nonce_1=desk.random_bytes(16),
            capabilities=policy.offer(),
            kd_sess_id_msb=desk.links.draw_msb(desk.random_bytes) or 0,
            link_local=config.link_local,
            target_user_info=peer,
            link_l2_id=config.l2_id,
            profile=ProfileAndFlags(kdf=policy.kdfs[0], mutual=policy.mutual_ask),
            i_message=b"",
        )
        return build_request(draft, desk.credentials, ntp_s=now.ntp_s)

    def _link(self, party: Party, policy: LinkPolicy, built: BuiltRequest[DirectRequest], now: Instant) -> Link:
        message = built.asked.message
        return Link(
            number=self._desk.links.next_number(),
            initiator=True,
            peer=party.identity,
            peer_l2=UNKNOWN_L2 if party.l2_id is None else party.l2_id,
            via=party.via,
            policy=policy,
            profile=Profile.IDENTITY,
            asked=built.asked,
            setup=Setup(
                request_octets=built.octets,
                mutual_asked=message.profile.mutual.name.lower(),
                ssv=Secret(built.ssv),
            ),
            terms=Terms(inactivity_period_s=float(message.maximum_inactivity_period_s)),
            keys=LinkKeys(born_ntp_s=now.ntp_s),
        )

    def on_accept(self, pdu: ReceivedPdu, now: Instant) -> None:
        """Check a DCA in steps 1 to 7."""
        candidate = Candidate(desk=self._desk, limits=self._limits, pdu=pdu, now=now)
        fault = examine_accept(candidate)
        if isinstance(fault, Waits):
            return
        if fault is None:
            besides = self._desk.links.with_peer(candidate.link.peer, State.PROVISIONAL)
            if besides is not None and besides.asked.t1_hash > candidate.link.asked.t1_hash:
                self._desk.run(besides, Input.REPLACED, now, "the peer has answered own request")
            self._install(candidate)
            self._desk.run(candidate.link, Input.GOOD_ACCEPT, now)
            return
        self._desk.outbox.counters[fault.why] += 1
        if candidate.repeated:
            self._desk.run(candidate.link, Input.SAME_ACCEPT, now)
            return
        refused = AcceptRefused(
            step=fault.step, why=fault.why, detail=fault.detail, peer=candidate.peer, peer_l2=pdu.src_l2
        )
        self._desk.outbox.emit(refused)

    def _install(self, candidate: Candidate) -> None:
        """Move the results of a good DCA into the link, and wipe the SSV."""
        link, accept, agreed = candidate.link, candidate.accept, candidate.agreed
        link.peer_l2 = accept.link_l2_id
        link.setup.accept_octets = candidate.pdu.data
        link.terms.mutual = accept.i_message is not None
        link.terms.peer_link_local = accept.link_local
        link.terms.ip_versions = ip_versions_of(link.asked.message.ip_address_config) & ip_versions_of(
            accept.ip_address_config
        )
        link.keys.kd_next = Secret(agreed.kd_next)
        link.keys.tx = agreed.tx
        link.setup.ssv.wipe()
        link.setup.answers.wipe()
        link.keys.current_id = link.asked.message.kd_sess_id_msb << 8 | accept.kd_sess_id_lsb
        self._desk.make_context(link, link.keys.current_id, accept.algorithms, agreed)
        confirm = Keepalive(
            sequence_number=self._desk.outbox.next_sequence_number(), counter=0, confirmation=agreed.keys.conf_i
        )
        link.setup.confirm_octets = encode(confirm)

    def on_reject(self, pdu: ReceivedPdu, reject: DirectReject, now: Instant) -> None:
        """Remember the cause of a Reject that names an open request; it proves nothing and ends nothing."""
        for link in self._desk.links.in_state(State.WAIT_ACCEPT):
            if link.asked.request_hash.startswith(reject.request_hash):
                link.setup.remembered_cause = reject.cause
                self._desk.run(link, Input.REJECT, now)
                return
        self._desk.drop(pdu, "reject", "no open request")

    def _send_confirm(self, turn: Turn[Link]) -> None:
        link = turn.owner
        self._desk.stop(link, Timer.T4100)
        CONFIRM_OR_KEEPALIVE.ask(self._desk, link, lambda: self._put_confirm(link), turn.now)

    def _resend_confirm(self, turn: Turn[Link]) -> None:
        link = turn.owner
        CONFIRM_OR_KEEPALIVE.ask_again(self._desk, link, lambda: self._put_confirm(link), turn.now)

    def _put_confirm(self, link: Link) -> None:
        self._desk.send_protected(link, link.setup.confirm_octets)

    def _yield(self, turn: Turn[Link]) -> None:
        link = turn.owner
        self._desk.outbox.emit(RequestYielded(peer=link.peer, peer_l2=link.peer_l2))
