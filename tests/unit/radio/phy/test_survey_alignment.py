"""Recordings without synchronisation signals, in noise: a start that leaves no whole subframe must not be tried.

They are short, as instruments record them: a subframe, or a few with pauses between, cut where they begin and end.
"""

from __future__ import annotations

import json
import os
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab_scripts.report.survey_document import survey_document
from lab_scripts.waveforms.direct import DirectPlan, SampleRecording, impaired, sample_recording
from lab_scripts.waveforms.plan import rendered
from lab_scripts.waveforms.v2x import SampleV2xRecording, sample_v2x_recording
from radio.arrays import Iq
from radio.phy.lte.grid.numerology import Carrier, Cp
from radio.phy.lte.survey.survey import survey_recording

SHARED = Path(os.environ.get("PC5LAB_SHARED") or Path(__file__).resolve().parents[5] / "shared")
CASES = sorted((SHARED / "cases" / "phy").glob("*_8dB_*.dat"))
DIVISIONS = {"5x10 at 15.36 MS/s": (Carrier(50), 5, 10), "10x5 at 11.52 MS/s": (Carrier(50, Cp.NORMAL, 768), 10, 5)}
SNRS_DB = (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)


def v2x(carrier: Carrier, size: int, count: int, seed: int) -> tuple[Iq, list[str]]:
    """The subframes of a block and its repeat, three apart, and its SCIs."""
    wanted = SampleV2xRecording(
        n_sl_id=0,
        dfn=seed,
        mcs=3,
        n_used=2 if size < 10 else 1,
        block=None,
        sub_channels=(size, count),
        transmission_format=0,
    )
    iq, contents = sample_v2x_recording(carrier, wanted, np.random.default_rng(seed))
    step = carrier.samples_per_subframe
    return iq[step : 5 * step], [item["hex"] for item in contents["sci"]]


def noisy(iq: Iq, carrier: Carrier, snr_db: float, seed: int) -> Iq:
    rng = np.random.default_rng((seed, round(snr_db)))
    cfo_hz = float(rng.uniform(-4000, 4000))
    return impaired(iq, carrier, cfo_hz=cfo_hz, delay_samples=0, snr_db=snr_db, rng=rng).astype(np.complex64)


def check(name: str, seed: int, snr_db: float, *, n_subframes: int) -> None:
    """`n_subframes` 2: both transmissions side by side; 4: with the pause that was between them."""
    carrier, size, count = DIVISIONS[name]
    iq, scis = v2x(carrier, size, count, seed)
    step = carrier.samples_per_subframe
    if n_subframes == 2:
        iq = np.concatenate((iq[:step], iq[3 * step :]))
    found = survey_document(survey_recording(noisy(iq, carrier, snr_db, seed), carrier))
    assert [item["hex"] for item in found["sci"]] == scis
    assert [item["subframe"] for item in found["sci"]] == [0, n_subframes - 1]


@pytest.mark.parametrize("name", DIVISIONS)
@pytest.mark.parametrize("n_subframes", [2, 4])
def test_v2x_over_seeds(name: str, n_subframes: int) -> None:
    for seed, snr_db in product(range(2), SNRS_DB[::2]):
        check(name, seed, snr_db, n_subframes=n_subframes)


@pytest.mark.slow
@pytest.mark.parametrize("name", DIVISIONS)
@pytest.mark.parametrize("n_subframes", [2, 4])
@pytest.mark.parametrize("snr_db", SNRS_DB)
@pytest.mark.parametrize("seed", range(10))
def test_280_recordings(name: str, n_subframes: int, snr_db: float, seed: int) -> None:
    check(name, seed, snr_db, n_subframes=n_subframes)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("name", DIVISIONS)
def test_the_first_subframe_is_cut(name: str, share: float) -> None:
    """What is left of it must not draw the alignment away from the one that is whole."""
    carrier, size, count = DIVISIONS[name]
    iq, scis = v2x(carrier, size, count, 5)
    step = carrier.samples_per_subframe
    cut = np.concatenate((iq[:step], iq[3 * step :]))[round(share * step) :]
    found = survey_document(survey_recording(noisy(cut, carrier, 6.0, 5), carrier))
    assert [item["hex"] for item in found["sci"]] == scis[share > 0 :]


@pytest.mark.parametrize("cp", list(Cp))
def test_modes_1_and_2_over_seeds(cp: Cp) -> None:
    carrier = Carrier(50, cp)
    wanted = SampleRecording(n_sl_id=73, dfn=0, destination=7, mcs=3, width=2, block=None, message=None)
    step = carrier.samples_per_subframe
    for seed in range(3):
        iq, contents = sample_recording(carrier, wanted, np.random.default_rng(seed))
        found = survey_document(survey_recording(noisy(iq[step:], carrier, 8.0, seed), carrier))
        for kind in ("sci", "transport_blocks", "discovery"):
            assert [item["hex"] for item in found[kind]] == [item["hex"] for item in contents[kind]]


