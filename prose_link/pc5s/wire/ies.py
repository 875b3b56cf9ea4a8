"""How the value of each information element is written and read: a pair of functions for each coding (PROFILE 2, 3).

Every `read_*` takes exactly the octets of the value and raises `MalformedMessage` for any value the profile doesn't
define; every `write_*` raises it for values that have no encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeVar, assert_never

from prose_link.errors import ProseLinkError
from prose_link.pc5s.wire.elements import GROUP_INFO_FIXED_OCTETS, MEMBER_OUT_OCTETS, Coding, Element
from prose_link.pc5s.wire.messages import (
    FIRST_EDITION,
    GROUP_TAG_OCTETS,
    PROFILE_VERSION,
    ChosenAlgorithms,
    GroupInfo,
    Kdf,
    MemberOut,
    MemberState,
    Mutual,
    ProfileAndFlags,
    Purpose,
    SecurityCapabilities,
    UserInfoType,
)
from security.identifiers import IdentityError, canonical_identity

NO_L2_ID: Final = frozenset({0, 0xFFFFFF})
"""Layer-2 ids that name no UE (PROFILE 3, IE 0x41)."""
HIGHEST_ALGORITHM: Final = 3
"""128-EEA3 and 128-EIA3 are the last algorithms defined (TS 33.401 5.1.3.2, 5.1.4.2)."""

_VERSIONS: Final = frozenset({FIRST_EDITION, PROFILE_VERSION})

_E = TypeVar("_E", bound=IntEnum)


class MalformedMessage(ProseLinkError):
    """Octets that are no message of the profile, or a message that has no encoding."""


@dataclass(frozen=True, slots=True)
class Coder:
    """How a value becomes octets, and octets a value."""

    write: Callable[[Any], bytes]
    read: Callable[[bytes], Any]


def coder_of(element: Element) -> Coder:
    """The functions of an element's coding; raises TypeError for a choice without an enumeration to choose from."""
    match element.coding:
        case Coding.NUMBER:
            return Coder(write_number(element.lengths.start), read_number)
        case Coding.NON_ZERO:
            return Coder(write_non_zero(element.lengths.start), read_non_zero)
        case Coding.CHOICE:
            return Coder(write_enum, read_enum(_choices_of(element)))
        case Coding.OCTETS:
            return Coder(read_octets, read_octets)
        case Coding.USER_INFO:
            return Coder(write_user_info, read_user_info)
        case Coding.L2_ID:
            return Coder(write_l2_id, read_l2_id)
        case Coding.CAPABILITIES:
            return Coder(write_capabilities, read_capabilities)
        case Coding.ALGORITHMS:
            return Coder(write_algorithms, read_algorithms)
        case Coding.PROFILE:
            return Coder(write_profile, read_profile)
        case Coding.GROUP_INFO:
            return Coder(write_group_info, read_group_info)
        case Coding.MEMBERS_OUT:
            return Coder(write_members_out, read_members_out)
        case _:
            assert_never(element.coding)


def _choices_of(element: Element) -> type[IntEnum]:
    (part,) = element.parts
    if part.numbers is None:
        raise TypeError(f"{element.title}: no enumeration to choose from")
    return part.numbers


def read_number(octets: bytes) -> int:
    """Big-endian integer."""
    return int.from_bytes(octets)


def write_number(n_octets: int) -> Callable[[int], bytes]:
    """Writer of big-endian integers of a fixed length."""

    def write(value: int) -> bytes:
        if not 0 <= value < 1 << (8 * n_octets):
            raise MalformedMessage(f"{value} does not fit {n_octets} octets")
        return value.to_bytes(n_octets)

    return write


def read_non_zero(octets: bytes) -> int:
    """Big-endian integer that is not 0: KD-sess ID MSB (1..255), maximum inactivity period."""
    value = int.from_bytes(octets)
    if value == 0:
        raise MalformedMessage("0 is reserved here")
    return value


def write_non_zero(n_octets: int) -> Callable[[int], bytes]:
    """Writer of big-endian integers that are not 0."""
    write_any = write_number(n_octets)

    def write(value: int) -> bytes:
        if value == 0:
            raise MalformedMessage("0 is reserved here")
        return write_any(value)

    return write


def read_octets(octets: bytes) -> bytes:
    """The value as it stands: nonces, hashes, confirmations, I_MESSAGEs."""
    return octets


def read_enum(kind: type[_E]) -> Callable[[bytes], _E]:
    """Reader of a one-octet value that must be one of an enumeration."""

    def read(octets: bytes) -> _E:
        return _member(kind, octets[0])

    return read


def write_enum(value: IntEnum) -> bytes:
    """One octet."""
    return bytes([value])


def _member(kind: type[_E], value: int) -> _E:
    try:
        return kind(value)
    except ValueError:
        raise MalformedMessage(f"{value} is no {kind.__name__}") from None


def read_user_info(octets: bytes) -> str:
    """Type octet 0x01, then an identity in canonical form."""
    if octets[0] != UserInfoType.UPPER_LAYER:
        raise MalformedMessage(f"User Info of type {octets[0]:#04x}")
    return _read_identity(octets[1:])


def write_user_info(uri: str) -> bytes:
    """Type octet 0x01, then the identity."""
    return bytes([UserInfoType.UPPER_LAYER]) + _write_identity(uri)


def _read_identity(octets: bytes) -> str:
    try:
        return canonical_identity(octets.decode("ascii"))
    except (IdentityError, UnicodeDecodeError) as error:
        raise MalformedMessage(f"identity: {error}") from None


