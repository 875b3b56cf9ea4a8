"""The replay cache of I_MESSAGEs by itself: shares of signers, windows, and the moment at which each ends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from security.mikey.freshness import Freshness, ReplayCache
from security.mikey.numbers import Role

T = 4000.0


class Domain:
    """A KMS whose key periods last 1000 s, and 50 s more."""

    def accepts_period(self, _now_ntp_s: float, _t: float) -> bool:
        return True

    def period_of(self, t: float) -> int:
        return int(t // 1000)

    def period_bounds(self, period: int) -> tuple[float, float]:
        return period * 1000.0, (period + 1) * 1000.0

    def overlap_s(self) -> float:
        return 50.0


def message(name: str, *, signer: str = "alice", t: float = T, role: Role = Role.INITIATOR) -> Any:
    return SimpleNamespace(
        timestamp=SimpleNamespace(ntp_s=t),
        signed_part=name.encode(),
        role=lambda *roles: signer.encode() if role in roles else None,
    )


def judged(cache: ReplayCache, one: Any, now_ntp_s: float = T) -> Freshness:
    return cache.judge(one, domains=(Domain(),), now_ntp_s=now_ntp_s)


def remember(cache: ReplayCache, *messages: Any) -> None:
    for one in messages:
        cache.remember(one, domains=(Domain(),))


def test_shares_of_signers_are_kept_when_others_are_forgotten() -> None:
    cache = ReplayCache(capacity_per_signer=1)
    remember(cache, message("1", signer="alice"), message("2", signer="bob", t=T + 100))
    assert judged(cache, message("3", signer="alice")) is Freshness.OVERLOADED
    now = T + 301
    assert judged(cache, message("3", signer="alice", t=now), now) is Freshness.FRESH
    assert judged(cache, message("4", signer="bob", t=now), now) is Freshness.OVERLOADED
    assert judged(cache, message("2", signer="bob", t=T + 100), now) is Freshness.REPLAYED
    assert len(cache) == 1
    later = T + 401
    assert judged(cache, message("4", signer="bob", t=later), later) is Freshness.FRESH
    assert len(cache) == 0


def test_a_signer_that_goes_by_a_uid_has_a_share_too() -> None:
    cache = ReplayCache(capacity_per_signer=1)
    remember(cache, message("1", role=Role.INITIATOR_UID))
    assert judged(cache, message("2", role=Role.INITIATOR_UID)) is Freshness.OVERLOADED
    assert judged(cache, message("2", signer="bob", role=Role.INITIATOR_UID)) is Freshness.FRESH
    assert judged(cache, message("2")) is Freshness.OVERLOADED


def test_messages_without_a_signer_share_one() -> None:
    cache = ReplayCache(capacity_per_signer=1)
    remember(cache, message("1", role=Role.RESPONDER))
    assert judged(cache, message("2", role=Role.RESPONDER)) is Freshness.OVERLOADED


def test_a_message_is_remembered_to_the_last_moment_of_its_window() -> None:
    cache = ReplayCache()
    remember(cache, message("old", t=T - 1), message("new"))
    assert judged(cache, message("new"), T + 300) is Freshness.REPLAYED
    assert len(cache) == 1
    assert judged(cache, message("new"), T + 301) is Freshness.TOO_OLD
    assert len(cache) == 0


@pytest.mark.parametrize(("window_s", "lasts_s"), [(10.0, 10.0), (300.0, 300.0), (None, 300.0)])
def test_a_lost_cache_refuses_for_its_own_window(window_s: float | None, lasts_s: float) -> None:
    cache = ReplayCache(window_s=window_s, lost_at_ntp_s=T)
    for now, verdict in ((T + lasts_s, Freshness.OVERLOADED), (T + lasts_s + 0.5, Freshness.FRESH)):
        assert judged(cache, message("1", t=now), now) is verdict


def test_the_room_of_all() -> None:
    cache = ReplayCache(capacity=2)
    remember(cache, message("1", signer="a"))
    assert judged(cache, message("3", signer="c")) is Freshness.FRESH
    remember(cache, message("2", signer="b"), message("2", signer="b"))
    assert judged(cache, message("3", signer="c")) is Freshness.OVERLOADED
    assert len(cache) == 2


def test_without_a_window_a_message_lasts_as_long_as_its_key_period_and_its_overlap() -> None:
    cache = ReplayCache(window_s=None)
    remember(cache, message("1"))
    assert judged(cache, message("1"), 5050.0) is Freshness.REPLAYED
    assert judged(cache, message("1"), 5050.5) is Freshness.TOO_OLD
    assert len(cache) == 0
