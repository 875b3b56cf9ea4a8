"""One sample or two of every PC5-S message: its value, its octets written out by hand, and its line in a capture.

The tests of codecs, Scapy layers, summaries, the Wireshark plug-in and the fuzz corpus all take these. The octets are
the oracle: they were read by Scapy layers written from the specification before those were made from the table of
messages, and stand here element by element, so that a wrong table cannot agree with itself.
`test_pc5s_samples.py` holds the list to the table: a message or an element without a sample fails there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from prose_link.carriers.proxy.frames import AnyFrame, RelayedPdcp, RelayFrame
from prose_link.pc5s.ts24334 import messages as mode
from prose_link.pc5s.wire import messages as m
from security.mikey import codec as mikey_codec
from security.mikey import payloads

A, B = "tel:+447700900001", "tel:+447700900002"
I_MESSAGE = mikey_codec.encode(
    mikey_codec.MikeyMessage(
        header=mikey_codec.Header(csb_id=0xD0000001),
        payloads=(payloads.Timestamp(value=1 << 60), payloads.Signature(signature=bytes(129))),
    )
)
SIGNATURE = b"\x5a" * 129
PAYLOAD = b"\xc3" * 273
CAPABILITIES = m.SecurityCapabilities.of((1, 2, 3), (2,))
ALGORITHMS = m.ChosenAlgorithms(eea=2, eia=1)
LINK_LOCAL = bytes.fromhex("fe80000000000000") + bytes(7) + b"\x07"
COUNTING = bytes(range(64))
GROUP = m.GroupInfo(
    group_l2_id=0x00C0DE,
    pgk_id=3,
    epoch=70000,
    expiry_ntp_s=0xEC8B9B88,
    eea=2,
    mode=1,
    group_identity="sip:rescue@lab.example",
    tag=bytes.fromhex("c72af8043ddab4f5"),
)
_USER_A = "12 01 74656c3a2b343437373030393030303031"
_USER_B = "12 01 74656c3a2b343437373030393030303032"
_UP_TO_0F = "000102030405060708090a0b0c0d0e0f"
_FROM_10 = "101112131415161718191a1b1c1d1e1f"
_TAG = "c72af8043ddab4f5"
_RESCUE = "7369703a726573637565406c61622e6578616d706c65"
_LINK_LOCAL = "03 fe800000000000000000000000000007"
_I_MESSAGE = f"78 0097 {I_MESSAGE.hex()}"
_SIGNATURE = f"16 {SIGNATURE.hex()}"

REQUEST = m.DirectRequest(
    sequence_number=1,
    user_info=A,
    ip_address_config=m.IpAddressConfig.NOT_SUPPORTED,
    maximum_inactivity_period_s=30,
    nonce_1=COUNTING[:16],
    capabilities=CAPABILITIES,
    kd_sess_id_msb=0x21,
    link_local=LINK_LOCAL,
    target_user_info=B,
    link_l2_id=0x5C1A01,
    profile=m.ProfileAndFlags(mutual=m.Mutual.REQUIRED),
    i_message=I_MESSAGE,
)
GROUP_REQUEST = replace(
    REQUEST,
    link_local=None,
    group_info=GROUP,
    profile=m.ProfileAndFlags(mutual=m.Mutual.NOT_WANTED, purpose=m.Purpose.GROUP),
)
GROUP_REMOVAL = replace(
    GROUP_REQUEST,
    members_out=(
        m.MemberOut(member=COUNTING[:8], ntp_s=0xEC8B9B00, state=m.MemberState.OUT),
        m.MemberOut(member=COUNTING[8:16], ntp_s=0xEC8B9B01, state=m.MemberState.IN_AGAIN),
    ),
)
GROUP_ANSWER = replace(GROUP_REQUEST, request_hash=COUNTING[:32])
GROUP_ASK = replace(
    GROUP_REQUEST,
    group_info=replace(GROUP, pgk_id=0, expiry_ntp_s=0, eea=0, mode=0),
    profile=m.ProfileAndFlags(mutual=m.Mutual.NOT_WANTED, purpose=m.Purpose.GROUP_ASK),
)
ACCEPT = m.DirectAccept(
    sequence_number=2,
    ip_address_config=m.IpAddressConfig.IPV6_ROUTER,
    link_local=LINK_LOCAL,
    user_info=B,
    link_l2_id=0x5C1B02,
    profile=m.ProfileAndFlags(mutual=m.Mutual.WANTED, kdf=m.Kdf.FC33536),
    request_hash=COUNTING[:32],
    nonce_2=COUNTING[16:32],
    algorithms=ALGORITHMS,
    kd_sess_id_lsb=7,
    i_message=I_MESSAGE,
    key_proof=COUNTING[:8],
    confirmation=COUNTING[:16],
)
REKEYING_REQUEST = m.RekeyingRequest(
    sequence_number=8,
    capabilities=CAPABILITIES,
    nonce_1=COUNTING[:16],
    kd_sess_id_msb=9,
    i_message=I_MESSAGE,
)
REKEYING_RESPONSE = m.RekeyingResponse(
    sequence_number=9,
    request_hash=COUNTING[:32],
    nonce_2=COUNTING[16:32],
    algorithms=ALGORITHMS,
    kd_sess_id_lsb=1,
    i_message=I_MESSAGE,
    confirmation=COUNTING[:16],
)
SIGNED_REQUEST = mode.SignedRequest(
    sequence_number=1,
    user_info=B,
    ip_address_config=m.IpAddressConfig.DHCPV4_SERVER,
    maximum_inactivity_period_s=30,
    nonce_1=COUNTING[:16],
    capabilities=CAPABILITIES,
    kd_sess_id_msb=0x21,
    kd_id=0x01020304,
    relay_service_code=0x0A0B0C,
    signature=SIGNATURE,
    link_local=LINK_LOCAL,
)
MODE_COMMAND = mode.SecurityModeCommand(
    sequence_number=0x0102,
    capabilities=CAPABILITIES,
    nonce_2=COUNTING[:16],
    algorithms=m.ChosenAlgorithms(eea=2, eia=3),
    kd_sess_id_lsb=0x77,
    kd_id_msb=0xBEEF,
    kd_freshness=COUNTING[16:32],
    gpi=b"\x01\x02\x03",
    user_info=B,
    signature=SIGNATURE,
    encrypted_payload=PAYLOAD,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A message of a profile (`identity`, `ts24334`, `relay`)."""

    name: str
    profile: str
    message: m.Message | mode.ModeMessage | AnyFrame
    octets: bytes
    line: str
    """What `pc5lab capture show` and Wireshark's Info column say."""


