"""The layer-2 stack and groups: their header and keys, and layer-2 ids that another UE has taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from radio.l2.indications import Dropped, DropReason, PduSeen
from radio.l2.mac_pdu import MacVersion
from radio.l2.pdcp import ProtectionError
from tests.benches.l2_blocks import GROUP, A, B, Make, Run, block_of, only_reason, sdu_of


def test_groups_use_v_0001_and_the_one_to_many_header(make_stack: Make, run_air: Run, group_keys: Any) -> None:
    seen: list[PduSeen] = []
    a, b = make_stack(A, groups=group_keys(A), observer=seen.append), make_stack(B, groups=group_keys(B))
    for stack in (a, b):
        stack.join_group(GROUP)
    a.send(sdu_of(dst=GROUP, data=b"all", kd_sess_id=0))
    (got,) = run_air([a, b], 1)
    assert (got.dst_l2, got.data, got.protected) == (GROUP, b"all", True)
    octets = {pdu.layer: pdu.data for pdu in seen}
    assert octets["pdcp"][:5] == bytes.fromhex("05 1234 0001")
    assert octets["mac"][:6] == bytes.fromhex("10 abcdef 7777")
    b.leave_group(GROUP)
    a.send(sdu_of(dst=GROUP, kd_sess_id=0))
    assert only_reason(run_air([a, b], 1)) is DropReason.NOT_ADDRESSED


def test_a_sender_whose_layer_2_id_is_taken_sends_to_groups_from_another(
    make_stack: Make, run_air: Run, block_received: Callable[..., Any], group_keys: Any
) -> None:
    """What was sealed for the old id is thrown away; links, and requests to a group, stay with the UE's own."""
    seen: list[PduSeen] = []
    a, b = make_stack(A, groups=group_keys(A), observer=seen.append), make_stack(B, groups=group_keys(B))
    for stack in (a, b):
        stack.join_group(GROUP)
    a.send(sdu_of(dst=GROUP, data=b"from the old id", kd_sess_id=0))
    a.send(sdu_of(data=b"one to one"))
    twins = block_received(block_of(b"x" * 20, src=A, dst=GROUP, version=MacVersion.GROUP), GROUP & 0xFF)
    assert only_reason(a.receive(twins)) is DropReason.SENDER_TAKEN
    assert a.queued_octets(GROUP) == 0
    a.send(sdu_of(dst=GROUP, data=b"from the new id", kd_sess_id=0))
    a.send(sdu_of(dst=GROUP, lcid=28, data=b"a request"))
    got = run_air([a, b], 4)
    assert {(sdu.src_l2, sdu.dst_l2, sdu.data) for sdu in got} == {
        (A, B, b"one to one"),
        (A, GROUP, b"a request"),
        (A + 1, GROUP, b"from the new id"),
    }
    sources = {(pdu.src_l2, pdu.dst_l2) for pdu in seen if (pdu.layer, pdu.direction) == ("mac", "tx")}
    assert sources == {(A, B), (A, GROUP), (A + 1, GROUP)}
    assert [type(heard) for heard in a.receive(twins)] == [Dropped], "malformed as PDCP, but not refused by its source"
    assert a.mac.statistics.dropped[DropReason.SENDER_TAKEN] == 1


def test_an_own_block_to_a_group_that_comes_back_costs_neither_the_id_nor_what_waits(
    make_stack: Make, run_air: Run, block_received: Callable[..., Any], group_keys: Any
) -> None:
    """Any sender can repeat what this UE has sent; a block that differs in one bit is another UE's."""
    seen: list[PduSeen] = []
    keys = group_keys(A)
    a, b = make_stack(A, groups=keys, observer=seen.append), make_stack(B, groups=group_keys(B))
    for stack in (a, b):
        stack.join_group(GROUP)
    a.send(sdu_of(dst=GROUP, data=b"first", kd_sess_id=0))
    (got,) = run_air([a, b], 1)
    assert got.data == b"first"
    (sent,) = {pdu.data for pdu in seen if (pdu.layer, pdu.direction) == ("mac", "tx")}
    a.send(sdu_of(dst=GROUP, data=b"second", kd_sess_id=0))
    waiting = a.queued_octets(GROUP)
    for _ in range(3):
        assert only_reason(a.receive(block_received(sent, GROUP & 0xFF))) is DropReason.OWN_REPEATED
    assert (keys.sender_l2, a.queued_octets(GROUP)) == (A, waiting)
    other = sent[:-1] + bytes([sent[-1] ^ 1])
    assert only_reason(a.receive(block_received(other, GROUP & 0xFF))) is DropReason.SENDER_TAKEN
    assert (keys.sender_l2, a.queued_octets(GROUP)) == (A + 1, 0)


def test_a_taken_id_that_may_not_change_yet_loses_nothing_that_waits(
    make_stack: Make, block_received: Callable[..., Any], group_keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner of the keys decides; else an outsider would keep a UE silent by its own id."""
    keys = group_keys(A)
    monkeypatch.setattr(keys, "give_up_sender", lambda _src_l2: False)
    a = make_stack(A, groups=keys)
    a.join_group(GROUP)
    a.send(sdu_of(dst=GROUP, data=b"waits", kd_sess_id=0))
    waiting = a.queued_octets(GROUP)
    twins = block_received(block_of(b"x" * 20, src=A, dst=GROUP, version=MacVersion.GROUP), GROUP & 0xFF)
    assert only_reason(a.receive(twins)) is DropReason.SENDER_TAKEN
    assert a.queued_octets(GROUP) == waiting > 0


@pytest.mark.parametrize("dst", [B, GROUP])
def test_the_taken_id_is_noticed_in_pdus_to_anybody(
    dst: int, make_stack: Make, block_received: Callable[..., Any], group_keys: Any
) -> None:
    keys = group_keys(A)
    a = make_stack(A, groups=keys)
    assert only_reason(a.receive(block_received(block_of(b"x" * 20, src=A, dst=dst), dst & 0xFF))) is (
        DropReason.SENDER_TAKEN
    )
    assert keys.sender_l2 != A


def test_without_group_keys_nothing_goes_to_a_group(make_stack: Make) -> None:
    a = make_stack(A)
    a.join_group(GROUP)
    with pytest.raises(ProtectionError):
        a.send(sdu_of(dst=GROUP))
