"""GPS-disciplined oscillators: lock state over SCPI (Jackson Labs family) and time of day over NMEA on the same line.

The serial line names the second; the pulse per second gives its edge. `nmea` parses sentences. This module decides
which sentence is a usable fix: it came just now, its date is plausible, and the time advances from one fix to the next.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from radio.instruments.nmea import NmeaFix, clock_of_fix, parse_nmea, parse_rmc, parse_zda, sentence_in
from radio.instruments.serial_line import InstrumentError, InstrumentLost, InstrumentTimeout, ReceivedLine, SerialLine
from radio.instruments.settings import shown_number

__all__ = ["EARLIEST", "Gpsdo", "Holdover", "NmeaFix", "parse_nmea", "parse_rmc"]

EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
"""No right receiver gives a time before this. GPS counts weeks modulo 1024: one whose firmware is too old, or that has
not heard the date yet, is 19.6 years, or many times that, behind.
"""
_ROLLOVER = timedelta(weeks=1024)
_OLD_S = 1.0
"""Greatest age of a usable sentence: an older one names a second that is over."""
_UNEVEN_S = 1.5
"""Largest difference between the steps of a receiver's time and the time elapsed: no sentence comes so late."""
_ANSWER_S = 2.0
_PROMPTS = ("scpi >", "SCPI >", "scpi>", "SCPI>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdover:
    """How long the oscillator has run, or last ran, without GPS."""

    duration_s: float
    active: bool


class Gpsdo:
    """A GPSDO on a serial line. `earliest`: no time before it, nor 1024 weeks after it, is plausible."""

    def __init__(self, line: SerialLine, *, earliest: datetime = EARLIEST) -> None:
        self._line = line
        self._earliest = earliest
        self._anchor: tuple[datetime, float] | None = None
        """The last second that a valid fix named, and when it was named first."""

    def locked(self) -> bool:
        """Return whether the oscillator is locked (`SYNC:LOCKed?`)."""
        answer = self._ask("SYNC:LOCKed?")
        if answer not in ("0", "1"):
            raise InstrumentError(f"the GPSDO answered {answer!r} to SYNC:LOCKed?")
        return answer == "1"

    def holdover(self) -> Holdover:
        """Return the holdover (`SYNC:HOLD:DUR?`)."""
        answer = self._ask("SYNC:HOLD:DUR?")
        duration, _, active = (part.strip() for part in answer.partition(","))
        duration_s = shown_number(duration, asked="SYNC:HOLD:DUR?", unit="s")
        if active not in ("0", "1") or duration_s < 0:
            raise InstrumentError(f"the GPSDO answered {answer!r} to SYNC:HOLD:DUR?")
        return Holdover(duration_s=duration_s, active=active == "1")

    def time_interval_s(self) -> float:
        """Return the offset of its pulse from GPS (`SYNC:TINT?`)."""
        return shown_number(self._ask("SYNC:TINT?"), asked="SYNC:TINT?", unit="s")

    def next_fix(self, *, timeout_s: float = 3.0) -> NmeaFix:
        """Wait for the next good sentence that names the time: RMC, or ZDA if two come and no RMC between them.

        Prompts, noise and damaged sentences are skipped. So are sentences that were read only after their second was
        over, and implausible dates.

        Raises:
            InstrumentTimeout: there was no good sentence; the text says what came instead.
            InstrumentError: the receiver's time stands still or jumps.
        """
        deadline = time.monotonic() + timeout_s
        heard: set[str] = set()
        refused = ""
        fix_at: str | None = None
        zda_alone = False
        while (remaining_s := deadline - time.monotonic()) > 0:
            try:
                line = self._line.receive_line(timeout_s=remaining_s)
            except InstrumentLost:
                raise
            except InstrumentTimeout:
                break
            except InstrumentError as error:
                refused = str(error)
                continue
            fields = sentence_in(line.text)
            if fields is None:
                continue
            heard.add(fields[0])
            kind = fields[0][-3:]
            try:
                if kind == "RMC":
                    zda_alone = False
                    return self._checked(parse_rmc(fields), line)
                if kind == "GGA":
                    fix_at = clock_of_fix(fields)
                if kind == "ZDA":
                    if zda_alone:
                        return self._checked(parse_zda(fields, fix_at=fix_at), line)
                    zda_alone = True
            except _Refused as error:
                refused = str(error)
            except _Uneven:
                raise
            except InstrumentError as error:
                refused = str(error)
        raise InstrumentTimeout(_no_fix(timeout_s, heard, refused))

    def _checked(self, fix: NmeaFix, line: ReceivedLine) -> NmeaFix:
        """The fix with its age, if it is usable."""
        if line.age_s >= _OLD_S:
            raise _Refused(f"{fix.utc:%H:%M:%S} may be {line.age_s:.0f} s old")
        if not self._earliest <= fix.utc < self._earliest + _ROLLOVER:
            raise _Refused(
                f"{fix.utc:%Y-%m-%d} can't be true; a receiver that is behind the rollover of GPS weeks says so"
            )
        if fix.valid:
            self._check_pace(fix.utc, time.monotonic(), line.age_s)
        return NmeaFix(utc=fix.utc, valid=fix.valid, age_s=line.age_s)

    def _check_pace(self, utc: datetime, now_s: float, age_s: float) -> None:
        """Compare the steps of the receiver's time with the time elapsed. Raises InstrumentError."""
        before = self._anchor
        if before is None or utc != before[0]:
            self._anchor = utc, now_s
        if before is None:
            return
        step_s, went_by_s = (utc - before[0]).total_seconds(), now_s - before[1]
        if abs(step_s - went_by_s) > _UNEVEN_S + age_s:
            how = "stands still at" if step_s == 0 else "jumped to"
            raise _Uneven(
                f"the receiver's time {how} {utc.isoformat()}: {step_s:.0f} s further after {went_by_s:.1f} s"
            )

    def _ask(self, command: str) -> str:
        """Return the answer, past NMEA sentences, prompts and the echo of the command that share the line."""
        answer = self._line.query(command)
        deadline = time.monotonic() + _ANSWER_S
        while True:
            answer = _without_prompts(answer)
            if answer and answer.upper() != command.upper() and "$" not in answer:
                return answer
            if time.monotonic() > deadline:
                raise InstrumentTimeout(f"no answer to {command} among the NMEA sentences")
            answer = self._line.read_line()


class _Refused(InstrumentError):
    """A sentence is not used, for the reason in the text; the next one may be usable."""


class _Uneven(InstrumentError):
    """The receiver's time itself is unreliable: it stands still or jumps."""


def _without_prompts(text: str) -> str:
    text = text.strip()
    while text.startswith(_PROMPTS):
        text = text[text.index(">") + 1 :].strip()
    return text


def _no_fix(timeout_s: float, heard: set[str], refused: str) -> str:
    what = f"no sentence that names the time in {timeout_s:g} s"
    if refused:
        return f"{what}; the last one was refused: {refused}"
    if heard:
        return f"{what}, only {', '.join(sorted(heard))}: RMC must be switched on in the receiver"
    return f"{what}, and no good sentence at all: is it the right line, and the right baud rate?"