def _write_identity(uri: str) -> bytes:
    try:
        return canonical_identity(uri).encode("ascii")
    except (IdentityError, UnicodeEncodeError) as error:
        raise MalformedMessage(f"identity: {error}") from None


def read_l2_id(octets: bytes) -> int:
    """A layer-2 id that names a UE."""
    value = int.from_bytes(octets)
    if value in NO_L2_ID:
        raise MalformedMessage(f"layer-2 id {value:#08x}")
    return value


def write_l2_id(value: int) -> bytes:
    """Three octets."""
    if value in NO_L2_ID:
        raise MalformedMessage(f"layer-2 id {value:#08x}")
    return write_number(3)(value)


def read_capabilities(octets: bytes) -> SecurityCapabilities:
    """EEA0..7 from bit 8 of the first octet, EIA0..7 of the second."""
    return SecurityCapabilities.of(_algorithms(octets[0]), _algorithms(octets[1]))


def write_capabilities(value: SecurityCapabilities) -> bytes:
    """Two octets of bits."""
    return bytes([_algorithm_bits(value.eea), _algorithm_bits(value.eia)])


def _algorithms(octet: int) -> Iterable[int]:
    return (number for number in range(8) if octet & (0x80 >> number))


def _algorithm_bits(numbers: frozenset[int]) -> int:
    if not numbers <= frozenset(range(8)):
        raise MalformedMessage(f"algorithm numbers {sorted(numbers)}")
    return sum(0x80 >> number for number in numbers)


def read_algorithms(octets: bytes) -> ChosenAlgorithms:
    """Bits 7-5 EEA, 3-1 EIA, the others 0."""
    value = octets[0]
    eea, eia = value >> 4, value & 0x0F
    if max(eea, eia) > 7:
        raise MalformedMessage(f"chosen algorithms {value:#04x}: spare bits set")
    return ChosenAlgorithms(eea=eea, eia=eia)


def write_algorithms(value: ChosenAlgorithms) -> bytes:
    """One octet."""
    if not (0 <= value.eea <= 7 and 0 <= value.eia <= 7):
        raise MalformedMessage(f"chosen algorithms EEA{value.eea}, EIA{value.eia}")
    return bytes([value.eea << 4 | value.eia])


def read_profile(octets: bytes) -> ProfileAndFlags:
    """Profile octet and flags octet; every other value than the defined ones is malformed."""
    profile, flags = octets
    if profile & 0x0F not in _VERSIONS or flags >> 4:
        raise MalformedMessage(f"profile {profile:#04x}, flags {flags:#04x}")
    return ProfileAndFlags(
        version=profile & 0x0F,
        kdf=_member(Kdf, profile >> 4),
        mutual=_member(Mutual, flags & 3),
        purpose=_member(Purpose, flags >> 2 & 3),
    )


def write_profile(value: ProfileAndFlags) -> bytes:
    """Two octets."""
    if value.version not in _VERSIONS:
        raise MalformedMessage(f"version {value.version} of the profile")
    return bytes([value.kdf << 4 | value.version, value.purpose << 2 | value.mutual])


def read_group_info(octets: bytes) -> GroupInfo:
    """Group L2 ID 3, PGK ID 1, epoch 4, expiry 4, EEA 1, mode 1, two zero octets, tag 8, group identity (PROFILE 11).

    PGK index 0 is for asks alone, which the message's purpose tells.
    """
    pgk_id, eea, mode = octets[3], octets[12], octets[13]
    if eea > HIGHEST_ALGORITHM or mode > 1 or octets[14:16] != b"\0\0":
        raise MalformedMessage("Group info: a reserved value")
    return GroupInfo(
        group_l2_id=read_l2_id(octets[:3]),
        pgk_id=pgk_id,
        epoch=int.from_bytes(octets[4:8]),
        expiry_ntp_s=int.from_bytes(octets[8:12]),
        eea=eea,
        mode=mode,
        tag=octets[16:GROUP_INFO_FIXED_OCTETS],
        group_identity=_read_identity(octets[GROUP_INFO_FIXED_OCTETS:]),
    )


def write_group_info(value: GroupInfo) -> bytes:
    """24 octets and the group identity."""
    if value.eea > HIGHEST_ALGORITHM or value.mode > 1 or len(value.tag) != GROUP_TAG_OCTETS:
        raise MalformedMessage("Group info: a reserved value")
    octet, four_octets = write_number(1), write_number(4)
    numbers = octet(value.pgk_id) + four_octets(value.epoch) + four_octets(value.expiry_ntp_s)
    algorithm = octet(value.eea) + octet(value.mode) + b"\0\0"
    return write_l2_id(value.group_l2_id) + numbers + algorithm + value.tag + _write_identity(value.group_identity)


def read_members_out(octets: bytes) -> tuple[MemberOut, ...]:
    """Entries of {hash of the member 8, NTP second 4, state 1}, each member once (PROFILE 11)."""
    entries = tuple(
        MemberOut(
            member=octets[at : at + 8],
            ntp_s=int.from_bytes(octets[at + 8 : at + 12]),
            state=_member(MemberState, octets[at + 12]),
        )
        for at in range(0, len(octets), MEMBER_OUT_OCTETS)
    )
    if len({entry.member for entry in entries}) != len(entries):
        raise MalformedMessage("Group members out: a member twice")
    return entries


def write_members_out(value: tuple[MemberOut, ...]) -> bytes:
    """The entries one after the other."""
    if any(len(entry.member) != 8 for entry in value) or len({entry.member for entry in value}) != len(value):
        raise MalformedMessage("Group members out: a member twice, or a hash that is not 8 octets")
    return b"".join(entry.member + write_number(4)(entry.ntp_s) + bytes([entry.state]) for entry in value)
