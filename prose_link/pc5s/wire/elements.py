"""The information elements of PC5-S: identifier, how each stands in a message, its value bit by bit (PROFILE 2, 3).

Data only: `table` says which message has which; the codecs, dissectors and docs are made from both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from typing import Final

from prose_link.pc5s.wire.messages import (
    PROFILE_VERSION,
    Cause,
    IpAddressConfig,
    Kdf,
    Mutual,
    Purpose,
    ReleaseReason,
    UserInfoType,
    Worded,
)
from security.eccsi.eccsi import SIGNATURE_OCTETS
from security.groups import KeyingMode
from security.identifiers import MAX_IDENTITY_OCTETS, MIN_IDENTITY_OCTETS
from security.link.key_ladder import KEY_PROOF_OCTETS

GROUP_INFO_FIXED_OCTETS: Final = 24
"""Octets of Group info before the group identity (PROFILE 2)."""
MAX_GROUP_IDENTITY_OCTETS: Final = 200
"""The longest URI of a group: Group info has one octet for its length (PROFILE 11)."""
MEMBER_OUT_OCTETS: Final = 13
MAX_MEMBERS_OUT: Final = 16
"""Entries of Group members out, and the octets of each (PROFILE 11)."""
_ANY_LENGTH: Final = range(1, 1 << 16)


class Format(Enum):
    """How an element stands in a message (TS 24.007 11.2.1.1)."""

    V = "value, fixed length"
    LV = "length, value"
    LV_E = "length of two octets, value"
    TV = "identifier, value of fixed length"
    TLV = "identifier, length, value"
    TLV_E = "identifier, length of two octets, value"

    @property
    def has_identifier(self) -> bool:
        """Whether an IEI comes first."""
        return self in (Format.TV, Format.TLV, Format.TLV_E)

    @property
    def length_octets(self) -> int:
        """Octets of the length, 0 where the length is fixed."""
        return _LENGTH_OCTETS[self]


_LENGTH_OCTETS: Final = {Format.V: 0, Format.TV: 0, Format.LV: 1, Format.TLV: 1, Format.LV_E: 2, Format.TLV_E: 2}


class Coding(Enum):
    """How the codec writes a value; `ies` has a pair of functions for each."""

    NUMBER = "big-endian integer"
    NON_ZERO = "big-endian integer other than 0"
    CHOICE = "one octet of an enumeration, nothing else"
    OCTETS = "octets as they stand"
    USER_INFO = "type octet, identity"
    L2_ID = "layer-2 id that names a UE"
    CAPABILITIES = "a bit for each algorithm"
    ALGORITHMS = "chosen EEA and EIA"
    PROFILE = "profile octet and flags octet"
    GROUP_INFO = "group info of PROFILE 11"
    MEMBERS_OUT = "entries of 13 octets: removed members of a group"


class Shown(Enum):
    """How a reader sees a part of a value."""

    NUMBER = "number"
    HEX = "number in hex"
    OCTETS = "octets"
    TEXT = "text"
    IPV6 = "IPv6 address"
    CAPABILITIES = "offered EEA and EIA, a bit each"
    I_MESSAGE = "MIKEY message"
    PC5S = "PC5-S message"
    SPARE = "spare"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A field inside a value: `bits` wide, or with None all that is left.

    `name` is that of the Scapy field. `filter` follows `prose.pc5s.` in Wireshark; by default it is the name.
    """

    name: str
    title: str
    bits: int | None = None
    shown: Shown = Shown.NUMBER
    numbers: type[IntEnum] | None = None
    filter: str = ""
    default: int = 0
    """The value of a layer that is built without one."""

    @property
    def words(self) -> dict[int, str]:
        """The names of the values; empty if they are plain numbers."""
        if self.numbers is None:
            return {}
        if issubclass(self.numbers, Worded):
            return self.numbers.words_by_number()
        return {int(member): member.name.lower().replace("_", " ") for member in self.numbers}


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One information element: the dataclass's field, its title, how it stands in the message, and its value."""

    name: str
    title: str
    format: Format
    coding: Coding
    parts: tuple[Part, ...]
    lengths: range
    """Allowed lengths of the value in octets."""
    iei: int = 0
    """The identifier, if the format has one."""
    optional: bool = False

    @property
    def fixed_octets(self) -> int | None:
        """Octets of the value, if its length is fixed."""
        return self.lengths.start if len(self.lengths) == 1 else None


