"""Block error measurement: intervals, crossings, repeatability, and what it leaves behind."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from lab_scripts.benchmarks.bler import AWGN, SWEEPS, SYNC, Curve, Point, measure, results_of
from lab_scripts.benchmarks.bler_report import write_report


def curve(rates: list[tuple[float, int]], *, channel: str = "psbch", n: int = 1, trials: int = 100) -> Curve:
    points = tuple(Point(snr_db=snr_db, trials=trials, errors=errors) for snr_db, errors in rates)
    return Curve(channel=channel, label=channel, fading=AWGN, n_transmissions=n, points=points)


@pytest.mark.parametrize(
    ("errors", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (10, 100, 0.0552, 0.1744)],
)
def test_wilson_interval_against_published_values(errors: int, trials: int, low: float, high: float) -> None:
    assert Point(snr_db=0.0, trials=trials, errors=errors).interval == pytest.approx((low, high), abs=1e-4)


def test_the_crossing_is_found_on_the_logarithm() -> None:
    assert curve([(0.0, 100), (1.0, 50), (2.0, 2)]).snr_at_target_db == pytest.approx(1.5, abs=1e-9)
    assert curve([(0.0, 5), (1.0, 1)]).snr_at_target_db is None
    assert curve([(0.0, 90), (1.0, 50)]).snr_at_target_db is None


def test_results_name_the_loss_to_a_known_channel_and_the_synchronisation_aims() -> None:
    results = {
        result.name: result
        for result in results_of(
            [
                curve([(0.0, 60), (1.0, 4)], channel="pssch-qpsk"),
                curve([(-0.5, 60), (0.5, 4)], channel="pssch-qpsk-known"),
                curve([(-3.0, 5)], channel=SYNC),
            ]
        )
    }
    loss = results["pssch-qpsk, AWGN: loss to a known channel"]
    assert loss.value == pytest.approx(0.5)
    assert (loss.unit, loss.aim) == ("dB", 1.0)
    found = results["sync, AWGN, 1 occasion: found at -3 dB"]
    assert found.value == pytest.approx(95.0)
    assert (found.unit, found.reaches_aim) == ("%", True)


@pytest.mark.parametrize("channel", SWEEPS)
def test_error_rates_fall_with_snr_and_with_transmissions(channel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = SWEEPS[channel]
    monkeypatch.setattr("lab_scripts.benchmarks.bler.Sweep.snrs_db", lambda *_: [sweep.first_db, sweep.last_db])
    curves = list(measure(trials=16, channels=[channel], fadings=[AWGN]))
    assert [curve.n_transmissions for curve in curves] == list(range(1, sweep.subject.n_transmissions + 1))
    first = curves[0].points
    assert first[0].bler > 0.5
    assert first[-1].bler == 0
    for fewer, more in pairwise(curves):
        assert all(b.errors <= a.errors for a, b in zip(fewer.points, more.points, strict=True))


def test_a_measurement_repeats_from_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab_scripts.benchmarks.bler.Sweep.snrs_db", lambda *_: [2.0])
    settings = {"channels": ["psdch"], "fadings": ["EVA70"]}
    once = list(measure(trials=32, seed=5, **settings))
    assert list(measure(trials=32, seed=5, **settings)) == once
    assert list(measure(trials=32, seed=6, **settings)) != once
    assert 0 < once[0].points[0].errors < 32


def test_the_report_holds_every_point_and_a_picture_of_each_channel(tmp_path: Path) -> None:
    curves = [
        curve([(0.0, 60), (1.0, 4)], channel="pssch-qpsk"),
        curve([(0.0, 30), (1.0, 0)], channel="pssch-qpsk", n=2),
        curve([(0.0, 50), (1.0, 3)], channel="pssch-qpsk-known"),
        curve([(0.0, 60), (1.0, 4)]),
    ]
    write_report(tmp_path, curves, seed=3)
    document = json.loads((tmp_path / "bler.json").read_text())
    assert set(document) == {"machine", "seed", "curves"}
    assert document["curves"][1]["points"][0] == {
        "snr_db": 0.0,
        "trials": 100,
        "errors": 30,
        "bler": 0.3,
        "interval_95": list(Point(snr_db=0.0, trials=100, errors=30).interval),
    }
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert pictures == {"bler-pssch-qpsk.png", "bler-psbch.png"}
