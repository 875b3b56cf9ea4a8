"""Sources and the player, on radios that keep what is written, in virtual time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lab_scripts.exit_codes import LabError
from lab_scripts.waveforms.options import WaveformOptions
from lab_scripts.waveforms.playback import FileSource, Looped, PlanSource, play
from radio.devices.iq_file import IqOptions, open_iq
from radio.devices.protocol import DeviceStatus, EndOfSamples
from radio.emulator.lock_step import LockStepClock
from radio.phy.lte.grid.numerology import Cp

RATE, BLOCK, LEAD = 1_920_000, 1920, 4


class KeepingRadio:
    """The emulator's rule for writing; `slips` jumps the clock by so many samples at a read, as a busy machine does."""

    sample_rate_hz = RATE

    def __init__(self, n_samples: int, slips: dict[int, int] | None = None) -> None:
        self.status = DeviceStatus()
        self.air = np.full(n_samples, np.nan, dtype=np.complex64)
        self.end = 0
        self._clock = LockStepClock(BLOCK, LEAD)
        self._slips = slips or {}
        self._reads = 0

    @property
    def earliest_write_sample(self) -> int:
        return self._clock.complete_to

    @property
    def position(self) -> int:
        return self._clock.position

    def read(self, n_samples: int) -> tuple[np.ndarray, int]:
        if self._clock.position + n_samples > self.air.size:
            raise EndOfSamples("the run is over")
        n_slipped = self._slips.get(self._reads, 0)
        self._reads += 1
        self._clock.push(np.zeros(n_samples + n_slipped, dtype=np.complex64))
        if n_slipped:
            self._clock.pull(n_slipped)
        read = self._clock.pull(n_samples)
        self._clock.advance_to(self._clock.position)
        return read

    def write(self, iq: np.ndarray, first_sample: int) -> None:
        if first_sample < self.earliest_write_sample:
            self.status.late += 1
            return
        kept = self.air[first_sample : first_sample + len(iq)]
        assert np.isnan(kept).all(), "written twice"
        kept[:] = iq[: kept.size]
        self.end = max(self.end, first_sample + len(iq))

    def close(self) -> None:
        pass


def recording(tmp_path: Path, n_samples: int) -> tuple[FileSource, np.ndarray]:
    rng = np.random.default_rng(n_samples)
    iq = (rng.normal(size=n_samples) + 1j * rng.normal(size=n_samples)).astype(np.complex64)
    path = tmp_path / "out.cf32"
    iq.tofile(path)
    return FileSource(open_iq(path, IqOptions(sample_rate_hz=RATE))), iq


def never() -> bool:
    return False


@pytest.mark.parametrize("n_samples", [3 * BLOCK, 3 * BLOCK + 777, 100, 1, 40 * BLOCK])
def test_a_loop_has_no_gap_whatever_its_length(tmp_path: Path, n_samples: int) -> None:
    source, iq = recording(tmp_path, n_samples)
    radio = KeepingRadio(30 * BLOCK)
    played = play(radio, Looped(source), never)
    assert played.why_ended == "the run is over"
    on_air = radio.air[played.first_sample : radio.end]
    assert on_air.size >= 20 * BLOCK
    assert np.array_equal(on_air, np.resize(iq, on_air.size))
    assert np.isnan(radio.air[: played.first_sample]).all()


def test_the_carrier_offset_runs_on_over_the_wrap(tmp_path: Path) -> None:
    (tmp_path / "one.cf32").write_bytes(np.ones(777, dtype=np.complex64).tobytes())
    source = Looped(FileSource(open_iq(tmp_path / "one.cf32", IqOptions(sample_rate_hz=RATE))))
    radio = KeepingRadio(30 * BLOCK)
    played = play(radio, source, never, cfo_hz=1234.5, amplitude=0.25)
    on_air = radio.air[played.first_sample : radio.end]
    expected = 0.25 * np.exp(2j * np.pi * 1234.5 / RATE * np.arange(on_air.size))
    assert np.abs(on_air - expected).max() < 1e-4


