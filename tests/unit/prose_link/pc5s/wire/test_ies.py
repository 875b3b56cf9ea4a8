"""The coding of each element's value at its limits: what is written, what is read, and what is refused either way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from prose_link.pc5s.wire.elements import Coding
from prose_link.pc5s.wire.ies import (
    MalformedMessage,
    coder_of,
    read_algorithms,
    read_capabilities,
    read_enum,
    read_group_info,
    read_l2_id,
    read_members_out,
    read_non_zero,
    read_number,
    read_profile,
    read_user_info,
    write_algorithms,
    write_capabilities,
    write_enum,
    write_group_info,
    write_l2_id,
    write_members_out,
    write_non_zero,
    write_number,
    write_profile,
    write_user_info,
)
from prose_link.pc5s.wire.messages import (
    ChosenAlgorithms,
    GroupInfo,
    Kdf,
    MemberOut,
    MemberState,
    Mutual,
    ProfileAndFlags,
    Purpose,
    ReleaseReason,
    SecurityCapabilities,
)
from prose_link.pc5s.wire.table import PROFILES

ELEMENTS = [element for forms in PROFILES.values() for form in forms.values() for element in form]
GROUP = GroupInfo(
    group_l2_id=0x0A0B0C,
    pgk_id=0x21,
    epoch=0x01020304,
    expiry_ntp_s=0x05060708,
    eea=3,
    mode=1,
    group_identity="tel:+4499",
    tag=b"tag 8 oc",
)
GROUP_OCTETS = bytes.fromhex("0a0b0c 21 01020304 05060708 03 01 0000") + b"tag 8 octel:+4499"
OUT = MemberOut(member=b"member 1", ntp_s=0x01020304, state=MemberState.OUT)
BACK = MemberOut(member=b"member 2", ntp_s=0xFFFFFFFF, state=MemberState.IN_AGAIN)
OUT_OCTETS, BACK_OCTETS = b"member 1\1\2\3\4\0", b"member 2\xff\xff\xff\xff\1"


@pytest.mark.parametrize(
    ("write", "read", "value", "octets"),
    [
        (write_number(1), read_number, 0, b"\0"),
        (write_number(1), read_number, 255, b"\xff"),
        (write_number(2), read_number, 0x0102, b"\1\2"),
        (write_number(4), read_number, 0xFFFFFFFF, b"\xff" * 4),
        (write_non_zero(1), read_non_zero, 1, b"\1"),
        (write_non_zero(2), read_non_zero, 0x0102, b"\1\2"),
        (write_enum, read_enum(ReleaseReason), ReleaseReason.NO_LONGER_ALLOWED, bytes([2])),
        (write_user_info, read_user_info, "tel:+441", b"\1tel:+441"),
        (write_l2_id, read_l2_id, 1, b"\0\0\1"),
        (write_l2_id, read_l2_id, 0xFFFFFE, b"\xff\xff\xfe"),
        (write_capabilities, read_capabilities, SecurityCapabilities.of((0, 7), (1, 2)), b"\x81\x60"),
        (write_capabilities, read_capabilities, SecurityCapabilities.of((), (0,)), b"\x00\x80"),
        (write_algorithms, read_algorithms, ChosenAlgorithms(eea=7, eia=1), b"\x71"),
        (write_algorithms, read_algorithms, ChosenAlgorithms(eea=0, eia=7), b"\x07"),
        (write_group_info, read_group_info, GROUP, GROUP_OCTETS),
        (write_group_info, read_group_info, replace(GROUP, eea=0, mode=0, pgk_id=0),
         GROUP_OCTETS[:3] + b"\0" + GROUP_OCTETS[4:12] + b"\0\0" + GROUP_OCTETS[14:]),
        (write_members_out, read_members_out, (OUT, BACK), OUT_OCTETS + BACK_OCTETS),
        (write_members_out, read_members_out, (BACK,), BACK_OCTETS),
    ],
)  # fmt: skip
def test_a_value_and_its_octets(
    write: Callable[[Any], bytes], read: Callable[[bytes], Any], value: Any, octets: bytes
) -> None:
    assert write(value) == octets
    assert read(octets) == value


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("kdf", Kdf)
@pytest.mark.parametrize("mutual", Mutual)
@pytest.mark.parametrize("purpose", Purpose)
def test_profile_and_flags(version: int, kdf: Kdf, mutual: Mutual, purpose: Purpose) -> None:
    value = ProfileAndFlags(version=version, kdf=kdf, mutual=mutual, purpose=purpose)
    octets = bytes([kdf * 16 + version, purpose * 4 + mutual])
    assert write_profile(value) == octets
    assert read_profile(octets) == value


@pytest.mark.parametrize(
    ("write", "value"),
    [
        (write_number(1), -1),
        (write_number(1), 256),
        (write_number(2), 1 << 16),
        (write_non_zero(1), 0),
        (write_non_zero(1), 256),
        (write_user_info, "tel:+44\xe9"),
        (write_user_info, ""),
        (write_l2_id, 0),
        (write_l2_id, 0xFFFFFF),
        (write_l2_id, 1 << 24),
        (write_capabilities, SecurityCapabilities.of((8,), ())),
        (write_capabilities, SecurityCapabilities.of((), (8,))),
        (write_algorithms, ChosenAlgorithms(eea=8, eia=0)),
        (write_algorithms, ChosenAlgorithms(eea=0, eia=8)),
        (write_algorithms, ChosenAlgorithms(eea=-1, eia=0)),
        (write_algorithms, ChosenAlgorithms(eea=0, eia=-1)),
        (write_group_info, replace(GROUP, eea=4)),
        (write_group_info, replace(GROUP, eea=-1)),
        (write_group_info, replace(GROUP, mode=2)),
        (write_group_info, replace(GROUP, mode=-1)),
        (write_group_info, replace(GROUP, tag=bytes(7))),
        (write_group_info, replace(GROUP, tag=bytes(9))),
        (write_group_info, replace(GROUP, pgk_id=256)),
        (write_group_info, replace(GROUP, epoch=1 << 32)),
        (write_group_info, replace(GROUP, expiry_ntp_s=1 << 32)),
        (write_group_info, replace(GROUP, group_l2_id=0)),
        (write_group_info, replace(GROUP, group_identity="")),
        (write_members_out, (OUT, OUT)),
        (write_members_out, (replace(OUT, member=bytes(7)),)),
        (write_members_out, (replace(OUT, member=bytes(9)),)),
        (write_members_out, (replace(OUT, ntp_s=1 << 32),)),
        (
            write_profile,
            ProfileAndFlags(version=0, kdf=Kdf.FC33303, mutual=Mutual.NOT_WANTED, purpose=Purpose.ONE_TO_ONE),
        ),
        (
            write_profile,
            ProfileAndFlags(version=3, kdf=Kdf.FC33303, mutual=Mutual.NOT_WANTED, purpose=Purpose.ONE_TO_ONE),
        ),
    ],
)
def test_a_value_without_an_encoding(write: Callable[[Any], bytes], value: Any) -> None:
    with pytest.raises(MalformedMessage):
        write(value)


@pytest.mark.parametrize(
    ("read", "octets"),
    [
        (read_non_zero, b"\0"),
        (read_non_zero, b"\0\0"),
        (read_enum(MemberState), b"\2"),
        (read_user_info, b"\2tel:+441"),
        (read_user_info, b"\0tel:+441"),
        (read_user_info, b"\1tel:+44\xe9"),
        (read_user_info, b"\1TEL:+441"),
        (read_l2_id, bytes(3)),
        (read_l2_id, b"\xff" * 3),
        (read_algorithms, b"\x80"),
        (read_algorithms, b"\x08"),
        (read_profile, b"\x00\x00"),
        (read_profile, b"\x03\x00"),
        (read_profile, b"\xf1\x00"),
        (read_profile, b"\x01\x10"),
        (read_profile, b"\x01\x03"),
        (read_group_info, GROUP_OCTETS[:12] + b"\4" + GROUP_OCTETS[13:]),
        (read_group_info, GROUP_OCTETS[:13] + b"\2" + GROUP_OCTETS[14:]),
        (read_group_info, GROUP_OCTETS[:14] + b"\1" + GROUP_OCTETS[15:]),
        (read_group_info, GROUP_OCTETS[:15] + b"\1" + GROUP_OCTETS[16:]),
        (read_group_info, bytes(3) + GROUP_OCTETS[3:]),
        (read_group_info, GROUP_OCTETS[:24] + b"\xff\xff\xff"),
        (read_members_out, OUT_OCTETS * 2),
        (read_members_out, OUT_OCTETS[:-1] + b"\2"),
    ],
)
def test_octets_that_are_no_value(read: Callable[[bytes], Any], octets: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read(octets)


def test_writers_of_numbers_are_made_for_a_length() -> None:
    assert (write_number(2)(258), write_non_zero(2)(258), write_non_zero(1)(1)) == (b"\1\2", b"\1\2", b"\1")
    for write, value in ((write_number(1), 256), (write_non_zero(1), 256), (write_non_zero(1), 0)):
        with pytest.raises(MalformedMessage):
            write(value)


@pytest.mark.parametrize(
    ("coding", "value", "octets"),
    [
        (Coding.CAPABILITIES, SecurityCapabilities.of((0, 7), (1, 2)), b"\x81\x60"),
        (Coding.ALGORITHMS, ChosenAlgorithms(eea=7, eia=1), b"\x71"),
        (Coding.USER_INFO, "tel:+441", b"\1tel:+441"),
        (Coding.L2_ID, 0xFFFFFE, b"\xff\xff\xfe"),
        (Coding.PROFILE, ProfileAndFlags(mutual=Mutual.WANTED), b"\x02\x01"),
        (Coding.GROUP_INFO, GROUP, GROUP_OCTETS),
        (Coding.MEMBERS_OUT, (OUT, BACK), OUT_OCTETS + BACK_OCTETS),
        (Coding.OCTETS, b"as it stands", b"as it stands"),
    ],
)
def test_each_coding_has_its_two_functions(coding: Coding, value: Any, octets: bytes) -> None:
    coder = coder_of(next(one for one in ELEMENTS if one.coding is coding))
    assert coder.write(value) == octets and coder.read(octets) == value


def test_numbers_and_choices_are_coded_by_the_length_and_the_enumeration_of_their_element() -> None:
    for element in ELEMENTS:
        n_octets = element.lengths.start
        if element.coding in (Coding.NUMBER, Coding.NON_ZERO):
            coder = coder_of(element)
            assert coder.write(1) == (1).to_bytes(n_octets) and coder.read(b"\1" * n_octets) > 0
            if element.coding is Coding.NON_ZERO:
                for refused in (lambda one=coder: one.write(0), lambda one=coder, n=n_octets: one.read(bytes(n))):
                    with pytest.raises(MalformedMessage):
                        refused()
            else:
                assert coder.write(0) == bytes(n_octets) and coder.read(bytes(n_octets)) == 0
        if element.coding is Coding.CHOICE:
            numbers: Any = element.parts[0].numbers
            coder = coder_of(element)
            assert [coder.read(coder.write(one)) for one in numbers] == list(numbers)
            assert type(coder.read(bytes([next(iter(numbers))]))) is numbers


def test_what_two_capabilities_have_in_common() -> None:
    both = SecurityCapabilities.of((1, 2), (2, 3)) & SecurityCapabilities.of((2, 3), (1, 3))
    assert both == SecurityCapabilities.of((2,), (3,))
