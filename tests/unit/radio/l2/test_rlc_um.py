"""RLC UM: PDU octets, segmentation and concatenation, reassembly under loss, duplication and reordering."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radio.l2.pdcp import MAX_PDU_OCTETS
from radio.l2.rlc_um import UmReassembler, UmReceiver, UmTransmitter
from radio.l2.rlc_um_pdu import MAX_LI, RlcPduError, UmdPdu, decode_umd, encode_umd

sdu_lists = st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=20)
elements = st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=9).map(tuple)


@pytest.mark.parametrize(
    ("pdu", "octets"),
    [
        (UmdPdu(sn=5, starts=True, ends=True, elements=(b"abc",)), "05 616263"),
        (UmdPdu(sn=31, starts=False, ends=True, elements=(b"a",)), "9f 61"),
        (UmdPdu(sn=0, starts=True, ends=False, elements=(b"ab", b"c")), "60 0020 616263"),
        (UmdPdu(sn=1, starts=False, ends=False, elements=(b"ab", b"c", b"d")), "e1 802 001 61626364"),
    ],
)
def test_octets(pdu: UmdPdu, octets: str) -> None:
    assert encode_umd(pdu) == bytes.fromhex(octets.replace(" ", ""))
    assert decode_umd(encode_umd(pdu)) == pdu


@given(st.integers(0, 31), st.booleans(), st.booleans(), elements)
def test_pdu_round_trip(sn: int, starts: bool, ends: bool, parts: tuple[bytes, ...]) -> None:
    pdu = UmdPdu(sn=sn, starts=starts, ends=ends, elements=parts)
    assert decode_umd(encode_umd(pdu)) == pdu


@given(st.binary(max_size=60))
def test_any_octets_decode_or_raise_the_one_error(octets: bytes) -> None:
    try:
        pdu = decode_umd(octets)
    except RlcPduError:
        return
    assert all(pdu.elements)


@pytest.mark.parametrize(
    "pdu",
    [
        UmdPdu(sn=32, starts=True, ends=True, elements=(b"a",)),
        UmdPdu(sn=0, starts=True, ends=True, elements=()),
        UmdPdu(sn=0, starts=True, ends=True, elements=(b"", b"a")),
        UmdPdu(sn=0, starts=True, ends=True, elements=(bytes(MAX_LI + 1), b"a")),
    ],
)
def test_pdus_that_do_not_exist_are_refused(pdu: UmdPdu) -> None:
    with pytest.raises(RlcPduError):
        encode_umd(pdu)


def pdus_of(sdus: list[bytes], size: int) -> list[UmdPdu]:
    transmitter = UmTransmitter()
    for sdu in sdus:
        transmitter.enqueue(sdu)
    pdus = []
    while transmitter.octets:
        octets = transmitter.build_pdu(size, 0)
        assert octets is not None
        assert 0 < len(octets) <= size
        pdus.append(decode_umd(octets))
    assert transmitter.build_pdu(size, 0) is None
    return pdus


def reassembled(pdus: list[UmdPdu]) -> list[bytes]:
    receiver = UmReceiver(pdus[0].sn)
    return [sdu for i, pdu in enumerate(pdus) for sdu in receiver.receive(pdu, i)]


@given(sdu_lists, st.integers(2, 500))
def test_segments_and_concatenates(sdus: list[bytes], size: int) -> None:
    assert reassembled(pdus_of(sdus, size)) == sdus


def test_a_long_element_ends_its_pdu() -> None:
    sdus = [bytes(MAX_LI + 1), b"next", bytes(MAX_LI), b"last"]
    pdus = pdus_of(sdus, 9000)
    assert [len(pdu.elements) for pdu in pdus] == [1, 3]
    assert reassembled(pdus) == sdus


def test_pdu_octets_is_what_one_pdu_takes() -> None:
    transmitter = UmTransmitter()
    assert transmitter.pdu_octets() == 0
    for n in (100, 200, 300):
        transmitter.enqueue(bytes(n))
    needed = transmitter.pdu_octets()
    assert len(transmitter.build_pdu(needed, 0) or b"") == needed
    assert transmitter.octets == 0


def test_no_octet_fits() -> None:
    transmitter = UmTransmitter()
    transmitter.enqueue(b"abc")
    assert transmitter.build_pdu(1, 0) is None
    assert transmitter.octets == 3


@given(sdu_lists, st.integers(2, 120), st.randoms(use_true_random=False), st.floats(0, 0.5))
def test_loss_never_makes_an_sdu_that_was_not_sent(
    sdus: list[bytes], size: int, chance: random.Random, loss: float
) -> None:
    numbered = [i.to_bytes(2, "big") + sdu for i, sdu in enumerate(sdus)]
    pdus = pdus_of(numbered, size)
    kept, run = [], 0
    for pdu in pdus:
        run = run + 1 if chance.random() < loss and run < 31 else 0
        if not run:
            kept.append(pdu)
    if not kept:
        return
    result = reassembled(kept)
    assert [numbered.index(sdu) for sdu in result] == sorted({numbered.index(sdu) for sdu in result})


def test_sdus_clear_of_the_gap_survive() -> None:
    sdus = [bytes([i]) * 100 for i in range(12)]
    pdus = pdus_of(sdus, 60)
    result = reassembled(pdus[:5] + pdus[6:])
    assert len(result) >= 10
    assert set(result) <= set(sdus)


def test_duplicate_pdu_gives_no_broken_sdu() -> None:
    sdus = [bytes([i]) * 100 for i in range(6)]
    pdus = pdus_of(sdus, 60)
    doubled = [pdu for pdu in pdus for _ in range(2)]
    assert set(reassembled(doubled)) <= set(sdus)


def test_late_joiner_starts_at_the_first_sn_it_hears() -> None:
    sdus = [bytes([i]) * 100 for i in range(20)]
    pdus = pdus_of(sdus, 60)
    result = reassembled(pdus[17:])
    assert result == sdus[-len(result) :]
    assert len(result) >= 9


@given(sdu_lists, st.integers(10, 120), st.randoms(use_true_random=False))
def test_window_of_16_restores_order(sdus: list[bytes], size: int, chance: random.Random) -> None:
    pdus = pdus_of(sdus, size)
    receiver = UmReceiver(pdus[0].sn, um_window_size=16, t_reordering_subframes=1000)
    tail = pdus[1:]
    shuffled = [pdu for i in range(0, len(tail), 7) for pdu in chance.sample(tail[i : i + 7], len(tail[i : i + 7]))]
    doubled = [pdu for pdu in [pdus[0], *shuffled] for _ in range(2)]
    assert [sdu for pdu in doubled for sdu in receiver.receive(pdu, 0)] == sdus


def test_t_reordering_lets_go_past_a_gap() -> None:
    sdus = [bytes([i]) * 10 for i in range(6)]
    pdus = pdus_of(sdus, 11)
    receiver = UmReceiver(0, um_window_size=16, t_reordering_subframes=40)
    assert receiver.receive(pdus[0], 0) == sdus[:1]
    assert receiver.receive(pdus[2], 10) == []
    assert receiver.receive(pdus[3], 20) == []
    assert receiver.advance(49) == []
    assert receiver.advance(50) == sdus[2:4]
    assert receiver.receive(pdus[1], 51) == []
    assert receiver.receive(pdus[4], 52) == sdus[4:5]
    assert receiver.advance(1000) == []


def test_a_partial_sdu_is_bounded() -> None:
    reassembler = UmReassembler()
    for i in range(100):
        assert reassembler.add(UmdPdu(sn=i % 32, starts=i == 0, ends=False, elements=(bytes(1000),))) == []
    assert reassembler.n_lost == 1
    assert len(reassembler._partial or b"") <= MAX_PDU_OCTETS


def test_segments_are_not_joined_over_a_gap_of_32():
    """SN 3 is heard, 4 to 31 and 0 to 3 are lost, and the next one is 4 again: the middle of another SDU."""
    sdus = [bytes([i]) * 30 for i in range(40)]
    pdus = pdus_of(sdus, 21)
    assert pdus[3].sn == (pdus[36].sn - 1) % 32 and not pdus[3].ends and not pdus[36].starts
    receiver = UmReceiver(0, sn_cycle_subframes=289)
    got = [sdu for i in range(4) for sdu in receiver.receive(pdus[i], 10 * i)]
    got += [sdu for i in range(36, 45) for sdu in receiver.receive(pdus[i], 30 + 289 + 10 * (i - 36))]
    assert len(got) >= 6 and set(got) <= set(sdus)
    assert receiver.n_lost == 1


@pytest.mark.parametrize("window", [0, 16])
def test_a_part_is_let_go_when_numbers_may_have_come_round(window: int) -> None:
    first, second = pdus_of([bytes(30)], 21)
    longest = 128 * (32 - window) // 32
    for silence, whole in ((longest - 1, [bytes(30)]), (longest, [])):
        receiver = UmReceiver(0, um_window_size=window)
        assert receiver.receive(first, 5) == []
        assert receiver.next_timer == 5 + longest
        assert receiver.receive(second, 5 + silence) == whole
        assert receiver.n_lost == (not whole)
    receiver = UmReceiver(0, um_window_size=window)
    receiver.receive(first, 5)
    receiver.advance(4 + longest)
    assert receiver.holds_part
    receiver.advance(5 + longest)
    assert not receiver.holds_part and receiver.next_timer is None and receiver.n_lost == 1


def test_a_window_starts_anew_after_a_long_silence() -> None:
    """Without it SNs that lie behind the window of old would be taken for repeats."""
    sdus = [bytes([i]) * 10 for i in range(40)]
    pdus = pdus_of(sdus, 11)
    receiver = UmReceiver(0, um_window_size=16)
    receiver.receive(pdus[0], 0)
    assert receiver.receive(pdus[2], 30) == []
    assert receiver.receive(pdus[25], 29 + 64) == sdus[2:3]
    receiver = UmReceiver(0, um_window_size=16, t_reordering_subframes=100)
    receiver.receive(pdus[0], 0)
    assert receiver.receive(pdus[2], 30) == []
    assert receiver.receive(pdus[25], 30 + 64) == [sdus[2], sdus[25]]
    assert receiver.receive(pdus[26], 31 + 64) == sdus[26:27]


def test_what_receivers_have_let_go_is_sent_from_its_start() -> None:
    for pause, expected in ((95, bytes(10)), (96, bytes(20) + bytes(10))):
        transmitter = UmTransmitter()
        transmitter.enqueue(bytes(30))
        decode_umd(transmitter.build_pdu(21, 7) or b"")
        assert transmitter.octets == 10
        pdu = decode_umd(transmitter.build_pdu(41, 7 + pause) or b"")
        assert pdu.elements == (expected,)
        assert pdu.starts is (pause == 96)
        assert transmitter.octets == 0 and len(transmitter) == 0


def test_t_reordering_is_measured_from_the_gap_and_starts_again_for_the_next() -> None:
    sdus = [bytes([i]) * 10 for i in range(8)]
    pdus = pdus_of(sdus, 11)
    receiver = UmReceiver(0, um_window_size=16, t_reordering_subframes=40, sn_cycle_subframes=289)
    assert receiver.receive(pdus[0], 0) == sdus[:1]
    assert receiver.receive(pdus[2], 10) == []
    assert receiver.receive(pdus[4], 20) == []
    assert receiver.next_timer == 50
    assert receiver.advance(50) == sdus[2:3]
    assert receiver.next_timer == 90
    assert receiver.advance(89) == []
    assert receiver.advance(90) == sdus[4:5]
    assert receiver.receive(pdus[3], 91) == []