@pytest.mark.parametrize("timing_advance", [None, 90], ids=["mode 2", "mode 1"])
def test_modes_1_and_2_wherever_the_recording_begins(timing_advance: int | None) -> None:
    """Eight of the subframes hold a PSSCH that is wider than every PSCCH and PSDCH: those have to be looked for."""
    carrier = Carrier(6)
    wanted = SampleRecording(
        n_sl_id=73, dfn=0, destination=7, mcs=3, width=3, block=None, message=None, timing_advance=timing_advance
    )
    step, rng = carrier.samples_per_subframe, np.random.default_rng(4)
    iq, contents = rendered(DirectPlan(carrier, wanted, rng), 16)
    whole = impaired(iq, carrier, cfo_hz=400.0, delay_samples=0, snr_db=14.0, rng=rng).astype(np.complex64)
    hidden = step + np.array([*range(-300, 1, 50), *rng.integers(-1000, 1, 5)])
    for offset in hidden.tolist():
        found = survey_document(survey_recording(whole[offset:], carrier))
        assert [item["hex"] for item in found["sci"]] == [item["hex"] for item in contents["sci"]], offset
        assert {item["hex"] for item in contents["transport_blocks"]} <= {
            item["hex"] for item in found["transport_blocks"]
        }, offset


def test_modes_3_and_4_wherever_the_recording_begins() -> None:
    carrier, size, count = DIVISIONS["5x10 at 15.36 MS/s"]
    iq, scis = v2x(carrier, size, count, 6)
    whole = noisy(np.concatenate((np.zeros_like(iq[: carrier.samples_per_subframe]), iq)), carrier, 8.0, 6)
    for offset in np.random.default_rng(6).integers(0, carrier.samples_per_subframe, 8).tolist():
        found = survey_document(survey_recording(whole[offset:], carrier))
        assert [item["hex"] for item in found["sci"]] == scis, offset


def _case(path: Path) -> dict[str, Any]:
    rate = 11.52e6 if path.name.startswith("huawei") else 15.36e6
    iq = np.fromfile(path, dtype=np.complex64)
    return survey_document(survey_recording(iq, Carrier.at_rate(50, rate)))


@pytest.mark.skipif(not CASES, reason=f"no recordings in {SHARED}; set PC5LAB_SHARED")
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_recordings_that_were_lost_whole(path: Path) -> None:
    found = _case(path)
    assert len(found["sci"]) == 2
    assert found["transport_blocks"]
    assert all(block["crc_ok"] for block in found["transport_blocks"])


CAPTURES = SHARED / "vectors" / "phy" / "captures"
WITHOUT_SYNC = (
    [f for f in json.loads((CAPTURES / "expected.json").read_text())["files"] if "slss" not in f]
    if (CAPTURES / "expected.json").exists()
    else []
)


def check_capture(expected: dict[str, Any], snr_db: float, seed: int) -> None:
    iq = np.fromfile(CAPTURES / expected["file"], dtype=np.complex64)
    rng = np.random.default_rng((seed, round(snr_db)))
    carrier = Carrier.at_rate(expected["nof_prb"], expected["fs_hz"])
    # The allocation takes a part of the carrier only: the noise is that of its elements.
    n_prb = expected["expected_tb"][0]["L_PRB"] + 2
    power = float(np.mean(np.abs(iq[: carrier.samples_per_subframe * 13 // 14]) ** 2))
    sigma = np.sqrt(power * carrier.fft_size / (12 * n_prb) * 10 ** (-snr_db / 10) / 2)
    noise = sigma * (rng.normal(size=iq.size) + 1j * rng.normal(size=iq.size))
    found = survey_document(survey_recording((iq + noise).astype(np.complex64), carrier))
    assert [item["hex"] for item in found["sci"]] == [item["bits_hex"] for item in expected["expected_sci"]]


@pytest.mark.skipif(not WITHOUT_SYNC, reason=f"no recordings in {CAPTURES}; set PC5LAB_SHARED")
@pytest.mark.parametrize("expected", WITHOUT_SYNC, ids=lambda expected: str(expected["file"]))
@pytest.mark.parametrize("snr_db", SNRS_DB)
def test_captures_without_sync(expected: dict[str, Any], snr_db: float) -> None:
    check_capture(expected, snr_db, 1)


@pytest.mark.slow
@pytest.mark.skipif(not WITHOUT_SYNC, reason=f"no recordings in {CAPTURES}; set PC5LAB_SHARED")
@pytest.mark.parametrize("expected", WITHOUT_SYNC, ids=lambda expected: str(expected["file"]))
@pytest.mark.parametrize("snr_db", SNRS_DB)
@pytest.mark.parametrize("seed", range(20))
def test_captures_over_280_seeds(expected: dict[str, Any], snr_db: float, seed: int) -> None:
    check_capture(expected, snr_db, seed)