def _exactly(n_octets: int) -> range:
    return range(n_octets, n_octets + 1)


def _value(
    name: str,
    title: str,
    n_octets: int,
    coding: Coding = Coding.NUMBER,
    *,
    shown: Shown = Shown.NUMBER,
    numbers: type[IntEnum] | None = None,
    part: str = "",
    filter: str = "",
    default: int = 0,
) -> Element:
    """An element of fixed length without identifier that is one field."""
    field = Part(
        name=part or name, title=title, bits=8 * n_octets, shown=shown, numbers=numbers, filter=filter, default=default
    )
    return Element(name=name, title=title, format=Format.V, coding=coding, parts=(field,), lengths=_exactly(n_octets))


def _octets(
    name: str, title: str, iei: int, lengths: range, form: Format = Format.TV, *, part: str = "value", filter: str = ""
) -> Element:
    """An element with identifier whose value is octets as they stand."""
    shown = Part(name=part, title="Value" if "value" in (part, filter) else title, shown=Shown.OCTETS, filter=filter)
    return Element(name=name, title=title, format=form, coding=Coding.OCTETS, parts=(shown,), lengths=lengths, iei=iei)


def _number(name: str, title: str, iei: int, n_octets: int) -> Element:
    """An element of TS 24.334 with identifier and a number of fixed length."""
    return replace(_octets(name, title, iei, _exactly(n_octets)), coding=Coding.NUMBER)


def _identified(element: Element, form: Format, iei: int) -> Element:
    return replace(element, format=form, iei=iei)


def _user_info(name: str, title: str, form: Format, iei: int = 0) -> Element:
    kind = Part(
        name="user_info_type",
        title="User Info type",
        bits=8,
        numbers=UserInfoType,
        filter="user_info.type",
        default=UserInfoType.UPPER_LAYER,
    )
    identity = Part(name="user_info", title=title, shown=Shown.TEXT, filter=name)
    lengths = range(1 + MIN_IDENTITY_OCTETS, 1 + MAX_IDENTITY_OCTETS + 1)
    return Element(
        name=name,
        title=title,
        format=form,
        coding=Coding.USER_INFO,
        parts=(kind, identity),
        lengths=lengths,
        iei=iei,
    )


def _spare(bits: int, name: str = "spare") -> Part:
    return Part(name=name, title="spare", bits=bits, shown=Shown.SPARE)


# Elements without identifier -----------------------------------------------------------------------------------------

USER_INFO: Final = _user_info("user_info", "User Info", Format.LV)
IP_ADDRESS_CONFIG: Final = _value(
    "ip_address_config",
    "IP address config",
    1,
    Coding.CHOICE,
    numbers=IpAddressConfig,
    default=IpAddressConfig.NOT_SUPPORTED,
)
INACTIVITY_PERIOD: Final = _value(
    "maximum_inactivity_period_s",
    "Maximum inactivity period (s)",
    4,
    Coding.NON_ZERO,
    part="maximum_inactivity_period",
    filter="max_inactivity_period",
    default=30,
)
NONCE_1: Final = _value("nonce_1", "Nonce_1", 16, Coding.OCTETS, shown=Shown.OCTETS)
NONCE_2: Final = _value("nonce_2", "Nonce_2", 16, Coding.OCTETS, shown=Shown.OCTETS)
CAPABILITIES: Final = _value(
    "capabilities",
    "UE security capabilities",
    2,
    Coding.CAPABILITIES,
    shown=Shown.CAPABILITIES,
    part="ue_security_capabilities",
    filter="capabilities",
)
KD_SESS_ID_MSB: Final = _value(
    "kd_sess_id_msb", "KD-sess ID MSB", 1, Coding.NON_ZERO, shown=Shown.HEX, filter="kd_sess_id.msb", default=1
)
KD_SESS_ID_LSB: Final = _value("kd_sess_id_lsb", "KD-sess ID LSB", 1, shown=Shown.HEX, filter="kd_sess_id.lsb")
CAUSE: Final = _value("cause", "Cause", 1, numbers=Cause, default=Cause.AUTHENTICATION_FAILURE)
COUNTER: Final = _value("counter", "Keepalive counter", 4)
REASON: Final = _value(
    "reason", "Release reason", 1, Coding.CHOICE, numbers=ReleaseReason, default=ReleaseReason.NO_LONGER_NEEDED
)
ALGORITHMS: Final = Element(
    name="algorithms",
    title="Chosen algorithms",
    format=Format.V,
    coding=Coding.ALGORITHMS,
    parts=(
        _spare(1),
        Part(name="eea", title="Chosen EEA", bits=3),
        _spare(1, "spare_2"),
        Part(name="eia", title="Chosen EIA", bits=3),
    ),
    lengths=_exactly(1),
)

