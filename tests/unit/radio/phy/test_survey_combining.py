"""A survey adds up transmissions whose CRC fails one by one: PSCCH, PSSCH of all modes and PSDCH."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lab_scripts.report.survey_document import bits_to_hex, survey_document
from lab_scripts.waveforms.direct import SampleRecording, impaired, sample_recording
from lab_scripts.waveforms.v2x import SampleV2xRecording, sample_v2x_recording
from radio.arrays import Iq
from radio.phy.dsp.sample_source import ArraySource, WindowReader
from radio.phy.lte.channels.pscch import receive_pscch
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier, Cp
from radio.phy.lte.survey.blind_control import BlindControl
from radio.phy.lte.survey.scene import SceneMaker
from radio.phy.lte.survey.subframe_timeline import Anchor, Timeline
from radio.phy.lte.survey.survey import survey_recording


def surveyed(carrier: Carrier, iq: Iq, snr_db: float, *, only: set[int] | None = None) -> dict[str, Any]:
    """What a survey finds in noise, all subframes but subframe 0 and `only` blanked out before."""
    step = carrier.samples_per_subframe
    kept = np.repeat([only is None or n == 0 or n in only for n in range(iq.size // step)], step)
    rng = np.random.default_rng(12)
    noisy = impaired(iq * kept, carrier, cfo_hz=-300.0, delay_samples=123, snr_db=snr_db, rng=rng)
    return survey_document(survey_recording(noisy.astype(np.complex64), carrier))


@pytest.mark.parametrize(("transmission_format", "mcs", "snr_db"), [(0, 14, 4.0), (1, 17, 3.0)])
def test_a_v2x_block_and_its_repeat(transmission_format: int, mcs: int, snr_db: float) -> None:
    carrier = Carrier(25)
    wanted = SampleV2xRecording(
        n_sl_id=9,
        dfn=33,
        mcs=mcs,
        n_used=None,
        block=None,
        sub_channels=None,
        transmission_format=transmission_format,
    )
    iq, contents = sample_v2x_recording(carrier, wanted, np.random.default_rng(3))
    for subframe, rv in ((1, 0), (4, 2)):
        (block,) = surveyed(carrier, iq, snr_db, only={subframe})["transport_blocks"]
        assert (block["subframes"], block["rv"], block["crc_ok"]) == ([subframe], [rv], False)
    (block,) = surveyed(carrier, iq, snr_db)["transport_blocks"]
    assert block["crc_ok"]
    assert {key: block[key] for key in contents["transport_blocks"][0]} == contents["transport_blocks"][0]


@pytest.mark.parametrize("cp", list(Cp))
def test_a_discovery_message_and_its_repeats(cp: Cp) -> None:
    carrier = Carrier(25, cp)
    wanted = SampleRecording(n_sl_id=73, dfn=0, destination=7, mcs=3, width=2, block=None, message=None)
    iq, contents = sample_recording(carrier, wanted, np.random.default_rng(4))
    subframes = contents["discovery"][0]["subframes"]
    for subframe in subframes:
        assert surveyed(carrier, iq, -1.5, only={subframe})["discovery"] == []
    (message,) = surveyed(carrier, iq, -1.5)["discovery"]
    assert message["hex"] == contents["discovery"][0]["hex"]
    assert len(message["subframes"]) > 2
    assert set(message["subframes"]) <= set(subframes)


def test_the_other_transmissions_of_a_known_message_are_listed_with_it() -> None:
    """Of four, some decode alone at 1 dB; those before and after them are recognised by its bits."""
    carrier = Carrier(25)
    wanted = SampleRecording(n_sl_id=73, dfn=0, destination=7, mcs=3, width=2, block=None, message=None)
    iq, contents = sample_recording(carrier, wanted, np.random.default_rng(5))
    (message,) = surveyed(carrier, iq, 1.0)["discovery"]
    assert message["subframes"] == contents["discovery"][0]["subframes"]


def test_four_transmissions_of_a_block_of_which_no_two_decode() -> None:
    carrier = Carrier(25)
    wanted = SampleRecording(n_sl_id=73, dfn=0, destination=7, mcs=14, width=8, block=None, message=None)
    iq, contents = sample_recording(carrier, wanted, np.random.default_rng(6))
    subframes = contents["transport_blocks"][0]["subframes"]
    for count in (1, 2):
        (block,) = surveyed(carrier, iq, 1.0, only={1, 2, *subframes[:count]})["transport_blocks"]
        assert not block["crc_ok"]
    (block,) = surveyed(carrier, iq, 1.0)["transport_blocks"]
    assert block["crc_ok"]
    assert {key: block[key] for key in contents["transport_blocks"][0]} == contents["transport_blocks"][0]


def test_both_transmissions_of_an_sci() -> None:
    """At -4.5 dB more SCIs are found in pairs than one by one, and what is found is right."""
    carrier = Carrier(25)
    wanted = SampleRecording(n_sl_id=73, dfn=0, destination=7, mcs=3, width=2, block=None, message=None)
    iq, contents = sample_recording(carrier, wanted, np.random.default_rng(7))
    iq = iq[: 3 * carrier.samples_per_subframe]
    places = [(item["subframe"], item["prb"], item["hex"]) for item in contents["sci"]]
    alone, together, rescued = 0, 0, 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noisy = impaired(iq, carrier, cfo_hz=0.0, delay_samples=0, snr_db=-4.5, rng=rng)
        control = BlindControl(carrier)
        heard = []
        nothing_taken = np.zeros(carrier.n_prb, dtype=np.bool_)
        n_alone = 0
        scenes = SceneMaker(carrier, Mode.TM12)
        step = carrier.samples_per_subframe
        window = WindowReader(ArraySource(noisy), before=step, stretch=4 * step, after=step).next()
        assert window is not None
        timeline = Timeline(carrier, [Anchor(start=0.0, cfo_hz=0.0)])
        for subframe in timeline.subframes(window, 0):
            n_alone += len(receive_pscch(carrier, subframe.grid, range(carrier.n_prb)))
            heard += control.take(subframe, scenes.scene(subframe).free_prbs(1, nothing_taken).tolist())
        assert {(h.subframe.index, h.received.prb, bits_to_hex(h.received.bits)) for h in heard} <= set(places)
        alone, together = alone + n_alone, together + len(heard)
        rescued += n_alone == 0 and len(heard) == 2
    assert together > alone
    assert rescued
