"""Trials with one pair of UEs: whole UEs over emulated samples, or, for long times, on an air of PDCP PDUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lab_scripts.events.selection import AnyEvent, all_at_ns, events_of, time_ns
from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import CrowdPlan
from prose_link.pc5s.core.events import LinkEstablished
from prose_link.ue.events import Connecting
from prose_link.userplane.events import PingLost, PingReply, VoiceReceived

PAIR: Final = ("ue-a", "ue-b")
SILENT: Final = {"pings": 0, "push_octets": 0, "voice_s": 0.0, "release_when_done": False}
"""A `[traffic]` of nothing."""
GOOD_SNR_DB: Final = 20.0
SET_UP_WITHIN_S: Final = 12.0
"""A link that takes longer is not waited for."""
_FOUND_WITHIN_S: Final = 20.0
"""How long synchronisation and discovery may take before; it is no part of the set-up's time."""
_STAYS: Final = {"stop_when_alone_s": 0.0}
"""A UE that hears nothing for a second on a faint link is not to switch off."""
_SPEECH_S: Final = 5.0
_SPEECH_WITHIN_S: Final = 25.0
_PINGS_WITHIN_S: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPlan(CrowdPlan):
    """Two UEs whose radio link is as told: `snr_db`, `fading`, `loss` and `loss_ms` of a scenario's link."""

    n_ues: int = 2
    group: bool = False
    folder: Path = Path()
    link: Mapping[str, Any] = field(default_factory=dict)

    def scenario(self) -> dict[str, Any]:
        """The air between the two."""
        document = CrowdPlan.scenario(self)
        if self.link:
            (link,) = document["link"]
            del link["path_loss_db"]
            link.update(self.link)
        return document


def set_up_s(seed: int, **link: Any) -> float | None:
    """From the decision to connect until both ends have the link; None where that takes more than 12 s."""
    cell = Cell(PairPlan(seed=seed, link=link), {"traffic": SILENT}, changes_of=dict.fromkeys(PAIR, _STAYS))

    def is_over(events: list[AnyEvent]) -> bool:
        decided_ns = time_ns(events, Connecting)
        is_late = decided_ns is not None and events[-1].utc_ns > decided_ns + SET_UP_WITHIN_S * 1e9
        return is_late or all_at_ns(events, LinkEstablished, PAIR) is not None

    cell.run(_FOUND_WITHIN_S + SET_UP_WITHIN_S, is_over)
    decided_ns, up_ns = time_ns(cell.events, Connecting), all_at_ns(cell.events, LinkEstablished, PAIR)
    if decided_ns is None or up_ns is None or up_ns - decided_ns > SET_UP_WITHIN_S * 1e9:
        return None
    return (up_ns - decided_ns) / 1e9


def speech_lost_percent(seed: int, **link: Any) -> dict[str, float]:
    """Datagrams of 5 s of speech that each end lost, in per cent, by the name of the end that heard it.

    Raises LabError where the link did not come up.
    """
    cell = Cell(PairPlan(seed=seed, link=link), {"traffic": {**SILENT, "pings": 1, "voice_s": _SPEECH_S}})
    cell.run(_SPEECH_WITHIN_S, lambda events: len(events_of(events, VoiceReceived)) == 2)
    heard = {timed.source: timed.event for timed in events_of(cell.events, VoiceReceived)}
    if len(heard) < 2:
        raise LabError(f"seed {seed}, {link}: no speech at {set(PAIR) - heard.keys()}", code=ExitCode.FAILED)
    return {name: 100 * heard[name].lost / heard[name].sent for name in PAIR}


def round_trips_ms(seed: int, n_pings: int) -> list[float]:
    """Round trips of pings one after the other, in a pool that nobody else uses; lost ones are not among them."""
    of_a = {"ue-a": {"traffic": {**SILENT, "pings": n_pings}}}
    cell = Cell(PairPlan(seed=seed, link={"snr_db": GOOD_SNR_DB}), {"traffic": SILENT}, changes_of=of_a)
    cell.run(
        _PINGS_WITHIN_S,
        lambda events: len(events_of(events, PingReply)) + len(events_of(events, PingLost)) == n_pings,
    )
    return [timed.event.rtt_ms for timed in events_of(cell.events, PingReply)]
