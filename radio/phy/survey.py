"""Find everything in a recording, given nothing but its samples, rate and bandwidth.

Synchronisation signals are looked for first, with both cyclic prefixes and in both families of modes. Where there are
some they tell where subframes start; where there are none, the reference signals of the other channels do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from radio.arrays import Iq
from radio.errors import RadioError
from radio.phy.acquisition import SyncSource, acquire
from radio.phy.layout import Mode
from radio.phy.numerology import Carrier, Cp
from radio.phy.psss_search import PsssSearch
from radio.phy.subframe_alignment import alignments
from radio.phy.subframe_timeline import Anchor, RecordedSubframe, Timeline
from radio.phy.survey_direct import DirectSurvey, find_format_0
from radio.phy.survey_discovery import DiscoverySurvey
from radio.phy.survey_findings import FoundDiscovery, FoundMib, FoundSci, FoundSlss, Survey
from radio.phy.survey_v2x import SubChannels, V2xSurvey
from radio.phy.v2x_pscch import receive_v2x_pscch

_MIN_SSSS_METRIC_WITHOUT_MIB = 0.5
_MIN_PSSS_METRIC_WITHOUT_MIB = 0.4


class SurveyError(RadioError):
    """A recording that holds nothing to look at."""


def survey_recording(
    iq: Iq, carrier: Carrier, *, mode: Mode | None = None, sub_channels: SubChannels | None = None
) -> Survey:
    """Everything found in `iq`, complex64 (n,), sampled as `carrier` says; its cyclic prefix is found out.

    `mode` restricts the search to one family of transmission modes; `sub_channels` are those of the V2X pool, found
    out where not given. Raises SurveyError.
    """
    if not np.any(iq):
        raise SurveyError("the recording holds nothing but zeros" if iq.size else "the recording is empty")
    survey = Survey()
    sources = [s for s in find_sources(iq, carrier) if mode is None or s.slss.mode is mode]
    if sources:
        strongest = max(sources, key=lambda source: source.slss.metric)
        own = [s for s in sources if s.slss.n_sl_id == strongest.slss.n_sl_id and s.slss.cp is strongest.slss.cp]
        found_carrier = Carrier(carrier.n_prb, strongest.slss.cp, carrier.fft_size)
        anchors = [Anchor(start=s.subframe_start, cfo_hz=s.cfo_hz) for s in own]
        timeline = Timeline(found_carrier, iq, anchors)
        _note_sources(survey, timeline, sources)
        _scan(survey, found_carrier, timeline, strongest.slss.mode, sub_channels)
        return survey
    for found_mode in Mode if mode is None else (mode,):
        for cp in Cp if found_mode is Mode.TM12 else (Cp.NORMAL,):
            found_carrier = Carrier(carrier.n_prb, cp, carrier.fft_size)
            aligned = _align(iq, found_carrier, found_mode)
            if aligned is not None:
                _scan(survey, found_carrier, aligned, found_mode, sub_channels)
                return survey
    return survey


def find_sources(iq: Iq, carrier: Carrier) -> list[SyncSource]:
    """Every synchronisation signal in a recording, in the order of time; starts count from its first sample."""
    step = carrier.samples_per_subframe
    n_blocks = -(-iq.size // step)
    padded = np.zeros((n_blocks + 3) * step, dtype=np.complex64)
    padded[step : step + iq.size] = iq
    search = PsssSearch(carrier, tuple(Cp))
    sources: list[SyncSource] = []
    for begin in range(0, padded.size, step):
        for peak in search.push(padded[begin : begin + step]):
            source = acquire(carrier, padded, replace(peak, subframe_offset=peak.subframe_offset + begin))
            if source is None:
                continue
            is_clear = source.slss.metric > _MIN_SSSS_METRIC_WITHOUT_MIB and peak.metric > _MIN_PSSS_METRIC_WITHOUT_MIB
            if source.psbch.mib is not None or is_clear:
                sources.append(replace(source, subframe_start=source.subframe_start - step))
    return sorted(sources, key=lambda source: source.subframe_start)


def _note_sources(survey: Survey, timeline: Timeline, sources: Iterable[SyncSource]) -> None:
    for source in sources:
        slss, psbch = source.slss, source.psbch
        survey.slss.append(
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
            survey.mib_sl.append(
                FoundMib(
                    subframe=timeline.index_at(source.subframe_start),
                    n_sl_id=slss.n_sl_id,
                    mib=psbch.mib,
                    bits=psbch.bits,
                    snr_db=psbch.snr_db,
                    evm_db=psbch.evm_db,
                    cfo_hz=source.cfo_hz,
                    timing_samples=source.subframe_start,
                )
            )


def _scan(survey: Survey, carrier: Carrier, timeline: Timeline, mode: Mode, sub_channels: SubChannels | None) -> None:
    """Look for everything but synchronisation in every subframe."""
    if mode is Mode.TM34:
        v2x = V2xSurvey(carrier, timeline, survey, sub_channels)
        for subframe in timeline.subframes():
            v2x.take(subframe)
        return
    direct, discovery = DirectSurvey(carrier, timeline, survey), DiscoverySurvey(carrier, timeline, survey)
    for subframe in timeline.subframes():
        direct.take(subframe)
        discovery.take(subframe)
    direct.finish()
    discovery.finish()


def _align(iq: Iq, carrier: Carrier, mode: Mode) -> Timeline | None:
    """A timeline on the likeliest alignment at which something decodes."""
    for anchor in alignments(carrier, iq, mode):
        timeline = Timeline(carrier, iq, [anchor])
        subframe = next((s for s in timeline.subframes() if s.index == timeline.index_at(anchor.start)), None)
        if subframe is None:
            continue
        better = _anchor_from(carrier, timeline, subframe, mode)
        if better is not None:
            return Timeline(carrier, iq, [better])
    return None


def _anchor_from(carrier: Carrier, timeline: Timeline, subframe: RecordedSubframe, mode: Mode) -> Anchor | None:
    """Timing and carrier offset of the strongest thing that decodes in a subframe, None where nothing does."""
    if mode is Mode.TM34:
        heard = receive_v2x_pscch(carrier, subframe.grid, range(carrier.n_prb - 1), 1)
        found = [(r.snr_db, timeline.timing_of(subframe, r.timing_error_samples), r.cfo_hz) for r in heard]
    else:
        trial = Survey(sci=[found for found, _ in find_format_0(carrier, timeline, subframe)])
        discovery = DiscoverySurvey(carrier, timeline, trial)
        discovery.take(subframe)
        discovery.finish()
        items: list[FoundSci | FoundDiscovery] = [*trial.sci, *trial.discovery]
        found = [(item.snr_db, item.timing_samples, item.cfo_hz - subframe.cfo_hz) for item in items]
    if not found:
        return None
    _, start, cfo_hz = max(found)
    return Anchor(start=start, cfo_hz=subframe.cfo_hz + cfo_hz)
