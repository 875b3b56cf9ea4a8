"""Whether a UE that lives on a link for a day keeps growing.

Memory is looked at in two ways. *Held* is what all containers of the process take (lists, dictionaries, objects), after
a collection: exact, and the same in each run. *Resident* is what the system has given the process: it sees buffers of
compiled code too, and the allocator's moods. The slope is that of the straight line with the least squares.
"""

from __future__ import annotations

import gc
import os
import resource
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lab_scripts.benchmarks.figure_family import Family, Figure
from lab_scripts.benchmarks.measure import Result
from lab_scripts.benchmarks.pair_trials import PAIR, SILENT, PairPlan
from lab_scripts.events.selection import AnyEvent, events_of
from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.runs.pdu_cell import PduCell
from lab_scripts.runs.subframe_cell import ASKED_EVERY_MS, SubframeCell
from prose_link.pc5s.core.events import LinkReleased, Rekeyed

_SEED: Final = 1
_LOSS: Final = 0.05
_HOURS, _QUICK_HOURS = 24.0, 0.5
_LOOKS: Final = 48
_SPEECH_S: Final = 1800.0
_SETTLED_H: Final = 2.0
"""From when the day's slope is taken: speech is over, all tables have been filled once."""
_STEP_MS: Final = 40
_KD_AGE_S: Final = 600.0
_MINUTES: Final = 20.0
_MINUTES_SETTLED: Final = 5.0
_HELD: Final = Figure(name="24 h of a link: growth of memory held", unit="KiB/h")
_RESIDENT: Final = Figure(name="24 h of a link: growth of resident memory", unit="KiB/h")
_REKEYS: Final = Figure(name="24 h of a link: new keys", unit="rekeys", lower_is_better=False)
_KEPT: Final = Figure(name="24 h of a link: kept", unit="%", of="share", lower_is_better=False, aim=100.0)
_HELD_OF_BLOCKS: Final = Figure(name="20 min of speech, with MAC and RLC: growth of memory held", unit="KiB/min")


@dataclass(slots=True)
class MemoryLog:
    """Looks at the process's memory by air time."""

    at_s: list[float] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)

    def look(self, at_s: float) -> None:
        """Take a look; the log's own growth is a few numbers."""
        gc.collect()
        self.at_s.append(at_s)
        self.held.append(sum(sys.getsizeof(thing) for thing in gc.get_objects()))
        self.resident.append(resident_octets())

    def slope_octets_s(self, values: list[int], *, from_s: float) -> float:
        """Growth of `held` or `resident` from a moment on. Raises LabError: too few looks since."""
        kept = [(at_s, value) for at_s, value in zip(self.at_s, values, strict=True) if at_s >= from_s]
        if len(kept) < 3:
            raise LabError(f"memory was looked at {len(kept)} times only since {from_s:g} s", code=ExitCode.BUG)
        return statistics.linear_regression([at_s for at_s, _ in kept], [value for _, value in kept]).slope


def resident_octets() -> int:
    """What the process has in memory now; where the system does not tell, the most that it ever had."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")


def day_on_a_link(hours: float) -> tuple[MemoryLog, int, bool]:
    """What a link's memory was at each look, how often it got new keys, and whether it was kept.

    Both ends speak for half an hour; then there are keepalives, announcements and new keys.
    """
    section = {
        "traffic": {**SILENT, "voice_s": min(_SPEECH_S, 900.0 * hours)},
        "timers": {"kd_age_s": _KD_AGE_S},
        "stop_after_s": 2.0 * 3600.0 * hours,
        "stop_when_alone_s": 0.0,
    }
    changes_of = dict.fromkeys(PAIR, section)
    cell = PduCell(PairPlan(seed=_SEED), {}, changes_of=changes_of, loss=_LOSS, step_ms=_STEP_MS)
    log, rekeys, kept = MemoryLog(), 0, True
    for _ in range(_LOOKS):
        for _ in range(10):
            cell.run(hours * 3600.0 / _LOOKS / 10)
            rekeys += len(events_of(cell.events, Rekeyed, PAIR[0]))
            kept = kept and not events_of(cell.events, LinkReleased)
            cell.events.clear()
        log.look(cell.ms / 1000)
    return log, rekeys, kept


def speech_over_blocks(minutes: float) -> MemoryLog:
    """What memory was at each look while two UEs speak on the air of subframes."""
    section = {"traffic": {**SILENT, "voice_s": 60.0 * minutes}, "stop_after_s": 120.0 * minutes}
    cell = SubframeCell(PairPlan(seed=_SEED), {}, changes_of=dict.fromkeys(PAIR, section))
    log = MemoryLog()
    cell.run(60.0 * minutes, _look_every(log, 60.0 * minutes / _LOOKS))
    return log


def _look_every(log: MemoryLog, every_s: float) -> Callable[[list[AnyEvent]], bool]:
    """Forgets what was told, and looks at memory each time so much has passed."""
    asked = 0

    def look(events: list[AnyEvent]) -> bool:
        nonlocal asked
        events.clear()
        asked += 1
        at_s = asked * ASKED_EVERY_MS / 1000
        if at_s >= every_s * (len(log.at_s) + 1):
            log.look(at_s)
        return False

    return look


def _measure(quick: bool) -> Iterator[Result]:
    hours = _QUICK_HOURS if quick else _HOURS
    log, rekeys, kept = day_on_a_link(hours)
    from_s = 3600.0 * (hours / 2 if quick else _SETTLED_H)
    yield _HELD.result([3600.0 / 1024 * log.slope_octets_s(log.held, from_s=from_s)], seeds=[_SEED])
    yield _RESIDENT.result([3600.0 / 1024 * log.slope_octets_s(log.resident, from_s=from_s)], seeds=[_SEED])
    yield _REKEYS.result([rekeys], seeds=[_SEED])
    yield _KEPT.result([float(kept)], seeds=[_SEED])
    if not quick:
        blocks = speech_over_blocks(_MINUTES)
        slope = blocks.slope_octets_s(blocks.held, from_s=60.0 * _MINUTES_SETTLED)
        yield _HELD_OF_BLOCKS.result([60.0 / 1024 * slope], seeds=[_SEED])


FAMILY: Final = Family(
    name="memory",
    title="A day on a link",
    method=(
        "Two whole UEs on an air of PDCP PDUs that loses 5 %, in steps of 40 ms, for 24 h: half an hour of speech, "
        "then keepalives, discovery and a new KD every 10 min; the slope of memory from the third hour on. A day over "
        "emulated samples would take days: so MAC, RLC and the scheduler are looked at on the air of subframes, for 20 "
        "min of speech, and the PHY not at all. A fast look is at half an hour of the former."
    ),
    full_minutes=10,
    figures=(_HELD, _RESIDENT, _REKEYS, _KEPT, _HELD_OF_BLOCKS),
    measure=_measure,
)
