"""Two or more PC5-S entities joined by an air that a test can watch, cut and lie on; in virtual time."""

from __future__ import annotations

import functools
import hashlib
import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from prose_link.carriers.proxy.carrier import traits_of as traits_of_proxy
from prose_link.instant import NTP_EPOCH_OFFSET_S, Instant
from prose_link.pc5s.core.credentials import Credentials
from prose_link.pc5s.core.events import Event
from prose_link.pc5s.core.policy import LinkPolicy, Policy
from prose_link.pc5s.core.replay import MemoryRecord, Record
from prose_link.pc5s.core.shared import Pc5sConfig
from prose_link.pc5s.core.timers import TimerValues
from prose_link.pc5s.entity import Pc5sEntity
from prose_link.pc5s.identity.key_exchange import NO_CONFIRMATION, BuiltRequest, build_request
from prose_link.pc5s.wire.codec import decode, encode
from prose_link.pc5s.wire.messages import (
    ChosenAlgorithms,
    DirectAccept,
    DirectRequest,
    IpAddressConfig,
    Mutual,
    ProfileAndFlags,
    SecurityCapabilities,
)
from prose_link.pc5s.wire.party import CarrierTraits, Party, Via, by_radio
from prose_link.pc5s.wire.pdus import LCID_UNPROTECTED, ReceivedPdu
from prose_link.ue.link_protector import LinkProtector
from radio.l2.pdcp import ProtectionError
from security import sakke
from security.eccsi import eccsi
from security.identifiers import KeyRing, KmsDomain, UserKeys
from security.link.context import SecurityContext

PROMPT = TimerValues(first_within_s=0.0)
"""Requests go out at once, so that a test can say what happens when; floods are tested with the default timers."""
UTC_S = 1_790_000_000.0
"""Start of virtual time: 2026-09-21, far from any change of month."""
LATENCY_S = 0.02
A, B, C, E = "tel:+447700900001", "tel:+447700900002", "tel:+447700900003", "tel:+447700900005"
L2 = {A: 0x0A0001, B: 0x0B0002, C: 0x0C0003, E: 0x0E0005}


def traits_of(carrier: str, timers: TimerValues = PROMPT) -> CarrierTraits:
    """Traits by name: direct radio, the proxy, and for any other name those of a core that registers its users."""
    known = {"direct": timers.direct, "proxy": traits_of_proxy(relay_data=False)}
    core = CarrierTraits(
        name=carrier, addresses_count=False, knows_sources=True, repeats_by_itself=True, bears_links=False
    )
    return known.get(carrier, core)


def via_of(carrier: str, address: int, timers: TimerValues = PROMPT) -> Via:
    """A way by a carrier; on this bench every address is a layer-2 id."""
    return Via(traits=traits_of(carrier, timers), address=address)


def at(identity: str, l2_id: int, timers: TimerValues = PROMPT) -> Party:
    """A party on the sidelink."""
    return by_radio(timers.direct, identity, l2_id)


def seeded(seed: str) -> Callable[[int], bytes]:
    """A repeatable source of octets."""
    counter = 0

    def draw(n: int) -> bytes:
        nonlocal counter
        counter += 1
        return hashlib.shake_256(f"{seed}/{counter}".encode()).digest(n)

    return draw


@dataclass(frozen=True)
class Kms:
    """A KMS for tests: one domain, keys for any identity."""

    domain: KmsDomain
    ksak: bytes = field(repr=False)
    z_secret: bytes = field(repr=False)

    @functools.lru_cache(maxsize=256)  # noqa: B019
    def keys(self, uri: str, period_no: int) -> UserKeys:
        """One user's keys of a key period."""
        uid = self.domain.uid_for_period(uri, period_no)
        v = hashlib.sha256(self.domain.uri.encode() + uid).digest()
        ssk, pvt = eccsi.extract_signing_keys(self.ksak, uid, v)
        rsk = sakke.extract_rsk(self.z_secret, uid)
        return UserKeys(uri=uri, kms_uri=self.domain.uri, uid=uid, key_period_no=period_no, rsk=rsk, ssk=ssk, pvt=pvt)

    def ring(self, uri: str, utc_s: float = UTC_S, *, months: Iterable[int] = (0,)) -> KeyRing:
        """A key ring with this user's keys of the period of a time, and of others by offset."""
        period = self.domain.period_of(utc_s + NTP_EPOCH_OFFSET_S)
        return KeyRing([self.domain], [self.keys(uri, period + month) for month in months])


