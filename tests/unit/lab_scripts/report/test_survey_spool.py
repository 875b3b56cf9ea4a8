"""Findings on their way to a document, and the line that tells how far a survey has come."""

from __future__ import annotations

import io
import json

import numpy as np

from lab_scripts.report.survey_document import survey_document
from lab_scripts.report.survey_progress import SurveyProgress
from lab_scripts.report.survey_spool import SurveySpool, write_document
from lab_scripts.waveforms.direct import SampleRecording, sample_recording
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.survey.findings import FoundSlss, Survey
from radio.phy.lte.survey.survey import survey_recording

WANTED = SampleRecording(n_sl_id=73, dfn=511, destination=200, mcs=6, width=3, block=None, message=None)


def found_in_a_recording() -> Survey:
    return survey_recording(sample_recording(Carrier(6), WANTED, np.random.default_rng(3))[0], Carrier(6))


def test_a_spooled_document_is_the_document() -> None:
    survey, out = found_in_a_recording(), io.StringIO()
    expected = survey_document(survey)
    with SurveySpool() as spool:
        for kind in expected:
            for finding in getattr(survey, kind):
                spool.take(finding)
        write_document(out, spool)
        assert spool.n_found == sum(map(len, expected.values()))
        assert {kind: list(spool[kind]) for kind in spool} == expected
    assert out.getvalue() == json.dumps(expected) + "\n"


def test_only_the_first_findings_stay_in_memory_and_all_can_be_edited() -> None:
    survey = found_in_a_recording()
    with SurveySpool(lambda item: item.update(cfo_hz=item["cfo_hz"] + 1000)) as spool:
        for _ in range(1000):
            spool.take(survey.slss[0])
        assert spool.counts["slss"] == 1000
        assert len(spool.head.slss) == 256
        assert isinstance(spool.head.slss[0], FoundSlss)
        assert [item["cfo_hz"] for item in spool["slss"]] == [
            survey_document(survey)["slss"][0]["cfo_hz"] + 1000
        ] * 1000


def test_progress_is_told_after_three_seconds_and_then_now_and_then() -> None:
    out, clock = io.StringIO(), [10.0]
    progress = SurveyProgress(rate_hz=1e6, n_samples=100_000_000, out=out, now_s=lambda: clock[0], n_found=lambda: 7)
    for now_s, n_done in (
        (10.5, 1_000_000),
        (12.9, 5_000_000),
        (13.0, 6_000_000),
        (14.5, 7_000_000),
        (15.1, 10_000_000),
    ):
        clock[0] = now_s
        progress(n_done)
    progress.finish()
    first, second = out.getvalue().splitlines()
    assert first == "6.000 of 100.000 s (6 %), 2.00 times real time, 7 found"
    assert second.startswith("10.000 of 100.000 s (10 %)")


def test_a_short_survey_says_nothing() -> None:
    out = io.StringIO()
    progress = SurveyProgress(rate_hz=1e6, n_samples=None, out=out, now_s=lambda: 1.0, n_found=lambda: 0)
    progress(1000)
    progress.finish()
    assert not out.getvalue()
