"""What is fuzzed: each target takes any octets; only errors of the packages are allowed to come out of the code.

A target also holds what must be true of octets that are taken: what decodes encodes to the same octets again, and
nothing verifies or opens that wasn't made with the keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

from prose_link.carriers.ims.envelope import cut, join, open_body
from prose_link.carriers.proxy import frames as proxy
from prose_link.discovery import codec as discovery_codec
from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.ts24334 import codec as mode_codec
from prose_link.pc5s.wire import codec as pc5s_codec
from prose_link.pc5s.wire.messages import MessageType
from prose_link.sip.account import Account
from prose_link.sip.digest import Credentials
from prose_link.sip.framing import StreamFramer
from prose_link.sip.message import parse, to_octets
from prose_link.sip.multipart import ContentType, content_type_of, parts_of
from prose_link.sip.sdp import SDP, mikey_of, parse_sdp
from prose_link.sip.transport import Hop, Received, Transport
from prose_link.sip.user_agent import UserAgent
from prose_link.sip.validity import fault_of
from radio.errors import RadioError
from radio.l2.lte_mode2.hearing_report import decode_report
from radio.l2.mac_pdu import decode_mac_pdu
from radio.l2.pdcp import decode_one_to_many, decode_one_to_one
from radio.l2.rlc_um_pdu import decode_umd
from security import sakke
from security.at_rest.sealing import Seal
from security.ciphers.algorithms import eea, eia
from security.eccsi import eccsi, p256
from security.errors import SecurityError
from security.groups import GroupKeying, GroupMembership, GroupTraffic
from security.identifiers import KeyRing, KmsDomain, UserKeys, canonical_identity
from security.identity_map.signature import (
    MapSigningKeys,
    map_signer_uid,
    sign_statement,
    split_signed,
    verify_statement,
)
from security.identity_map.statement import MapState, MapStatement, MapUse
from security.keyfile import parse_key_file
from security.kms.annex_d import parse_request
from security.kms_wire import protocol as kms_protocol
from security.kms_wire.protocol import EnrolRequest, KeysRequest, KeysResponse, ParametersResponse
from security.link.context import SecurityContext
from security.mikey import create_i_message, parse_profile_i_message
from security.mikey.codec import annotate, decode, encode
from security.mikey.error_message import parse_error_message
from security.mikey.freshness import ReplayCache
from security.mikey.responder import Responder
from security.sakke.curve import decode_point, encode_point

Target = Callable[[bytes], None]
PACKAGE_ERRORS = (SecurityError, ProseLinkError, RadioError)
NTP_S = 3_968_437_672.0
ALICE, BOB = "tel:+447700900001", "tel:+447700900002"
GROUP_L2 = 0xBEEF
MAX_POINTS = 4
_KSAK = (12345).to_bytes(32, "big")


def mikey(octets: bytes) -> None:
    """Any MIKEY message; its annotations cover exactly the octets that were read."""
    fields, message, _ = annotate(octets)
    assert sum(field.length for field in fields) <= len(octets)
    if message is not None:
        assert encode(message) == octets
        assert sum(field.length for field in fields) == len(octets)
    assert encode(decode(octets)) == octets


def mikey_error(octets: bytes) -> None:
    """MIKEY error messages."""
    parse_error_message(octets)


def mikey_profile(octets: bytes) -> None:
    """I_MESSAGEs of the `identity` profile."""
    parse_profile_i_message(octets)


def mikey_responder(octets: bytes) -> None:
    """The whole reception of an I_MESSAGE: nothing the fuzzer makes is ever signed."""
    domain, _, bob = _world()
    Responder(KeyRing([domain], [bob]), ReplayCache()).receive(octets, now_ntp_s=NTP_S)
    raise AssertionError("a forged I_MESSAGE was taken")


def eccsi_verify(octets: bytes) -> None:
    """Signatures: the octets are r || s || PVT of a message that was never signed."""
    domain, alice, _ = _world()
    eccsi.verify(b"never signed", octets, uid=alice.uid, kpak=domain.kpak)
    raise AssertionError("a forged signature verified")


def eccsi_keys(octets: bytes) -> None:
    """Signing keys: the octets are SSK || PVT."""
    domain, alice, _ = _world()
    eccsi.validate_signing_keys(ssk=octets[:32], pvt=octets[32:], uid=alice.uid, kpak=domain.kpak)
    assert octets == alice.ssk + alice.pvt


def sakke_open(octets: bytes) -> None:
    """Encapsulated data: what opens must be what encapsulating the SSV gives."""
    domain, _, bob = _world()
    ssv = sakke.decapsulate(octets, rsk=bob.rsk, uid=bob.uid, z=domain.z)
    assert sakke.encapsulate(ssv, bob.uid, domain.z) == octets


def points(octets: bytes) -> None:
    """Points of both curves; P-256 ones are multiplied, too."""
    for start in range(0, min(len(octets), MAX_POINTS * 257), 257):
        try:
            point = p256.decode_point(octets[start : start + 65])
        except SecurityError:
            continue
        assert p256.encode_point(point) == octets[start : start + 65]
        assert p256.multiply(3, point) == p256.multiply_plain(3, point)
    assert encode_point(decode_point(octets)) == octets


def key_file(octets: bytes) -> None:
    """Key files."""
    parse_key_file(octets)


def identity(octets: bytes) -> None:
    """Identities."""
    assert canonical_identity(octets.decode("latin-1")).isascii()


def context(octets: bytes) -> None:
    """A protected PDU from a stranger: LCID, SN, MAC-I, data."""
    end = SecurityContext(kd_sess_id=1, pek=bytes(16), pik=b"k" * 16, eea=2, eia=2, direction=0)
    lcid, sn, mac_i = octets[0:1], octets[1:3], octets[3:7]
    end.open(int.from_bytes(lcid, "big"), int.from_bytes(sn, "big"), octets[:5], octets[7:], mac_i)


def group_traffic(octets: bytes) -> None:
    """Group PDUs one after another, 12 octets each: they never stop a fresh one."""
    traffic = GroupTraffic(
        _membership(), sender_l2=1, marks=_Marks(), random=lambda n: hashlib.sha256(b"r").digest()[:n]
    )
    for start in range(0, min(len(octets), 1200), 12):
        pdu = octets[start : start + 12]
        numbers = [int.from_bytes(part, "big") for part in (pdu[:3], pdu[3:4], pdu[4:6], pdu[6:8], pdu[8:9])]
        try:
            traffic.open(numbers[0], GROUP_L2, numbers[1], numbers[2], numbers[3], numbers[4], pdu[9:])
        except SecurityError:
            continue
    assert len(traffic.open(0xABCDEF, GROUP_L2, 2, 0x7777, 1, 1, b"fresh")) == 5


def algorithms(octets: bytes) -> None:
    """Each EEA undoes itself, each EIA answers, for any count, bearer and bit length."""
    count, bearer, direction = int.from_bytes(octets[:4], "big"), *(octets[4:6] or b"\0\0").ljust(2, b"\0")
    data, bits = octets[8:1024], int.from_bytes(octets[6:8], "big")
    for number in range(4):
        ciphered = eea(number, bytes(16), count, bearer, direction, data, bits)
        assert eea(number, bytes(16), count, bearer, direction, ciphered, bits) == eea(
            0, bytes(16), count, bearer, direction, data, bits
        )
        assert len(eia(number, bytes(16), count, bearer, direction, data, bits)) == 4


def kms_json(octets: bytes) -> None:
    """Messages of the KMS's JSON face: what is read is written and read alike."""
    for form in (EnrolRequest, KeysRequest, KeysResponse, ParametersResponse):
        try:
            message = kms_protocol.decode(form, octets)
        except SecurityError:
            continue
        assert kms_protocol.decode(form, kms_protocol.encode(message)) == message


