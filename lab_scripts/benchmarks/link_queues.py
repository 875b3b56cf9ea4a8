"""What a person notices of a link while one program transfers as much as it can: round trips, speech, the transfer.

Two UEs on the air of the link's bench, virtual time. UE-A sends by TCP (`tcp_model`) without end and pings at a rate;
in a second run both ends speak too. Pings and transfer have no DSCP, so that only fair queueing helps a ping; speech
has EF.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab_scripts.benchmarks.figure_family import Family, Figure
from lab_scripts.benchmarks.link_cells import senders_capacity_bit_s
from lab_scripts.benchmarks.measure import Result
from lab_scripts.benchmarks.modelled_programs import ModelledPrograms, ProgramPlan
from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import PRECONFIGURATION, CrowdPlan
from prose_link.config.preconfiguration import load_pools
from prose_link.config.ue import UeConfig, shipped_path
from prose_link.userplane.voice import percentile

_SEEDS: Final = range(7, 10)
_QUICK_SEEDS: Final = range(7, 8)
_LOADED_S, _QUICK_LOADED_S = 8.0, 4.0
"""How long the transfer lasts."""
_SETTLING_S: Final = 1.0
"""How long it has to find its window before anything is counted."""
_SET_UP_S: Final = 2.5
"""For synchronisation, discovery and the link."""
_PING_EVERY_S: Final = 0.1
_MTU_OCTETS: Final = 1400
_PING_AIM_MS, _VOICE_AIM_MS = 120.0, 80.0
_VOICE_LOSS_AIM_PERCENT: Final = 1.0
_TCP_AIM: Final = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedLink:
    """What came of one run. Of speech, the end that is worse off; 0 without speech."""

    ping_p95_ms: float
    tcp_share: float
    voice_p95_ms: float
    voice_lost_percent: float


def loaded_link(seed: int, loaded_s: float, capacity_bit_s: float, *, speaks: bool) -> LoadedLink:
    """One run of two UEs; raises LabError where nothing got through."""
    voice_s = loaded_s - _SETTLING_S if speaks else 0.0
    sending = ProgramPlan(sends_tcp=True, ping_every_s=_PING_EVERY_S, voice_s=voice_s, starts_s=_SETTLING_S)
    plans = {"ue-a": sending, "ue-b": ProgramPlan(voice_s=voice_s, starts_s=_SETTLING_S)}
    programs: dict[str, ModelledPrograms] = {}

    def interface_of(config: UeConfig) -> ModelledPrograms:
        programs[config.name] = ModelledPrograms(config, plans[config.name], _MTU_OCTETS)
        return programs[config.name]

    nothing = {"traffic": {"pings": 0, "push_octets": 0, "release_when_done": False}}
    cell = Cell(CrowdPlan(seed=seed, n_ues=2, group=False, folder=Path()), nothing, interface_of=interface_of)
    cell.run(_SET_UP_S + loaded_s)
    for one in programs.values():
        one.end_speech()
    return _figures(programs["ue-a"], programs["ue-b"], capacity_bit_s, loaded_s)


def _figures(a: ModelledPrograms, b: ModelledPrograms, capacity_bit_s: float, loaded_s: float) -> LoadedLink:
    counted = [(at_s, octets) for at_s, octets in b.figures.taken_at if _SETTLING_S <= at_s <= loaded_s]
    if len(counted) < 2 or not a.figures.round_trips_ms:
        raise LabError("two UEs: nothing of a transfer or a ping got through", code=ExitCode.FAILED)
    (begin_s, begin), (end_s, end) = counted[0], counted[-1]
    voices = [one.figures.voice for one in (a, b) if one.figures.voice is not None]
    return LoadedLink(
        ping_p95_ms=percentile(sorted(a.figures.round_trips_ms), 95) or 0.0,
        tcp_share=(end - begin) * 8 / (end_s - begin_s) / capacity_bit_s,
        voice_p95_ms=max((voice.latency_p95_ms or 0.0 for voice in voices), default=0.0),
        voice_lost_percent=max((voice.loss_percent for voice in voices), default=0.0),
    )


_PING: Final = Figure(name="ping under a TCP transfer, 95th percentile", unit="ms", aim=_PING_AIM_MS)
_TCP: Final = Figure(
    name="TCP goodput as a share of what the sender can carry", unit="share", lower_is_better=False, aim=_TCP_AIM
)
_SPEECH: Final = Figure(name="speech under a TCP transfer, 95th percentile of latency", unit="ms", aim=_VOICE_AIM_MS)
_SPEECH_LOST: Final = Figure(name="speech under a TCP transfer, lost", unit="%", aim=_VOICE_LOSS_AIM_PERCENT)
_PING_BESIDE_SPEECH: Final = Figure(
    name="ping under a TCP transfer and speech, 95th percentile", unit="ms", aim=_PING_AIM_MS
)
_TCP_BESIDE_SPEECH: Final = Figure(
    name="TCP goodput under speech as a share of what the sender can carry", unit="share", lower_is_better=False
)


def _measure(quick: bool) -> Iterator[Result]:
    """Raises LabError if no packet got through."""
    seeds, loaded_s = (_QUICK_SEEDS, _QUICK_LOADED_S) if quick else (_SEEDS, _LOADED_S)
    capacity_bit_s = senders_capacity_bit_s(load_pools(shipped_path(PRECONFIGURATION)).comm[0], 1)
    alone = [loaded_link(seed, loaded_s, capacity_bit_s, speaks=False) for seed in seeds]
    yield _PING.result([one.ping_p95_ms for one in alone], seeds=seeds)
    yield _TCP.result([one.tcp_share for one in alone], seeds=seeds)
    spoken = [loaded_link(seed, loaded_s, capacity_bit_s, speaks=True) for seed in seeds]
    yield _SPEECH.result([one.voice_p95_ms for one in spoken], seeds=seeds)
    yield _SPEECH_LOST.result([one.voice_lost_percent for one in spoken], seeds=seeds)
    yield _PING_BESIDE_SPEECH.result([one.ping_p95_ms for one in spoken], seeds=seeds)
    yield _TCP_BESIDE_SPEECH.result([one.tcp_share for one in spoken], seeds=seeds)


FAMILY: Final = Family(
    name="queues",
    title="Queues and priorities",
    method=(
        "Two whole UEs over emulated samples. UE-A sends by a model of TCP (CUBIC with SACK and RACK, "
        "`lab_scripts/benchmarks/tcp_model.py`) for 8 s and pings ten times a second; in a second run both ends speak "
        "too, 20 ms packets with EF. Pings and transfer have no DSCP. The first second is not counted. Of speech, the "
        "end that is worse off counts."
    ),
    full_minutes=8,
    figures=(_PING, _TCP, _SPEECH, _SPEECH_LOST, _PING_BESIDE_SPEECH, _TCP_BESIDE_SPEECH),
    measure=_measure,
)
