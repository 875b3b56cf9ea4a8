"""The end of a month in the middle of a call: nothing to notice with a KMS in reach, told a day ahead without one.

Whole UEs on an air of PDCP PDUs that loses one in ten, in virtual time.
"""

from __future__ import annotations

from datetime import timedelta

from lab_scripts.benchmarks.link_keys import MONTH_END, across_the_month, call, speaking_cell, told_ahead_h
from lab_scripts.benchmarks.pair_trials import PAIR, SILENT, PairPlan
from lab_scripts.events.selection import events_of
from lab_scripts.runs.lab_world import DISCOVERY_GROUP
from lab_scripts.runs.nearby_kms import NearbyKms
from lab_scripts.runs.pdu_cell import PduCell
from prose_link.instant import NTP_EPOCH_OFFSET_S
from prose_link.pc5s.core.events import LinkEstablished, LinkKeysRunOut, LinkReleased, Rekeyed


def cell_before_the_end(before_s: float) -> PduCell:
    section = {
        "utc_at_power_on": MONTH_END - timedelta(seconds=before_s),
        "traffic": SILENT,
        "stop_after_s": 3 * 86_400.0,
    }
    changes_of = dict.fromkeys(PAIR, section)
    return PduCell(PairPlan(seed=3), {}, changes_of=changes_of, loss=0.1, keyed_at=MONTH_END - timedelta(days=15))


def told(cell: PduCell) -> list[str]:
    return [one.source for one in events_of(cell.events, LinkKeysRunOut)]


def test_a_call_does_not_notice_the_end_of_the_month() -> None:
    outcome = across_the_month(1)
    assert outcome.renewed_by == set(PAIR) and not outcome.released
    assert outcome.lost_by_keys == 0


def test_rekeys_lose_no_packet() -> None:
    outcome = call(speaking_cell(2, 12.0, timers={"kd_age_s": 2.0}), 12.0)
    assert outcome.rekeys >= 4 and outcome.lost_by_keys == 0


def test_without_a_kms_both_ends_tell_it_a_day_ahead() -> None:
    assert 24.0 <= told_ahead_h(5) <= 25.1


def test_nothing_is_told_before_the_last_day() -> None:
    cell = cell_before_the_end(26 * 3600.0)
    cell.run(30.0)
    assert len(events_of(cell.events, LinkEstablished)) == 2 and not told(cell)


def test_a_link_that_comes_up_on_the_last_day_tells_it_at_once_and_once() -> None:
    """New keys of the link every few seconds don't make it tell it again: they are of the same month."""
    cell = cell_before_the_end(3600.0)
    cell.run(10.0)
    assert sorted(told(cell)) == list(PAIR)
    (first, _) = events_of(cell.events, LinkKeysRunOut)
    assert first.event.period_ends_ntp_s == MONTH_END.timestamp() + NTP_EPOCH_OFFSET_S
    assert first.event.link_ends_ntp_s == first.event.period_ends_ntp_s + 2 * 86_400

    again = speaking_cell(3, 10.0, utc_at_power_on=MONTH_END - timedelta(seconds=3600), timers={"kd_age_s": 2.0})
    again.run(12.0)
    assert len(events_of(again.events, Rekeyed)) >= 4 and sorted(told(again)) == list(PAIR)


def test_who_has_the_keys_of_the_next_month_tells_nothing() -> None:
    cell = cell_before_the_end(3600.0)
    kms = NearbyKms(cell.authority, lambda: cell.node("ue-a").now.ntp_s)
    sets = (f"{DISCOVERY_GROUP:06x}",)
    cell.renew("ue-a", kms.renewal(cell.identity("ue-a"), key_sets=sets, first_wait_s=0.05))
    cell.run(10.0)
    assert told(cell) == ["ue-b"]


def test_the_link_goes_on_over_the_end_without_a_kms_as_long_as_its_keys_are_accepted() -> None:
    cell = cell_before_the_end(5.0)
    cell.run(30.0)
    assert len(events_of(cell.events, LinkEstablished)) == 2 and not events_of(cell.events, LinkReleased)
