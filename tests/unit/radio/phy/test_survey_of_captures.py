"""Everything that others say is in recordings of others is found, from samples, rate and bandwidth alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab_scripts.report.survey_document import survey_document
from radio.arrays import Iq
from radio.phy.lte.grid.numerology import Carrier, Cp
from radio.phy.lte.grid.scfdma import demodulate
from radio.phy.lte.survey.survey import survey_recording

SHARED = Path(os.environ.get("PC5LAB_SHARED") or Path(__file__).resolve().parents[5] / "shared")
CAPTURES = SHARED / "vectors" / "phy" / "captures"
FILES: list[dict[str, Any]] = (
    json.loads((CAPTURES / "expected.json").read_text())["files"] if (CAPTURES / "expected.json").exists() else []
)

IDEAL_TM4_BITS = "d9da7bea1a31d8abe2a27b4e855c5c5c50ed00c48388ea9b0fb7c204c2c12d39"
"""How the transport blocks of both ideal mode 4 recordings begin. `expected.json` calls them not decoded by its source;
here their CRCs hold, and two blocks of different length that share a beginning are no accident."""

NOISE_FLOORS_DB = {
    "signal_sidelink_ideal_tm2_p6_c0_s1.92e6": 6.0,
    "signal_sidelink_ideal_tm2_p25_c168_s7.68e6": 7.0,
    "signal_sidelink_ideal_tm2_p50_c252_s15.36e6": 6.0,
    "signal_sidelink_ideal_tm2_p50_c252_s15.36e6_ext": -2.0,
}
"""SNR of a resource element, in steps of 1 dB, above which everything in a recording of mode 2 is found."""

pytestmark = pytest.mark.skipif(not FILES, reason=f"no recordings in {CAPTURES}; set PC5LAB_SHARED")


def name(expected: dict[str, Any]) -> str:
    return str(expected["file"]).removesuffix(".dat")


def samples(expected: dict[str, Any]) -> Iq:
    return np.fromfile(CAPTURES / expected["file"], dtype=np.complex64)


def check(expected: dict[str, Any], iq: Iq, *, first_subframe: int = 0) -> None:
    found = survey_document(survey_recording(iq, Carrier.at_rate(expected["nof_prb"], expected["fs_hz"])))
    ids = [] if "slss" not in expected else [expected["slss"]["N_sl_id"]]
    assert [item["id"] for item in found["slss"]] == ids
    assert [item["cp"].startswith(expected["cp"]) for item in found["slss"]] == [True] * len(ids)
    mibs = [expected["mib_sl"]["mib_hex"]] if "mib_sl" in expected else []
    assert [item["hex"] for item in found["mib_sl"]] == mibs
    assert [(s["subframe"], s["prb"], s["format"], s["hex"], s["crc_hex"]) for s in found["sci"]] == [
        (s["subframe"] + first_subframe, s["prb"], s["format"], s["bits_hex"], s["crc_hex"])
        for s in expected["expected_sci"]
    ]
    assert [s["fields"]["mcs"] for s in found["sci"]] == [s["mcs"] for s in expected["expected_sci"]]
    blocks = found["transport_blocks"]
    places = [(b["subframes"], b["prb"], b["n_prb"], b["mcs"], b["bits"], b["crc_ok"]) for b in blocks]
    assert places == [
        ([b["subframe"] + first_subframe], b["prb_start"], b["L_PRB"], b["mcs"], b["tb_len"], True)
        for b in (*expected["expected_tb"], *expected["pssch_not_decoded"])
    ]
    assert [b["hex"] for b in blocks if not expected["pssch_not_decoded"]] == [
        b["tb_hex"] for b in expected["expected_tb"]
    ]
    assert all(b["hex"].startswith(IDEAL_TM4_BITS) for b in blocks if expected["pssch_not_decoded"])
    assert found["discovery"] == []


@pytest.mark.parametrize("expected", FILES, ids=name)
def test_as_recorded(expected: dict[str, Any]) -> None:
    check(expected, samples(expected))


@pytest.mark.parametrize("expected", FILES, ids=name)
def test_late_off_frequency_and_noisy(expected: dict[str, Any]) -> None:
    rng = np.random.default_rng(9)
    rate, iq = expected["fs_hz"], samples(expected)
    delay = rate // 1000 + 345
    late = np.concatenate((np.zeros(delay), iq)) * np.exp(2j * np.pi * 1700 / rate * np.arange(iq.size + delay))
    power = np.abs(iq) ** 2
    sigma = np.sqrt(power[power > power.max() * 1e-3].mean() / 2 * 10**-0.8)
    noisy = late + sigma * (rng.normal(size=late.size) + 1j * rng.normal(size=late.size))
    check(expected, noisy.astype(np.complex64), first_subframe=1)


@pytest.mark.parametrize("expected", [e for e in FILES if name(e) in NOISE_FLOORS_DB], ids=name)
@pytest.mark.parametrize("seed", range(3))
def test_mode_2_at_the_noise_floor(expected: dict[str, Any], seed: int) -> None:
    rng, iq = np.random.default_rng(seed), samples(expected)
    carrier = Carrier.at_rate(
        expected["nof_prb"], expected["fs_hz"], Cp.EXTENDED if "_ext" in name(expected) else Cp.NORMAL
    )
    power = np.abs(demodulate(carrier, iq[: carrier.samples_per_subframe])) ** 2
    element = np.median(power[power > power.max() / 20])
    sigma = np.sqrt(element / 2 * 10 ** (-NOISE_FLOORS_DB[name(expected)] / 10))
    noisy = iq + sigma * (rng.normal(size=iq.size) + 1j * rng.normal(size=iq.size))
    check(expected, noisy.astype(np.complex64))
