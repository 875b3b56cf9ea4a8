"""A faint and a fading link: set-up at an SNR where one SCI in two is missed, speech while the channel fades."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lab_scripts.benchmarks.figure_family import Family, Figure
from lab_scripts.benchmarks.measure import Result
from lab_scripts.benchmarks.pair_trials import SET_UP_WITHIN_S, set_up_s, speech_lost_percent

_SNR_DB: Final = -5.0
_SET_UP_SEEDS, _QUICK_SET_UP_SEEDS = range(1, 21), range(1, 2)
_SPEECH_SEEDS, _QUICK_SPEECH_SEEDS = range(1, 7), range(1, 2)
_CAME_UP: Final = Figure(
    name="set-up at -5 dB: came up within 12 s", unit="%", of="share", lower_is_better=False, aim=90.0
)
_TOOK: Final = Figure(name="set-up at -5 dB: time", unit="s")
_FADING: Final = (("EVA70", 4.0, 3.0), ("ETU70", 6.0, 2.5))
"""Profile, SNR in dB, most that may be lost in per cent."""


def _speech(fading: str, snr_db: float, most_percent: float, heard_by: str) -> Figure:
    return Figure(
        name=f"speech lost over {fading} at {snr_db:g} dB, heard by {heard_by}",
        unit="%",
        of="mean",
        aim=most_percent,
    )


def _measure(quick: bool) -> Iterator[Result]:
    seeds = _QUICK_SET_UP_SEEDS if quick else _SET_UP_SEEDS
    times_s = [set_up_s(seed, snr_db=_SNR_DB) for seed in seeds]
    yield _CAME_UP.result([float(time_s is not None) for time_s in times_s], seeds=seeds)
    yield _TOOK.result([SET_UP_WITHIN_S if time_s is None else time_s for time_s in times_s], seeds=seeds)
    seeds = _QUICK_SPEECH_SEEDS if quick else _SPEECH_SEEDS
    for fading, snr_db, most_percent in _FADING:
        lost = [speech_lost_percent(seed, fading=fading, snr_db=snr_db) for seed in seeds]
        for name in lost[0]:
            yield _speech(fading, snr_db, most_percent, name).result([one[name] for one in lost], seeds=seeds)


FAMILY: Final = Family(
    name="faint",
    title="Faint and fading links",
    method=(
        "Two whole UEs over emulated samples. Set-up: white noise, from the decision to connect until both ends have "
        "the link; one that does not come up counts as 12 s in the time. Speech: both ends speak for 5 s, a datagram "
        "of 160 octets every 20 ms; the share of them that the other end did not get, over all calls."
    ),
    full_minutes=12,
    figures=(
        _CAME_UP,
        _TOOK,
        *(_speech(*one, name) for one in _FADING for name in ("ue-a", "ue-b")),
    ),
    measure=_measure,
)
