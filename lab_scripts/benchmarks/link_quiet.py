"""Links that carry traffic one way for long: each end still makes sure that the other hears it (PROFILE 9 (L1))."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from lab_scripts.benchmarks.figure_family import Family, Figure
from lab_scripts.benchmarks.measure import Result
from lab_scripts.benchmarks.pair_trials import PAIR, SILENT, PairPlan
from lab_scripts.events.selection import events_of
from lab_scripts.runs.pdu_cell import PduCell
from prose_link.pc5s.core.events import LinkEstablished, LinkReleased

_LOSS: Final = 0.1
_SPEECH_S, _QUICK_SPEECH_S = 600.0, 120.0
_SEEDS, _QUICK_SEEDS = range(1, 7), range(1, 3)
_SET_UP_S: Final = 20.0
_DIRECTIONS: Final = {"initiator": "ue-a", "responder": "ue-b"}


def _kept(speaker: str) -> Figure:
    return Figure(
        name=f"10 min of traffic from the {speaker} alone, 1 PDU in 10 lost: link kept",
        unit="%",
        of="share",
        lower_is_better=False,
        aim=100.0,
    )


_IDLE: Final = Figure(
    name="10 min without traffic, 1 PDU in 10 lost: link kept", unit="%", of="share", lower_is_better=False, aim=100.0
)


def is_kept(seed: int, speaker: str, for_s: float) -> bool:
    """Whether a link stands through `for_s` while `speaker` alone says something, or nobody where it is empty."""
    talk = {**SILENT, "voice_s": for_s}
    changes_of: dict[str, dict[str, Any]] = {
        name: {"traffic": talk if name == speaker else SILENT, "stop_after_s": for_s + 2 * _SET_UP_S} for name in PAIR
    }
    cell = PduCell(PairPlan(seed=seed), {}, changes_of=changes_of, loss=_LOSS)
    cell.run(_SET_UP_S, lambda events: len(events_of(events, LinkEstablished)) == 2)
    if len(events_of(cell.events, LinkEstablished)) != 2:
        return False
    cell.events.clear()
    cell.run(for_s)
    return not events_of(cell.events, LinkReleased)


def _measure(quick: bool) -> Iterator[Result]:
    seeds, for_s = (_QUICK_SEEDS, _QUICK_SPEECH_S) if quick else (_SEEDS, _SPEECH_S)
    for speaker, name in _DIRECTIONS.items():
        yield _kept(speaker).result([float(is_kept(seed, name, for_s)) for seed in seeds], seeds=seeds)
    yield _IDLE.result([float(is_kept(seed, "", for_s)) for seed in seeds], seeds=seeds)


FAMILY: Final = Family(
    name="quiet",
    title="Traffic one way, or none",
    method=(
        "Two whole UEs on an air of PDCP PDUs: each PDU is lost with a chance of 10 %, whatever it is. One end sends a "
        "datagram every 20 ms, the other nothing. A link is kept where neither end has released it in 10 minutes. A "
        "fast look takes 2 minutes for that."
    ),
    full_minutes=5,
    figures=(*(_kept(speaker) for speaker in _DIRECTIONS), _IDLE),
    measure=_measure,
)
