"""The IMS as a carrier: a Request goes as an INVITE, its Accept comes back in the 200, a Reject as 488 (PROFILE 12).

The carrier stands between two that know nothing of each other: the UE hands it PC5-S messages, and the SIP user agent
hands it calls. An address of this carrier is an identity, which is called, or the number of a call that somebody else
has made, which is answered. What goes by a call is over with the call; request, link and keys live by the timers of the
profile, so that CANCEL, BYE and refusals of the core end nothing else.

A Request that goes out again while its INVITE is under way is that INVITE: SIP repeats for itself. A new Request to a
peer whose session still stands goes in it by re-INVITE (RFC 4567 4.1.2), so it reaches the same end of a fork; where
the session turns out to be gone it goes by an INVITE of its own. The core's word for a sender (P-Asserted-Identity) is
handed on beside the message, and proves nothing: what counts is whose signature is in the I_MESSAGE (C7).
"""

from __future__ import annotations

import os
import ssl
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from prose_link.carriers.ims.edge import SipEdge
from prose_link.carriers.ims.envelope import (
    ACCEPTED,
    PC5S,
    Body,
    EnvelopeError,
    accept_body,
    open_body,
    request_body,
    sender_of,
)
from prose_link.carriers.ims.events import (
    ImsBodyRefused,
    ImsCallRefused,
    ImsRegistered,
    ImsRegistrationFailed,
    SipMessageSeen,
)
from prose_link.carriers.ims.naming import account_of, asserted_in, named_sender
from prose_link.carriers.ims.options import ImsOptions
from prose_link.carriers.protocol import MAX_WAITING, Carried, Carrier, CarrierParts
from prose_link.instant import Instant
from prose_link.pc5s.wire.messages import MessageType
from prose_link.pc5s.wire.party import MAX_SDU_OCTETS, UNKNOWN_L2, CarrierError, CarrierTraits, Party, Via
from prose_link.pc5s.wire.pdus import LCID_UNPROTECTED
from prose_link.sip.errors import BodyError, SipError
from prose_link.sip.events import (
    CallAnswered,
    CallEnded,
    CallOffered,
    CallRefused,
    Registered,
    RegistrationFailed,
    ReofferAnswered,
    Reoffered,
    ReofferRefused,
    UserAgentEvent,
)
from prose_link.sip.message import Request, Response
from prose_link.sip.multipart import content_type_of
from prose_link.sip.sdp import Description
from prose_link.sip.transport import Hop, Transport
from prose_link.sip.user_agent import UserAgent
from radio.l2.blocks import AddressPair
from radio.l2.indications import PduReceived
from radio.l2.pdcp import OneToOnePdu, PdcpPduError, SduType, decode_one_to_one, encode_one_to_one
from radio.l2.pdcp_entity import PdcpPdu

IMS: Final = "ims"
TRAITS: Final = CarrierTraits(
    name=IMS,
    addresses_count=False,
    knows_sources=True,
    repeats_by_itself=True,
    bears_links=False,
    max_pdu_octets=MAX_SDU_OCTETS,
)
MAX_UNDER_WAY: Final = 32
"""Requests that wait for their answer, at most."""
ANSWER_WITHIN_S: Final = 60.0
"""How long a call waits for the UE: what the UE is silent about is answered by 480."""
NOT_UNDERSTOOD: Final = ("Warning", '306 pc5lab "Attribute not understood"')
"""What goes with a 488 (RFC 4567 4.1.2, RFC 3261 20.43)."""


@dataclass(slots=True, kw_only=True)
class Asked:
    """A call of ours."""

    peer: str
    message: bytes
    open: bool = True
    """The last Request has no answer yet."""
    ends_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class Offered:
    """A call of somebody else."""

    description: Description
    open: bool = True
    ends_s: float = 0.0


