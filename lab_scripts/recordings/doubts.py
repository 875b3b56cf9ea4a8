"""Search for the reason why nothing is found in a recording: other ways to read it, each tried on its beginning.

A signal outside the search's range of frequency, another type of samples or byte order, I and Q swapped, another sample
rate: each is a `Doubt`, a different reading of the same octets. The synchronisation signal is searched under all of
them; it is short, and its MIB-SL has a CRC, so that a hit is significant. If no reading shows one, the other channels
are tried for the likeliest few. The best reading gives a hint, or the survey continues with it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lab_scripts.exit_codes import LabError
from lab_scripts.recordings.carrier_stream import CarrierStream, Reading, with_format
from radio.arrays import Iq
from radio.devices.iq_file import STDIN, open_iq
from radio.errors import RadioError
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import SUBCARRIER_SPACING_HZ, Carrier
from radio.phy.lte.survey.survey import SurveyError, survey_recording
from radio.phy.lte.survey.sync_signals import find_sources

MAX_CFO_HZ = 105_000
_TYPES = ("cf32_le", "cf32_be", "ci16_le", "ci16_be", "ci8", "cu8", "ci32_le", "ci32_be", "cf64_le", "cf64_be")
_RATES_HZ = (1.92e6, 3.84e6, 7.68e6, 15.36e6, 30.72e6, 5.76e6, 11.52e6, 23.04e6, 2e6, 2.5e6, 4e6, 5e6, 8e6, 10e6, 20e6)
_LOOKED_AT_S = 0.085
"""More than two periods of the synchronisation signal (40 ms, TS 36.331 6.3.8)."""
_SURVEYED_S = 0.024
_SURE_METRIC = 0.5
_WITH_CRC = 1.0
"""Evidence above this comes with a MIB-SL, below it is a metric, from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A reading under which something is found, and the options that give it."""

    reading: Reading
    hint: str
    is_offset: bool = False


def better_reading(
    reading: Reading, head: bytes | None, *, mode: Mode | None = None, needs_crc: bool = False
) -> Doubt | None:
    """The reading of a recording under which its beginning shows most, None where none shows anything.

    `head` are the first octets of a recording that can be read but once; `mode` is the one family of modes to look for.
    With `needs_crc` a synchronisation signal alone, which may be an echo of the one already found, counts for nothing.
    """
    trials = [*_offsets(reading), _swapped(reading), *_types(reading), *_rates(reading)]
    least = _WITH_CRC if needs_crc else 0.0
    scores = [(_synchronises(doubt.reading, head), number) for number, doubt in enumerate(trials)]
    ranked = [(score, number) for score, number in scores if score > least]
    if ranked:
        return trials[max(ranked, key=lambda entry: (entry[0], -entry[1]))[1]]
    likely = [*_offsets(reading), _swapped(reading)]
    surveyed = [(score, number) for number, doubt in enumerate(likely) if (score := _shows(doubt, head, mode))]
    return likely[max(surveyed, key=lambda entry: (entry[0], -entry[1]))[1]] if surveyed else None


def better_type(reading: Reading, head: bytes | None) -> Doubt | None:
    """The type of samples under which a synchronisation signal shows, None where none does."""
    ranked = [(score, doubt) for doubt in _types(reading) if (score := _synchronises(doubt.reading, head))]
    return max(ranked, key=lambda entry: entry[0])[1] if ranked else None


def _offsets(reading: Reading) -> Iterator[Doubt]:
    """Offsets by whole subcarriers, near ones first: between them the search itself finds its way."""
    for step in range(1, MAX_CFO_HZ // SUBCARRIER_SPACING_HZ + 1):
        for offset in (step * SUBCARRIER_SPACING_HZ, -step * SUBCARRIER_SPACING_HZ):
            cfo_hz = reading.cfo_hz + offset
            yield Doubt(
                reading=replace(reading, cfo_hz=cfo_hz),
                hint=f"the carrier is about {cfo_hz / 1e3:g} kHz off: --cfo {cfo_hz:g}",
                is_offset=True,
            )


def _swapped(reading: Reading) -> Doubt:
    hint = "I and Q have changed places, which mirrors the spectrum: "
    hint += "leave --swap-iq out" if reading.swaps_iq else "--swap-iq"
    return Doubt(reading=replace(reading, swaps_iq=not reading.swaps_iq), hint=hint)


def _types(reading: Reading) -> Iterator[Doubt]:
    for name in _TYPES:
        yield Doubt(reading=with_format(reading, name), hint=f"the samples are {name}: --format {name}")


def _rates(reading: Reading) -> Iterator[Doubt]:
    for rate in _RATES_HZ:
        if rate != reading.options.sample_rate_hz:
            options = replace(reading.options, sample_rate_hz=rate)
            hint = f"the sample rate is {rate / 1e6:g} MS/s: --rate {rate / 1e6:g}e6"
            yield Doubt(reading=replace(reading, options=options), hint=hint)


def _synchronises(reading: Reading, head: bytes | None) -> float:
    """How clearly a synchronisation signal stands at a reading's beginning, 0 where none does."""
    beginning = _beginning(reading, head, _LOOKED_AT_S)
    if beginning is None:
        return 0.0
    iq, carrier = beginning
    sources = find_sources(iq, carrier)
    decoded = [source for source in sources if source.psbch.mib is not None]
    if decoded:
        return _WITH_CRC + len(decoded) + max(source.slss.metric for source in decoded)
    return max((s.slss.metric for s in sources if s.slss.metric > _SURE_METRIC), default=0.0)


def _shows(doubt: Doubt, head: bytes | None, mode: Mode | None) -> float:
    """How much else is found at a reading's beginning."""
    beginning = _beginning(doubt.reading, head, _SURVEYED_S)
    if beginning is None:
        return 0.0
    try:
        found = survey_recording(*beginning, mode=mode)
    except SurveyError:
        return 0.0
    blocks = sum(block.crc_ok for block in found.transport_blocks)
    return float(2 * blocks + sum(one.crc_ok for one in found.discovery) + (len(found.sci) if blocks else 0))


def _beginning(reading: Reading, head: bytes | None, seconds: float) -> tuple[Iq, Carrier] | None:
    """The first samples under a reading; None where it can't be one."""
    try:
        if head is None:
            stream = open_iq(reading.path, reading.options)
        else:
            stream = open_iq(STDIN, reading.options, stdin=io.BytesIO(head))
        with stream, CarrierStream(stream, reading) as samples:
            iq = samples.read(round(seconds * samples.carrier.sample_rate_hz))
    except (LabError, RadioError):
        return None
    return (iq, samples.carrier) if iq.any() else None
