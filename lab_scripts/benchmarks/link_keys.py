"""New keys while a link is in use: rekeys, and the change from one month's keys to the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from lab_scripts.benchmarks.figure_family import Family, Figure
from lab_scripts.benchmarks.measure import Result
from lab_scripts.benchmarks.pair_trials import PAIR, SILENT, PairPlan
from lab_scripts.events.selection import events_of
from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.runs.lab_world import DISCOVERY_GROUP, LAB_UTC
from lab_scripts.runs.nearby_kms import NearbyKms
from lab_scripts.runs.pdu_cell import PduCell
from prose_link.instant import NTP_EPOCH_OFFSET_S
from prose_link.pc5s.core.events import LinkEstablished, LinkKeysRunOut, LinkReleased, Rekeyed
from prose_link.userplane.events import VoiceReceived

MONTH_END: Final = datetime(2026, 4, 1, tzinfo=UTC)
_LOSS: Final = 0.1
_KD_AGE_S: Final = 5.0
_SET_UP_S: Final = 20.0
_SPEECH_S, _QUICK_SPEECH_S = 300.0, 30.0
_ACROSS_S: Final = 20.0
"""Speech from before the month's end until after it; a link that is under way then renews its keys in this time."""
_BEFORE_S: Final = 8.0
_AHEAD_S: Final = 25 * 3600.0 + 30.0
_SEEDS, _QUICK_SEEDS = range(1, 11), range(1, 3)
_LOST_BY_REKEYS: Final = Figure(
    name="user packets lost by rekeys, 1 PDU in 10 lost on the air", unit="packets", of="worst", aim=0.0
)
_REKEYS: Final = Figure(name="rekeys in such a call", unit="rekeys", lower_is_better=False)
_ACROSS: Final = Figure(
    name="month's end with the KMS in reach: link kept and renewed",
    unit="%",
    of="share",
    lower_is_better=False,
    aim=100.0,
)
_LOST_ACROSS: Final = Figure(
    name="month's end with the KMS in reach: user packets lost by it", unit="packets", of="worst", aim=0.0
)
_NAMED: Final = Figure(
    name="month's end without a KMS: told so long before it",
    unit="h",
    of="worst",
    lower_is_better=False,
    aim=24.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOutcome:
    """What became of one call."""

    lost_by_keys: int
    """Datagrams that did not arrive, beyond those that the air lost."""
    rekeys: int
    renewed_by: frozenset[str]
    """The ends whose keys are of a new I_MESSAGE."""
    released: bool


def call(cell: PduCell, speech_s: float) -> CallOutcome:
    """Let both ends speak to their end, and see what the keys cost. Raises LabError: no link, or no speech."""
    cell.run(_SET_UP_S, lambda events: len(events_of(events, LinkEstablished)) == 2)
    cell.run(speech_s + _SET_UP_S, lambda events: len(events_of(events, VoiceReceived)) == 2)
    heard = events_of(cell.events, VoiceReceived)
    if len(heard) != 2:
        raise LabError("a call without speech at both ends", code=ExitCode.FAILED)
    rekeyed = events_of(cell.events, Rekeyed)
    return CallOutcome(
        lost_by_keys=sum(one.event.lost for one in heard) - cell.air.user_data.lost,
        rekeys=len(rekeyed) // 2,
        renewed_by=frozenset(one.source for one in rekeyed if one.event.new_kd),
        released=bool(events_of(cell.events, LinkReleased)),
    )


def speaking_cell(seed: int, speech_s: float, **changes: Any) -> PduCell:
    """Two UEs that speak as soon as they have a link; both ends' sections differ from the plan's by `changes`."""
    section = {"traffic": {**SILENT, "voice_s": speech_s}, "stop_after_s": speech_s + 3 * _SET_UP_S, **changes}
    return PduCell(
        PairPlan(seed=seed),
        {},
        changes_of=dict.fromkeys(PAIR, section),
        loss=_LOSS,
        keyed_at=MONTH_END - timedelta(days=15) if "utc_at_power_on" in changes else LAB_UTC,
    )


def across_the_month(seed: int) -> CallOutcome:
    """A call from before the end of a month until after it, both UEs in reach of their KMS."""
    cell = speaking_cell(seed, _ACROSS_S, utc_at_power_on=MONTH_END - timedelta(seconds=_BEFORE_S))
    kms = NearbyKms(cell.authority, lambda: cell.node(PAIR[0]).now.ntp_s)
    for place, name in enumerate(PAIR):
        first_s = 1.0 + 0.2 * place
        key_sets = (f"{DISCOVERY_GROUP:06x}",)
        cell.renew(name, kms.renewal(cell.identity(name), key_sets=key_sets, first_wait_s=first_s))
    return call(cell, _ACROSS_S)


def told_ahead_h(seed: int) -> float:
    """How long before the end of the month the later of two ends without KMS says that its keys run out; else 0."""
    on = {"utc_at_power_on": MONTH_END - timedelta(seconds=_AHEAD_S), "traffic": SILENT, "stop_after_s": 3600.0}
    changes_of = dict.fromkeys(PAIR, on)
    cell = PduCell(PairPlan(seed=seed), {}, changes_of=changes_of, loss=_LOSS, keyed_at=MONTH_END - timedelta(days=15))
    cell.run(60.0)
    told = {one.source: one for one in events_of(cell.events, LinkKeysRunOut)}
    if told.keys() != set(PAIR):
        return 0.0
    end_s = MONTH_END.timestamp()
    if any(one.event.period_ends_ntp_s != end_s + NTP_EPOCH_OFFSET_S for one in told.values()):
        return 0.0
    return min((end_s - one.utc_ns / 1e9) / 3600 for one in told.values())


def _measure(quick: bool) -> Iterator[Result]:
    seeds, speech_s = (_QUICK_SEEDS, _QUICK_SPEECH_S) if quick else (_SEEDS, _SPEECH_S)
    calls = [call(speaking_cell(seed, speech_s, timers={"kd_age_s": _KD_AGE_S}), speech_s) for seed in seeds]
    yield _LOST_BY_REKEYS.result([one.lost_by_keys for one in calls], seeds=seeds)
    yield _REKEYS.result([one.rekeys for one in calls], seeds=seeds)
    across = [across_the_month(seed) for seed in seeds]
    kept = [float(one.renewed_by == set(PAIR) and not one.released) for one in across]
    yield _ACROSS.result(kept, seeds=seeds)
    yield _LOST_ACROSS.result([one.lost_by_keys for one in across], seeds=seeds)
    yield _NAMED.result([told_ahead_h(seed) for seed in seeds], seeds=seeds)


FAMILY: Final = Family(
    name="keys",
    title="New keys",
    method=(
        "Two whole UEs on an air of PDCP PDUs: each PDU, signalling or data, is lost with a chance of 10 %. Both ends "
        "speak, a datagram every 20 ms: for 5 min with a new KD every 5 s, and for 20 s around the end of a month. "
        "Lost by keys is what did not arrive less what the air counts as lost. Without a KMS: when the later of the "
        "two ends says that it has no keys of the next month."
    ),
    full_minutes=8,
    figures=(_LOST_BY_REKEYS, _REKEYS, _ACROSS, _LOST_ACROSS, _NAMED),
    measure=_measure,
)