class ImsCarrier:
    """A `Carrier` over a SIP user agent and its sockets.

    Args:
        options: P-CSCF, home and subscription.
        parts: what the UE lends.
    """

    def __init__(self, options: ImsOptions, parts: CarrierParts) -> None:
        self._options = options
        self._now = parts.now
        self._asserted = parts.asserted
        self._tell = parts.tell
        self._own_l2 = parts.l2_id
        self._edge = SipEdge(
            options.host, options.port, _tls(options), options.proxy_name or options.proxy, self._watch
        )
        # Tags and branches must never come again, not even in another run from the same seed: a core remembers them.
        self._random_bytes = os.urandom
        account = account_of(options, parts.identity, self._edge.port, ACCEPTED)
        local = dict.fromkeys(Transport, (options.host, self._edge.port))
        self._agent = UserAgent(account, local, self._random_bytes, answer_within_s=ANSWER_WITHIN_S)
        self._waiting: deque[Carried] = deque(maxlen=MAX_WAITING)
        self._asked: dict[int, Asked] = {}
        self._offered: dict[int, Offered] = {}
        self._closed = False
        if account.registers:
            self._agent.register(self._now())
            self._flush()

    @property
    def name(self) -> str:
        """`ims`."""
        return IMS

    @property
    def traits(self) -> CarrierTraits:
        """Those of every IMS."""
        return TRAITS

    @property
    def port(self) -> int:
        """Where the UE listens."""
        return self._edge.port

    @property
    def is_registered(self) -> bool:
        """Whether the core knows this UE, as far as the UE can tell."""
        return self._agent.is_registered

    @property
    def counters(self) -> Mapping[str, int]:
        """SIP messages that were dropped, by the reason."""
        return Counter(self._agent.dropped)

    def reaches(self, identity: str, l2_id: int | None) -> Party | None:
        """Any identity while the UE is registered; without a core, those that the options name."""
        if self._closed or (identity not in self._options.peers if self._options.peers else not self.is_registered):
            return None
        return Party(identity=identity, l2_id=l2_id, via=Via(traits=TRAITS, address=identity))

    def check_room(self, to: Via, pair: AddressPair, lcid: int, octets: int) -> None:  # noqa: ARG002
        """Raises CarrierError: closed, not LCID 28, or too much under way."""
        if self._closed:
            raise CarrierError("the IMS is closed")
        if lcid != LCID_UNPROTECTED:
            raise CarrierError(f"the IMS takes LCID {LCID_UNPROTECTED} only, not {lcid}")
        if isinstance(to.address, str) and sum(one.open for one in self._asked.values()) >= MAX_UNDER_WAY:
            raise CarrierError(f"{MAX_UNDER_WAY} Requests are under way by IMS")

    def send(self, pdu: PdcpPdu, to: Via) -> None:
        """Call with a Request, answer with an Accept or a Reject. Raises CarrierError."""
        self.check_room(to, AddressPair(pdu.src_l2, pdu.dst_l2), pdu.lcid, len(pdu.data))
        message = _message_in(pdu.data)
        try:
            if isinstance(to.address, str):
                self._ask(to.address, message)
            elif isinstance(to.address, int):
                self._answer(to.address, message)
        except (SipError, EnvelopeError) as error:
            raise CarrierError(f"IMS: {error}") from error
        self._flush()

    def queued_octets(self, to: Via) -> int:
        """Octets of Requests to a peer that have no answer yet."""
        return sum(len(one.message) for one in self._asked.values() if one.open and one.peer == to.address)

    def receive(self) -> list[Carried]:
        """What has come since the last call."""
        self.poll()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken

    def poll(self) -> None:
        """Let all happen that is due, without taking what has come. Never waits."""
        if self._closed:
            return
        now = self._now()
        for received in self._edge.receive(now.mono_s):
            self._agent.receive(received, now)
        self._tell_of_transport(now)
        due = self._agent.next_timer()
        if due is not None and due <= now.mono_s:
            self._agent.handle_timer(now)
        self._take_events(now)
        self._end_what_has_stood(now)
        self._flush()

    def close(self) -> None:
        """Hang up, give the registration up, close the sockets; what the core answers to that is not waited for."""
        if self._closed:
            return
        now = self._now()
        for call in (*self._asked, *self._offered):
            self._agent.hang_up(call, now)
        self._agent.deregister(now)
        self._flush()
        self._closed = True
        self._edge.close()
        self._waiting.clear()

    # Down.

    def _ask(self, peer: str, message: bytes) -> None:
        """Raises SipError and EnvelopeError."""
        if message[:1] != bytes([MessageType.REQUEST]):
            raise EnvelopeError("nobody can be called but with a Request")
        if any(one.open and (one.peer, one.message) == (peer, message) for one in self._asked.values()):
            return
        now = self._now()
        body = request_body(message, self._options.host, self._session_number(), self._random_bytes)
        standing = next((call for call, one in self._asked.items() if one.peer == peer and not one.open), None)
        if standing is not None:
            try:
                self._agent.reoffer(standing, body.fields, body.octets, now)
            except SipError:
                self._forget(standing, now)
            else:
                self._asked[standing] = Asked(peer=peer, message=message)
                return
        self._call(peer, message, body, now)

    def _call(self, peer: str, message: bytes, body: Body, now: Instant) -> None:
        """Raises SipError."""
        call = self._agent.call(self._options.peers.get(peer, peer), body.fields, body.octets, now)
        self._asked[call] = Asked(peer=peer, message=message)

    def _answer(self, call: int, message: bytes) -> None:
        """Raises SipError and EnvelopeError."""
        now, offered = self._now(), self._offered.get(call)
        if offered is None or not offered.open:
            raise SipError(f"call {call} waits for no answer")
        if message[:1] == bytes([MessageType.ACCEPT]):
            body = accept_body(
                message, offered.description, self._options.host, self._session_number(), self._random_bytes
            )
            self._agent.accept(call, body.fields, body.octets, now)
        elif message[:1] == bytes([MessageType.REJECT]):
            fields = (NOT_UNDERSTOOD, *Body(PC5S, message).fields)
            self._agent.refuse(call, 488, fields, message, now)
        else:
            raise EnvelopeError("a call is answered by an Accept or a Reject")
        offered.open = False
        offered.ends_s = now.mono_s + 2 * self._options.hold_s

    def _session_number(self) -> int:
        """A number for the origin line (RFC 8866 5.2)."""
        return int.from_bytes(self._random_bytes(7))

    def _flush(self) -> None:
        now = self._now()
        for _ in range(4):
            outgoing = self._agent.pdus_to_send(now)
            for one in outgoing:
                self._edge.send(one, now.mono_s)
            if not outgoing:
                return
            self._tell_of_transport(now)

    def _tell_of_transport(self, now: Instant) -> None:
        for hop in self._edge.failed():
            self._agent.transport_failed(hop, now)
        for hop in self._edge.lost():
            self._agent.connection_lost(hop, now)

    def _watch(self, direction: str, remote: Hop, octets: bytes) -> None:
        self._tell(
            SipMessageSeen(
                direction=direction,
                transport=remote.transport.value.lower(),
                local=f"{self._options.host}:{self._edge.port}",
                remote=f"{remote.host}:{remote.port}",
                data=octets,
            )
        )

    # Up.

    def _take_events(self, now: Instant) -> None:
        while (event := self._agent.next_event()) is not None:
            self._take(event, now)

    def _take(self, event: UserAgentEvent, now: Instant) -> None:
        match event:
            case Registered():
                self._tell(ImsRegistered(expires_s=event.expires_s, associated=event.associated))
            case RegistrationFailed():
                self._tell(ImsRegistrationFailed(status=event.status, why=event.why))
            case CallOffered(call=call, request=request) | Reoffered(call=call, request=request):
                self._offered_to_us(call, request, now)
            case CallAnswered(call=call, response=response) | ReofferAnswered(call=call, response=response):
                self._answered(call, response, now)
            case CallRefused(call=call, status=status, response=response):
                self._refused(call, status, response)
                self._asked.pop(call, None)
            case ReofferRefused(call=call, status=status, response=response):
                self._reoffer_refused(call, status, response, now)
            case CallEnded(call=call):
                self._asked.pop(call, None)
                self._offered.pop(call, None)

    def _offered_to_us(self, call: int, request: Request, now: Instant) -> None:
        try:
            opened = open_body(request.body, content_type_of(request.headers), MessageType.REQUEST)
        except (EnvelopeError, BodyError) as error:
            self._agent.refuse(call, 488, (NOT_UNDERSTOOD,), b"", now)
            self._offered.pop(call, None)
            self._tell(ImsBodyRefused(named=", ".join(asserted_in(request.headers)), why=str(error)))
            return
        self._offered[call] = Offered(description=opened.description)
        self._agent_rings(call, now)
        self._hand_on(opened.message, call, request)

    def _agent_rings(self, call: int, now: Instant) -> None:
        """180 to a new call; a re-INVITE does not ring."""
        try:
            self._agent.ring(call, now)
        except SipError:
            return

    def _answered(self, call: int, response: Response, now: Instant) -> None:
        asked = self._asked.get(call)
        if asked is None:
            self._agent.hang_up(call, now)
            return
        asked.open = False
        asked.ends_s = now.mono_s + self._options.hold_s
        try:
            opened = open_body(response.body, content_type_of(response.headers), MessageType.ACCEPT)
        except (EnvelopeError, BodyError) as error:
            self._tell(ImsBodyRefused(named=", ".join(asserted_in(response.headers)), why=str(error)))
            return
        self._hand_on(opened.message, asked.peer, response)

    def _refused(self, call: int, status: int, response: Response | None) -> None:
        asked = self._asked.get(call)
        if asked is None:
            return
        if response is not None and _holds_a_reject(response):
            self._hand_on(response.body, asked.peer, response)
        why = response.reason if response is not None else "no answer"
        self._tell(ImsCallRefused(peer=asked.peer, status=status, why=why))

    def _reoffer_refused(self, call: int, status: int, response: Response | None, now: Instant) -> None:
        """The session ends, as RFC 4567 4.1.2 wants it; where it was gone already, the Request goes by a new call."""
        asked = self._asked.get(call)
        if asked is None:
            return
        self._forget(call, now)
        if status not in (408, 481):
            self._asked[call] = asked
            self._refused(call, status, response)
            del self._asked[call]
            return
        try:
            body = request_body(asked.message, self._options.host, self._session_number(), self._random_bytes)
            self._call(asked.peer, asked.message, body, now)
        except (SipError, EnvelopeError) as error:
            self._tell(ImsCallRefused(peer=asked.peer, status=status, why=str(error)))

    def _hand_on(self, message: bytes, address: str | int, envelope: Request | Response) -> None:
        """Queue a message for the UE, with whom the core names as its sender."""
        names = asserted_in(envelope.headers)
        named = named_sender(names, sender_of(message), self._options.domain, self._asserted)
        data = encode_one_to_one(OneToOnePdu(sdu_type=SduType.PC5_SIGNALLING, kd_sess_id=0, sn=0, data=message))
        pdu = PduReceived(src_l2=UNKNOWN_L2, dst_l2=self._own_l2, lcid=LCID_UNPROTECTED, to_group=False, data=data)
        via = Via(traits=TRAITS, address=address, source=names[0] if names else "")
        self._waiting.append(Carried(pdu=pdu, via=via, named_sender=named))

    def _end_what_has_stood(self, now: Instant) -> None:
        standing: list[tuple[int, Asked | Offered]] = [*self._asked.items(), *self._offered.items()]
        for call, one in standing:
            if not one.open and one.ends_s <= now.mono_s:
                self._forget(call, now)

    def _forget(self, call: int, now: Instant) -> None:
        self._agent.hang_up(call, now)
        self._asked.pop(call, None)
        self._offered.pop(call, None)


