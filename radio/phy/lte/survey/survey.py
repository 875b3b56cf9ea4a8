"""Search for everything in a recording, with no knowledge but its samples, sample rate and bandwidth.

The recording is worked through once, in stretches of 160 ms, so that memory does not depend on its length. In each
stretch the survey first looks for synchronisation signals, with both cyclic prefixes and in both families of modes. If
there are some, they show where subframes start. If there are none, and the alignment of the stretch before has brought
no finding, the reference signals of the other channels show it (`subframe_alignment`). Each subframe is then
transformed once, and all searches share its grid (`survey_scene`). Alignment, numbering and everything that waits for
its repeats are kept from one stretch to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from radio.arrays import Iq
from radio.errors import RadioError
from radio.phy.dsp.sample_source import ArraySource, SampleSource, SampleWindow, WindowReader
from radio.phy.lte.channels.pscch import pscch_candidates
from radio.phy.lte.channels.psdch import receive_psdch
from radio.phy.lte.channels.v2x_pscch import receive_v2x_pscch
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.survey.control_evidence import MIN_AGREEMENT, MIN_AGREEMENT_FORMAT_1, agreement
from radio.phy.lte.survey.direct import PATIENCE as DIRECT_PATIENCE
from radio.phy.lte.survey.direct import DirectSurvey, is_sound
from radio.phy.lte.survey.discovery import DiscoverySurvey, solve_discovery
from radio.phy.lte.survey.findings import FindingSink, FoundMib, FoundSlss, Survey
from radio.phy.lte.survey.order import TimeOrder
from radio.phy.lte.survey.scene import Scene, SceneMaker
from radio.phy.lte.survey.subframe_alignment import Alignment, alignments
from radio.phy.lte.survey.subframe_timeline import Anchor, RecordedSubframe, Timeline
from radio.phy.lte.survey.sync_signals import MARGIN_AFTER_SUBFRAMES, MARGIN_BEFORE_SUBFRAMES, SyncSurvey
from radio.phy.lte.survey.v2x import PATIENCE as V2X_PATIENCE
from radio.phy.lte.survey.v2x import V2xSurvey
from radio.phy.lte.survey.v2x_readings import SubChannels, divisions, readings
from radio.phy.lte.sync.acquisition import SyncSource

_STRETCH_SUBFRAMES = 160
"""The longest period of SLSS, that of modes 3 and 4 (TS 36.331 5.10.7)."""
_PROGRESS_SUBFRAMES = 20

Progress = Callable[[int], None]
"""Called from time to time with the number of samples done."""


class SurveyError(RadioError):
    """A recording without samples that can be searched."""


def survey_recording(
    iq: Iq, carrier: Carrier, *, mode: Mode | None = None, sub_channels: SubChannels | None = None
) -> Survey:
    """Everything found in `iq`, complex64 (n,), sampled as `carrier` says; its cyclic prefix is found out.

    `mode` restricts the search to one family of transmission modes; `sub_channels` are those of the V2X pool, found
    out where not given. Raises SurveyError or SampleError.
    """
    survey = Survey()
    survey_source(ArraySource(iq), carrier, survey, mode=mode, sub_channels=sub_channels)
    return survey


def survey_source(
    source: SampleSource,
    carrier: Carrier,
    sink: FindingSink,
    *,
    mode: Mode | None = None,
    sub_channels: SubChannels | None = None,
    progress: Progress | None = None,
) -> None:
    """Like `survey_recording` for a recording of any length: findings go to `sink`, each kind in the order of time.

    Raises SurveyError or SampleError.
    """
    _Walk(source, carrier, sink, mode, sub_channels, progress or (lambda _: None)).run()


@dataclass(slots=True)
class _Scan:
    """Everything but synchronisation, in one mode and with one cyclic prefix, on one timeline."""

    mode: Mode
    carrier: Carrier
    timeline: Timeline
    order: TimeOrder
    members: list[DirectSurvey | DiscoverySurvey | V2xSurvey]
    searches: list[Callable[[Scene, npt.NDArray[np.bool_]], None]]
    """What every subframe goes through, in order: what is easily explained first."""
    scenes: SceneMaker
    heard_before: Anchor | None = field(default=None)

    @classmethod
    def on(
        cls, mode: Mode, carrier: Carrier, timeline: Timeline, sink: FindingSink, sub_channels: SubChannels | None
    ) -> _Scan:
        members: list[DirectSurvey | DiscoverySurvey | V2xSurvey]
        searches: list[Callable[[Scene, npt.NDArray[np.bool_]], None]]
        if mode is Mode.TM34:
            order = TimeOrder(sink, V2X_PATIENCE)
            v2x = V2xSurvey(carrier, timeline, order, sub_channels)
            members, searches = [v2x], [v2x.take]
        else:
            order = TimeOrder(sink, DIRECT_PATIENCE)
            direct, discovery = DirectSurvey(carrier, timeline, order), DiscoverySurvey(carrier, timeline, order)
            members, searches = [direct, discovery], [direct.take_expected, discovery.take, direct.take]
        scenes = SceneMaker(carrier, mode)
        return cls(
            mode=mode,
            carrier=carrier,
            timeline=timeline,
            order=order,
            members=members,
            searches=searches,
            scenes=scenes,
        )

    def take(self, subframe: RecordedSubframe) -> None:
        scene: Scene = self.scenes.scene(subframe)
        taken = np.zeros(self.carrier.n_prb, dtype=np.bool_)
        for search in self.searches:
            search(scene, taken)
        self.order.pass_subframe(subframe.index)

    def finish(self) -> None:
        for member in self.members:
            member.finish()
        self.order.finish()

    def newly_heard(self) -> Anchor | None:
        """Timing and carrier offset of what was heard last, None where nothing was since the last call."""
        latest = max((m.latest for m in self.members if m.latest), key=lambda anchor: anchor.start, default=None)
        if latest == self.heard_before:
            return None
        self.heard_before = latest
        return latest


@dataclass(slots=True)
class _Walk:
    """One pass through one recording."""

    source: SampleSource
    carrier: Carrier
    sink: FindingSink
    mode: Mode | None
    sub_channels: SubChannels | None
    progress: Progress
    scan: _Scan | None = None
    next_index: int = 0

    def run(self) -> None:
        step = self.carrier.samples_per_subframe
        sync = SyncSurvey(self.carrier)
        reader = WindowReader(
            self.source,
            before=MARGIN_BEFORE_SUBFRAMES * step,
            stretch=_STRETCH_SUBFRAMES * step,
            after=MARGIN_AFTER_SUBFRAMES * step,
        )
        is_empty, is_silent = True, True
        while (window := reader.next()) is not None:
            is_empty, is_silent = False, is_silent and not window.has_signal
            sources = [s for s in sync.sources(window) if self.mode in (None, s.slss.mode)]
            self._align(window, sources)
            self._note_sources(sources)
            self._scan(window)
            self.progress(window.end)
        if self.scan is not None:
            self.scan.finish()
        if is_silent:
            raise SurveyError(f"the recording {'is empty' if is_empty else 'holds nothing but zeros'}")

    def _align(self, window: SampleWindow, sources: list[SyncSource]) -> None:
        """Find out where the subframes of this stretch start."""
        heard = self.scan.newly_heard() if self.scan is not None else None
        if sources:
            strongest = max(sources, key=lambda source: source.slss.metric)
            mode, cp, n_sl_id = strongest.slss.mode, strongest.slss.cp, strongest.slss.n_sl_id
            own = [s for s in sources if s.slss.n_sl_id == n_sl_id and s.slss.cp is cp]
            carrier = Carrier(self.carrier.n_prb, cp, self.carrier.fft_size)
            self._go_on(mode, carrier, [Anchor(start=s.subframe_start, cfo_hz=s.cfo_hz) for s in own])
        elif self.scan is not None and heard is not None:
            self._go_on(self.scan.mode, self.scan.carrier, [heard])
        elif window.has_signal:
            modes = tuple(Mode) if self.mode is None else (self.mode,)
            for alignment in alignments(self.carrier, window, modes):
                anchor = self._heard_at(window, alignment)
                if anchor is not None:
                    self._go_on(alignment.mode, alignment.carrier, [anchor])
                    return

    def _go_on(self, mode: Mode, carrier: Carrier, anchors: list[Anchor]) -> None:
        """Carry the scan on with new anchors, or begin another where mode or cyclic prefix are others."""
        scan = self.scan
        if scan is not None and (scan.mode, scan.carrier) == (mode, carrier):
            scan.timeline.extend(anchors)
            return
        if scan is not None:
            scan.finish()
        timeline = Timeline(carrier, anchors)
        self.scan = _Scan.on(mode, carrier, timeline, self.sink, self.sub_channels)

    def _heard_at(self, window: SampleWindow, alignment: Alignment) -> Anchor | None:
        """Timing and carrier offset of what decodes at an alignment, None where nothing does."""
        for anchor in alignment.anchors():
            timeline = Timeline(alignment.carrier, [anchor])
            index = timeline.index_at(anchor.start)
            end = round(anchor.start) + 1
            for subframe in timeline.subframes(window, index, end):
                heard = _decodes(alignment, subframe)
                if heard is not None:
                    timing_error, cfo_hz = heard
                    start = timeline.timing_of(subframe, timing_error)
                    return Anchor(start=start, cfo_hz=anchor.cfo_hz + cfo_hz)
        return None

    def _note_sources(self, sources: list[SyncSource]) -> None:
        for source in sources:
            slss, psbch = source.slss, source.psbch
            self.sink.take(
                FoundSlss(
                    n_sl_id=slss.n_sl_id,
                    mode=slss.mode,
                    cp=slss.cp,
                    timing_samples=source.subframe_start,
                    cfo_hz=source.cfo_hz,
                    snr_db=slss.snr_db,
                )
            )
            if psbch.mib is not None:
                self.sink.take(
                    FoundMib(
                        subframe=self._index_at(source.subframe_start),
                        n_sl_id=slss.n_sl_id,
                        mib=psbch.mib,
                        bits=psbch.bits,
                        snr_db=psbch.snr_db,
                        evm_db=psbch.evm_db,
                        cfo_hz=source.cfo_hz,
                        timing_samples=source.subframe_start,
                    )
                )

    def _index_at(self, start: float) -> int:
        """Number of the subframe that starts near `start`; by the recording's own samples where nothing is aligned."""
        if self.scan is not None:
            return self.scan.timeline.index_at(start)
        return round(start / self.carrier.samples_per_subframe)

    def _scan(self, window: SampleWindow) -> None:
        end = window.end
        if self.scan is None:
            self.next_index = end // self.carrier.samples_per_subframe
            return
        first = max(
            self.next_index, self.scan.timeline.index_at(window.first_sample + self.carrier.samples_per_subframe)
        )
        if not window.has_signal:
            self.next_index = max(first, self.scan.timeline.index_at(end))
            return
        for n, subframe in enumerate(self.scan.timeline.subframes(window, first)):
            self.scan.take(subframe)
            self.next_index = subframe.index + 1
            if n % _PROGRESS_SUBFRAMES == 0:
                self.progress(min(max(round(subframe.start), 0), end))


def _decodes(alignment: Alignment, subframe: RecordedSubframe) -> tuple[float, float] | None:
    """Timing error and carrier offset of what stands at an alignment, if it decodes."""
    carrier, grid, prb = alignment.carrier, subframe.grid, alignment.prb
    if alignment.mode is Mode.TM34:
        for heard in receive_v2x_pscch(carrier, grid, (prb,), 1):
            is_sent = agreement(heard.llrs, heard.bits) >= MIN_AGREEMENT_FORMAT_1
            if is_sent and readings(heard.bits, divisions(carrier.n_prb)):
                return heard.timing_error_samples, heard.cfo_hz
        return None
    if alignment.is_discovery:
        codeword = receive_psdch(carrier, grid, prb)
        if solve_discovery(codeword) is not None:
            return codeword.timing_error_samples, codeword.cfo_hz
        return None
    candidates = pscch_candidates(carrier, grid, (prb,))
    for received in candidates.decoded(carrier, candidates.llrs):
        if not is_sound(received.sci, carrier.n_prb):
            continue
        if agreement(candidates.llrs[0], received.bits) >= MIN_AGREEMENT:
            return received.timing_error_samples, received.cfo_hz
    return None
