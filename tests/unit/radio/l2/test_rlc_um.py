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
        octets = transmitter.build_pdu(size)
        assert octets is not None
        assert 0 < len(octets) <= size
        pdus.append(decode_umd(octets))
    assert transmitter.build_pdu(size) is None
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
    assert len(transmitter.build_pdu(needed) or b"") == needed
    assert transmitter.octets == 0


def test_no_octet_fits() -> None:
    transmitter = UmTransmitter()
    transmitter.enqueue(b"abc")
    assert transmitter.build_pdu(1) is None
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
