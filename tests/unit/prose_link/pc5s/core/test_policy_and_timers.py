"""Policies key by key, and timers at their limits and with their defaults."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from prose_link.pc5s.core.policy import (
    LinkPolicy,
    MutualGive,
    Policy,
    PolicyError,
    Profile,
    RekeyContribution,
    ip_versions_of,
)
from prose_link.pc5s.core.timers import Timer, TimerError, TimerSet, TimerValues
from prose_link.pc5s.wire.messages import ChosenAlgorithms, IpAddressConfig, Kdf, Mutual, SecurityCapabilities

LAX = LinkPolicy(
    mutual_ask=Mutual.NOT_WANTED,
    mutual_give=MutualGive.ON_REQUEST,
    both_needed=False,
    ciphering=(3, 2),
    integrity=(1, 2),
    allow_null_ciphering=True,
    allow_null_integrity=True,
    profile=Profile.TS24334,
    kdfs=(Kdf.FC33536, Kdf.FC33303),
    rekey_contribution=RekeyContribution.NONCE_ONLY,
)
STRICT = LinkPolicy(
    mutual_ask=Mutual.REQUIRED,
    mutual_give=MutualGive.ALWAYS,
    both_needed=True,
    ciphering=(1, 2, 3),
    integrity=(2, 3),
    profile=Profile.IDENTITY,
    kdfs=(Kdf.FC33303,),
    rekey_contribution=RekeyContribution.ALWAYS,
)


def test_the_stricter_value_of_each_key_counts_whichever_policy_has_it() -> None:
    expected = replace(STRICT, ciphering=(3, 2), integrity=(2,))
    assert LAX.stricter(STRICT) == expected
    assert STRICT.stricter(LAX) == replace(expected, ciphering=(2, 3))


def test_a_policy_is_no_stricter_than_itself() -> None:
    assert LAX.stricter(LAX) == LAX and STRICT.stricter(STRICT) == STRICT


@pytest.mark.parametrize("name", ["allow_null_ciphering", "allow_null_integrity"])
def test_a_null_algorithm_needs_the_leave_of_both(name: str) -> None:
    allowing = LinkPolicy(**{name: True})
    assert getattr(allowing.stricter(allowing), name)
    assert not getattr(allowing.stricter(LinkPolicy()), name)
    assert not getattr(LinkPolicy().stricter(allowing), name)


@pytest.mark.parametrize(
    ("give", "asked", "both", "meets", "gives"),
    [
        (MutualGive.NEVER, Mutual.NOT_WANTED, False, True, False),
        (MutualGive.NEVER, Mutual.WANTED, False, True, False),
        (MutualGive.NEVER, Mutual.REQUIRED, False, False, False),
        (MutualGive.ON_REQUEST, Mutual.NOT_WANTED, False, True, False),
        (MutualGive.ON_REQUEST, Mutual.NOT_WANTED, True, True, True),
        (MutualGive.ON_REQUEST, Mutual.WANTED, False, True, True),
        (MutualGive.ON_REQUEST, Mutual.REQUIRED, False, True, True),
        (MutualGive.ALWAYS, Mutual.NOT_WANTED, False, True, True),
    ],
)
def test_whether_a_responder_proves_its_identity(
    give: MutualGive, asked: Mutual, both: bool, meets: bool, gives: bool
) -> None:
    policy = LinkPolicy(mutual_give=give, both_needed=both)
    assert (policy.meets(asked), policy.gives(asked)) == (meets, gives)


def test_a_responder_takes_the_first_of_its_own_list_that_was_offered() -> None:
    policy = LinkPolicy(ciphering=(3, 1), integrity=(2, 1))
    offers = {
        ((1, 3), (1, 2)): ChosenAlgorithms(eea=3, eia=2),
        ((1,), (1,)): ChosenAlgorithms(eea=1, eia=1),
        ((2,), (1,)): None,
        ((1,), (3,)): None,
        ((0,), (0,)): None,
    }
    for (eea, eia), chosen in offers.items():
        assert policy.choose(SecurityCapabilities.of(eea, eia)) == chosen
    assert policy.offer() == SecurityCapabilities.of((3, 1), (2, 1))
    assert LAX.choose(SecurityCapabilities.of((0,), (0,))) == ChosenAlgorithms(eea=0, eia=0)


@pytest.mark.parametrize(
    ("eea", "eia", "allowed"), [(3, 2, True), (1, 1, True), (2, 2, False), (3, 3, False), (0, 2, False), (3, 0, False)]
)
def test_only_listed_algorithms_protect_a_link(eea: int, eia: int, allowed: bool) -> None:
    policy = LinkPolicy(ciphering=(3, 1), integrity=(2, 1))
    assert policy.allows(ChosenAlgorithms(eea=eea, eia=eia)) is allowed


@pytest.mark.parametrize("changes", [{"ciphering": (2, 0)}, {"integrity": (0,)}])
def test_a_null_algorithm_is_not_listed(changes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(PolicyError, match="allow-null"):
        LinkPolicy(**changes)


def test_a_ue_authorises_peers_that_are_allowed_and_not_denied() -> None:
    policy = Policy(allow=("tel:+44*", "tel:+49*"), deny=("tel:+449*", "tel:+491"))
    peers = {"tel:+441": True, "tel:+492": True, "tel:+449": False, "tel:+491": False, "tel:+331": False}
    assert {peer: policy.authorises(peer) for peer in peers} == peers
    assert Policy().authorises("any") and not Policy(allow=()).authorises("any")


def test_three_rules_that_match_all_count_and_no_others() -> None:
    rules = (
        ("tel:*", LinkPolicy(ciphering=(1, 2, 3))),
        ("tel:+4*", LinkPolicy(ciphering=(3, 2))),
        ("tel:+44*", LinkPolicy(ciphering=(2,), mutual_ask=Mutual.REQUIRED)),
        ("sip:*", LinkPolicy(both_needed=True)),
    )
    policy = Policy(rules=rules, default=LAX)
    assert policy.towards("tel:+441") == LinkPolicy(ciphering=(2,), mutual_ask=Mutual.REQUIRED)
    assert policy.towards("tel:+331") == LinkPolicy(ciphering=(1, 2, 3))
    assert policy.towards("mailto:a") is LAX


@pytest.mark.parametrize(
    ("offer", "versions"),
    [
        (IpAddressConfig.DHCPV4_SERVER, {4}),
        (IpAddressConfig.IPV6_ROUTER, {6}),
        (IpAddressConfig.DHCPV4_SERVER_AND_IPV6_ROUTER, {4, 6}),
        (IpAddressConfig.NOT_SUPPORTED, {6}),
    ],
)
def test_ip_versions_of_an_offer(offer: IpAddressConfig, versions: set[int]) -> None:
    assert ip_versions_of(offer) == versions


def test_a_long_period_lengthens_what_waits_for_the_air_and_nothing_else() -> None:
    values, doubled = asdict(TimerValues()), asdict(TimerValues.for_period(160))
    longer = {"t4100_s", "t4101_s", "t4103_s", "keying_s", "t4111_s", "t_old_s"}
    assert doubled == {name: value * 2 if name in longer else value for name, value in values.items()}


@pytest.mark.parametrize("name", ["n4100", "n4101", "n4103"])
def test_the_least_and_the_most_transmissions(name: str) -> None:
    for number in (1, 64):
        assert getattr(TimerValues(**{name: number, "t4101_s": 0.01}), name) == number


def test_the_longest_and_the_shortest_duration() -> None:
    assert TimerValues(t4102_s=3600.0, first_within_s=1e-9).t4102_s == 3600.0
    assert TimerValues(t4102_s=1).t4102_s == 1
    with pytest.raises(TimerError, match="t4102_s"):
        TimerValues(t4102_s=3600.1)


@pytest.mark.parametrize(
    ("name", "periods", "awaited"),
    [
        ("t4100_s", 4, "the answer to a Request"),
        ("t4101_s", 3, "an Ack"),
        ("t4103_s", 3, "the Release Accept"),
        ("keying_s", 4, "the receipt of a group key"),
        ("t_old_s", 2, "what was sent under the old keys"),
    ],
)
def test_a_timer_just_as_long_as_an_answer_takes_is_allowed(name: str, periods: int, awaited: str) -> None:
    values = TimerValues(**{name: periods * 40 / 1000})
    values.check_against(40)
    with pytest.raises(TimerError, match=rf"^{name} .* ms: {awaited} takes up to {periods} periods"):
        values.check_against(40.5)


def test_an_sc_period_may_be_shorter_than_a_millisecond() -> None:
    TimerValues().check_against(0.5)


def test_a_provisional_link_that_ends_too_soon_is_named() -> None:
    with pytest.raises(TimerError, match=r"^t4111_s = 1 is shorter than the 1\.2 s"):
        TimerValues(t4111_s=1.0, t4101_s=0.1)


def test_timers_are_those_of_their_owner() -> None:
    timers: TimerSet[int] = TimerSet()
    assert timers.next_deadline_s() is None and list(timers.take_due(1e9)) == []
    timers.start(1, Timer.T4100, 5.0)
    timers.start(1, Timer.T4101, 4.0)
    timers.start(2, Timer.T4100, 3.0)
    timers.start(2, Timer.T4108, 9.0)
    assert timers.runs(1, Timer.T4100) and not timers.runs(2, Timer.T4101) and not timers.runs(1, Timer.T4108)
    assert timers.next_deadline_s() == 3.0
    timers.stop(2, Timer.T4100, Timer.T4101)
    assert not timers.runs(2, Timer.T4100) and timers.runs(1, Timer.T4101)
    timers.start(1, Timer.T4101, 5.0)
    assert list(timers.take_due(4.9)) == []
    assert list(timers.take_due(5.0)) == [(1, Timer.T4100), (1, Timer.T4101)]
    timers.start(1, Timer.T4103, 7.0)
    timers.stop_all(2)
    assert timers.next_deadline_s() == 7.0 and not timers.runs(2, Timer.T4108)
    timers.stop_all(2)