def test_once_is_once_and_the_radio_is_not_left_before_it_is_out(tmp_path: Path) -> None:
    source, iq = recording(tmp_path, 5 * BLOCK + 7)
    radio = KeepingRadio(60 * BLOCK)
    played = play(radio, source, never)
    assert (played.why_ended, played.n_samples, played.late_blocks) == ("played to its end", iq.size, 0)
    assert np.array_equal(radio.air[played.first_sample :][: iq.size], iq)
    assert np.isnan(radio.air[played.first_sample + iq.size :]).all()
    assert radio.position >= played.first_sample + iq.size


def test_stopping_ends_it(tmp_path: Path) -> None:
    source, _ = recording(tmp_path, 5 * BLOCK)
    answers = iter([False] * 3)
    played = play(KeepingRadio(60 * BLOCK), Looped(source), lambda: next(answers, True))
    assert (played.why_ended, played.n_samples) == ("stopped", 3 * BLOCK)


def test_what_a_late_radio_misses_is_left_out_and_the_rest_stands_where_it_would_have(tmp_path: Path) -> None:
    source, iq = recording(tmp_path, 7 * BLOCK + 13)
    radio = KeepingRadio(60 * BLOCK, slips={10: 12 * BLOCK})
    played = play(radio, Looped(source), never)
    on_air = radio.air[played.first_sample : radio.end]
    sent = ~np.isnan(on_air)
    assert np.array_equal(on_air[sent], np.resize(iq, on_air.size)[sent])
    assert 8 * BLOCK < np.count_nonzero(~sent) < 16 * BLOCK
    assert sent[-20 * BLOCK :].all()


def options(**changes: object) -> WaveformOptions:
    fields: dict[str, object] = {
        "prb": 6,
        "rate_hz": None,
        "cp": Cp.NORMAL,
        "slss_id": 170,
        "dfn": 0,
        "mode": 2,
        "destination": None,
        "timing_advance": None,
        "mcs": 5,
        "width": None,
        "first": 0,
        "subchannel_size": None,
        "subchannels": None,
        "transmission_format": None,
        "counting": None,
        "payload": "",
        "message": "",
        "seed": 3,
    }
    return WaveformOptions(**(fields | changes))


@pytest.mark.parametrize("mode", [2, 4])
def test_a_looped_plan_repeats_itself_and_an_endless_one_does_not(mode: int) -> None:
    made = options(mode=mode)
    looped = Looped(PlanSource(made.plan, 15))
    length = 15 * BLOCK
    first, second = looped.samples(0, length), looped.samples(length, length)
    assert first.any() and np.array_equal(first, second)
    odd = [looped.samples(at, 777) for at in range(0, 2 * length, 777)]
    assert np.array_equal(np.concatenate(odd)[: 2 * length], np.concatenate((first, second)))
    endless = PlanSource(made.plan, None)
    period = made.plan().period * BLOCK
    one, two = (endless.samples(at, period) for at in (0, period))
    assert one.any() and two.any() and not np.array_equal(one, two)


def test_what_is_cut_by_the_end_is_left_out_whole() -> None:
    whole = PlanSource(options().plan, 40).samples(0, 40 * BLOCK)
    cut = PlanSource(options().plan, 13).samples(0, 40 * BLOCK)
    assert cut.size == 13 * BLOCK
    assert np.array_equal(cut[: 11 * BLOCK], whole[: 11 * BLOCK])
    assert not cut[11 * BLOCK :].any() and whole[11 * BLOCK : 13 * BLOCK].any()


def test_a_value_that_is_no_number_is_named(tmp_path: Path) -> None:
    iq = np.ones(5 * BLOCK, dtype=np.complex64)
    iq[3 * BLOCK + 5] = np.nan
    iq.tofile(tmp_path / "nan.cf32")
    source = FileSource(open_iq(tmp_path / "nan.cf32", IqOptions(sample_rate_hz=RATE)))
    with pytest.raises(LabError, match=f"sample {3 * BLOCK + 5} is not a finite number"):
        play(KeepingRadio(60 * BLOCK), source, never)
