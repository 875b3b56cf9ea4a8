"""Timer values: which can't be, which don't fit a pool, and what the standard's names stand for."""

import re
from dataclasses import fields, replace

import pytest

from prose_link.pc5s.core.shared import Pc5sConfig
from prose_link.pc5s.core.timers import DEFAULTS_UP_TO_MS, UNUSED_TIMERS, Timer, TimerError, TimerValues
from tests.benches.pc5s_bench import traits_of

SC_PERIODS_MS = (40, 60, 70, 80, 120, 140, 160, 240, 280, 320)
"""SL-PeriodComm-r12 (TS 36.331)."""
DURATIONS = [field.name for field in fields(TimerValues) if field.name.endswith("_s")]


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("value", [0, 0.0, -1, float("nan"), float("inf"), 3600.5, True, "1", None])
def test_durations_that_can_not_be(name, value):
    if name == "first_within_s" and value == 0:
        assert TimerValues(first_within_s=value).first_within_s == 0, "requests may go out at once"
        return
    with pytest.raises(TimerError, match=name):
        TimerValues(**{name: value})


@pytest.mark.parametrize("name", ["n4100", "n4101"])
@pytest.mark.parametrize("value", [0, -1, 65, 2.0, True, "1", None])
def test_numbers_of_transmissions_that_can_not_be(name, value):
    with pytest.raises(TimerError, match=name):
        TimerValues(**{name: value})


def test_a_provisional_link_outlives_the_confirms_sent_to_it():
    values = TimerValues(t4101_s=0.5, n4101=12, t4111_s=6.0)
    with pytest.raises(TimerError, match="t4111_s"):
        TimerValues(t4101_s=0.5, n4101=12, t4111_s=5.9)
    core = traits_of("ims")
    values.check_carrier(replace(core, t4111_s=6.0))
    with pytest.raises(TimerError, match="t4111_s of carrier ims"):
        values.check_carrier(replace(core, t4111_s=5.9))


def test_direct_radio_has_the_timers_of_the_ue_and_others_their_own():
    values = TimerValues(t4100_s=0.7, n4100=5, t4111_s=8.0)
    direct, core = values.direct, traits_of("ims", values)
    assert (direct.t4100_s, direct.n4100, direct.t4111_s) == (0.7, 5, 8.0)
    assert (core.t4100_s, core.n4100, core.t4111_s) == (10.0, 4, 30.0), "PROFILE 2"


@pytest.mark.parametrize("sc_period_ms", SC_PERIODS_MS)
def test_scaled_defaults_fit_every_sc_period(sc_period_ms):
    values = TimerValues.for_period(sc_period_ms)
    values.check_against(sc_period_ms)
    values.check_inactivity(30)
    assert (values == TimerValues()) is (sc_period_ms <= DEFAULTS_UP_TO_MS)


@pytest.mark.parametrize(
    ("changed", "sc_period_ms", "named"),
    [
        ({"t4100_s": 0.319}, 80, "t4100_s"),
        ({"t4101_s": 0.119}, 40, "t4101_s"),
        ({"t4103_s": 0.119}, 40, "t4103_s"),
        ({"keying_s": 0.159}, 40, "keying_s"),
        ({"t_old_s": 0.079}, 40, "t_old_s"),
        ({}, 320, "t4100_s"),
    ],
)
def test_timers_shorter_than_an_answer_takes_are_refused(changed, sc_period_ms, named):
    with pytest.raises(TimerError, match=f"{named} = .* is too short for an SC period of {sc_period_ms} ms"):
        TimerValues(**changed).check_against(sc_period_ms)


def test_the_least_that_fits_is_what_the_error_says():
    with pytest.raises(TimerError) as refused:
        TimerValues(t4100_s=0.1).check_against(40)
    least_s = float(re.search(r"must be ([0-9.]+) or more", str(refused.value))[1])
    TimerValues(t4100_s=least_s).check_against(40)


@pytest.mark.parametrize("sc_period_ms", [0, -40, float("nan"), float("inf")])
def test_an_sc_period_that_can_not_be(sc_period_ms):
    for ask in (TimerValues().check_against, TimerValues.for_period):
        with pytest.raises(TimerError, match="SC period"):
            ask(sc_period_ms)


def test_the_peer_is_not_silent_while_it_still_sends_keepalives():
    Pc5sConfig(l2_id=1, timers=TimerValues(t4102_s=10.0, t4101_s=0.3, n4101=10), maximum_inactivity_period_s=13)
    with pytest.raises(TimerError, match="maximum inactivity period 12 s is shorter"):
        Pc5sConfig(l2_id=1, timers=TimerValues(t4102_s=10.0, t4101_s=0.3, n4101=10), maximum_inactivity_period_s=12)


def test_every_name_from_t4100_to_t4111_is_used_or_named_as_unused():
    used = {name for timer in Timer for name in re.findall(r"^T41[01][0-9]$", timer.name)}
    assert used == {"T4100", "T4101", "T4102", "T4103", "T4108", "T4111"}
    assert used | set(UNUSED_TIMERS) == {f"T41{number:02d}" for number in range(12)}
    assert not used & set(UNUSED_TIMERS)