@functools.cache
def make_kms(name: str = "kms", namespace: tuple[str, ...] = ("tel:+4477009*",)) -> Kms:
    """A KMS with master keys of its own."""
    draw = seeded(name)
    ksak, kpak = eccsi.generate_master_keys(draw)
    z_secret, z = sakke.generate_master_secret(draw)
    domain = KmsDomain(uri=f"sip:{name}.example.org", z=z, kpak=kpak, uid_scheme=1, namespace=namespace)
    return Kms(domain=domain, ksak=ksak, z_secret=z_secret)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A PDU on the air, as PDCP and MAC would carry it."""

    src_l2: int
    dst_l2: int
    lcid: int
    kd_sess_id: int
    sn: int
    data: bytes
    mac_i: bytes = b""
    carrier: str = "direct"
    named_sender: str = ""

    @property
    def header(self) -> bytes:
        """PDCP header: SDU type PC5-S or IP, KD-sess ID, SN."""
        sdu_type = 2 if self.lcid >= LCID_UNPROTECTED else 0
        return bytes([sdu_type << 5]) + self.kd_sess_id.to_bytes(2) + self.sn.to_bytes(2)


class Ue:
    """One UE: entity, PDCP's part of protection, and what has come up."""

    def __init__(
        self,
        uri: str,
        *,
        kms: Kms | None = None,
        policy: Policy | LinkPolicy | None = None,
        record: Record | None = None,
        ring: KeyRing | None = None,
        l2_id: int | None = None,
        seed: str = "",
        **config: object,
    ) -> None:
        self.uri = uri
        self.random = seeded(f"ue {uri} {seed}")
        ring = ring or (kms or make_kms()).ring(uri)
        self.credentials = Credentials(uri=uri, key_ring=ring, random_bytes=self.random)
        self.record = record if record is not None else MemoryRecord()
        if isinstance(policy, LinkPolicy):
            policy = Policy(default=policy)
        config.setdefault("timers", PROMPT)
        self.config = Pc5sConfig(l2_id=l2_id or L2[uri], policy=policy or Policy(), **config)
        self.entity = Pc5sEntity(self.config, self.credentials, self.record, self.random)
        self.protector = LinkProtector(self._context, self._context_from)
        self.now = Instant(0.0, 0.0)
        self.events: list[Event] = []
        self.user_data: list[bytes] = []
        self.pdcp_drops: list[str] = []
        self.counts: set[tuple[int, int, int, int]] = set()

    @property
    def l2_id(self) -> int:
        """Own layer-2 id."""
        return self.config.l2_id

    def of(self, kind: type) -> list:
        """Events of a type."""
        return [event for event in self.events if isinstance(event, kind)]

    def states(self) -> list[str]:
        """States of all links."""
        return [link.state.value for link in self.entity.links]

    def holds_nothing(self) -> bool:
        """Whether no link, key or context is left."""
        return not self.entity.links and self.entity.next_timer() is None

    def protect(self, dst_l2: int, lcid: int, kd_sess_id: int, data: bytes, carrier: str = "direct") -> Frame | None:
        """PDCP, sending."""
        frame = Frame(
            src_l2=self.l2_id, dst_l2=dst_l2, lcid=lcid, kd_sess_id=kd_sess_id, sn=0, data=data, carrier=carrier
        )
        if kd_sess_id == 0:
            return frame
        if self.entity.context(dst_l2, kd_sess_id) is None:
            self.pdcp_drops.append("no context to send on")
            return None
        frame = replace(frame, sn=self.protector.next_sn(dst_l2, kd_sess_id, lcid))
        count = (kd_sess_id, lcid, frame.sn, dst_l2)
        assert count not in self.counts, "COUNT used twice"
        self.counts.add(count)
        sealed, mac_i = self.protector.seal(dst_l2, kd_sess_id, frame.sn, lcid, frame.header, data)
        return replace(frame, data=sealed, mac_i=mac_i)

    def take(self, frame: Frame, now: Instant) -> None:
        """PDCP, receiving; then the entity or the user."""
        data = frame.data
        self.now = now
        if frame.kd_sess_id:
            self.protector.arriving = via_of(frame.carrier, frame.src_l2, self.config.timers)
            try:
                data = self.protector.open(
                    frame.src_l2,
                    frame.dst_l2,
                    frame.kd_sess_id,
                    frame.sn,
                    frame.lcid,
                    frame.header,
                    frame.data,
                    frame.mac_i,
                )
            except ProtectionError as error:
                self.pdcp_drops.append(type(error.__cause__).__name__ if error.__cause__ else "no context")
                return
        if frame.lcid <= 10:
            if frame.kd_sess_id:
                self.entity.note_user_data(frame.src_l2, frame.kd_sess_id, now)
            if frame.kd_sess_id and self.entity.admits_user_data(frame.src_l2, frame.kd_sess_id):
                self.user_data.append(data)
            else:
                self.pdcp_drops.append("user data not admitted")
            return
        self.entity.receive(received(frame, data, self.config.timers), now)

    def _context(self, peer_l2: int, kd_sess_id: int) -> SecurityContext | None:
        """Asks the entity of now: a test may have replaced it, or its way to look up."""
        return self.entity.context(peer_l2, kd_sess_id)

    def _context_from(self, command: ReceivedPdu) -> SecurityContext | None:
        return self.entity.make_context_from(command, self.now)