def kms_xml(octets: bytes) -> None:
    """Requests of the KMS's XML face."""
    parse_request(octets)


def map_statement(octets: bytes) -> None:
    """Statements of an identity map: one encoding for each."""
    assert MapStatement.decode(octets).encode() == octets


def map_signed(octets: bytes) -> None:
    """Signed statements: nothing that the fuzzer makes is this KMS's word."""
    statement, signature = split_signed(octets)
    verify_statement(statement, signature, _world()[0])
    raise AssertionError("a forged statement verified")


def sealed(octets: bytes) -> None:
    """Sealed values: nothing the fuzzer makes was sealed."""
    _seal().open(octets, purpose="fuzz")
    raise AssertionError("a forged sealed value opened")


def pc5s(octets: bytes) -> None:
    """PC5 signalling messages of the `identity` profile."""
    assert pc5s_codec.encode(pc5s_codec.decode(octets)) == octets


def pc5s_ts24334(octets: bytes) -> None:
    """PC5 signalling messages of the `ts24334` profile."""
    assert mode_codec.encode(mode_codec.decode(octets)) == octets


def pc5s_relay(octets: bytes) -> None:
    """Relay frames."""
    assert proxy.encode(proxy.decode(octets)) == octets


def discovery(octets: bytes) -> None:
    """Discovery messages."""
    discovery_codec.decode(octets)