# Elements of TS 24.334 with identifier -------------------------------------------------------------------------------

USER_INFO_IE: Final = _user_info("user_info", "User Info", Format.TLV, 0x01)
LINK_LOCAL: Final = Element(
    name="link_local",
    title="Link-local IPv6 address",
    format=Format.TV,
    coding=Coding.OCTETS,
    parts=(Part(name="address", title="Link-local IPv6 address", bits=128, shown=Shown.IPV6, filter="link_local"),),
    lengths=_exactly(16),
    iei=0x03,
)
AUTS: Final = _octets("auts", "AUTS", 0x09, _exactly(14))
RAND: Final = _octets("rand", "RAND", 0x0A, _exactly(16))
KD_ID_LSB: Final = _number("kd_id_lsb", "LSB of KD ID", 0x0F, 2)
KD_ID_MSB: Final = _number("kd_id_msb", "MSB of KD ID", 0x10, 2)
KD_ID: Final = _number("kd_id", "KD ID", 0x11, 4)
KD_FRESHNESS: Final = _octets("kd_freshness", "KD freshness", 0x12, _exactly(16))
SIGNATURE: Final = _octets("signature", "Signature", 0x16, _exactly(SIGNATURE_OCTETS))
ENCRYPTED_PAYLOAD: Final = _octets(
    "encrypted_payload", "Encrypted payload", 0x17, _ANY_LENGTH, Format.TLV_E, part="payload_octets", filter="value"
)
GPI: Final = _octets("gpi", "GPI", 0x18, range(1, 256), Format.TLV)
RELAY_SERVICE_CODE: Final = _number("relay_service_code", "Relay service code", 0x19, 3)

# Elements of the `identity` profile with identifier ------------------------------------------------------------------