def received(frame: Frame, data: bytes, timers: TimerValues = PROMPT) -> ReceivedPdu:
    """What PDCP hands up."""
    return ReceivedPdu(
        data=data,
        src_l2=frame.src_l2,
        dst_l2=frame.dst_l2,
        lcid=frame.lcid,
        kd_sess_id=frame.kd_sess_id,
        sn=frame.sn,
        via=via_of(frame.carrier, frame.src_l2, timers),
        named_sender=frame.named_sender,
    )


class Air:
    """Virtual time, and everything that flies between UEs. `pass_on` may return other frames, more or none."""

    def __init__(self, *ues: Ue, utc_s: float = UTC_S, latency_s: float = LATENCY_S) -> None:
        self.ues = list(ues)
        self.mono_s = 1000.0
        self.utc_offset_s = utc_s - self.mono_s
        self.latency_s = latency_s
        self.log: list[Frame] = []
        self.pass_on: Callable[[Frame], Iterable[Frame]] = lambda frame: [frame]
        self._flying: list[tuple[float, int, Frame]] = []
        self._order = 0

    @property
    def now(self) -> Instant:
        """This moment."""
        return Instant(self.mono_s, self.mono_s + self.utc_offset_s)

    def connect(self, ue: Ue, peer: Ue, *, carrier: str = "direct") -> None:
        """Let a UE ask another for a link, by direct radio unless told another `carrier`."""
        via = via_of(carrier, peer.l2_id, ue.config.timers)
        ue.entity.connect(Party(identity=peer.uri, l2_id=peer.l2_id, via=via), self.now)

    def send_user_data(self, ue: Ue, peer: Ue, data: bytes, lcid: int = 4) -> bool:
        """Send user data if the link allows it."""
        kd_sess_id = ue.entity.user_data_id(peer.l2_id)
        if kd_sess_id is None:
            return False
        frame = ue.protect(peer.l2_id, lcid, kd_sess_id, data)
        assert frame is not None
        self.transmit(frame)
        return True

    def transmit(self, frame: Frame) -> None:
        """Put a frame on the air, past whatever lies on it."""
        self.log.append(frame)
        for passed in self.pass_on(frame):
            self.inject(passed)

    def inject(self, frame: Frame, after_s: float | None = None) -> None:
        """Deliver a frame without a word to the log."""
        self._order += 1
        at_s = self.mono_s + (self.latency_s if after_s is None else after_s)
        heapq.heappush(self._flying, (at_s, self._order, frame))

    def inject_request(self, built: BuiltRequest | bytes, src_l2: int, dst_l2: int, carrier: str = "direct") -> None:
        """Deliver a hand-made DCR."""
        self.inject(plain(built if isinstance(built, bytes) else built.octets, src_l2, dst_l2, carrier))

    def run(self, for_s: float = 0.5) -> None:
        """Let virtual time pass: frames land, timers run out, events are taken."""
        end_s = self.mono_s + for_s
        while True:
            self._flush()
            at_s = min([self._flying[0][0]] if self._flying else [end_s])
            timers = [ue.entity.next_timer() for ue in self.ues]
            at_s = min([at_s, *(timer for timer in timers if timer is not None)])
            if at_s > end_s or (at_s == end_s and not self._flying and all(t is None or t > end_s for t in timers)):
                break
            self.mono_s = max(self.mono_s, at_s)
            while self._flying and self._flying[0][0] <= self.mono_s:
                frame = heapq.heappop(self._flying)[2]
                for ue in self.ues:
                    if ue.l2_id == frame.dst_l2:
                        ue.take(frame, self.now)
                        self._flush()
            for ue in self.ues:
                ue.entity.handle_timer(self.now)
        self.mono_s = end_s
        self._flush()

    def _flush(self) -> None:
        for ue in self.ues:
            for pdu in ue.entity.pdus_to_send(self.now):
                dst_l2 = pdu.dst_l2 or int(pdu.to.via.address)  # type: ignore[call-overload]
                frame = ue.protect(dst_l2, pdu.lcid, pdu.kd_sess_id, pdu.data, pdu.to.via.carrier)
                if frame is not None:
                    self.transmit(frame)
            while (event := ue.entity.next_event()) is not None:
                ue.events.append(event)

    def sent(self, kind: type, by: Ue | None = None) -> list[Frame]:
        """Unprotected frames of a message type."""
        plain_frames = [frame for frame in self.log if frame.kd_sess_id == 0 and frame.lcid == LCID_UNPROTECTED]
        of_kind = [frame for frame in plain_frames if frame.data[:1] == bytes([kind.TYPE])]  # type: ignore[attr-defined]
        return [frame for frame in of_kind if by is None or frame.src_l2 == by.l2_id]


