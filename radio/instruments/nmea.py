"""NMEA 0183 sentences that name the time: RMC, and ZDA with GGA where a receiver sends no RMC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from radio.instruments.serial_line import InstrumentError

_CLOCK = re.compile(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d|60)(?:\.\d*)?", re.ASCII)
_DATE = re.compile(r"(\d\d)(\d\d)(\d\d)", re.ASCII)
_CENTURY_STARTS = 80
"""Two digits of a year from here on are 19..: GPS time begins in 1980."""
_MODES_OF_A_FIX = frozenset("ADFPR")
"""Mode indicator of RMC (NMEA 2.3 and later): the others are estimated, manual, simulated and no fix."""
_QUALITIES_OF_A_FIX = frozenset("12345")
"""GGA: the others are no fix, estimated, manual and simulated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NmeaFix:
    """The contents of a sentence: the UTC second that began with the last pulse, and its validity by the receiver.

    `age_s`: greatest possible age of the sentence.
    """

    utc: datetime
    valid: bool
    age_s: float = 0.0


def sentence_in(line: str) -> list[str] | None:
    """Return the fields of the good NMEA sentence in a line, whatever prompt, echo or noise is before it; or None."""
    at = line.rfind("$")
    while at >= 0:
        try:
            return parse_nmea(line[at:])
        except InstrumentError:
            at = line.rfind("$", 0, at)
    return None


def parse_nmea(sentence: str) -> list[str]:
    """Return the fields of an NMEA 0183 sentence, its name first; raises InstrumentError for a wrong checksum."""
    body, star, given = sentence.removeprefix("$").partition("*")
    if not sentence.startswith("$") or not star or not body.isascii() or not body.isprintable():
        raise InstrumentError(f"{sentence!r} is not an NMEA sentence with a checksum")
    checksum = 0
    for octet in body.encode("ascii"):
        checksum ^= octet
    if given.strip().upper() != f"{checksum:02X}":
        raise InstrumentError(f"NMEA checksum of {sentence!r} is {checksum:02X}")
    return body.split(",")


def parse_rmc(fields: list[str]) -> NmeaFix:
    """Return the contents of an RMC sentence. Raises InstrumentError."""
    clock, date = _field(fields, 1), _DATE.fullmatch(_field(fields, 9))
    if date is None:
        raise _no_time(fields)
    day, month, year = map(int, date.groups())
    mode = _field(fields, 12)
    vouched = _field(fields, 2) == "A" and (not mode or mode in _MODES_OF_A_FIX)
    return NmeaFix(
        utc=_moment(fields, clock, day, month, year + (1900 if year >= _CENTURY_STARTS else 2000)), valid=vouched
    )


def parse_zda(fields: list[str], *, fix_at: str | None) -> NmeaFix:
    """Return the contents of a ZDA sentence. Raises InstrumentError.

    ZDA has no validity: `fix_at` is the clock of a GGA with a fix.
    """
    clock = _field(fields, 1)
    date = [_field(fields, place) for place in (2, 3, 4)]
    if not all(re.fullmatch(r"\d{1,4}", part, re.ASCII) for part in date):
        raise _no_time(fields)
    day, month, year = map(int, date)
    return NmeaFix(utc=_moment(fields, clock, day, month, year), valid=fix_at is not None and fix_at == clock)


def clock_of_fix(fields: list[str]) -> str | None:
    """Return the clock of a GGA sentence that has a fix, None where it has none."""
    return _field(fields, 1) if _field(fields, 6) in _QUALITIES_OF_A_FIX and _field(fields, 6) else None


def _field(fields: list[str], place: int) -> str:
    return fields[place] if place < len(fields) else ""


def _moment(fields: list[str], clock: str, day: int, month: int, year: int) -> datetime:
    parts = _CLOCK.fullmatch(clock)
    if parts is None:
        raise _no_time(fields)
    hour, minute, second = map(int, parts.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:  # the 30th of February; and a leap second, which no datetime can say: the next one will do
        raise _no_time(fields) from None


def _no_time(fields: list[str]) -> InstrumentError:
    return InstrumentError(f"a sentence without date and time: {','.join(fields)!r}")
