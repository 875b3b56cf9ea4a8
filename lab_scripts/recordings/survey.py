"""The survey of a user's recording; if nothing is found, other ways to read it are tried (`pc5lab phy decode`).

The recording is read once, from its beginning to its end, and surveyed on the way; findings go to a spool on disk. So
its length does not matter, and it may be a pipe. If nothing is found, its beginning is read again in other ways.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from lab_scripts.exit_codes import LabError
from lab_scripts.recordings.carrier_stream import CarrierStream, NotFinite, Reading, open_carrier
from lab_scripts.recordings.doubts import MAX_CFO_HZ, better_reading, better_type
from lab_scripts.report.survey_document import Item
from lab_scripts.report.survey_progress import SurveyProgress
from lab_scripts.report.survey_spool import SurveySpool
from radio.arrays import Iq
from radio.devices.iq_file import is_pipe
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.survey.survey import survey_source
from radio.phy.lte.survey.v2x_readings import SubChannels

Watch = Callable[[CarrierStream, SurveySpool], SurveyProgress]
"""Makes the progress report of a survey."""
PLOTTED_SUBFRAMES = 200
"""Subframes of a long recording that pictures are drawn of: its first."""
_NOTHING = (
    "nothing found: no other type of samples, byte order, usual rate, place of I and Q, nor a carrier up to "
    f"{MAX_CFO_HZ / 1e3:g} kHz off shows anything either. Is there a sidelink signal in it? Are --rate and --prb those "
    "of the recording?"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decoded:
    """The findings, as the items of the document, and notes for the user; `close` it.

    Offsets in the items are against the recording's centre, timing is in samples of the recording. `beginning` are the
    first samples as they were surveyed, at the rate of `carrier`.
    """

    found: SurveySpool
    carrier: Carrier
    beginning: Iq = field(repr=False)
    hints: tuple[str, ...] = ()

    def close(self) -> None:
        """Drop the findings."""
        self.found.close()


def decode_recording(
    reading: Reading,
    *,
    mode: Mode | None,
    sub_channels: SubChannels | None,
    tell: Callable[[str], None],
    watch: Watch,
    n_kept_subframes: int = 0,
) -> Decoded:
    """Survey a recording; a carrier beyond the search's reach is looked for and followed.

    `tell` gets a line about what is done to the samples; `n_kept_subframes` of its beginning are kept.
    Raises LabError, radio.errors.RadioError.
    """
    look = _Look(mode=mode, sub_channels=sub_channels, watch=watch, n_kept_subframes=n_kept_subframes)
    try:
        first, head = _first_look(reading, look, tell)
    except NotFinite as error:
        better = better_type(reading, error.head or None)
        raise LabError(str(error), hint=better.hint if better else error.hint) from None
    if _shows_something(first.found):
        return _with_hints(first, _bandwidth_hint(first, reading.n_prb))
    doubt = better_reading(reading, head, mode=mode, needs_crc=bool(first.found.counts["slss"]))
    if doubt is None:
        return first if first.found.counts["slss"] else _with_hints(first, _NOTHING)
    if not doubt.is_offset or head is not None:
        return _with_hints(first, f"nothing found: {doubt.hint}")
    first.close()
    tell(f"nothing found near the recording's centre: looking {doubt.reading.cfo_hz / 1e3:+g} kHz beside it")
    with open_carrier(doubt.reading) as stream:
        return _surveyed(stream, doubt.reading, look)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """The parameters of a search, and the samples that are kept."""

    mode: Mode | None
    sub_channels: SubChannels | None
    watch: Watch
    n_kept_subframes: int


def _first_look(reading: Reading, look: _Look, tell: Callable[[str], None]) -> tuple[Decoded, bytes | None]:
    """The survey of a recording as the user reads it, and its first octets where it can be read but once."""
    with open_carrier(reading) as stream:
        if stream.n_channels > 1 and reading.options.channel is None:
            tell(f"{stream.name} has {stream.n_channels} channels: this is channel 0, others come with --channel")
        if stream.change is not None:
            change = stream.change
            tell(f"resampled {change.up}/{change.down}: {change.from_hz:g} to {change.to_hz} samples/s")
        decoded = _surveyed(stream, reading, look)
        return decoded, stream.head or None if is_pipe(reading.path) else None


def _surveyed(stream: CarrierStream, reading: Reading, look: _Look) -> Decoded:
    file_samples_each = 1.0 if stream.change is None else stream.change.down / stream.change.up

    def to_the_recording(item: Item) -> None:
        if item.get("cfo_hz") is not None:
            item["cfo_hz"] = round(item["cfo_hz"] + reading.cfo_hz, 2)
        if item.get("timing_samples") is not None:
            item["timing_samples"] = round(item["timing_samples"] * file_samples_each, 3)

    found = SurveySpool(edit=to_the_recording)
    try:
        source = _RememberingSource(stream, look.n_kept_subframes * stream.carrier.samples_per_subframe)
        progress = look.watch(stream, found)
        survey_source(source, stream.carrier, found, mode=look.mode, sub_channels=look.sub_channels, progress=progress)
        progress.finish()
        if not source.n_read:
            raise LabError(f"{stream.name} is empty")
    except BaseException:
        found.close()
        raise
    return Decoded(found=found, carrier=stream.carrier, beginning=source.beginning)


class _RememberingSource:
    """A source that keeps its first samples."""

    def __init__(self, stream: CarrierStream, n_kept: int) -> None:
        self.n_read = 0
        self._stream = stream
        self._left = n_kept
        self._kept: list[Iq] = []

    @property
    def beginning(self) -> Iq:
        return np.concatenate(self._kept) if self._kept else np.empty(0, dtype=np.complex64)

    def read(self, n_samples: int) -> Iq:
        """The next samples, fewer than `n_samples` only at the end."""
        iq = self._stream.read(n_samples)
        self.n_read += iq.size
        if self._left:
            self._kept.append(iq[: self._left].copy())
            self._left -= self._kept[-1].size
        return iq


def _shows_something(found: SurveySpool) -> bool:
    """Whether anything with a CRC was found: a lone synchronisation signal may be an echo of one elsewhere."""
    if found.counts["mib_sl"] or found.counts["sci"]:
        return True
    return any(item["crc_ok"] for kind in ("transport_blocks", "discovery") for item in found[kind])


def _bandwidth_hint(decoded: Decoded, n_prb: int) -> str:
    told = {found.mib.bandwidth_prb for found in decoded.found.head.mib_sl}
    if not told or n_prb in told:
        return ""
    widths = " and ".join(str(width) for width in sorted(told))
    return f"the MIB-SL tells of {widths} PRB, not of the {n_prb} of --prb: the other channels are not where they seem"


def _with_hints(decoded: Decoded, *hints: str) -> Decoded:
    return replace(decoded, hints=tuple(filter(None, hints)))