def _sample(
    name: str, profile: str, message: m.Message | mode.ModeMessage | AnyFrame, octets: str, line: str
) -> Sample:
    return Sample(name=name, profile=profile, message=message, octets=bytes.fromhex(octets), line=line)


SAMPLES: tuple[Sample, ...] = (
    _sample(
        "request",
        "identity",
        REQUEST,
        f"01 0001 {_USER_A} 04 0000001e {_UP_TO_0F} 7020 21 {_LINK_LOCAL} 40 {_USER_B} 41 03 5c1a01 42 02 0202 "
        f"{_I_MESSAGE}",
        f"Direct Connection Request {A} > {B}, I_MESSAGE 151 octets",
    ),
    _sample(
        "request of the first edition",
        "identity",
        replace(REQUEST, profile=replace(REQUEST.profile, version=m.FIRST_EDITION)),
        f"01 0001 {_USER_A} 04 0000001e {_UP_TO_0F} 7020 21 {_LINK_LOCAL} 40 {_USER_B} 41 03 5c1a01 42 02 0102 "
        f"{_I_MESSAGE}",
        f"Direct Connection Request {A} > {B}, I_MESSAGE 151 octets",
    ),
    _sample(
        "request to a group",
        "identity",
        GROUP_REQUEST,
        f"01 0001 {_USER_A} 04 0000001e {_UP_TO_0F} 7020 21 40 {_USER_B} 41 03 5c1a01 42 02 0204 "
        f"46 2e 00c0de 03 00011170 ec8b9b88 02 01 0000 {_TAG} {_RESCUE} {_I_MESSAGE}",
        f"Direct Connection Request {A} > {B}, I_MESSAGE 151 octets",
    ),
    _sample(
        "request to a group with members out",
        "identity",
        GROUP_REMOVAL,
        f"01 0001 {_USER_A} 04 0000001e {_UP_TO_0F} 7020 21 40 {_USER_B} 41 03 5c1a01 42 02 0204 "
        f"46 2e 00c0de 03 00011170 ec8b9b88 02 01 0000 {_TAG} {_RESCUE} "
        f"79 001a 0001020304050607 ec8b9b00 00 08090a0b0c0d0e0f ec8b9b01 01 {_I_MESSAGE}",
        f"Direct Connection Request {A} > {B}, I_MESSAGE 151 octets",
    ),
    _sample(
        "request to a group that answers an ask",
        "identity",
        GROUP_ANSWER,
        f"01 0001 {_USER_A} 04 0000001e {_UP_TO_0F} 7020 21 40 {_USER_B} 41 03 5c1a01 42 02 0204 "
        f"43 20 {_UP_TO_0F}{_FROM_10} 46 2e 00c0de 03 00011170 ec8b9b88 02 01 0000 {_TAG} {_RESCUE} {_I_MESSAGE}",
        f"Direct Connection Request {A} > {B}, I_MESSAGE 151 octets",
    ),
    _sample(
        "ask for a group key",
        "identity",
        GROUP_ASK,
        f"01 0001 {_USER_A} 04 0000001e {_UP_TO_0F} 7020 21 40 {_USER_B} 41 03 5c1a01 42 02 0208 "
        f"46 2e 00c0de 00 00011170 00000000 00 00 0000 {_TAG} {_RESCUE} {_I_MESSAGE}",
        f"Direct Connection Request {A} > {B}, I_MESSAGE 151 octets",
    ),
    _sample(
        "accept",
        "identity",
        ACCEPT,
        f"02 0002 02 {_LINK_LOCAL} 01 {_USER_B} 41 03 5c1b02 42 02 1201 43 20 {_UP_TO_0F}{_FROM_10} "
        f"47 10 {_FROM_10} 48 01 21 49 01 07 {_I_MESSAGE} 45 08 0001020304050607 44 10 {_UP_TO_0F}",
        f"Direct Connection Accept {B}, I_MESSAGE 151 octets",
    ),
    _sample(
        "accept without an I_MESSAGE",
        "identity",
        replace(ACCEPT, link_local=None, i_message=None, key_proof=None),
        f"02 0002 02 01 {_USER_B} 41 03 5c1b02 42 02 1201 43 20 {_UP_TO_0F}{_FROM_10} "
        f"47 10 {_FROM_10} 48 01 21 49 01 07 44 10 {_UP_TO_0F}",
        f"Direct Connection Accept {B}",
    ),
    _sample(
        "reject",
        "identity",
        m.DirectReject(sequence_number=3, cause=m.Cause.TIME_OR_KEY_PERIOD, request_hash=COUNTING[:8]),
        "03 0003 80 43 08 0001020304050607",
        "Direct Connection Reject, cause time or key period",
    ),
    _sample(
        "confirm",
        "identity",
        m.Keepalive(sequence_number=4, counter=0, confirmation=COUNTING[:16]),
        f"04 0004 00000000 44 10 {_UP_TO_0F}",
        "Confirm (Keepalive with key confirmation)",
    ),
    _sample(
        "keepalive",
        "identity",
        m.Keepalive(sequence_number=4, counter=5),
        "04 0004 00000005",
        "Keepalive, counter 5",
    ),
    _sample(
        "keepalive ack",
        "identity",
        m.KeepaliveAck(sequence_number=5, counter=5),
        "05 0005 00000005",
        "Keepalive Ack, counter 5",
    ),
    _sample(
        "release",
        "identity",
        m.Release(sequence_number=6, reason=m.ReleaseReason.NO_LONGER_ALLOWED),
        "06 0006 02",
        "Release, reason no longer allowed",
    ),
    _sample("release accept", "identity", m.ReleaseAccept(sequence_number=7), "07 0007", "Release Accept"),
    _sample(
        "rekeying request",
        "identity",
        REKEYING_REQUEST,
        f"0f 0008 7020 {_UP_TO_0F} 09 {_I_MESSAGE}",
        "Rekeying Request, I_MESSAGE 151 octets",
    ),
    _sample(
        "rekeying request with nonces only",
        "identity",
        replace(REKEYING_REQUEST, i_message=None),
        f"0f 0008 7020 {_UP_TO_0F} 09",
        "Rekeying Request",
    ),
    _sample(
        "rekeying response",
        "identity",
        REKEYING_RESPONSE,
        f"10 0009 43 20 {_UP_TO_0F}{_FROM_10} 47 10 {_FROM_10} 48 01 21 49 01 01 {_I_MESSAGE} 44 10 {_UP_TO_0F}",
        "Rekeying Response, I_MESSAGE 151 octets",
    ),
    _sample(
        "rekeying response with nonces only",
        "identity",
        replace(REKEYING_RESPONSE, i_message=None),
        f"10 0009 43 20 {_UP_TO_0F}{_FROM_10} 47 10 {_FROM_10} 48 01 21 49 01 01 44 10 {_UP_TO_0F}",
        "Rekeying Response",
    ),
    _sample("rekeying trigger", "identity", m.RekeyingTrigger(sequence_number=10), "11 000a", "Rekeying Trigger"),
    _sample(
        "signed request",
        "ts24334",
        SIGNED_REQUEST,
        f"01 0001 {_USER_B} 01 0000001e {_UP_TO_0F} 7020 21 11 01020304 19 0a0b0c {_SIGNATURE} {_LINK_LOCAL}",
        f"Direct Connection Request {B}",
    ),
    _sample(
        "request without options",
        "ts24334",
        replace(SIGNED_REQUEST, kd_id=None, relay_service_code=None, signature=None, link_local=None),
        f"01 0001 {_USER_B} 01 0000001e {_UP_TO_0F} 7020 21",
        f"Direct Connection Request {B}",
    ),
    _sample(
        "protected accept",
        "ts24334",
        mode.ProtectedAccept(sequence_number=2, ip_address_config=m.IpAddressConfig.IPV6_ROUTER, link_local=LINK_LOCAL),
        f"02 0002 02 {_LINK_LOCAL}",
        "Direct Connection Accept",
    ),
    _sample(
        "protected accept without an address",
        "ts24334",
        mode.ProtectedAccept(sequence_number=2, ip_address_config=m.IpAddressConfig.NOT_SUPPORTED),
        "02 0002 04",
        "Direct Connection Accept",
    ),
    _sample(
        "plain reject",
        "ts24334",
        mode.PlainReject(sequence_number=3, cause=m.Cause.L2_ID_CONFLICT),
        "03 0003 03",
        "Direct Connection Reject, cause layer-2 id conflict",
    ),
    _sample(
        "keepalive of ts24334",
        "ts24334",
        m.Keepalive(sequence_number=4, counter=0),
        "04 0004 00000000",
        "Keepalive",
    ),
    _sample(
        "security mode command",
        "ts24334",
        MODE_COMMAND,
        f"0c 0102 7020 {_UP_TO_0F} 23 77 10 beef 12 {_FROM_10} 18 03 010203 01 {_USER_B} {_SIGNATURE} "
        f"17 0111 {PAYLOAD.hex()}",
        f"Direct Security Mode Command {B}",
    ),
    _sample(
        "security mode command without options",
        "ts24334",
        replace(
            MODE_COMMAND,
            kd_id_msb=None,
            kd_freshness=None,
            gpi=None,
            user_info=None,
            signature=None,
            encrypted_payload=None,
        ),
        f"0c 0102 7020 {_UP_TO_0F} 23 77",
        "Direct Security Mode Command",
    ),
    _sample(
        "security mode complete",
        "ts24334",
        mode.SecurityModeComplete(sequence_number=13, kd_id_lsb=0xFFFE),
        "0d 000d 0f fffe",
        "Direct Security Mode Complete",
    ),
    _sample(
        "security mode complete without KD ID",
        "ts24334",
        mode.SecurityModeComplete(sequence_number=13),
        "0d 000d",
        "Direct Security Mode Complete",
    ),
    _sample(
        "security mode reject",
        "ts24334",
        mode.SecurityModeReject(sequence_number=14, cause=8, rand=COUNTING[:16], auts=COUNTING[:14]),
        f"0e 000e 08 0a {_UP_TO_0F} 09 000102030405060708090a0b0c0d",
        "Direct Security Mode Reject, cause KD-sess ID conflict",
    ),
    _sample(
        "security mode reject without RAND",
        "ts24334",
        mode.SecurityModeReject(sequence_number=14, cause=7),
        "0e 000e 07",
        "Direct Security Mode Reject, cause algorithms mismatch",
    ),
    _sample(
        "relay frame",
        "relay",
        RelayFrame(
            sequence_number=9,
            hop_limit=4,
            path_id=0xA1B2C3D4,
            origin_l2=0x5C1A01,
            destination_l2=0x5C1B02,
            pdu=bytes.fromhex("070007"),
        ),
        "f0 0009 04 a1b2c3d4 5c1a01 5c1b02 0003 070007",
        "Relay frame",
    ),
    _sample(
        "relayed PDCP PDU",
        "relay",
        RelayedPdcp(
            sequence_number=10,
            hop_limit=3,
            path_id=0xA1B2C3D5,
            origin_l2=0x5C1A01,
            destination_l2=0x5C1B02,
            lcid=1,
            pdu=bytes.fromhex("0021070001c0ffee"),
        ),
        "f1 000a 03 a1b2c3d5 5c1a01 5c1b02 01 0008 0021070001c0ffee",
        "Relayed PDCP PDU",
    ),
)


def of_profile(*profiles: str) -> list[Sample]:
    """The samples of some profiles."""
    return [sample for sample in SAMPLES if sample.profile in profiles]


def named(name: str) -> Sample:
    """The sample of a name."""
    (found,) = (sample for sample in SAMPLES if sample.name == name)
    return found
