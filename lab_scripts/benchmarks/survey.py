"""Speed of `pc5lab phy decode` on 50 PRB: milliseconds of processor for each millisecond of a recording."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from lab_scripts.benchmarks.busy_air import LoopedSource, busy_direct_air, busy_v2x_air, noise_air
from lab_scripts.benchmarks.measure import Case
from radio.arrays import Iq
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.survey.findings import Survey
from radio.phy.lte.survey.survey import survey_source

_SEED: Final = 1
_CARRIER: Final = Carrier(50)
_SNR_DB: Final = 15.0
_SUBFRAMES: Final = 320
"""Two stretches of the survey: what a stretch costs once must not weigh more than in a long recording."""


def cases() -> list[Case]:
    """Noise, and airs on which every PRB of every subframe is in use; real time is the aim."""
    airs: dict[str, Callable[[], Iq]] = {
        "noise": lambda: noise_air(_CARRIER, _SEED),
        "every PRB in use, mode 1": lambda: busy_direct_air(_CARRIER, _SEED, snr_db=_SNR_DB, timing_advance=100),
        "every PRB in use, mode 2": lambda: busy_direct_air(_CARRIER, _SEED, snr_db=_SNR_DB),
        "every PRB in use, modes 3 and 4": lambda: busy_v2x_air(_CARRIER, _SEED, snr_db=_SNR_DB),
    }
    return [
        Case(
            name=f"survey of 1 ms of a recording, {name}",
            unit="ms",
            prepare=partial(_survey, air),
            work=_SUBFRAMES,
            aim=1.0,
        )
        for name, air in airs.items()
    ]


def _survey(air: Callable[[], Iq]) -> Callable[[], object]:
    iq = air()
    n_samples = _SUBFRAMES * _CARRIER.samples_per_subframe

    def survey() -> Survey:
        found = Survey()
        survey_source(LoopedSource(iq=iq, n_samples=n_samples), _CARRIER, found)
        return found

    return survey
