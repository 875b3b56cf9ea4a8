"""Block error rate against SNR: trials through white noise or fading, repeatable from a seed.

A trial sends one message through the air. Its noise is fixed by the seed, the channel, the SNR and the number of the
trial, and its fading by all of these but the SNR: any trial can be made again by itself, and results don't depend on
the order of the work or the number of processes. Each point has the same number of trials; its error rate comes with
the Wilson interval of 95 %. `bler_channels` defines what a channel sends, and when a message counts as received.
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final

import numpy as np

from lab_scripts.benchmarks.bler_channels import (
    BATCH,
    Broadcast,
    Control,
    Discovery,
    Shared,
    Subject,
    Synchronisation,
)
from lab_scripts.benchmarks.measure import Result
from radio.arrays import Iq
from radio.emulator.channel.fading import FadingModel, rayleigh_taps
from radio.emulator.channel.link import Link, SampleClock
from radio.emulator.channel.noise import noise_block
from radio.emulator.channel.seeds import derive_key

AWGN: Final = "AWGN"
FADINGS: Final = (AWGN, "EPA5", "EVA70", "ETU70")
_TRIALS, _QUICK_TRIALS = 1000, 160
_Z_95: Final = 1.959964
_TARGET_BLER: Final = 0.1
_CLEAN_POINTS: Final = 2
"""A curve ends after this many points without a single error."""
_KNOWN_CHANNEL_AIM_DB: Final = 1.0
_SYNC_SNR_DB: Final = -3.0
_SYNC_AIMS: Final = {1: 90.0, 3: 99.0}
"""Percent of synchronisation attempts at `_SYNC_SNR_DB` meant to succeed, by occasions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """SNRs at which a channel is tried, from `first_db` in steps up to `last_db`."""

    subject: Subject
    first_db: float
    last_db: float
    fadings: tuple[str, ...] = FADINGS

    def snrs_db(self, fading: str) -> list[float]:
        """Half a dB apart without fading, where curves are steep; two with it, and 14 dB further up."""
        step_db, last_db = (0.5, self.last_db) if fading == AWGN else (2.0, self.last_db + 14)
        return [float(snr_db) for snr_db in np.arange(self.first_db, last_db + step_db / 2, step_db)]


_KNOWN = Shared(n_prb=10, mcs=5, known_channel=True)
_ESTIMATED = Shared(n_prb=10, mcs=5)

