"""Scapy layers for MIKEY messages (RFC 3830 6, RFC 4563, RFC 6043 6, RFC 6509 4, TS 33.180 E).

Payloads are stacked: `Mikey() / MikeyT() / ... / MikeySign()`; each `next_payload` follows from what is stacked on it.
"""

from __future__ import annotations

from scapy.fields import (
    BitEnumField,
    BitField,
    BitFieldLenField,
    ByteEnumField,
    ByteField,
    ConditionalField,
    FieldLenField,
    IntField,
    MultipleTypeField,
    PacketListField,
    ShortField,
    StrLenField,
    XIntField,
    XLongField,
    XStrField,
    XStrLenField,
)
from scapy.packet import Packet, bind_layers

from lab_scripts.dissectors.mikey_numbers import (
    BINDING_KINDS,
    DATA_TYPES,
    DH_GROUPS,
    DH_OCTETS,
    EXTENSIONS,
    GENERIC_ID,
    HASH_OCTETS,
    HASHES,
    ID_ROLES,
    ID_TYPES,
    KEY_TYPES,
    KEY_VALIDITY,
    MAC_ALGORITHMS,
    MAC_OCTETS,
    MAP_TYPES,
    NEXT_PAYLOADS,
    PRFS,
    SIGNATURES,
    SRTP_ID,
    TIMESTAMPS,
)


class _Item(Packet):
    """An entry of a list: what follows it belongs to the list."""

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


class MikeySrtpId(_Item):
    """Entry of an SRTP-ID map (RFC 3830 6.1.1)."""

    name = "MIKEY SRTP-ID"
    fields_desc = [ByteField("policy_no", 0), XIntField("ssrc", 0), IntField("roc", 0)]


class MikeyGenericId(_Item):
    """Entry of a GENERIC-ID map (RFC 6043 6.1.1)."""

    name = "MIKEY GENERIC-ID"
    fields_desc = [
        ByteField("cs_id", 1),
        ByteEnumField("protocol", 0, {0: "SRTP"}),
        BitField("s", 0, 1),
        BitFieldLenField("n_policies", None, 7, length_of="policies"),
        XStrLenField("policies", b"", length_from=lambda packet: packet.n_policies),
        FieldLenField("session_data_length", None, length_of="session_data"),
        XStrLenField("session_data", b"", length_from=lambda packet: packet.session_data_length),
        FieldLenField("spi_length", None, fmt="B", length_of="spi"),
        XStrLenField("spi", b"", length_from=lambda packet: packet.spi_length),
    ]


_MAP_ENTRIES: dict[int, type[Packet]] = {SRTP_ID: MikeySrtpId, GENERIC_ID: MikeyGenericId}


class Mikey(Packet):
    """HDR (RFC 3830 6.1)."""

    name = "MIKEY"
    fields_desc = [
        ByteField("version", 1),
        ByteEnumField("data_type", 26, DATA_TYPES),
        ByteEnumField("next_payload", 0, NEXT_PAYLOADS),
        BitField("v", 0, 1),
        BitEnumField("prf", 1, 7, PRFS),
        XIntField("csb_id", 0),
        FieldLenField("n_cs", None, fmt="B", count_of="crypto_sessions"),
        ByteEnumField("map_type", 1, MAP_TYPES),
        PacketListField(
            "crypto_sessions", [], next_cls_cb=lambda packet, done, last, rest: _next_session(packet, len(done), last)
        ),
    ]


def _next_session(header: Mikey, n_done: int, last: Packet | None) -> type[Packet] | None:
    n_read = n_done + (last is not None)
    return _MAP_ENTRIES.get(header.map_type) if n_read < header.n_cs else None


class MikeyKemac(Packet):
    """KEMAC (RFC 3830 6.2)."""

    name = "MIKEY KEMAC"
    fields_desc = [
        ByteEnumField("next_payload", 0, NEXT_PAYLOADS),
        ByteEnumField("encryption", 0, {0: "NULL", 1: "AES-CM-128", 2: "AES-KW-128"}),
        FieldLenField("length", None, length_of="data"),
        XStrLenField("data", b"", length_from=lambda packet: packet.length),
        ByteEnumField("mac_algorithm", 0, MAC_ALGORITHMS),
        XStrLenField("mac", b"", length_from=lambda packet: MAC_OCTETS.get(packet.mac_algorithm, 0)),
    ]


class MikeyPke(Packet):
    """Envelope data (RFC 3830 6.3)."""

    name = "MIKEY PKE"
    fields_desc = [
        ByteEnumField("next_payload", 0, NEXT_PAYLOADS),
        BitEnumField("cache", 0, 2, {0: "none", 1: "for the session", 2: "for a time"}),
        BitFieldLenField("length", None, 14, length_of="data"),
        XStrLenField("data", b"", length_from=lambda packet: packet.length),
    ]