def _holds_a_reject(response: Response) -> bool:
    try:
        kind = content_type_of(response.headers).kind
    except BodyError:
        return False
    return kind == PC5S.kind and response.body[:1] == bytes([MessageType.REJECT])


def _message_in(octets: bytes) -> bytes:
    """The PC5-S message in an unprotected PDCP PDU. Raises CarrierError."""
    try:
        pdu = decode_one_to_one(octets)
    except PdcpPduError as error:
        raise CarrierError(f"IMS: {error}") from error
    if pdu.sdu_type is not SduType.PC5_SIGNALLING or pdu.kd_sess_id:
        raise CarrierError("the IMS takes PC5-S without protection only")
    return pdu.data


def _tls(options: ImsOptions) -> ssl.SSLContext | None:
    """What connections to the P-CSCF are checked by. Raises CarrierError."""
    if options.transport != "tls":
        return None
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise CarrierError(f"carriers.ims: ca_file {options.ca_file}: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Kind:
    """The IMS in a UE's configuration; a `CarrierKind`."""

    name: ClassVar[str] = IMS
    options: ClassVar[type[Any]] = ImsOptions

    def open(self, options: Any, parts: CarrierParts) -> Carrier:
        """Bind the sockets and begin to register. Raises CarrierError for options that can't be."""
        return ImsCarrier(options.checked(), parts)


KIND: Final = _Kind()