SYNC: Final = "sync"
SWEEPS: Final[dict[str, Sweep]] = {
    "psbch": Sweep(subject=Broadcast(), first_db=-9, last_db=2),
    "pscch": Sweep(subject=Control(), first_db=-6, last_db=6),
    "psdch": Sweep(subject=Discovery(), first_db=-9, last_db=5),
    "pssch-qpsk": Sweep(subject=_ESTIMATED, first_db=-9, last_db=4),
    "pssch-qpsk-known": Sweep(subject=_KNOWN, first_db=-9, last_db=4, fadings=(AWGN,)),
    "pssch-16qam": Sweep(subject=Shared(n_prb=10, mcs=15), first_db=-4, last_db=11),
    SYNC: Sweep(subject=Synchronisation(), first_db=-9, last_db=2),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Errors among the trials at one SNR, with the Wilson interval of their rate at 95 %."""

    snr_db: float
    trials: int
    errors: int

    @property
    def bler(self) -> float:
        """Share of the trials that failed."""
        return self.errors / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval."""
        n, z2 = self.trials, _Z_95**2
        middle = (self.errors + z2 / 2) / (n + z2)
        half = _Z_95 / (n + z2) * math.sqrt(self.errors * (n - self.errors) / n + z2 / 4)
        return max(middle - half, 0.0), min(middle + half, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """BLER of one channel after `n_transmissions` of each message."""

    channel: str
    label: str
    fading: str
    n_transmissions: int
    points: tuple[Point, ...]

    @property
    def title(self) -> str:
        """Channel, fading and number of transmissions in words."""
        plural = "s" if self.n_transmissions > 1 else ""
        return f"{self.label}, {self.fading}, {self.n_transmissions} {self.unit}{plural}"

    @property
    def unit(self) -> str:
        """What is repeated."""
        return "occasion" if self.channel == SYNC else "transmission"

    @property
    def snr_at_target_db(self) -> float | None:
        """SNR at which the BLER is 10 %, between two points; None where the curve does not cross it."""
        return _crossing([(point.snr_db, point.bler) for point in self.points])

    @property
    def uncertainty_db(self) -> float:
        """Distance of the crossings of both ends of the interval."""
        ends = [_crossing([(point.snr_db, point.interval[end]) for point in self.points]) for end in (0, 1)]
        low, high = ends
        return abs(high - low) if low is not None and high is not None else math.inf


def run(*, quick: bool) -> Iterator[Result]:
    """Measure every channel in every kind of fading."""
    return results_of(measure(trials=usual_trials(quick=quick)))


def usual_trials(*, quick: bool) -> int:
    """Default number of messages at each SNR."""
    return _QUICK_TRIALS if quick else _TRIALS


def measure(
    *,
    trials: int,
    channels: Sequence[str] = tuple(SWEEPS),
    fadings: Sequence[str] = FADINGS,
    seed: int = 1,
    workers: int = 1,
) -> Iterator[Curve]:
    """Curves of channels (names of SWEEPS) in kinds of fading, as they are ready.

    They depend on `trials` and `seed`, not on the number of worker processes.
    """
    jobs = [(channel, fading) for channel in channels for fading in fadings if fading in SWEEPS[channel].fadings]
    work = partial(_measure_job, trials=trials, seed=seed)
    if workers == 1:
        for job in jobs:
            yield from work(job)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for curves in pool.map(work, jobs):
            yield from curves


def _measure_job(job: tuple[str, str], *, trials: int, seed: int) -> list[Curve]:
    channel, fading = job
    sweep = SWEEPS[channel]
    subject = sweep.subject
    numbers = range(1, subject.n_transmissions + 1)
    points: dict[int, list[Point]] = {n: [] for n in numbers}
    clean = 0
    for snr_db in sweep.snrs_db(fading):
        arrivals = _arrivals(subject, fading, snr_db, trials, seed)
        for n in numbers:
            errors = sum(1 for arrival in arrivals if not 1 <= arrival <= n)
            points[n].append(Point(snr_db=snr_db, trials=trials, errors=errors))
        clean = clean + 1 if points[1][-1].errors == 0 else 0
        if clean == _CLEAN_POINTS:
            break
    return [
        Curve(channel=channel, label=subject.label, fading=fading, n_transmissions=n, points=tuple(points[n]))
        for n in numbers
    ]


def _arrivals(subject: Subject, fading: str, snr_db: float, trials: int, seed: int) -> list[int]:
    air = _Air(subject, fading, snr_db, seed)
    batches = (range(first, min(first + BATCH, trials)) for first in range(0, trials, BATCH))
    return [arrival for batch in batches for arrival in subject.arrivals(batch, snr_db, air.hear)]


class _Air:
    """White noise, and in front of it fading of its own in every trial."""

    def __init__(self, subject: Subject, fading: str, snr_db: float, seed: int) -> None:
        self._rate_hz = subject.carrier.sample_rate_hz
        self._per_subframe = subject.carrier.samples_per_subframe
        self._model = None if fading == AWGN else FadingModel.parse(fading)
        self._sigma = 10 ** (-snr_db / 20)
        self._seed = seed
        self._label = f"bler {subject.label} {fading}"
        self._noise_key = derive_key(seed, self._label, "noise", f"{snr_db:g}")
        self._links: dict[int, Link] = {}

    def hear(self, trial: int, subframe: int, iq: Iq) -> Iq:
        """Samples sent from the start of a trial's subframe on, as they are received."""
        noise = noise_block(iq.size, self._sigma, self._noise_key, trial << 10 | subframe)
        if self._model is None:
            return iq + noise
        link = self._link(trial, self._model)
        first = subframe * self._per_subframe
        begin, end = link.span(first, iq.size)
        waveform = np.zeros(end - begin, np.complex64)
        waveform[first - begin : first - begin + iq.size] = iq
        link.add(noise, first, waveform, begin)
        return noise

    def _link(self, trial: int, model: FadingModel) -> Link:
        link = self._links.get(trial)
        if link is None:
            clock = SampleClock(power_on_sample=0, rate_error=0.0)
            link = Link(
                transmitter=clock,
                receiver=clock,
                sample_rate_hz=self._rate_hz,
                gain=1.0,
                delay_samples=0.0,
                cfo_hz=0.0,
                taps=rayleigh_taps(model, self._seed, self._label, str(trial)),
            )
            if len(self._links) >= BATCH:
                self._links.clear()
            self._links[trial] = link
        return link


def results_of(curves: Iterable[Curve]) -> Iterator[Result]:
    """The SNR each curve needs for 10 % BLER, then what the project aims at."""
    found: dict[tuple[str, str, int], Curve] = {}
    for curve in curves:
        found[curve.channel, curve.fading, curve.n_transmissions] = curve
        if curve.snr_at_target_db is not None and math.isfinite(curve.uncertainty_db):
            yield _result(f"{curve.title}: SNR for 10 % BLER", curve, curve.snr_at_target_db)
    estimated, known = (found.get((channel, AWGN, 1)) for channel in ("pssch-qpsk", "pssch-qpsk-known"))
    if estimated and known and estimated.snr_at_target_db is not None and known.snr_at_target_db is not None:
        loss_db = estimated.snr_at_target_db - known.snr_at_target_db
        yield _result(
            f"{estimated.label}, AWGN: loss to a known channel", estimated, loss_db, aim=_KNOWN_CHANNEL_AIM_DB
        )
    for occasions, aim in _SYNC_AIMS.items():
        yield from _synchronised(found.get((SYNC, AWGN, occasions)), aim)


def _synchronised(curve: Curve | None, aim: float) -> Iterator[Result]:
    """The share of attempts that found the reference, where it was measured."""
    for point in curve.points if curve else ():
        if curve and point.snr_db == _SYNC_SNR_DB:
            low, high = point.interval
            yield Result(
                name=f"{curve.title}: found at {_SYNC_SNR_DB:g} dB",
                value=100 * (1 - point.bler),
                unit="%",
                lower_is_better=False,
                runs=point.trials,
                spread=100 * (high - low),
                aim=aim,
            )


def _result(name: str, curve: Curve, value_db: float, aim: float | None = None) -> Result:
    return Result(
        name=name,
        value=value_db,
        unit="dB",
        lower_is_better=True,
        runs=curve.points[0].trials,
        spread=curve.uncertainty_db,
        aim=aim,
    )


def _crossing(points: Sequence[tuple[float, float]]) -> float | None:
    """Where the logarithm of a falling rate passes that of the target, drawn straight between points."""
    floor = 1e-6
    for (left_db, left), (right_db, right) in pairwise(points):
        if left >= _TARGET_BLER > right:
            high, low, target = (math.log10(max(rate, floor)) for rate in (left, right, _TARGET_BLER))
            return left_db + (right_db - left_db) * (high - target) / (high - low)
    return None