def layer_2(octets: bytes) -> None:
    """MAC, RLC and PDCP PDUs, hearing reports."""
    for read in (decode_mac_pdu, decode_umd, decode_one_to_one, decode_one_to_many, decode_report):
        try:
            read(octets)
        except RadioError:
            continue


def sip(octets: bytes) -> None:
    """Any SIP message: a good one is written again with the same meaning; its bodies are looked into."""
    message = parse(octets)
    if fault_of(message) is not None:
        return
    again = parse(to_octets(message))
    assert again.headers.without("Content-Length") == message.headers.without("Content-Length")
    assert again.body == message.body and fault_of(again) is None
    for part in parts_of(message.body, content_type_of(message.headers)):
        if part.content_type == SDP:
            mikey_of(parse_sdp(part.body))


def sip_stream(octets: bytes) -> None:
    """Any stream, in pieces: the same messages as in one."""
    whole, pieces = StreamFramer(), StreamFramer()
    at_once = whole.feed(octets)
    in_pieces = [message for at in range(0, len(octets), 7) for message in pieces.feed(octets[at : at + 7])]
    assert at_once == in_pieces and (whole.fault is None) == (pieces.fault is None)


def sip_user_agent(octets: bytes) -> None:
    """A user agent with a call under way, to which anything is sent."""
    account = Account(
        identity=ALICE,
        address_of_record="sip:a@ims.test",
        registrar="sip:ims.test",
        credentials=Credentials(user_name="a"),
        proxy=Hop(Transport.UDP, "192.0.2.1", 5060),
        contact_host="192.0.2.2",
        contact_port=5060,
    )
    agent = UserAgent(account, {Transport.UDP: ("192.0.2.2", 5060)}, bytes)
    now = Instant(1.0, 1.0)
    agent.register(now)
    agent.call(BOB, (), b"", now)
    agent.receive(Received(octets, account.proxy), now)
    agent.handle_timer(Instant(100.0, 100.0))
    agent.pdus_to_send(now)


def ims_body(octets: bytes) -> None:
    """Any body of an INVITE, and any message in an envelope."""
    try:
        opened = open_body(octets, ContentType("multipart/mixed", (("boundary", "b"),)), MessageType.REQUEST)
    except ProseLinkError:
        rest, i_message = cut(octets)
        assert join(rest, i_message) == octets
    else:
        assert opened.message[:1] == bytes([MessageType.REQUEST])


TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        target.__name__: target
        for target in (
            mikey,
            mikey_error,
            mikey_profile,
            mikey_responder,
            eccsi_verify,
            eccsi_keys,
            sakke_open,
            points,
            key_file,
            identity,
            context,
            group_traffic,
            algorithms,
            kms_json,
            kms_xml,
            map_statement,
            map_signed,
            sealed,
            pc5s,
            pc5s_ts24334,
            pc5s_relay,
            discovery,
            layer_2,
            sip,
            sip_stream,
            sip_user_agent,
            ims_body,
        )
    }
)


