"""What is in a recording a user names: read, surveyed, and where nothing is found, doubted (`pc5lab phy decode`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lab_scripts.carrier_samples import CarrierSamples, open_samples
from lab_scripts.carrier_stream import NotFinite, Reading
from lab_scripts.exit_codes import LabError
from lab_scripts.recording_doubts import MAX_CFO_HZ, better_reading, better_type
from lab_scripts.report.survey_document import survey_document
from radio.arrays import Iq
from radio.phy.layout import Mode
from radio.phy.numerology import Carrier
from radio.phy.survey import survey_recording
from radio.phy.survey_findings import Survey
from radio.phy.survey_v2x import SubChannels

_MAX_SAMPLES = 1 << 28


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decoded:
    """A survey with what was done to the samples before it, and what to tell the user."""

    found: Survey
    carrier: Carrier
    iq: Iq = field(repr=False)
    cfo_hz: float
    file_samples_each: float
    """Samples of the recording in one of the survey's: their rates' ratio."""
    hints: tuple[str, ...] = ()

    def document(self) -> dict[str, list[dict[str, Any]]]:
        """The survey's document: offsets against the recording's centre, timing in samples of the recording."""
        document = survey_document(self.found)
        for item in (item for items in document.values() for item in items):
            if "cfo_hz" in item:
                item["cfo_hz"] = round(item["cfo_hz"] + self.cfo_hz, 2)
            if "timing_samples" in item:
                item["timing_samples"] = round(item["timing_samples"] * self.file_samples_each, 3)
        return document


def decode_recording(
    reading: Reading, *, mode: Mode | None, sub_channels: SubChannels | None, tell: Callable[[str], None]
) -> Decoded:
    """Survey a recording; a carrier beyond the search's reach is looked for and followed.

    `tell` gets a line about what is done to the samples. Raises LabError, radio.errors.RadioError.
    """
    try:
        first, head = _first_look(reading, mode, sub_channels, tell)
    except NotFinite as error:
        better = better_type(reading, error.head or None)
        raise LabError(str(error), hint=better.hint if better else error.hint) from None
    if _shows_something(first.found):
        return _with_hints(first, _bandwidth_hint(first, reading.n_prb))
    doubt = better_reading(reading, head, mode=mode, needs_crc=bool(first.found.slss))
    if doubt is None:
        return first if first.found.slss else _with_hints(first, _NOTHING)
    if not doubt.is_offset or head is not None:
        return _with_hints(first, f"nothing found: {doubt.hint}")
    tell(f"nothing found near the recording's centre: looking {doubt.reading.cfo_hz / 1e3:+g} kHz beside it")
    with open_samples(doubt.reading) as samples:
        return _surveyed(samples, doubt.reading, mode, sub_channels)


_NOTHING = (
    "nothing found: no other type of samples, byte order, usual rate, place of I and Q, nor a carrier up to "
    f"{MAX_CFO_HZ / 1e3:g} kHz off shows anything either. Is there a sidelink signal in it? Are --rate and --prb those "
    "of the recording?"
)


def _first_look(
    reading: Reading, mode: Mode | None, sub_channels: SubChannels | None, tell: Callable[[str], None]
) -> tuple[Decoded, bytes | None]:
    """The survey of a recording as the user reads it, and its first octets where it can be read but once."""
    with open_samples(reading) as samples:
        if samples.n_channels > 1 and reading.options.channel is None:
            tell(f"{samples.name} has {samples.n_channels} channels: this is channel 0, others come with --channel")
        if samples.change is not None:
            change = samples.change
            tell(f"resampled {change.up}/{change.down}: {change.from_hz:g} to {change.to_hz} samples/s")
        return _surveyed(samples, reading, mode, sub_channels), samples.head


def _surveyed(
    samples: CarrierSamples, reading: Reading, mode: Mode | None, sub_channels: SubChannels | None
) -> Decoded:
    if samples.n_samples > _MAX_SAMPLES:
        raise LabError(
            f"{samples.name} holds {samples.n_samples} samples, more than {_MAX_SAMPLES}", hint="cut it into parts"
        )
    iq = samples.samples(0, samples.n_samples)
    return Decoded(
        found=survey_recording(iq, samples.carrier, mode=mode, sub_channels=sub_channels),
        carrier=samples.carrier,
        iq=iq,
        cfo_hz=reading.cfo_hz,
        file_samples_each=samples.in_file(1.0),
    )


def _shows_something(found: Survey) -> bool:
    """Whether anything with a CRC was found: a lone synchronisation signal may be an echo of one elsewhere."""
    blocks = any(block.crc_ok for block in found.transport_blocks)
    return bool(found.mib_sl or found.sci or blocks or any(one.crc_ok for one in found.discovery))


def _bandwidth_hint(decoded: Decoded, n_prb: int) -> str:
    told = {found.mib.bandwidth_prb for found in decoded.found.mib_sl}
    if not told or n_prb in told:
        return ""
    widths = " and ".join(str(width) for width in sorted(told))
    return f"the MIB-SL tells of {widths} PRB, not of the {n_prb} of --prb: the other channels are not where they seem"


def _with_hints(decoded: Decoded, *hints: str) -> Decoded:
    return Decoded(
        found=decoded.found,
        carrier=decoded.carrier,
        iq=decoded.iq,
        cfo_hz=decoded.cfo_hz,
        file_samples_each=decoded.file_samples_each,
        hints=tuple(filter(None, hints)),
    )
