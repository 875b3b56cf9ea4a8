"""What a receiver finds does not depend on the scale of its samples: 1e-18 to 1e12 of full scale decode alike."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab_scripts.report.survey_document import survey_document
from lab_scripts.waveforms.direct import DirectPlan, SampleRecording, impaired
from lab_scripts.waveforms.plan import rendered
from lab_scripts.waveforms.v2x import SampleV2xRecording, V2xPlan
from radio.arrays import Iq
from radio.phy.dsp.level import levelled
from radio.phy.lte.channels.psbch import receive_psbch
from radio.phy.lte.channels.pscch import receive_pscch
from radio.phy.lte.channels.psdch import receive_psdch
from radio.phy.lte.channels.pssch import receive_pssch
from radio.phy.lte.channels.sl_sch import SlSchSoftBuffer, encode_sl_sch
from radio.phy.lte.channels.v2x_pscch import receive_v2x_pscch
from radio.phy.lte.grid import scfdma
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.pools.mode2 import SidelinkPools, SyncConfig
from radio.phy.lte.survey.survey import survey_recording
from radio.phy.lte.ue_phy import PhyState, UePhy

EXPONENTS = (-18, -15, -12, -9, -6, -3, 3, 6, 9, 12)
CARRIER = Carrier(6)
N_SL_ID = 170
FIGURES_OFF = 0.02
"""dB, Hz, samples: what rounding to float32 at another scale moves a figure by."""


@cache
def direct_plan() -> DirectPlan:
    wanted = SampleRecording(n_sl_id=N_SL_ID, dfn=0, destination=1, mcs=12, width=3, block=None, message=None)
    return DirectPlan(CARRIER, wanted, np.random.default_rng(1))


@cache
def recording(family: Mode) -> Iq:
    """A noisy recording with one of everything."""
    if family is Mode.TM12:
        iq, _ = rendered(direct_plan(), 88)
    else:
        wanted = SampleV2xRecording(
            n_sl_id=N_SL_ID, dfn=0, mcs=5, n_used=1, block=None, sub_channels=None, transmission_format=0
        )
        iq, _ = rendered(V2xPlan(CARRIER, wanted, np.random.default_rng(1)), 15)
    rng = np.random.default_rng(2)
    return impaired(iq, CARRIER, cfo_hz=500.0, delay_samples=300, snr_db=14.0, rng=rng)


def scaled(iq: Iq, amplitude: float) -> Iq:
    return (iq.astype(np.complex128) * amplitude).astype(np.complex64)


def assert_alike(found: Any, expected: Any) -> None:
    """Equal but for the rounding of figures; powers relative to full scale are left out."""
    if is_dataclass(expected) and not isinstance(expected, type):
        assert type(found) is type(expected)
        for name in (field.name for field in fields(expected) if not field.name.endswith("dbfs")):
            assert_alike(getattr(found, name), getattr(expected, name))
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_alike(found[key], value)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_alike(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-3, abs=FIGURES_OFF)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


@cache
def surveyed(family: Mode) -> dict[str, Any]:
    document: dict[str, Any] = survey_document(survey_recording(recording(family), CARRIER))
    return document


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("family", list(Mode))
def test_a_survey_finds_the_same(family: Mode, exponent: int) -> None:
    """PSSS, SSSS, PSBCH, PSCCH, PSSCH and PSDCH of a recording."""
    expected = surveyed(family)
    kinds = ("slss", "mib_sl", "sci", "transport_blocks", *(("discovery",) if family is Mode.TM12 else ()))
    assert all(expected[kind] and all(item.get("crc_ok", True) for item in expected[kind]) for kind in kinds)
    assert_alike(survey_document(survey_recording(scaled(recording(family), 10.0**exponent), CARRIER)), expected)


@pytest.mark.parametrize("exponent", (-18, 12))
@pytest.mark.parametrize("family", list(Mode))
def test_a_recording_without_slss_is_aligned_the_same(family: Mode, exponent: int) -> None:
    iq = recording(family)[CARRIER.samples_per_subframe :][: 14 * CARRIER.samples_per_subframe]
    expected = survey_document(survey_recording(iq, CARRIER, mode=family))
    assert expected["sci"] and expected["transport_blocks"] and not expected["slss"]
    assert_alike(survey_document(survey_recording(scaled(iq, 10.0**exponent), CARRIER, mode=family)), expected)


def heard_by_a_ue(amplitude: float) -> list[Any]:
    plan = direct_plan()
    pools = SidelinkPools(
        n_prb=6, sync=SyncConfig(offset_indicators=(0,)), comm=(plan.comm_pool,), disc=(plan.disc_pool,)
    )
    ue = UePhy(CARRIER, pools)
    step = CARRIER.samples_per_subframe
    iq = scaled(recording(Mode.TM12), amplitude)
    found: list[Any] = []
    for n in range(iq.size // step):
        found += ue.receive(iq[n * step : (n + 1) * step], n * step)
    assert ue.state is PhyState.TRACKING
    return found


@cache
def heard_at_full_scale() -> list[Any]:
    return heard_by_a_ue(1.0)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_a_ue_hears_the_same(exponent: int) -> None:
    expected = heard_at_full_scale()
    kinds = {type(indication).__name__ for indication in expected}
    assert {"Synchronised", "TransportBlockReceived", "SciReceived", "DiscoveryReceived", "MibReceived"} <= kinds
    assert_alike(heard_by_a_ue(10.0**exponent), expected)


def received(amplitude: float) -> list[Any]:
    """Hard decisions, CRCs and figures of every channel's receiver on grids of that amplitude."""
    step = CARRIER.samples_per_subframe
    noise_free = 300
    results: list[Any] = []
    for family, subframe in ((Mode.TM12, 0), (Mode.TM12, 1), (Mode.TM12, 3), (Mode.TM12, 7), (Mode.TM34, 1)):
        start = noise_free + subframe * step - 1
        iq = recording(family)[start : start + step]
        grid = scfdma.demodulate(CARRIER, scaled(iq, amplitude))
        if family is Mode.TM34:
            (sci,) = receive_v2x_pscch(CARRIER, grid, (0, 1), 1)
            block = receive_pssch(CARRIER, grid, (2, 3, 4, 5), 5, sci.crc, 0, Mode.TM34)
            results += [sci.bits, block.snr_db, block.llrs > 0]
        elif subframe == 0:
            psbch = receive_psbch(CARRIER, grid, N_SL_ID)
            results += [psbch.mib, psbch.snr_db, 10 * math.log10(psbch.signal_power) - 20 * math.log10(amplitude)]
        elif subframe == 1:
            results += [(sci.prb, sci.bits, sci.snr_db) for sci in receive_pscch(CARRIER, grid, range(6))]
        elif subframe == 3:
            codeword = receive_pssch(CARRIER, grid, (0, 1, 2), 12, 1, 0)
            results += [codeword.snr_db, codeword.cfo_hz, codeword.evm_db, codeword.llrs > 0]
        else:
            message = receive_psdch(CARRIER, grid, 0)
            results += [message.snr_db, message.llrs > 0]
    return results


