from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from security.ciphers.algorithms import eea, eia
from security.link import context
from security.link.context import (
    LAST_SN,
    REKEY_SN,
    ContextError,
    CountExhausted,
    IntegrityFailure,
    ReplayedPdu,
    ReplayWindow,
    SecurityContext,
)

PEK, PIK = bytes(range(16)), bytes(range(16, 32))


def pair(eea_number: int = 2, eia_number: int = 2) -> tuple[SecurityContext, SecurityContext]:
    a, b = (
        SecurityContext(kd_sess_id=0x2107, pek=PEK, pik=PIK, eea=eea_number, eia=eia_number, direction=direction)
        for direction in (0, 1)
    )
    return a, b


def test_pdu_is_protected_as_the_profile_has_it():
    a, _ = pair()
    sn = a.next_sn(3)
    data, mac_i = a.seal(3, sn, b"header", b"plain")
    assert sn == 1
    assert data == eea(2, PEK, 0x21070001, 3, 0, b"plain")
    assert mac_i == eia(2, PIK, 0x21070001, 3, 0, b"headerplain")


@pytest.mark.parametrize("eea_number", [0, 1, 2, 3])
@pytest.mark.parametrize("eia_number", [0, 1, 2, 3])
def test_both_directions(eea_number, eia_number):
    ends = pair(eea_number, eia_number)
    for sender, receiver in (ends, ends[::-1]):
        for text in (b"", b"one", b"x" * 1500):
            sn = sender.next_sn(30)
            assert receiver.open(30, sn, b"h", *sender.seal(30, sn, b"h", text)) == text


def test_bearers_count_apart():
    a, _ = pair()
    assert [a.next_sn(1), a.next_sn(1), a.next_sn(2)] == [1, 2, 1]


def test_an_sn_of_one_bearer_is_none_of_another():
    a, b = pair()
    for lcid in (1, 2):
        sn = a.next_sn(lcid)
        assert b.open(lcid, sn, b"h", *a.seal(lcid, sn, b"h", b"data")) == b"data"


@pytest.mark.parametrize("lcid", [0, context.MAX_LCID])
def test_bearers_of_the_whole_range(lcid):
    a, b = pair()
    sn = a.next_sn(lcid)
    assert b.open(lcid, sn, b"h", *a.seal(lcid, sn, b"h", b"data")) == b"data"


def test_the_last_sn_is_received():
    a, b = pair()
    a._next_sn[1] = LAST_SN
    sn = a.next_sn(1)
    assert sn == LAST_SN
    assert b.open(1, sn, b"", *a.seal(1, sn, b"", b"last")) == b"last"


def test_sn_0_is_refused_even_where_its_mac_i_verifies():
    _, b = pair()
    count = 0x2107 << 16
    with pytest.raises(IntegrityFailure, match="SN 0 or a MAC-I of 4 octets can't be"):
        b.open(3, 0, b"h", eea(2, PEK, count, 3, 0, b"data"), eia(2, PIK, count, 3, 0, b"hdata"))


def test_altered_pdus_are_refused_and_change_nothing():
    a, b = pair()
    sn = a.next_sn(3)
    data, mac_i = a.seal(3, sn, b"h", b"data")
    attempts = [
        (3, sn, b"h", data[:-1] + b"\0", mac_i),
        (3, sn, b"g", data, mac_i),
        (4, sn, b"h", data, mac_i),
        (3, sn + 1, b"h", data, mac_i),
        (3, 0, b"h", data, mac_i),
        (3, 0x10000, b"h", data, mac_i),
        (3, sn, b"h", data, bytes(4)),
        (3, sn, b"h", data, mac_i[:3]),
        (3, sn, b"h", data, b""),
    ]
    for attempt in attempts:
        with pytest.raises(IntegrityFailure):
            b.open(*attempt)
    with pytest.raises(IntegrityFailure, match="LCID 3, SN 1: MAC-I doesn't verify"):
        a.open(3, sn, b"h", data, mac_i)
    assert b.open(3, sn, b"h", data, mac_i) == b"data"
    with pytest.raises(ReplayedPdu):
        b.open(3, sn, b"h", data, mac_i)


@given(st.lists(st.integers(1, 2000), max_size=60))
@settings(max_examples=60, deadline=None)
def test_replay_window_takes_each_sn_once(sns):
    window, accepted = ReplayWindow(), set()
    for sn in sns:
        highest = max(accepted, default=0)
        fresh = sn not in accepted and sn > highest - context.REPLAY_WINDOW
        if fresh:
            window.check(sn)
            window.accept(sn)
            accepted.add(sn)
        else:
            with pytest.raises(ReplayedPdu):
                window.check(sn)


