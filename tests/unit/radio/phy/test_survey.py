"""Survey of recordings of our own and of single subframes that another generator made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lab_scripts.report.survey_document import survey_document
from lab_scripts.waveforms.direct import SampleRecording, impaired, sample_recording
from radio.phy.dsp.bitfields import bytes_to_bits
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier, Cp
from radio.phy.lte.survey.survey import SurveyError, survey_recording

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "phy"
PSDCH = sorted((VECTORS / "lte-sidelink").glob("psdch_*_tx?.json"))
WANTED = SampleRecording(n_sl_id=73, dfn=511, destination=200, mcs=6, width=3, block=None, message=None)


@pytest.mark.parametrize(
    "carrier",
    [Carrier(6), Carrier(15), Carrier(25, Cp.EXTENDED), Carrier(50, Cp.NORMAL, 768), Carrier(100, Cp.NORMAL, 1536)],
    ids=str,
)
def test_one_of_everything(carrier: Carrier) -> None:
    rng = np.random.default_rng(3)
    iq, contents = sample_recording(carrier, WANTED, rng)
    iq = impaired(iq, carrier, cfo_hz=-4321.0, delay_samples=901, snr_db=9.0, rng=rng)
    found = survey_document(survey_recording(iq, carrier))
    for kind, expected in contents.items():
        assert [{key: item[key] for key in want} for want, item in zip(expected, found[kind], strict=True)] == expected


def test_transmissions_are_combined_when_none_decodes_alone() -> None:
    carrier = Carrier(15)
    rng = np.random.default_rng(4)
    wanted = SampleRecording(n_sl_id=73, dfn=0, destination=7, mcs=10, width=6, block=None, message=None)
    iq, contents = sample_recording(carrier, wanted, rng)
    iq = impaired(iq, carrier, cfo_hz=150.0, delay_samples=77, snr_db=1.5, rng=rng)
    (block,) = survey_document(survey_recording(iq, carrier))["transport_blocks"]
    assert block["crc_ok"]
    assert block["hex"] == contents["transport_blocks"][0]["hex"]
    assert len(block["subframes"]) > 1


def test_without_synchronisation_signals() -> None:
    carrier = Carrier(25)
    rng = np.random.default_rng(5)
    iq, contents = sample_recording(carrier, WANTED, rng)
    step = carrier.samples_per_subframe
    iq = impaired(iq[step:], carrier, cfo_hz=2600.0, delay_samples=1500, snr_db=15.0, rng=rng)
    found = survey_document(survey_recording(iq, carrier))
    assert found["slss"] == found["mib_sl"] == []
    assert [item["hex"] for item in found["sci"]] == [item["hex"] for item in contents["sci"]]
    assert [item["hex"] for item in found["transport_blocks"]] == [contents["transport_blocks"][0]["hex"]]
    assert [item["hex"] for item in found["discovery"]] == [contents["discovery"][0]["hex"]]


@pytest.mark.parametrize("description", PSDCH, ids=lambda path: path.stem)
def test_another_generators_discovery_message(description: Path) -> None:
    facts = json.loads(description.read_text())
    iq = np.fromfile(description.with_suffix(".cf32"), dtype=np.complex64)
    survey = survey_recording(iq, Carrier.at_rate(facts["NSLRB"], facts["fs"]))
    (message,) = survey.discovery
    assert message.message.hex() == facts["message_hex"]
    assert message.prb == facts["prbs"][0]
    assert survey.sci == []
    assert survey.transport_blocks == []
    assert bytes_to_bits(message.message).size == facts["message_len"]


def test_the_mode_can_be_restricted() -> None:
    carrier = Carrier(6)
    iq, _ = sample_recording(carrier, WANTED, np.random.default_rng(6))
    assert survey_document(survey_recording(iq, carrier, mode=Mode.TM34))["slss"] == []
    assert len(survey_recording(iq, carrier, mode=Mode.TM12).slss) == 1


@pytest.mark.parametrize("n", [0, 4000])
def test_nothing_to_look_at(n: int) -> None:
    with pytest.raises(SurveyError):
        survey_recording(np.zeros(n, dtype=np.complex64), Carrier(6))


def test_noise_alone_gives_nothing() -> None:
    noise = np.random.default_rng(7).normal(size=(20_000, 2)).astype(np.float32).view(np.complex64)[:, 0]
    assert not any(survey_document(survey_recording(noise, Carrier(6))).values())
