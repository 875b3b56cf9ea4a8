"""The IMS as a carrier: a Request goes as an INVITE, its Accept comes back in the 200, a Reject as 488 (PROFILE 12).

The carrier stands between two that know nothing of each other: the UE hands it PC5-S messages, and the SIP user agent
hands it calls. An address of this carrier is an identity, which is called, or the number of a call that another user
has made, which is answered. What a call carries is over with the call; request, link and keys live by the timers of
the profile, so that CANCEL, BYE and refusals of the core end nothing else.

The core's word for a sender (P-Asserted-Identity) is handed on beside the message, and proves nothing: what counts is
the identity that has signed the I_MESSAGE (C7).
"""

from __future__ import annotations

import os
import ssl
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from prose_link.carriers.ims.conversations import MAX_UNDER_WAY, Conversations
from prose_link.carriers.ims.edge import SipEdge
from prose_link.carriers.ims.envelope import (
    ACCEPTED,
    EnvelopeError,
    sender_of,
)
from prose_link.carriers.ims.events import (
    ImsRegistered,
    ImsRegistrationFailed,
    SipMessageSeen,
)
from prose_link.carriers.ims.naming import account_of, named_sender
from prose_link.carriers.ims.options import ImsOptions
from prose_link.carriers.protocol import MAX_WAITING, Carried, Carrier, CarrierParts
from prose_link.instant import Instant
from prose_link.pc5s.wire.party import MAX_SDU_OCTETS, UNKNOWN_L2, CarrierError, CarrierTraits, Party, Via
from prose_link.pc5s.wire.pdus import LCID_UNPROTECTED
from prose_link.sip.errors import SipError
from prose_link.sip.reports import (
    Registered,
    RegistrationFailed,
    UserAgentEvent,
)
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
ANSWER_WITHIN_S: Final = 60.0
"""How long a call waits for the UE: what the UE is silent about is answered by 480."""


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
        self._tell = parts.emit
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
        self._conversations = Conversations(
            self._agent,
            host=options.host,
            uris=options.peers,
            hold_s=options.hold_s,
            random_bytes=self._random_bytes,
            hand_on=self._hand_on,
            tell=parts.emit,
        )
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
        if isinstance(to.address, str) and self._conversations.is_full:
            raise CarrierError(f"{MAX_UNDER_WAY} Requests are under way by IMS")

    def send(self, pdu: PdcpPdu, to: Via) -> None:
        """Call with a Request, answer with an Accept or a Reject. Raises CarrierError."""
        self.check_room(to, AddressPair(pdu.src_l2, pdu.dst_l2), pdu.lcid, len(pdu.data))
        message = _message_in(pdu.data)
        try:
            if isinstance(to.address, str):
                self._conversations.ask(to.address, message, self._now())
            elif isinstance(to.address, int):
                self._conversations.answer(to.address, message, self._now())
        except (SipError, EnvelopeError) as error:
            raise CarrierError(f"IMS: {error}") from error
        self._flush()

    def queued_octets(self, to: Via) -> int:
        """Octets of Requests to a peer that have no answer yet."""
        return self._conversations.octets_under_way(to.address)

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
        self._conversations.end_what_has_stood(now)
        self._flush()

    def close(self) -> None:
        """Hang up, give the registration up, close the sockets; what the core answers to that is not waited for."""
        if self._closed:
            return
        now = self._now()
        self._conversations.hang_up_all(now)
        self._agent.deregister(now)
        self._flush()
        self._closed = True
        self._edge.close()
        self._waiting.clear()

    # Within.

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

    def _take_events(self, now: Instant) -> None:
        while (event := self._agent.next_event()) is not None:
            self._take(event, now)

    def _take(self, event: UserAgentEvent, now: Instant) -> None:
        match event:
            case Registered():
                self._tell(ImsRegistered(expires_s=event.expires_s, associated=event.associated))
            case RegistrationFailed():
                self._tell(ImsRegistrationFailed(status=event.status, why=event.why))
            case _:
                self._conversations.take(event, now)

    def _hand_on(self, message: bytes, address: str | int, names: tuple[str, ...]) -> None:
        """Queue a message for the UE, with whom the core names as its sender."""
        named = named_sender(names, sender_of(message), self._options.domain, self._asserted)
        data = encode_one_to_one(OneToOnePdu(sdu_type=SduType.PC5_SIGNALLING, kd_sess_id=0, sn=0, data=message))
        pdu = PduReceived(src_l2=UNKNOWN_L2, dst_l2=self._own_l2, lcid=LCID_UNPROTECTED, to_group=False, data=data)
        via = Via(traits=TRAITS, address=address, source=names[0] if names else "")
        self._waiting.append(Carried(pdu=pdu, via=via, named_sender=named))


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