@pytest.mark.parametrize("first", [1, 2, 77])
def test_an_sn_as_far_behind_as_the_window_is_long_is_not_taken_twice(first):
    """256 behind the highest lies just outside the window: nothing is remembered of it, so it counts as a repeat."""
    window = ReplayWindow()
    for sn in (first, first + context.REPLAY_WINDOW):
        window.check(sn)
        window.accept(sn)
    assert context.REPLAY_WINDOW == 256
    with pytest.raises(ReplayedPdu):
        window.check(first)
    window.check(first + 1)
    window.accept(first + 1)
    with pytest.raises(ReplayedPdu):
        window.check(first + 1)


def test_a_pdu_that_the_window_has_just_left_is_not_opened_again():
    a, b = pair()
    sealed = []
    for _ in range(257):
        sn = a.next_sn(3)
        sealed.append((3, sn, b"h", *a.seal(3, sn, b"h", b"data")))
    assert b.open(*sealed[0]) == b.open(*sealed[256]) == b"data"
    with pytest.raises(ReplayedPdu):
        b.open(*sealed[0])
    assert b.open(*sealed[1]) == b"data"


def test_replay_window_ends_where_it_says():
    window = ReplayWindow()
    window.accept(context.REPLAY_WINDOW + 1)
    window.check(2)
    with pytest.raises(ReplayedPdu, match="SN 1 came before, or lies behind the window that ends at 257"):
        window.check(1)


def test_replay_window_keeps_no_more_than_it_looks_at():
    window = ReplayWindow()
    for sn in range(1, 3 * context.REPLAY_WINDOW):
        window.accept(sn)
    assert window.seen == (1 << context.REPLAY_WINDOW) - 1


def test_sn_is_sealed_once_and_only_if_given_out():
    a, _ = pair()
    with pytest.raises(ContextError, match="LCID 3: SN 1 was not given out, or it or a later one has been used"):
        a.seal(3, 1, b"", b"")
    first, second = a.next_sn(3), a.next_sn(3)
    with pytest.raises(ContextError, match="SN 0 was not given out"):
        a.seal(3, 0, b"", b"")
    a.seal(3, second, b"", b"")
    for sn in (second, first, second + 1):
        with pytest.raises(ContextError):
            a.seal(3, sn, b"", b"")


def test_count_never_repeats_up_to_the_last_sn():
    a, _ = pair()
    seen = set()
    while True:
        try:
            sn = a.next_sn(1)
        except CountExhausted as error:
            assert str(error) == "LCID 1: all SNs of KD-sess ID 0x2107 are used"
            break
        assert a.wants_rekey is (sn >= REKEY_SN)
        seen.add(sn)
    assert seen == set(range(1, LAST_SN + 1))
    assert a.next_sn(2) == 1


def test_peer_near_its_last_sn_asks_for_a_rekey():
    a, b = pair()
    a._next_sn[1] = REKEY_SN
    sn = a.next_sn(1)
    b.open(1, sn, b"", *a.seal(1, sn, b"", b""))
    assert b.wants_rekey


def test_wiped_context_does_nothing():
    a, _ = pair()
    sn = a.next_sn(1)
    a.wipe()
    assert a.wiped and a._ciphering is None and a._integrity is None
    assert repr(a) == "SecurityContext(kd_sess_id=0x2107, eea=2, eia=2, wiped)"
    for call in (lambda: a.next_sn(1), lambda: a.seal(1, sn, b"", b""), lambda: a.open(1, 1, b"", b"", bytes(4))):
        with pytest.raises(ContextError, match="the context of KD-sess ID 0x2107 is wiped"):
            call()


@pytest.mark.parametrize(("kd_sess_id", "direction"), [(0, 0), (0x10000, 0), (1, 2)])
def test_arguments_out_of_range_are_refused(kd_sess_id, direction):
    with pytest.raises(ContextError, match=f"KD-sess ID {kd_sess_id} or direction {direction} out of range"):
        SecurityContext(kd_sess_id=kd_sess_id, pek=PEK, pik=PIK, eea=2, eia=2, direction=direction)


@pytest.mark.parametrize("kd_sess_id", [1, 0xFFFF])
def test_kd_sess_ids_of_the_whole_range(kd_sess_id):
    kept = SecurityContext(kd_sess_id=kd_sess_id, pek=PEK, pik=PIK, eea=2, eia=2, direction=0)
    assert kept.kd_sess_id == kd_sess_id


@pytest.mark.parametrize("lcid", [-1, 32])
def test_bearers_out_of_range_are_refused(lcid):
    with pytest.raises(ContextError, match=rf"LCID {lcid} is not in 0\.\.31"):
        pair()[0].next_sn(lcid)


def test_keys_do_not_show():
    text = repr(pair()[0])
    assert text == "SecurityContext(kd_sess_id=0x2107, eea=2, eia=2, live)"
