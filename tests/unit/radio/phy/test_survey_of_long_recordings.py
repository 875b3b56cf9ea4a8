"""A survey of a recording longer than memory: stretches join without a seam, and memory does not grow with length."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lab_scripts.benchmarks.busy_air import LOOP_SUBFRAMES, LoopedSource, busy_direct_air, busy_v2x_air
from lab_scripts.report.survey_document import survey_document
from lab_scripts.waveforms.direct import SampleRecording, impaired, sample_recording
from radio.arrays import Iq
from radio.phy.dsp.sample_source import ArraySource, SampleError, WindowReader
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.survey.findings import Survey
from radio.phy.lte.survey.survey import survey_recording, survey_source

WANTED = SampleRecording(n_sl_id=73, dfn=511, destination=200, mcs=6, width=3, block=None, message=None)

MEASURE = """
import resource, sys
from lab_scripts.benchmarks.busy_air import LoopedSource, busy_v2x_air, noise_air
from lab_scripts.report.survey_spool import SurveySpool
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.survey.survey import survey_source

carrier, kind, n_loops = Carrier(25), sys.argv[1], int(sys.argv[2])
iq = noise_air(carrier, 1) if kind == "noise" else busy_v2x_air(carrier, 1, snr_db=20.0)
with SurveySpool() as found:
    for loops in (2, n_loops):
        survey_source(LoopedSource(iq=iq, n_samples=loops * iq.size), carrier, found)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, found.n_found)