def plain(octets: bytes, src_l2: int, dst_l2: int, carrier: str = "direct") -> Frame:
    """An unprotected PC5-S PDU on the air."""
    return Frame(src_l2=src_l2, dst_l2=dst_l2, lcid=LCID_UNPROTECTED, kd_sess_id=0, sn=0, data=octets, carrier=carrier)


def draft_request(sender: Ue, target: Ue, **altered: object) -> DirectRequest:
    """A DCR without I_MESSAGE as the honest entity would make it, with some fields altered."""
    fields: dict[str, object] = {
        "sequence_number": 1,
        "user_info": sender.uri,
        "ip_address_config": IpAddressConfig.NOT_SUPPORTED,
        "maximum_inactivity_period_s": 30,
        "nonce_1": sender.random(16),
        "capabilities": SecurityCapabilities.of((1, 2, 3), (1, 2, 3)),
        "kd_sess_id_msb": 0x21,
        "target_user_info": target.uri,
        "link_l2_id": sender.l2_id,
        "profile": ProfileAndFlags(mutual=Mutual.WANTED),
        "i_message": b"",
        **altered,
    }
    return DirectRequest(**fields)


def forged_request(sender: Ue, target: Ue, air: Air, *, ntp_s: float | None = None, **altered: object) -> BuiltRequest:
    """A DCR signed by `sender` with some fields altered before signing."""
    draft = draft_request(sender, target, **altered)
    return build_request(draft, sender.credentials, ntp_s=air.now.ntp_s if ntp_s is None else ntp_s)


def draft_accept(request: DirectRequest, request_hash: bytes, responder: Ue, **altered: object) -> DirectAccept:
    """A DCA without proofs as the honest entity would make it, with some fields altered."""
    fields: dict[str, object] = {
        "sequence_number": 1,
        "ip_address_config": IpAddressConfig.NOT_SUPPORTED,
        "user_info": request.target_user_info,
        "link_l2_id": responder.l2_id,
        "profile": request.profile,
        "request_hash": request_hash,
        "nonce_2": responder.random(16),
        "algorithms": ChosenAlgorithms(eea=2, eia=2),
        "kd_sess_id_lsb": 7,
        "confirmation": NO_CONFIRMATION,
        **altered,
    }
    return DirectAccept(**fields)


def reencoded(octets: bytes, **altered: object) -> bytes:
    """A message with some fields altered after it was made."""
    return encode(replace(decode(octets), **altered))


def pair(**options: Any) -> tuple[Ue, Ue, Air]:
    """Two UEs and the air between them; `a` and `b` in options are further arguments of each."""
    a_options, b_options = options.pop("a", {}), options.pop("b", {})
    a = Ue(A, **{**options, **a_options})
    b = Ue(B, **{**options, **b_options})
    return a, b, Air(a, b)


def linked(**options: object) -> tuple[Ue, Ue, Air]:
    """Two UEs with an established link."""
    a, b, air = pair(**options)
    air.connect(a, b)
    air.run(0.5)
    return a, b, air