def _key_validity() -> list[object]:
    """KV data of DH and key data payloads (RFC 3830 6.14)."""
    spi, interval = (lambda packet: packet.kv == 1), (lambda packet: packet.kv == 2)
    return [
        ConditionalField(FieldLenField("spi_length", None, fmt="B", length_of="spi"), spi),
        ConditionalField(XStrLenField("spi", b"", length_from=lambda packet: packet.spi_length), spi),
        ConditionalField(FieldLenField("from_length", None, fmt="B", length_of="valid_from"), interval),
        ConditionalField(XStrLenField("valid_from", b"", length_from=lambda packet: packet.from_length), interval),
        ConditionalField(FieldLenField("to_length", None, fmt="B", length_of="valid_to"), interval),
        ConditionalField(XStrLenField("valid_to", b"", length_from=lambda packet: packet.to_length), interval),
    ]


class MikeyDh(Packet):
    """DH data (RFC 3830 6.4)."""

    name = "MIKEY DH"
    fields_desc = [
        ByteEnumField("next_payload", 0, NEXT_PAYLOADS),
        ByteEnumField("group", 0, DH_GROUPS),
        XStrLenField("value", b"", length_from=lambda packet: DH_OCTETS.get(packet.group, 0)),
        BitField("reserved", 0, 4),
        BitEnumField("kv", 0, 4, KEY_VALIDITY),
        *_key_validity(),
    ]


class MikeySign(Packet):
    """SIGN (RFC 3830 6.5, RFC 6509 4.3): the last payload, it has no next payload."""

    name = "MIKEY SIGN"
    fields_desc = [
        BitEnumField("type", 2, 4, SIGNATURES),
        BitFieldLenField("length", None, 12, length_of="signature"),
        XStrLenField("signature", b"", length_from=lambda packet: packet.length),
    ]


class MikeyT(Packet):
    """T (RFC 3830 6.6)."""

    name = "MIKEY T"
    fields_desc = [
        ByteEnumField("next_payload", 0, NEXT_PAYLOADS),
        ByteEnumField("ts_type", 0, TIMESTAMPS),
        MultipleTypeField([(XIntField("ts", 0), lambda packet: packet.ts_type == 2)], XLongField("ts", 0)),
    ]


class MikeyId(Packet):
    """ID (RFC 3830 6.7)."""

    name = "MIKEY ID"
    fields_desc = [
        ByteEnumField("next_payload", 0, NEXT_PAYLOADS),
        ByteEnumField("id_type", 1, ID_TYPES),
        FieldLenField("length", None, length_of="identity"),
        StrLenField("identity", b"", length_from=lambda packet: packet.length),
    ]


class MikeyCert(Packet):
    """CERT (RFC 3830 6.7)."""

    name = "MIKEY CERT"
    fields_desc = [
        ByteEnumField("next_payload", 0, NEXT_PAYLOADS),
        ByteEnumField(
            "cert_type", 1, {0: "X.509v3", 1: "X.509v3 URL", 2: "X.509v3 signature", 3: "X.509v3 encryption"}
        ),
        FieldLenField("length", None, length_of="certificate"),
        XStrLenField("certificate", b"", length_from=lambda packet: packet.length),
    ]


class MikeyChash(Packet):
    """Certificate hash (RFC 3830 6.8)."""

    name = "MIKEY CHASH"
    fields_desc = [
        ByteEnumField("next_payload", 0, NEXT_PAYLOADS),
        ByteEnumField("hash_function", 0, HASHES),
        XStrLenField("hash", b"", length_from=lambda packet: HASH_OCTETS.get(packet.hash_function, 0)),
    ]


class MikeyV(Packet):
    """V (RFC 3830 6.9)."""

    name = "MIKEY V"
    fields_desc = [
        ByteEnumField("next_payload", 0, NEXT_PAYLOADS),
        ByteEnumField("mac_algorithm", 0, MAC_ALGORITHMS),
        XStrLenField("mac", b"", length_from=lambda packet: MAC_OCTETS.get(packet.mac_algorithm, 0)),
    ]


class MikeyPolicyParameter(_Item):
    """Parameter of a security policy (RFC 3830 6.10)."""

    name = "MIKEY policy parameter"
    fields_desc = [
        ByteField("type", 0),
        FieldLenField("length", None, fmt="B", length_of="value"),
        XStrLenField("value", b"", length_from=lambda packet: packet.length),
    ]


