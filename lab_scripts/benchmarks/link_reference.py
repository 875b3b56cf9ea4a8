"""A follower that does not hear its synchronisation reference for a while: it searches again, and the link goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lab_scripts.benchmarks.figure_family import Family, Figure
from lab_scripts.benchmarks.measure import Result
from lab_scripts.benchmarks.pair_trials import GOOD_SNR_DB, PAIR, SILENT, PairPlan
from lab_scripts.events.selection import events_of, pdus_of
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import SAMPLE_RATE_HZ
from lab_scripts.runs.lab_world import LAB_UTC
from prose_link.pc5s.core.events import LinkEstablished, LinkReleased
from radio.arrays import Iq
from radio.emulator.actions import TxPiece
from radio.phy.lte.channels.indications import SyncLost

_SEEDS, _QUICK_SEEDS = range(1, 4), range(1, 2)
_SILENT_FROM_S, _SILENT_FOR_S = 2.5, 5.0
_BACK_S: Final = _SILENT_FROM_S + _SILENT_FOR_S
_WITHIN_S: Final = 6.0
"""How long traffic is waited for after the reference is back."""
_ROLES: Final = {"follow": {"role": "follow"}, "auto": {"role": "auto", "listen_s": 0.3, "scan_every_s": 0.4}}


def _kept(role: str) -> Figure:
    return Figure(
        name=f"reference silent for 5 s, peer's role {role}: link kept",
        unit="%",
        of="share",
        lower_is_better=False,
        aim=100.0,
    )


def _again(role: str) -> Figure:
    return Figure(name=f"reference silent for 5 s, peer's role {role}: traffic again after its return", unit="s")


@dataclass(slots=True)
class SilencedReference:
    """Takes what one UE sends off the air for a while; an `OverTheAirAction`."""

    ue: str
    from_s: float
    until_s: float
    lookahead_blocks: int = 0

    def process(self, piece: TxPiece) -> Iq | None:
        """Silence, or what was there."""
        at_s = piece.first_sample / SAMPLE_RATE_HZ
        is_silenced = piece.ue == self.ue and self.from_s <= at_s < self.until_s
        return None if is_silenced else piece.iq


def traffic_again_s(seed: int, role: str) -> float | None:
    """From the return of a reference that was silent for 5 s until its peer hears a packet of its; None: link lost."""
    reference, peer = PAIR
    speech = {**SILENT, "voice_s": _BACK_S + _WITHIN_S}
    changes_of = {
        reference: {"traffic": speech, "sync": {"role": "reference"}},
        peer: {"traffic": SILENT, "sync": _ROLES[role], "stop_when_alone_s": 0.0},
    }
    silence = SilencedReference(reference, _SILENT_FROM_S, _BACK_S)
    plan = PairPlan(seed=seed, link={"snr_db": GOOD_SNR_DB})
    cell = Cell(plan, {}, changes_of=changes_of, actions=(silence,))
    back_ns = round((LAB_UTC.timestamp() + _BACK_S) * 1e9)

    def again_ns() -> int | None:
        heard = (one.utc_ns for one in pdus_of(cell.events, "ip", "rx", peer))
        return next((at_ns for at_ns in heard if at_ns > back_ns), None)

    cell.run(_BACK_S + _WITHIN_S, lambda events: events[-1].utc_ns > back_ns and again_ns() is not None)
    was_lost = bool(events_of(cell.events, SyncLost, peer)) and len(events_of(cell.events, LinkEstablished)) == 2
    heard_ns = again_ns()
    if not was_lost or heard_ns is None or events_of(cell.events, LinkReleased):
        return None
    return (heard_ns - back_ns) / 1e9


def _measure(quick: bool) -> Iterator[Result]:
    seeds = _QUICK_SEEDS if quick else _SEEDS
    for role in ("follow",) if quick else _ROLES:
        times_s = [traffic_again_s(seed, role) for seed in seeds]
        yield _kept(role).result([float(time_s is not None) for time_s in times_s], seeds=seeds)
        yield _again(role).result([_WITHIN_S if time_s is None else time_s for time_s in times_s], seeds=seeds)


FAMILY: Final = Family(
    name="reference",
    title="A reference that falls silent",
    method=(
        "Two whole UEs over emulated samples at 20 dB; one is the synchronisation reference of the other and speaks to "
        "it. Nothing that it sends comes through for 5 s. Kept is a link that neither end has released, on which "
        "packets are heard again within 6 s of the return; else 6 s count as the time. A fast look is at role follow "
        "alone."
    ),
    full_minutes=8,
    figures=tuple(figure for role in _ROLES for figure in (_kept(role), _again(role))),
    measure=_measure,
)
