"""GPS-disciplined oscillators: lock state over SCPI (Jackson Labs family) and time of day over NMEA on the same line.

Serial names the second; its edge is what the pulse per second gives.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from radio.instruments.serial_line import InstrumentError, InstrumentTimeout, SerialLine


@dataclass(frozen=True, slots=True, kw_only=True)
class NmeaFix:
    """What an RMC sentence says: the UTC second that began with the last pulse, and if the receiver vouches for it."""

    utc: datetime
    valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdover:
    """How long the oscillator has run, or last ran, without GPS."""

    duration_s: float
    active: bool


def parse_nmea(sentence: str) -> list[str]:
    """Return the fields of an NMEA 0183 sentence, its name first; raises InstrumentError for a wrong checksum."""
    body, star, given = sentence.removeprefix("$").partition("*")
    if not sentence.startswith("$") or not star:
        raise InstrumentError(f"{sentence!r} is not an NMEA sentence with a checksum")
    checksum = 0
    for octet in body.encode("ascii", errors="replace"):
        checksum ^= octet
    if given.strip().upper() != f"{checksum:02X}":
        raise InstrumentError(f"NMEA checksum of {sentence!r} is {checksum:02X}")
    return body.split(",")


def parse_rmc(fields: list[str]) -> NmeaFix:
    """Return what the fields of an RMC sentence say; raises InstrumentError."""
    try:
        clock, status, date = fields[1], fields[2], fields[9]
        moment = datetime.strptime(date + clock.partition(".")[0], "%d%m%y%H%M%S").replace(tzinfo=UTC)
    except (IndexError, ValueError):
        raise InstrumentError(f"an RMC sentence without date and time: {','.join(fields)!r}") from None
    return NmeaFix(utc=moment, valid=status == "A")


class Gpsdo:
    """A GPSDO on a serial line."""

    def __init__(self, line: SerialLine) -> None:
        self._line = line

    def locked(self) -> bool:
        """Return whether the oscillator is locked (`SYNC:LOCKed?`)."""
        answer = self._ask("SYNC:LOCKed?")
        if answer not in ("0", "1"):
            raise InstrumentError(f"the GPSDO answered {answer!r} to SYNC:LOCKed?")
        return answer == "1"

    def holdover(self) -> Holdover:
        """Return the holdover (`SYNC:HOLD:DUR?`)."""
        answer = self._ask("SYNC:HOLD:DUR?")
        duration, _, active = answer.partition(",")
        try:
            return Holdover(duration_s=float(duration), active=int(active) == 1)
        except ValueError:
            raise InstrumentError(f"the GPSDO answered {answer!r} to SYNC:HOLD:DUR?") from None

    def time_interval_s(self) -> float:
        """Return the offset of its pulse from GPS (`SYNC:TINT?`)."""
        answer = self._ask("SYNC:TINT?")
        try:
            return float(answer)
        except ValueError:
            raise InstrumentError(f"the GPSDO answered {answer!r} to SYNC:TINT?") from None

    def next_fix(self, *, timeout_s: float = 3.0) -> NmeaFix:
        """Wait for the next good RMC sentence; raises InstrumentTimeout. Damaged sentences are skipped."""
        deadline = time.monotonic() + timeout_s
        while (remaining_s := deadline - time.monotonic()) > 0:
            line = self._line.read_line(timeout_s=remaining_s)
            if not line.startswith("$"):
                continue
            try:
                fields = parse_nmea(line)
                if fields[0].endswith("RMC"):
                    return parse_rmc(fields)
            except InstrumentError:
                continue
        raise InstrumentTimeout(f"no RMC sentence in {timeout_s:.0f} s")

    def _ask(self, command: str) -> str:
        """Return the answer, past NMEA sentences, prompts and the echo of the command that share the line."""
        answer = self._line.query(command)
        for _ in range(20):
            answer = answer.removeprefix("scpi >").strip()
            if answer and answer != command and not answer.startswith("$"):
                return answer
            answer = self._line.read_line()
        raise InstrumentTimeout(f"no answer to {command} among the NMEA sentences")