class MikeySp(Packet):
    """SP (RFC 3830 6.10)."""

    name = "MIKEY SP"
    fields_desc = [
        ByteEnumField("next_payload", 0, NEXT_PAYLOADS),
        ByteField("policy_no", 0),
        ByteEnumField("protocol", 0, {0: "SRTP"}),
        FieldLenField("length", None, length_of="parameters"),
        PacketListField("parameters", [], MikeyPolicyParameter, length_from=lambda packet: packet.length),
    ]


class MikeyRand(Packet):
    """RAND (RFC 3830 6.11)."""

    name = "MIKEY RAND"
    fields_desc = [
        ByteEnumField("next_payload", 0, NEXT_PAYLOADS),
        FieldLenField("length", None, fmt="B", length_of="rand"),
        XStrLenField("rand", b"", length_from=lambda packet: packet.length),
    ]


class MikeyErr(Packet):
    """ERR (RFC 3830 6.12)."""

    name = "MIKEY ERR"
    fields_desc = [
        ByteEnumField("next_payload", 0, NEXT_PAYLOADS),
        ByteField("error_number", 0),
        ShortField("reserved", 0),
    ]


class MikeyIdr(Packet):
    """IDR (RFC 6043 6.6)."""

    name = "MIKEY IDR"
    fields_desc = [
        ByteEnumField("next_payload", 0, NEXT_PAYLOADS),
        ByteEnumField("role", 1, ID_ROLES),
        ByteEnumField("id_type", 1, ID_TYPES),
        FieldLenField("length", None, length_of="identity"),
        StrLenField("identity", b"", length_from=lambda packet: packet.length),
    ]


class MikeyKeyData(Packet):
    """Key data (RFC 3830 6.13)."""

    name = "MIKEY key data"
    fields_desc = [
        ByteEnumField("next_payload", 0, NEXT_PAYLOADS),
        BitEnumField("type", 0, 4, KEY_TYPES),
        BitEnumField("kv", 0, 4, KEY_VALIDITY),
        FieldLenField("length", None, length_of="key"),
        XStrLenField("key", b"", length_from=lambda packet: packet.length),
        ConditionalField(FieldLenField("salt_length", None, length_of="salt"), lambda packet: packet.type in (1, 3)),
        ConditionalField(
            XStrLenField("salt", b"", length_from=lambda packet: packet.salt_length),
            lambda packet: packet.type in (1, 3),
        ),
        *_key_validity(),
    ]


class MikeyBinding(_Item):
    """Data of extension 245 of the `identity` profile: kind and hash of what the I_MESSAGE is bound to."""

    name = "pc5lab binding"
    fields_desc = [ByteEnumField("kind", 1, BINDING_KINDS), XStrField("hash", bytes(32))]


class MikeyGeneralExtension(Packet):
    """General Extension (RFC 3830 6.15)."""

    name = "MIKEY General Extension"
    fields_desc = [
        ByteEnumField("next_payload", 0, NEXT_PAYLOADS),
        ByteEnumField("type", 245, EXTENSIONS),
        FieldLenField("length", None, length_of="data"),
        MultipleTypeField(
            [
                (
                    PacketListField("data", [], MikeyBinding, length_from=lambda packet: packet.length),
                    lambda packet: packet.type == 245,
                )
            ],
            XStrLenField("data", b"", length_from=lambda packet: packet.length),
        ),
    ]


class MikeySakke(Packet):
    """SAKKE (RFC 6509 4.2)."""

    name = "MIKEY SAKKE"
    fields_desc = [
        ByteEnumField("next_payload", 0, NEXT_PAYLOADS),
        ByteEnumField("params", 1, {1: "parameter set 1"}),
        ByteEnumField("id_scheme", 1, {1: "monthly tel URI", 2: "hashed UID"}),
        FieldLenField("length", None, length_of="sed"),
        XStrLenField("sed", b"", length_from=lambda packet: packet.length),
    ]


PAYLOADS: dict[int, type[Packet]] = {
    1: MikeyKemac,
    2: MikeyPke,
    3: MikeyDh,
    4: MikeySign,
    5: MikeyT,
    6: MikeyId,
    7: MikeyCert,
    8: MikeyChash,
    9: MikeyV,
    10: MikeySp,
    11: MikeyRand,
    12: MikeyErr,
    14: MikeyIdr,
    20: MikeyKeyData,
    21: MikeyGeneralExtension,
    26: MikeySakke,
}

for _lower in (Mikey, *PAYLOADS.values()):
    if _lower is not MikeySign:
        for _number, _upper in PAYLOADS.items():
            bind_layers(_lower, _upper, next_payload=_number)