def attempt(target: Target, octets: bytes) -> None:
    """Run a target; errors of the packages are what it may answer, all else is a finding."""
    try:
        target(octets)
    except PACKAGE_ERRORS:
        return


class _Marks:
    """A record that takes everything and keeps nothing."""

    def mark(self, name: str) -> int:
        return 0

    def marks_named(self, prefix: str) -> dict[str, int]:
        return {}

    def raise_mark(self, name: str, value: int) -> None:
        """Nothing lasts."""


def _membership() -> GroupMembership:
    membership = GroupMembership(marks=_Marks())
    keying = GroupKeying(
        group_identity="tel:+1", group_l2=GROUP_L2, pgk_id=2, epoch=1, expiry_ntp_s=1 << 31, eea=2, mode=1
    ).tagged(bytes(16), "tel:+2")
    membership.install(keying, bytes(16), keyer="tel:+2", place=1, t_ntp_s=0, now_ntp_s=0)
    return membership


@cache
def _seal() -> Seal:
    return Seal.create(b"fuzzing passphrase", log2_n=14)


@cache
def _world() -> tuple[KmsDomain, UserKeys, UserKeys]:
    """A KMS and two users, from fixed secrets."""
    ksak, z_secret = _KSAK, (67890).to_bytes(128, "big")
    domain = KmsDomain(
        uri="kms.fuzz.example",
        z=sakke.public_master_key(z_secret),
        kpak=eccsi.public_authentication_key(ksak),
        uid_scheme=1,
        namespace=("tel:*",),
    )
    users = []
    for uri in (ALICE, BOB):
        uid = domain.uid(uri, NTP_S)
        ssk, pvt = eccsi.extract_signing_keys(ksak, uid, (99).to_bytes(32, "big"))
        rsk = sakke.extract_rsk(z_secret, uid)
        period = domain.period_of(NTP_S)
        users.append(UserKeys(uri=uri, kms_uri=domain.uri, uid=uid, key_period_no=period, rsk=rsk, ssk=ssk, pvt=pvt))
    return domain, users[0], users[1]


def statement_seed(*, number: str = "+447700900002", identity: str = BOB, nobody: bool = False) -> MapStatement:
    """A statement of this world's KMS, for the corpus."""
    return MapStatement(
        kms_uri=_world()[0].uri,
        serial=7,
        issued_ntp_s=int(NTP_S),
        not_before_ntp_s=int(NTP_S),
        not_after_ntp_s=int(NTP_S) + 86_400,
        number=number,
        identity=identity,
        scheme=1,
        uses=MapUse.CALL | MapUse.ASSERTED,
        state=MapState.NOBODY if nobody else MapState.VALID,
    )


def signed_statement_seed() -> bytes:
    """A genuine signed statement of this world: altered ones come near the last check."""
    domain, _, _ = _world()
    period = domain.period_of(NTP_S)
    uid = map_signer_uid(domain, period)
    ssk, pvt = eccsi.extract_signing_keys(_KSAK, uid, (98).to_bytes(32, "big"))
    keys = MapSigningKeys(key_period_no=period, uid=uid, ssk=ssk, pvt=pvt)
    signed = sign_statement(
        statement_seed(), keys=keys, kpak=domain.kpak, random=lambda n: hashlib.shake_256(b"fuzz map").digest(n)
    )
    verify_statement(*split_signed(signed), domain)
    return signed


def signed_seed() -> bytes:
    """A genuine I_MESSAGE of this world, for the corpus: altered ones come near the last checks."""
    domain, alice, _ = _world()
    return create_i_message(
        keys=alice,
        initiator_domain=domain,
        responder_uri=BOB,
        responder_domain=domain,
        ntp_s=NTP_S,
        ssv=bytes(range(16)),
        csb_id=0x10000001,
        random=lambda n: hashlib.shake_256(b"fuzz seed").digest(n),
    )
