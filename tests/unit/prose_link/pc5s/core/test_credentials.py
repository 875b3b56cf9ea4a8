"""Keys of one identity: which belong to a time, which are over, which peers are allowed, and what messages are made of.

The KMSs here are two with key periods of their own: HOME's periods begin at 100 and last 1000 s with 100 s of overlap,
AWAY's begin at 0 and last 2000 s with 200 s of overlap. No curve operation is done.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from prose_link.pc5s.core import credentials as tested
from prose_link.pc5s.core.credentials import Credentials, HeldPeriod
from security import sakke
from security.identifiers import IdentityError, KeyRing, KmsDomain, NoKeysError, UserKeys
from security.mikey import Kind

ME, FRIEND, GROUP, STRANGER = "tel:+441", "tel:+491", "tel:+4499", "tel:+331"
HOME = KmsDomain(
    uri="home",
    z=b"h" * 257,
    kpak=b"h" * 65,
    uid_scheme=2,
    key_period_s=1000,
    key_period_offset_s=100,
    namespace=("tel:+44*",),
)
AWAY = KmsDomain(uri="away", z=b"a" * 257, kpak=b"a" * 65, uid_scheme=2, key_period_s=2000, namespace=("tel:+49*",))
MONTHS = KmsDomain(uri="months", z=b"m" * 257, kpak=b"m" * 65, uid_scheme=1, namespace=("tel:+44*",))


def keys_of(uri: str, period: int, kms: str = "home") -> UserKeys:
    name = f"{uri} {kms} {period}".encode()
    return UserKeys(
        uri=uri, kms_uri=kms, uid=b"uid " + name, key_period_no=period, rsk=b"rsk " + name, ssk=b"", pvt=b""
    )


def credentials_of(*users: UserKeys, domains: tuple[KmsDomain, ...] = (HOME, AWAY), **more: Any) -> Credentials:
    return Credentials(uri=ME, key_ring=KeyRing(domains, users), random_bytes=bytes, **more)


def called_with(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, result: Any = None) -> list[Any]:
    """Replace a function; the list gets the arguments of each call."""
    calls: list[Any] = []

    def note(*args: Any, **named: Any) -> Any:
        calls.append((args, named))
        return result

    monkeypatch.setattr(owner, name, note)
    return calls


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """RSKs whose computed values were dropped, in order."""
    dropped: list[bytes] = []
    monkeypatch.setattr(sakke, "forget_receiver_key", dropped.append)
    return dropped


def test_an_identity_has_the_one_kms_that_speaks_for_it() -> None:
    made = credentials_of(keys_of(ME, 1))
    assert (made.uri, made.own_domain, made.key_ring.domains) == (ME, HOME, (HOME, AWAY))
    assert (made.domain_of(FRIEND), made.domain_of(ME)) == (AWAY, HOME)
    with pytest.raises(IdentityError):
        made.domain_of(STRANGER)
    with pytest.raises(IdentityError):
        credentials_of(domains=(AWAY,))


def test_other_keys_take_the_place_of_those_held_and_what_is_kept_stays_warm(forgotten: list[bytes]) -> None:
    old, kept, new = (keys_of(ME, period) for period in (1, 2, 3))
    made = credentials_of(old, kept)
    later = KmsDomain(
        uri="home", z=b"l" * 257, kpak=b"l" * 65, uid_scheme=2, key_period_s=1000, namespace=("tel:+44*",)
    )
    ring = KeyRing((later,), (kept, new))
    made.replace_keys(ring)
    assert forgotten == [old.rsk]
    assert made.key_ring is ring and made.own_domain is later


def test_keys_of_a_kms_that_does_not_speak_for_the_identity_change_nothing(forgotten: list[bytes]) -> None:
    made = credentials_of(keys_of(ME, 1))
    before = made.key_ring
    with pytest.raises(IdentityError):
        made.replace_keys(KeyRing((AWAY,), ()))
    assert made.key_ring is before and made.own_domain is HOME and forgotten == []


def test_the_end_of_the_newest_own_period() -> None:
    assert credentials_of().keys_end_ntp_s == 0
    assert credentials_of(keys_of(GROUP, 9)).keys_end_ntp_s == 0
    assert credentials_of(keys_of(ME, 3), keys_of(ME, 1), keys_of(GROUP, 9)).keys_end_ntp_s == 4100
    assert credentials_of(keys_of(ME, 10**9, "months"), domains=(MONTHS,)).keys_end_ntp_s == 0


def test_own_keys_serve_in_their_period_and_not_once_it_is_over() -> None:
    made = credentials_of(keys_of(ME, 1))
    assert [made.has_keys_at(ntp_s) for ntp_s in (1099.9, 1100.0, 2099.9, 2100.0)] == [False, True, True, False]
    assert made.keys_at(ME, 1100.0) == keys_of(ME, 1)
    made.use_none_over_by(2199.9)
    assert made.has_keys_at(1500.0) and not made.has_ended("home", 1)
    made.use_none_over_by(2200.0)
    assert not made.has_keys_at(1500.0) and made.has_ended("home", 1) and not made.has_ended("home", 2)
    with pytest.raises(NoKeysError, match=r"key period 1 of tel:\+441 is over by the time floor"):
        made.keys_at(ME, 1500.0)
    made.check_keys_at(ME, 1500.0)
    with pytest.raises(NoKeysError):
        made.check_keys_at(ME, 2500.0)
    with pytest.raises(NoKeysError):
        made.check_keys_at(GROUP, 1500.0)


def test_a_time_out_of_the_calendar_has_no_keys() -> None:
    assert not credentials_of(keys_of(ME, 1, "months"), domains=(MONTHS,)).has_keys_at(1e18)


def test_without_a_floor_no_period_is_over() -> None:
    early = KmsDomain(
        uri="home",
        z=bytes(257),
        kpak=bytes(65),
        uid_scheme=2,
        key_period_s=1000,
        key_period_offset_s=-1099,
        namespace=("*",),
    )
    made = credentials_of(domains=(early,))
    assert not made.has_ended("home", 0)
    made.use_none_over_by(1)
    assert made.has_ended("home", 0)


def test_periods_are_over_with_their_overlap_each_by_its_own_kms(forgotten: list[bytes]) -> None:
    held = [keys_of(ME, 1), keys_of(GROUP, 1), keys_of(FRIEND, 0, "away"), keys_of(ME, 0, "unknown")]
    made = credentials_of(*held)
    home, away = HeldPeriod(kms_uri="home", key_period_no=1), HeldPeriod(kms_uri="away", key_period_no=0)
    expected = {2199.9: [], 2200.0: [home, away], 1e9: [home, away]}
    for ntp_s, periods in expected.items():
        assert made.periods_over(ntp_s) == frozenset(periods)
    made.forget_ended(2199.9)
    assert forgotten == []
    made.forget_ended(2200.0)
    assert forgotten == [keys.rsk for keys in held[:3]]
    assert made.key_ring.users == tuple(held)


def test_a_period_that_is_wiped_takes_all_its_keys_along_and_no_others(forgotten: list[bytes]) -> None:
    gone = [keys_of(ME, 1), keys_of(GROUP, 1)]
    kept = [keys_of(ME, 2), keys_of(FRIEND, 1, "away")]
    made = credentials_of(gone[0], kept[0], gone[1], kept[1])
    made.wipe(HeldPeriod(kms_uri="home", key_period_no=1))
    assert forgotten == [keys.rsk for keys in gone]
    assert (made.key_ring.users, made.key_ring.domains) == (tuple(kept), (HOME, AWAY))


def test_values_computed_from_all_rsks_are_dropped(forgotten: list[bytes]) -> None:
    held = [keys_of(ME, 1), keys_of(GROUP, 2)]
    credentials_of(*held).forget_receiver_keys()
    assert forgotten == [keys.rsk for keys in held]


def test_lists_of_denied_and_allowed_peers_can_be_replaced() -> None:
    made = credentials_of(denied=iter((FRIEND,)))
    assert made.denies(FRIEND) and not made.denies(STRANGER)
    made.replace_denied(iter((STRANGER, GROUP)))
    assert made.denies(STRANGER) and made.denies(GROUP) and not made.denies(FRIEND)
    made.replace_denied(())
    assert not made.denies(STRANGER)
    assert made.grants(STRANGER)
    made.replace_granted(frozenset({FRIEND}))
    assert made.grants(FRIEND) and not made.grants(STRANGER)
    made.replace_granted(frozenset())
    assert not made.grants(FRIEND)
    made.replace_granted(None)
    assert made.grants(STRANGER)
    limited = credentials_of(granted=frozenset({FRIEND}))
    assert limited.grants(FRIEND) and not limited.grants(STRANGER) and not limited.denies(FRIEND)


def test_an_identity_whose_rsk_is_held_beside_the_own_one_is_a_group() -> None:
    made = credentials_of(keys_of(ME, 1), keys_of(GROUP, 1))
    assert [made.is_group(uri) for uri in (ME, GROUP, FRIEND)] == [False, True, False]


@pytest.mark.parametrize(
    ("ntp_s", "times"), [(500.0, (1100, 1200)), (1500.0, (2000, 2200.0)), (2050.0, (2100, 2200.0))]
)
def test_the_key_period_of_a_link_ends_with_the_earlier_one_of_both_ends(
    ntp_s: float, times: tuple[float, float]
) -> None:
    assert credentials_of().key_times(FRIEND, ntp_s) == times


def test_keys_of_a_peer_without_a_kms_have_ended_now() -> None:
    assert credentials_of().key_times(STRANGER, 555.0) == (555.0, 555.0)


def test_an_ssv_is_drawn_for_all_receivers_that_have_a_kms(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = called_with(monkeypatch, sakke, "draw_ssv", b"ssv")
    made = credentials_of()
    assert made.draw_ssv([FRIEND, STRANGER, ME], 1500.0) == b"ssv"
    uids = [AWAY.uid(FRIEND, 1500.0), HOME.uid(ME, 1500.0)]
    assert calls == [((bytes, uids), {})]
    assert AWAY.uid(FRIEND, 1500.0) != AWAY.uid(FRIEND, 2500.0)


@pytest.mark.parametrize("readable", [True, False])
def test_an_ssv_suits_a_receiver_by_its_identifier(monkeypatch: pytest.MonkeyPatch, readable: bool) -> None:
    calls = called_with(monkeypatch, sakke, "is_readable", readable)
    made = credentials_of()
    assert made.suits(b"ssv", FRIEND, 2500.0) is readable
    assert calls == [((b"ssv", AWAY.uid(FRIEND, 2500.0)), {})]
    assert made.suits(b"ssv", STRANGER, 2500.0) is True


@pytest.mark.parametrize("given", [None, b"given"])
def test_an_i_message_is_made_with_the_keys_of_its_time(monkeypatch: pytest.MonkeyPatch, given: bytes | None) -> None:
    octets = bytes(range(256))
    calls = called_with(monkeypatch, tested, "build_profile_i_message", octets)
    drawn = called_with(monkeypatch, sakke, "draw_ssv", b"drawn")
    made = credentials_of(keys_of(ME, 1), keys_of(ME, 2))
    issued = made.issue(3, b"hash", to=FRIEND, ntp_s=1500.0, ssv=given)
    ssv = given or b"drawn"
    named = {
        "keys": keys_of(ME, 1),
        "initiator_domain": HOME,
        "responder_uri": FRIEND,
        "responder_domain": AWAY,
        "ntp_s": 1500.0,
        "ssv": ssv,
        "random": bytes,
    }
    assert calls == [((3, b"hash"), named)]
    assert (issued.octets, issued.signed_part, issued.ssv) == (octets, octets[:-129], ssv)
    assert drawn == ([] if given else [((bytes, [AWAY.uid(FRIEND, 1500.0)]), {})])
    assert "drawn" not in repr(issued) and "given" not in repr(issued)


def test_an_i_message_is_checked_against_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = called_with(monkeypatch, tested, "check_profile_i_message", "checked")
    result: Any = credentials_of().check(b"octets", Kind.REQUEST, b"hash", sender=FRIEND)
    named = {
        "kind": Kind.REQUEST,
        "binding_hash": b"hash",
        "initiator_uri": FRIEND,
        "responder_uri": ME,
        "initiator_domain": AWAY,
        "responder_domain": HOME,
    }
    assert (result, calls) == ("checked", [((b"octets",), named)])


def i_message(ntp_s: float, *, initiator: str = FRIEND, responder: str = ME) -> Any:
    return SimpleNamespace(initiator_uri=initiator, responder_uri=responder, ntp_s=ntp_s, i_message="inner")


def test_the_periods_of_both_ends_have_to_be_in_use() -> None:
    made = credentials_of()
    # T in HOME's period 0, which is used until 1200 with its overlap; in AWAY's until 2200.
    assert made.accepts_period(i_message(1000.0), 1199.9)
    assert not made.accepts_period(i_message(1000.0), 1200.0)
    assert not made.accepts_period(i_message(1000.0, initiator=ME, responder=FRIEND), 1200.0)
    # T in HOME's period 1, which is used from 1000 on.
    assert made.accepts_period(i_message(1500.0), 1000.0)
    assert not made.accepts_period(i_message(1500.0), 999.9)
    made.use_none_over_by(1200.0)
    assert not made.accepts_period(i_message(1000.0), 1150.0)
    assert made.accepts_period(i_message(1500.0), 1150.0)
    with pytest.raises(IdentityError):
        made.accepts_period(i_message(1500.0, initiator=STRANGER), 1500.0)


def test_a_signature_is_verified_under_the_signers_identifier(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = called_with(monkeypatch, tested, "verify_i_message")
    credentials_of().verify(i_message(2500.0))
    assert calls == [(("inner",), {"uid": AWAY.uid(FRIEND, 2500.0), "kpak": AWAY.kpak})]


def test_an_ssv_is_opened_with_the_receivers_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = called_with(monkeypatch, tested, "extract_ssv", b"ssv")
    made = credentials_of(keys_of(ME, 1), keys_of(GROUP, 1))
    assert made.open(i_message(1500.0, responder=GROUP)) == b"ssv"
    keys = keys_of(GROUP, 1)
    assert calls == [(("inner",), {"rsk": keys.rsk, "uid": keys.uid, "z": HOME.z})]
    with pytest.raises(NoKeysError):
        made.open(i_message(2500.0))