TARGET_USER_INFO: Final = _user_info("target_user_info", "Target User Info", Format.TLV, 0x40)
LINK_L2_ID: Final = Element(
    name="link_l2_id",
    title="Link L2 ID",
    format=Format.TLV,
    coding=Coding.L2_ID,
    parts=(Part(name="l2_id", title="Link L2 ID", bits=24, shown=Shown.HEX, filter="link_l2_id"),),
    lengths=_exactly(3),
    iei=0x41,
)
PROFILE: Final = Element(
    name="profile",
    title="Profile and flags",
    format=Format.TLV,
    coding=Coding.PROFILE,
    parts=(
        Part(name="kdf", title="Key derivation", bits=4, numbers=Kdf),
        Part(name="profile", title="Profile version", bits=4, default=PROFILE_VERSION),
        _spare(4),
        Part(name="purpose", title="Purpose", bits=2, numbers=Purpose),
        Part(name="mutual", title="Mutual authentication", bits=2, numbers=Mutual, default=Mutual.WANTED),
    ),
    lengths=_exactly(2),
    iei=0x42,
)
REQUEST_HASH: Final = _octets(
    "request_hash", "Request hash", 0x43, _exactly(32), Format.TLV, part="hash", filter="request_hash"
)
SHORT_REQUEST_HASH: Final = replace(REQUEST_HASH, lengths=_exactly(8))
"""The first octets of it, in a Reject."""
CONFIRMATION: Final = _octets(
    "confirmation", "Key confirmation", 0x44, _exactly(16), Format.TLV, part="confirmation", filter="key_confirmation"
)
KEY_PROOF: Final = _octets(
    "key_proof", "Key proof", 0x45, _exactly(KEY_PROOF_OCTETS), Format.TLV, part="proof", filter="key_proof"
)
GROUP_INFO: Final = Element(
    name="group_info",
    title="Group info",
    format=Format.TLV,
    coding=Coding.GROUP_INFO,
    parts=(
        Part(name="group_l2_id", title="Group L2 ID", bits=24, shown=Shown.HEX, filter="group.l2_id"),
        Part(name="pgk_id", title="PGK ID", bits=8, shown=Shown.HEX, filter="group.pgk_id", default=1),
        Part(name="epoch", title="Epoch", bits=32, filter="group.epoch"),
        Part(name="expiry_ntp_s", title="Expiry (NTP s)", bits=32, filter="group.expiry"),
        Part(name="eea", title="EEA", bits=8, filter="group.eea"),
        Part(name="mode", title="Mode", bits=8, numbers=KeyingMode, filter="group.mode"),
        _spare(16),
        Part(name="tag", title="Tag", bits=64, shown=Shown.OCTETS, filter="group.tag"),
        Part(name="group_identity", title="Group identity", shown=Shown.TEXT, filter="group.identity"),
    ),
    lengths=range(
        GROUP_INFO_FIXED_OCTETS + MIN_IDENTITY_OCTETS, GROUP_INFO_FIXED_OCTETS + MAX_GROUP_IDENTITY_OCTETS + 1
    ),
    iei=0x46,
)
MEMBERS_OUT: Final = Element(
    name="members_out",
    title="Group members out",
    format=Format.TLV_E,
    coding=Coding.MEMBERS_OUT,
    parts=(Part(name="entries", title="Entries", shown=Shown.OCTETS, filter="group.members_out"),),
    lengths=range(MEMBER_OUT_OCTETS, MAX_MEMBERS_OUT * MEMBER_OUT_OCTETS + 1, MEMBER_OUT_OCTETS),
    iei=0x79,
)
NONCE_2_IE: Final = _identified(NONCE_2, Format.TLV, 0x47)
ALGORITHMS_IE: Final = _identified(ALGORITHMS, Format.TLV, 0x48)
KD_SESS_ID_LSB_IE: Final = _identified(KD_SESS_ID_LSB, Format.TLV, 0x49)
I_MESSAGE: Final = Element(
    name="i_message",
    title="I_MESSAGE",
    format=Format.TLV_E,
    coding=Coding.OCTETS,
    parts=(Part(name="i_message", title="I_MESSAGE", shown=Shown.I_MESSAGE),),
    lengths=_ANY_LENGTH,
    iei=0x78,
)

FOREIGN_ELEMENTS: Final[tuple[Element, ...]] = (
    _octets("inactivity_period", "Maximum inactivity period", 0x07, _exactly(4)),
    _octets("pruk_id", "PRUK ID", 0x08, _exactly(8)),
    _octets("re_auth_flag", "Re-auth flag", 0x15, _exactly(1)),
)
"""Elements of other implementations: dissectors know them, the codecs don't."""

# Elements of the relay frame -----------------------------------------------------------------------------------------

HOP_LIMIT: Final = _value("hop_limit", "Hop limit", 1, filter="relay.hop_limit", default=1)
PATH_ID: Final = _value("path_id", "Path ID", 4, shown=Shown.HEX, filter="relay.path_id")
ORIGIN_L2: Final = _value("origin_l2", "Origin L2 ID", 3, shown=Shown.HEX, filter="relay.origin")
DESTINATION_L2: Final = _value("destination_l2", "Destination L2 ID", 3, shown=Shown.HEX, filter="relay.destination")
RELAYED_PDU: Final = Element(
    name="pdu",
    title="PC5-S message",
    format=Format.LV_E,
    coding=Coding.OCTETS,
    parts=(Part(name="pdu", title="PC5-S message", shown=Shown.PC5S),),
    lengths=range(1 << 16),
)
RELAYED_LCID: Final = _value("lcid", "LCID", 1, filter="relay.lcid", default=1)
RELAYED_PDCP_PDU: Final = Element(
    name="pdu",
    title="PDCP PDU",
    format=Format.LV_E,
    coding=Coding.OCTETS,
    parts=(Part(name="pdu", title="PDCP PDU", shown=Shown.OCTETS),),
    lengths=range(1 << 16),
)