"""


@pytest.mark.parametrize("kind", ["noise", "busy"])
def test_memory_does_not_grow_with_the_recording(kind: str) -> None:
    """Peak memory of a process after 0.3 s of air, and after 2 s more: 123 MB of samples."""
    command = [sys.executable, "-c", MEASURE, kind, "13"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[4])
    (first_kb, n_first), (last_kb, n_last) = (map(int, line.split()) for line in done.stdout.splitlines())
    assert (n_last > 5 * n_first) == (kind == "busy")
    assert last_kb - first_kb < 24 * 1024


class Late:
    """Zeros, far more than fit into memory, then a recording."""

    def __init__(self, n_zeros: int, iq: Iq) -> None:
        self._zeros, self._rest = n_zeros, ArraySource(iq)

    def read(self, n_samples: int) -> Iq:
        if not self._zeros:
            return self._rest.read(n_samples)
        n = min(n_samples, self._zeros)
        self._zeros -= n
        return np.zeros(n, dtype=np.complex64)


def test_what_comes_after_2_to_the_28_samples_is_found() -> None:
    carrier = Carrier(6)
    iq, contents = sample_recording(carrier, WANTED, np.random.default_rng(3))
    step = carrier.samples_per_subframe
    n_before = (1 << 28) // step + 3
    survey = Survey()
    survey_source(Late(n_before * step, iq), carrier, survey)
    found = survey_document(survey)
    assert found["slss"][0]["timing_samples"] == pytest.approx(n_before * step, abs=1)
    for kind in ("mib_sl", "sci", "transport_blocks", "discovery"):
        assert [item["hex"] for item in found[kind]] == [item["hex"] for item in contents[kind]]
    assert [item["subframe"] - n_before for item in found["sci"]] == [item["subframe"] for item in contents["sci"]]


@pytest.mark.parametrize("n_before", [150, 157, 159, 160, 311])
@pytest.mark.parametrize("with_sync", [True, False])
def test_a_signal_across_the_end_of_a_stretch(n_before: int, with_sync: bool) -> None:
    """One of everything, in noise, at every place relative to the stretches of 160 subframes."""
    carrier = Carrier(15)
    iq, contents = sample_recording(carrier, WANTED, np.random.default_rng(3))
    step = carrier.samples_per_subframe
    rng = np.random.default_rng(n_before)
    kept = iq if with_sync else iq[step:]
    late = np.concatenate((np.zeros(n_before * step, np.complex64), kept))
    noisy = impaired(late, carrier, cfo_hz=500.0, delay_samples=0, snr_db=14.0, rng=rng).astype(np.complex64)
    found = survey_document(survey_recording(noisy, carrier))
    if with_sync:
        assert [item["subframe"] for item in found["mib_sl"]] == [n_before]
    elif (n_before + 1) // 160 != (n_before + 12) // 160:
        # Without SLSS the part in each stretch is aligned by itself: what is in the first may be too little.
        assert found["discovery"]
        return
    for kind in ("sci", "transport_blocks", "discovery"):
        assert [item["hex"] for item in found[kind]] == [item["hex"] for item in contents[kind]]


@pytest.mark.parametrize("timing_advance", [None, 100])
def test_a_busy_air_of_modes_1_and_2_is_found_whole_and_in_order(timing_advance: int | None) -> None:
    carrier = Carrier(50)
    iq = busy_direct_air(carrier, 1, snr_db=15.0, timing_advance=timing_advance)
    survey = Survey()
    survey_source(LoopedSource(iq=iq, n_samples=2 * iq.size), carrier, survey)
    n_periods = 2 * LOOP_SUBFRAMES // 40
    assert len(survey.slss) == n_periods
    assert len(survey.sci) == n_periods * 5 * 2
    assert all(sci.is_confirmed for sci in survey.sci)
    firsts = [sci.subframe for sci in survey.sci]
    assert firsts == sorted(firsts)
    blocks = [block.subframes for block in survey.transport_blocks if block.crc_ok]
    assert [b[0] for b in blocks] == sorted(b[0] for b in blocks)
    # Eight whole blocks of each of five UEs, and a ninth that discovery cuts short.
    assert Counter(b[0] // 40 for b in blocks) == dict.fromkeys(range(n_periods), 45)
    assert len(survey.discovery) == n_periods * 25


def test_a_busy_air_of_mode_4_is_found_whole_and_in_order() -> None:
    carrier = Carrier(50)
    iq = busy_v2x_air(carrier, 1, snr_db=15.0)
    survey = Survey()
    survey_source(LoopedSource(iq=iq, n_samples=2 * iq.size), carrier, survey)
    assert len(survey.slss) == 2
    n_pairs = (LOOP_SUBFRAMES - 1) // 2
    assert len(survey.sci) == 2 * n_pairs * 2 * 5
    assert all(block.crc_ok and len(block.subframes) == 2 for block in survey.transport_blocks)
    assert len(survey.transport_blocks) == 2 * n_pairs * 5
    firsts = [block.subframes[0] for block in survey.transport_blocks]
    assert firsts == sorted(firsts)


@pytest.mark.parametrize("full_scale", [2.0**-40, 1.0, 2.0**40])
def test_windows_follow_on_each_other_whatever_the_source_gives(full_scale: float) -> None:
    class Trickle(ArraySource):
        def read(self, n_samples: int) -> Iq:
            return ArraySource.read(self, min(n_samples, 7))

    iq = np.arange(1, 101).astype(np.complex64) * np.float32(full_scale)
    reader = WindowReader(Trickle(iq), before=4, stretch=30, after=9)
    ends = []
    while (window := reader.next()) is not None:
        part = window.view(window.begin, window.end - window.begin)
        largest = min(window.end + 9, 100)
        scale = np.float32(1 if full_scale == 1 else 2.0 ** -np.ceil(np.log2(largest + 0.5)) / full_scale)
        np.testing.assert_array_equal(part, iq[window.begin : window.end] * scale)
        before = window.view(window.begin - 4, 4)
        np.testing.assert_array_equal(
            before, (np.concatenate((np.zeros(4, np.complex64), iq)) * scale)[window.begin :][:4]
        )
        ends.append((window.end, window.is_last))
    assert ends == [(30, False), (60, False), (90, False), (100, True)]


@pytest.mark.parametrize("n", [0, 1, 29, 30, 31, 38, 39, 40])
def test_the_last_window_is_known_as_such(n: int) -> None:
    reader = WindowReader(ArraySource(np.ones(n, np.complex64)), before=4, stretch=30, after=9)
    windows = []
    while (window := reader.next()) is not None:
        windows.append((window.begin, window.end, window.is_last))
    assert windows == [(b, min(b + 30, n), b + 30 >= n) for b in range(0, n, 30)]


def test_a_sample_that_is_no_number_is_named() -> None:
    iq = np.ones(100, np.complex64)
    iq[77] = complex(1, np.inf)
    reader = WindowReader(ArraySource(iq), before=4, stretch=30, after=9)
    with pytest.raises(SampleError, match="sample 77 "):
        while reader.next() is not None:
            pass


@pytest.mark.parametrize("scale", [1e-18, 1e-9, 1e12])
def test_the_amplitude_does_not_matter(scale: float) -> None:
    carrier = Carrier(15)
    iq, contents = sample_recording(carrier, WANTED, np.random.default_rng(3))
    found = survey_document(survey_recording((iq * np.float32(scale)).astype(np.complex64), carrier))
    for kind in ("mib_sl", "sci", "transport_blocks", "discovery"):
        assert [item["hex"] for item in found[kind]] == [item["hex"] for item in contents[kind]]
