"""The layer-2 stack from SDU to SDU: addressing, fairness, bounds, protection, hostile input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radio.l2.config import L2Config
from radio.l2.indications import Dropped, DropReason, PduReceived, PduSeen, SduReceived
from radio.l2.logical_channels import AddressError
from radio.l2.mac import QueueFull
from radio.l2.mac_pdu import MacPdu, MacSdu, MacVersion, encode_mac_pdu
from radio.l2.pdcp import OneToOnePdu, PdcpPduError, PdcpSdu, ProtectionError, SduType, encode_one_to_one
from radio.l2.pdcp_entity import PdcpEntity
from radio.l2.rlc_um_pdu import UmdPdu, encode_umd
from tests.unit.radio.l2.conftest import XorProtector

A, B, GROUP = 0xABCDEF, 0x123456, 0x777701

STATELESS = [HealthCheck.function_scoped_fixture]
"""The fixtures are factories that keep nothing."""

Make = Callable[..., Any]
Run = Callable[..., list[Any]]


def sdu_of(dst: int = B, lcid: int = 1, data: bytes = b"data", kd_sess_id: int = 0x2107) -> PdcpSdu:
    sdu_type = SduType.IP if lcid <= 10 else SduType.PC5_SIGNALLING
    return PdcpSdu(dst_l2=dst, lcid=lcid, sdu_type=sdu_type, data=data, kd_sess_id=0 if lcid == 28 else kd_sess_id)


def block_of(
    pdcp: bytes,
    *,
    lcid: int = 1,
    src: int = A,
    dst: int = B,
    version: MacVersion = MacVersion.UNICAST,
    sn: int = 0,
) -> bytes:
    rlc = encode_umd(UmdPdu(sn=sn, starts=True, ends=True, elements=(pdcp,)))
    pdu = MacPdu(version=version, src=src, dst=dst >> 8, sdus=(MacSdu(lcid=lcid, data=rlc),))
    return encode_mac_pdu(pdu, len(rlc) + 40)


def only_reason(indications: list[Any]) -> DropReason:
    assert [type(indication) for indication in indications] == [Dropped]
    reason: DropReason = indications[0].reason
    return reason


def test_sdus_arrive_in_order_on_every_channel(make_stack: Make, run_air: Run) -> None:
    a, b = make_stack(A), make_stack(B, seed=2)
    sent = [sdu_of(lcid=lcid, data=bytes([lcid, i]) * (50 * i + 1)) for i in range(12) for lcid in (1, 2, 10, 28, 30)]
    for sdu in sent:
        a.send(sdu)
    got = run_air([a, b], 12)
    assert all(isinstance(indication, SduReceived) for indication in got)
    assert {(sdu.src_l2, sdu.dst_l2) for sdu in got} == {(A, B)}
    for lcid in (1, 2, 10, 28, 30):
        assert [sdu.data for sdu in got if sdu.lcid == lcid] == [sdu.data for sdu in sent if sdu.lcid == lcid]
        assert {sdu.protected for sdu in got if sdu.lcid == lcid} == {lcid != 28}
    assert a.queued_octets(B) == 0
    assert b.mac.statistics.pdus_received == len(sent) == a.mac.statistics.pdus_sent


def test_signalling_goes_before_user_data_inside_a_block(make_stack: Make, run_air: Run) -> None:
    a, b = make_stack(A), make_stack(B)
    for lcid in (3, 1, 30, 28):
        a.send(sdu_of(lcid=lcid))
    assert [sdu.lcid for sdu in run_air([a, b], 1)] == [28, 30, 1, 3]


def test_the_end_of_a_wait_for_order_brings_what_waited(make_stack: Make, block_received: Callable[..., Any]) -> None:
    """With a window of 16 the PDU after one that is lost waits for t-Reordering, and only so long."""
    b = make_stack(B, config=L2Config(um_window_size=16, t_reordering_subframes=40))
    plain = encode_one_to_one(OneToOnePdu(sdu_type=SduType.PC5_SIGNALLING, kd_sess_id=0, sn=0, data=b"answer"))
    blocks = [block_of(plain, lcid=28, sn=sn) for sn in (0, 2)]
    assert len(b.receive(block_received(blocks[0], B & 0xFF, 10))) == 1
    assert b.receive(block_received(blocks[1], B & 0xFF, 20)) == []
    assert b.mac.advance(59) == []
    (pdu,) = b.mac.advance(60)
    assert (pdu.data, pdu.src_l2, pdu.dst_l2, pdu.lcid) == (plain, A, B, 28)
    assert b.mac.statistics.pdus_received == 2
    assert b.mac.advance(1000) == []


def test_types_that_nothing_takes_are_refused_both_ways() -> None:
    a = PdcpEntity(A, XorProtector())
    b = PdcpEntity(B, XorProtector(), carried=(SduType.IP, SduType.PC5_SIGNALLING))
    for sdu_type in SduType:
        sdu = PdcpSdu(dst_l2=B, lcid=1, sdu_type=sdu_type, data=b"data", kd_sess_id=7)
        sent = a.send(sdu)
        got = b.receive(PduReceived(src_l2=A, dst_l2=B, lcid=1, to_group=False, data=sent.data))
        if sdu_type not in (SduType.IP, SduType.PC5_SIGNALLING):
            assert isinstance(got, Dropped) and got.reason is DropReason.SDU_TYPE and sdu_type.name in got.detail
            with pytest.raises(PdcpPduError):
                b.send(replace(sdu, dst_l2=A))
        else:
            assert isinstance(got, SduReceived) and got.data == b"data"
    assert b.dropped == {DropReason.SDU_TYPE: 3}


def test_nothing_waits_nothing_is_sent(make_stack: Make) -> None:
    a = make_stack(A)
    assert a.start_period(0) is None
    assert [a.transmissions(subframe) for subframe in range(40)] == [[]] * 40


def test_no_block_is_padding_only(make_stack: Make) -> None:
    a = make_stack(A)
    for i in range(3):
        a.send(sdu_of(data=bytes(400), lcid=1 + i))
    grant = a.start_period(0)
    assert grant is not None
    a.mac.forget(B)
    assert not [tx for subframe in range(5, 40) for tx in a.transmissions(subframe)]


def test_destinations_take_turns(make_stack: Make) -> None:
    a = make_stack(A)
    peers = [0x100000 + i for i in range(5)]
    for dst in peers:
        for _ in range(100):
            a.send(sdu_of(dst=dst, data=bytes(4000)))
    served = Counter()
    for period in range(50):
        grant = a.start_period(period)
        assert grant is not None
        served[grant.dst_l2] += 1
    assert set(served.values()) == {10}
    assert set(served) == set(peers)


def test_signalling_is_served_first_but_never_starves_user_data(make_stack: Make) -> None:
    a = make_stack(A, config=L2Config(max_wait_turns=8))
    for _ in range(200):
        a.send(sdu_of(dst=0x100001, lcid=28, data=bytes(2000)))
    a.send(sdu_of(dst=0x100002, data=bytes(4000)))
    served = [grant.dst_l2 for period in range(20) if (grant := a.start_period(period))]
    assert served[0] == 0x100001
    assert 1 <= served.count(0x100002) <= 3
    assert served.index(0x100002) <= 8


def test_signalling_keeps_the_robust_mcs(make_stack: Make) -> None:
    a = make_stack(A)
    for _ in range(10):
        a.send(sdu_of(data=bytes(4000)))
    first = a.start_period(0)
    a.send(sdu_of(lcid=30))
    second = a.start_period(1)
    assert first is not None
    assert second is not None
    assert (first.sci.mcs, second.sci.mcs) == (10, 5)


def test_queues_are_bounded_and_a_full_one_spends_no_number(make_stack: Make) -> None:
    a = make_stack(A, config=L2Config(max_queue_sdus=4, max_destinations=3))
    for _ in range(4):
        a.send(sdu_of())
    given = a.pdcp._protector.given
    before = len(given)
    with pytest.raises(QueueFull):
        a.send(sdu_of())
    assert len(given) == before
    a.send(sdu_of(lcid=30))
    a.send(sdu_of(dst=0x100001))
    a.send(sdu_of(dst=0x100002))
    with pytest.raises(QueueFull):
        a.send(sdu_of(dst=0x100003))


def test_octets_of_a_queue_are_bounded(make_stack: Make) -> None:
    a = make_stack(A, config=L2Config(max_queue_octets=9000))
    a.send(sdu_of(data=bytes(8188)))
    with pytest.raises(QueueFull):
        a.send(sdu_of(data=bytes(1000)))
    a.send(sdu_of(data=bytes(700)))


def test_idle_destinations_make_room(make_stack: Make, run_air: Run) -> None:
    a = make_stack(A, config=L2Config(max_destinations=3))
    for i in range(20):
        a.send(sdu_of(dst=0x100001 + i))
        a.start_period(i)
        for subframe in range(40 * i, 40 * i + 40):
            a.transmissions(subframe)
    assert len(a.mac._mac._destinations) <= 3


def test_receive_entities_are_bounded(make_stack: Make, block_received: Callable[..., Any]) -> None:
    b = make_stack(B, config=L2Config(max_receivers=8))
    for src in range(1, 100):
        b.receive(block_received(block_of(b"\0" * 20, src=src), B & 0xFF))
    assert len(b.mac._rx_channels) == 8


@pytest.mark.parametrize("sdu", [sdu_of(dst=0), sdu_of(dst=0xFFFFFF), sdu_of(dst=A), sdu_of(lcid=11), sdu_of(lcid=31)])
def test_unusable_addresses_are_refused(make_stack: Make, sdu: PdcpSdu) -> None:
    with pytest.raises(AddressError):
        make_stack(A).send(sdu)


@pytest.mark.parametrize("lcid", [1, 10, 29, 30])
def test_nothing_but_lcid_28_leaves_without_a_key(make_stack: Make, lcid: int) -> None:
    with pytest.raises(ProtectionError):
        make_stack(A).send(sdu_of(lcid=lcid, kd_sess_id=0))


def test_no_context_and_too_long(make_stack: Make) -> None:
    with pytest.raises(ProtectionError):
        make_stack(A).send(sdu_of(kd_sess_id=0xDEAD))
    with pytest.raises(PdcpPduError):
        make_stack(A).send(sdu_of(data=bytes(8189)))


@pytest.mark.parametrize("lcid", [1, 10, 29, 30])
def test_unprotected_pdus_are_dropped_and_counted(
    make_stack: Make, block_received: Callable[..., Any], lcid: int
) -> None:
    b = make_stack(B)
    plain = encode_one_to_one(OneToOnePdu(sdu_type=SduType.IP, kd_sess_id=0, sn=0, data=b"plain"))
    assert only_reason(b.receive(block_received(block_of(plain, lcid=lcid), B & 0xFF))) is DropReason.UNPROTECTED
    assert b.pdcp.dropped == {DropReason.UNPROTECTED: 1}


def test_what_does_not_verify_is_dropped(make_stack: Make, block_received: Callable[..., Any]) -> None:
    pdu = OneToOnePdu(sdu_type=SduType.IP, kd_sess_id=7, sn=1, data=b"data", mac_i=b"none")
    block = block_of(encode_one_to_one(pdu))
    assert only_reason(make_stack(B).receive(block_received(block, B & 0xFF))) is DropReason.NOT_VERIFIED


@pytest.mark.parametrize(
    ("block", "n_id_sa", "reason"),
    [
        (block_of(b"x" * 20), (B & 0xFF) ^ 1, DropReason.NOT_ADDRESSED),
        (block_of(b"x" * 20, dst=B ^ 0x100), B & 0xFF, DropReason.NOT_ADDRESSED),
        (block_of(b"x" * 20, version=MacVersion.GROUP), B & 0xFF, DropReason.NOT_ADDRESSED),
        (block_of(b"x" * 20, src=B), B & 0xFF, DropReason.OWN_L2_ID),
        (block_of(b"x" * 20, lcid=11), B & 0xFF, DropReason.RESERVED_LCID),
        (block_of(b"x" * 3), B & 0xFF, DropReason.MALFORMED_PDCP),
        (b"", B & 0xFF, DropReason.MALFORMED_MAC),
    ],
)
def test_reasons(
    make_stack: Make, block_received: Callable[..., Any], block: bytes, n_id_sa: int, reason: DropReason
) -> None:
    assert only_reason(make_stack(B).receive(block_received(block, n_id_sa))) is reason


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


def test_observer_sees_both_directions_alike(make_stack: Make, run_air: Run) -> None:
    sent: list[PduSeen] = []
    heard: list[PduSeen] = []
    a, b = make_stack(A, observer=sent.append), make_stack(B, observer=heard.append)
    for i in range(5):
        a.send(sdu_of(data=bytes([i]) * 300, lcid=1 + i % 2))
    run_air([a, b], 3)
    for layer in ("mac", "rlc", "pdcp"):
        down = [(pdu.src_l2, pdu.dst_l2, pdu.lcid, pdu.data) for pdu in sent if pdu.layer == layer]
        up = [(pdu.src_l2, pdu.dst_l2, pdu.lcid, pdu.data) for pdu in heard if pdu.layer == layer]
        assert down
        assert sorted(down) == sorted(up)
    assert {pdu.direction for pdu in sent} == {"tx"}
    assert {pdu.direction for pdu in heard} == {"rx"}


@given(st.sets(st.integers(0, 60), max_size=30))
@settings(max_examples=30, deadline=None, suppress_health_check=STATELESS)
def test_under_loss_only_whole_sdus_arrive_in_order(make_stack: Make, run_air: Run, lost: set[int]) -> None:
    a, b = make_stack(A), make_stack(B)
    data = [i.to_bytes(2, "big") * 400 for i in range(60)]
    for octets in data:
        a.send(sdu_of(data=octets))
    blocks = iter(range(10**6))
    got = run_air([a, b], 25, lambda *_: next(blocks) in lost)
    assert all(isinstance(indication, SduReceived) for indication in got)
    arrived = [data.index(sdu.data) for sdu in got]
    assert arrived == sorted(set(arrived))
    assert len(arrived) >= len(data) - 4 * len(lost)


@given(st.binary(max_size=120), st.integers(0, 255))
@settings(max_examples=200, deadline=None, suppress_health_check=STATELESS)
def test_no_transport_block_makes_receive_raise(
    make_stack: Make, block_received: Callable[..., Any], octets: bytes, n_id_sa: int
) -> None:
    b = make_stack(B)
    addressed = b"\x20\xab\xcd\xef\x12\x34" + octets
    for block, group_destination_id in ((octets, n_id_sa), (addressed, B & 0xFF)):
        assert all(isinstance(i, Dropped | SduReceived) for i in b.receive(block_received(block, group_destination_id)))


def test_truncated_and_flipped_blocks_never_pass(make_stack: Make, block_received: Callable[..., Any]) -> None:
    blocks: list[bytes] = []
    a = make_stack(A, observer=lambda pdu: blocks.append(pdu.data) if pdu.layer == "mac" else None)
    a.send(sdu_of(data=b"secret" * 10))
    a.start_period(0)
    for subframe in range(40):
        a.transmissions(subframe)
    (block,) = blocks
    for bit in range(8 * len(block)):
        flipped = bytearray(block)
        flipped[bit // 8] ^= 0x80 >> bit % 8
        for indication in make_stack(B).receive(block_received(bytes(flipped), B & 0xFF)):
            assert isinstance(indication, Dropped) or indication.data == b"secret" * 10
    for length in range(len(block)):
        for indication in make_stack(B).receive(block_received(block[:length], B & 0xFF)):
            assert isinstance(indication, Dropped) or indication.data == b"secret" * 10
