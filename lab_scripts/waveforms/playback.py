"""Plays samples onto a radio: those of a file or of a plan, once or repeatedly, without a gap.

A `Source` returns samples by number, so the player may leave some out if the radio was late: the time base stays, and
the following samples keep their time. `Looped` joins the end of a source to its beginning, sample to sample. If the
length is not a whole number of subframes (or of the periods of its contents, such as the DFN), the contents jump there,
and a listener has to find them again.

The player writes each block a fixed lead before the radio reads that far; reading is what moves time on. After the last
block it reads on until the radio's time has passed it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lab_scripts.exit_codes import LabError
from lab_scripts.waveforms.plan import Rendering, WaveformPlan
from radio.arrays import Iq
from radio.devices.iq_stream import IqStream
from radio.devices.protocol import EndOfSamples, TimedIqDevice
from radio.phy.dsp.rotation import rotate

_BLOCKS_PER_S = 1000
_LEAD_BLOCKS = 2
"""Blocks of 1 ms between what is written and the earliest that could be."""


class Source(Protocol):
    """Samples to be played."""

    @property
    def sample_rate_hz(self) -> int:
        """Samples a second."""
        ...

    @property
    def n_samples(self) -> int | None:
        """Number of samples; None if they have no end."""
        ...

    def samples(self, first: int, n: int) -> Iq:
        """Samples first.. first + n - 1, fewer at the end. Raises LabError for samples that can't be played."""
        ...


class FileSource:
    """The samples of an IQ file that can be read at any place."""

    def __init__(self, stream: IqStream) -> None:
        """Raises LabError where it is empty, doesn't say its rate, or can only be read from beginning to end."""
        name = stream.name
        if stream.sample_rate_hz is None:
            raise LabError(f"{name} does not say its sample rate", hint="give it with --rate, in Hz")
        if not stream.is_seekable:
            raise LabError(
                f"{name} can only be read from beginning to end",
                hint="a pipe is written to a file first, an archive is unpacked, captures are cut apart",
            )
        if not stream.n_samples:
            raise LabError(f"{name} is empty")
        self._stream = stream
        self._name = name
        self.sample_rate_hz: int = round(stream.sample_rate_hz)
        self.n_samples: int | None = stream.n_samples

    def samples(self, first: int, n: int) -> Iq:
        """See `Source.samples`."""
        iq = self._stream.samples(first, n)
        wrong = np.flatnonzero(~np.isfinite(iq.view(np.float32)))
        if wrong.size:
            raise LabError(
                f"{self._name}: sample {first + int(wrong[0]) // 2} is not a finite number",
                hint=f"is it {self._stream.sample_type.name}?",
            )
        return iq


class PlanSource:
    """The samples of a plan, of `n_subframes` or without end (None).

    Going back starts again with `make_plan()`, which has to draw the same again.
    """

    def __init__(self, make_plan: Callable[[], WaveformPlan], n_subframes: int | None) -> None:
        self._make_plan = make_plan
        self._n_subframes = n_subframes
        self._rendering = Rendering(make_plan(), n_subframes)
        carrier = self._rendering.carrier
        self._step = carrier.samples_per_subframe
        self._number = -1
        self._subframe = np.empty(0, dtype=np.complex64)
        self.sample_rate_hz: int = carrier.sample_rate_hz
        self.n_samples: int | None = None if n_subframes is None else n_subframes * self._step

    def samples(self, first: int, n: int) -> Iq:
        """See `Source.samples`."""
        end = first + n if self.n_samples is None else min(first + n, self.n_samples)
        parts = []
        while first < end:
            number, inside = divmod(first, self._step)
            parts.append(self._of(number)[inside : inside + end - first])
            first += parts[-1].size
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.complex64)

    def _of(self, number: int) -> Iq:
        if number < self._number:
            self._rendering = Rendering(self._make_plan(), self._n_subframes)
        if number != self._number:
            self._subframe = self._rendering.subframe(number)
            self._number = number
        return self._subframe


class Looped:
    """A source over and over, its beginning right behind its end."""

    n_samples = None

    def __init__(self, source: Source) -> None:
        if source.n_samples is None:
            raise LabError("what has no end can't be looped")
        self._source = source
        self._length = source.n_samples
        self.sample_rate_hz: int = source.sample_rate_hz

    def samples(self, first: int, n: int) -> Iq:
        """See `Source.samples`."""
        out = np.empty(n, dtype=np.complex64)
        filled = 0
        while filled < n:
            part = self._source.samples((first + filled) % self._length, n - filled)
            out[filled : filled + part.size] = part
            filled += part.size
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """The result: samples offered to the radio from its sample `first_sample` on, and blocks that came too late."""

    first_sample: int
    n_samples: int
    late_blocks: int
    why_ended: str


def play(
    device: TimedIqDevice,
    source: Source,
    stopped: Callable[[], bool],
    *,
    cfo_hz: float = 0.0,
    amplitude: float = 1.0,
    on_start: Callable[[int], None] = lambda _: None,
) -> Played:
    """Play `source` until its end, until `stopped()` or until the radio ends.

    The carrier offset's phase continues over the wrap of a loop. `on_start` is called with the radio's sample of the
    first one. Raises LabError for samples that can't be played, and the radio's errors except EndOfSamples.
    """
    block = source.sample_rate_hz // _BLOCKS_PER_S
    start = device.earliest_write_sample + _LEAD_BLOCKS * block
    late_before = device.status.late
    on_start(start)
    at, why = 0, "stopped"
    try:
        while not stopped():
            iq = source.samples(at, block)
            if not iq.size:
                why = "played to its end"
                _read_up_to(device, start + at, block, stopped)
                break
            device.write(_prepared(iq, cfo_hz, source.sample_rate_hz, at, amplitude), start + at)
            at += iq.size
            device.read(iq.size)
            behind = device.earliest_write_sample - (start + at)
            if behind > 0:  # a radio in real time that we could not follow: leave out what can't be sent any more
                at += behind + _LEAD_BLOCKS * block
    except EndOfSamples as error:
        why = "stopped" if stopped() else str(error)
    end = at if source.n_samples is None else min(at, source.n_samples)
    return Played(first_sample=start, n_samples=end, late_blocks=device.status.late - late_before, why_ended=why)


def _prepared(iq: Iq, cfo_hz: float, sample_rate_hz: int, first: int, amplitude: float) -> Iq:
    if cfo_hz:
        iq = rotate(iq, cfo_hz, sample_rate_hz, first)
    return iq if amplitude == 1.0 else iq * np.float32(amplitude)


def _read_up_to(device: TimedIqDevice, end: int, block: int, stopped: Callable[[], bool]) -> None:
    """Let the radio's time pass sample `end`, so that all written samples have been sent."""
    while not stopped():
        iq, first = device.read(block)
        if first + len(iq) >= end:
            return