@cache
def received_at_full_scale() -> list[Any]:
    return received(1.0)


@settings(max_examples=60, deadline=None)
@given(exponent=st.floats(-18, 12))
def test_every_receiver_decides_the_same(exponent: float) -> None:
    expected = received_at_full_scale()
    assert expected[0] is not None
    for one, other in zip(received(10.0**exponent), expected, strict=True):
        if isinstance(other, np.ndarray) and other.dtype == bool:
            assert np.count_nonzero(one != other) <= other.size // 1000  # an LLR of nearly nothing may round away
        else:
            assert_alike(one, other)


@settings(max_examples=60, deadline=None)
@given(exponent=st.floats(-30, 28), seed=st.integers(0, 1000))
def test_the_decoder_takes_soft_bits_of_any_scale(exponent: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sent = rng.integers(0, 2, 1000, dtype=np.uint8)
    llrs = 1.0 - 2.0 * encode_sl_sch(sent, 2400, 2, 0).astype(np.float64) + 0.5 * rng.standard_normal(2400)
    buffer = SlSchSoftBuffer(1000)
    buffer.combine((llrs * 10.0**exponent).astype(np.float32), 2, 0)
    decoded = buffer.decode()
    assert decoded.crc_ok
    np.testing.assert_array_equal(decoded.bits, sent)


@given(exponent=st.integers(-140, 120), seed=st.integers(0, 100))
def test_levelling_is_by_a_power_of_two_and_brings_the_peak_near_one(exponent: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.ldexp(rng.uniform(-1, 1, (3, 40)), exponent).astype(np.float32).view(np.complex64)
    peak = float(np.abs(values.view(np.float32)).max())
    result, factor = levelled(values)
    assert math.frexp(factor)[0] == 0.5
    if peak:
        assert 2.0**-21 <= float(np.abs(result.view(np.float32)).max()) <= 2.0**21
        assert (factor == 1.0) == (2.0**-20 <= peak <= 2.0**20)
    np.testing.assert_array_equal(result.astype(np.complex128), values.astype(np.complex128) * factor)


def test_silence_and_what_is_no_number_are_left_as_they_are() -> None:
    for value in (0.0, np.inf, np.nan):
        values = np.full((2, 3), value, dtype=np.complex64)
        assert levelled(values)[0] is values and levelled(values)[1] == 1.0
