"""A group's configuration at a UE, and what of it goes into the elements of a keying message and comes out of them."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from prose_link.pc5s.core.group_config import (
    AfterRestart,
    GroupConfig,
    GroupConfigError,
    entries_of,
    info_of,
    keying_of,
    removals_of,
)
from prose_link.pc5s.wire.messages import GroupInfo, MemberOut, MemberState
from security.groups import GroupError, GroupKeying, KeyingMode, Removal

GROUP = "tel:+4499"
KEYERS = tuple(f"tel:+441{n}" for n in range(9))
FIELDS = {"pgk_id": 0x21, "epoch": 7, "expiry_ntp_s": 8000, "eea": 2, "mode": 1, "tag": b"tag 8 oc"}
KEYING = GroupKeying(group_identity=GROUP, group_l2=0x0A0B0C, **FIELDS)
INFO = GroupInfo(group_identity=GROUP, group_l2_id=0x0A0B0C, **FIELDS)


def config(**changes: object) -> GroupConfig:
    return GroupConfig(**{"identity": GROUP, "l2_id": 5, "keyers": KEYERS[:1], **changes})


def test_a_group_with_nothing_but_what_it_needs() -> None:
    assert asdict(config()) == {
        "identity": GROUP,
        "l2_id": 5,
        "keyers": KEYERS[:1],
        "members": (),
        "eea": 2,
        "mode": KeyingMode.PER_MEMBER,
        "backward_secrecy": True,
        "lifetime_s": 86_400,
        "receipts": True,
        "asks": True,
        "restart": AfterRestart.SAME_KEY,
        "speak_unsure": False,
        "deliver_when_heard": True,
        "deferred_delivery": False,
    }


@pytest.mark.parametrize("number", [1, 2, 8])
def test_so_many_keyers_are_a_group(number: int) -> None:
    assert config(keyers=KEYERS[:number]).keyers == KEYERS[:number]


@pytest.mark.parametrize("keyers", [(), KEYERS, (KEYERS[0], KEYERS[1], KEYERS[0])], ids=["none", "nine", "twice"])
def test_no_keyer_or_too_many_or_one_twice(keyers: tuple[str, ...]) -> None:
    with pytest.raises(GroupConfigError, match="keyers; from 1 to 8 different ones"):
        config(keyers=keyers)


@pytest.mark.parametrize("where", ["keyers", "members"])
def test_a_group_is_no_party_of_itself(where: str) -> None:
    with pytest.raises(GroupConfigError, match="own identity"):
        config(**{where: (KEYERS[3], GROUP)})


def test_the_longest_identity_of_a_group() -> None:
    longest = "tel:" + "1" * 196
    assert config(identity=longest).identity == longest
    with pytest.raises(GroupConfigError, match="201 octets; 200 fit"):
        config(identity=longest + "1")


def test_each_field_of_a_key_goes_into_its_element_and_comes_out_of_it() -> None:
    assert info_of(KEYING) == INFO
    assert keying_of(INFO) == KEYING


def test_an_element_that_describes_no_key() -> None:
    with pytest.raises(GroupError):
        keying_of(GroupInfo(group_identity=GROUP, group_l2_id=0, **FIELDS))


def test_removals_become_entries_and_entries_removals_in_order() -> None:
    out = Removal(member=b"a" * 8, ntp_s=20, is_out=True)
    back = Removal(member=b"b" * 8, ntp_s=10, is_out=False)
    entries = (
        MemberOut(member=b"a" * 8, ntp_s=20, state=MemberState.OUT),
        MemberOut(member=b"b" * 8, ntp_s=10, state=MemberState.IN_AGAIN),
    )
    assert entries_of((out, back)) == entries
    assert removals_of(entries[::-1]) == (out, back)
    assert entries_of(()) is None
    assert removals_of(None) == removals_of(()) == ()
