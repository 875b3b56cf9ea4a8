"""A bench instrument on a serial line: commands out, answers in, one line each.

A line has no time of arrival: the operating system buffers lines that are not read yet. So the time is noted at which
nothing was waiting: what is read later came after it, and `age_s` of a line is no more than the time since. And an
answer may come after the question was given up: the next question then waits until the line is silent, so that it does
not take that answer for its own.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import serial

from radio.errors import HARDWARE, TIMEOUT, RadioError

_MAX_LINE_OCTETS = 1024


class InstrumentError(RadioError):
    """An instrument that refuses a command or answers nonsense."""

    exit_code: ClassVar[int] = HARDWARE


class InstrumentLost(InstrumentError):
    """The serial line can't be opened or was lost."""


class InstrumentTimeout(InstrumentError):
    """No answer in time."""

    exit_code: ClassVar[int] = TIMEOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedLine:
    """A line without its end, and its greatest possible age."""

    text: str
    age_s: float


class SerialLine:
    """A line-oriented serial connection. `url` is a device path or any URL that pyserial opens."""

    def __init__(self, url: str, *, baud: int = 9600, terminator: bytes = b"\r\n", timeout_s: float = 1.0) -> None:
        """Open 8N1; raises InstrumentLost."""
        self._url = url
        self._terminator = terminator
        self._timeout_s = timeout_s
        self._pending = bytearray()
        self._arrivals: deque[tuple[int, float]] = deque()
        """Of the pending octets: how many came after which time."""
        self._answer_owed = False
        try:
            self._port = serial.serial_for_url(url, baudrate=baud, timeout=0.05, write_timeout=timeout_s)
        except (serial.SerialException, ValueError, OSError, OverflowError) as error:
            raise InstrumentLost(f"can't open {url}: {error}") from None
        self._empty_at_s = time.monotonic()

    def send(self, command: str) -> None:
        """Send one command; raises InstrumentLost, InstrumentTimeout."""
        try:
            self._port.write(command.encode("ascii") + self._terminator)
        except serial.SerialTimeoutException:
            raise InstrumentTimeout(f"{self._url} takes no commands") from None
        except (serial.SerialException, OSError) as error:
            raise InstrumentLost(f"{self._url} went away: {error}") from None

    def read_line(self, *, timeout_s: float | None = None) -> str:
        """Return the next line that isn't empty, without its end (CR, LF or both); raises InstrumentTimeout."""
        return self.receive_line(timeout_s=timeout_s).text

    def receive_line(self, *, timeout_s: float | None = None) -> ReceivedLine:
        """Return the next line that isn't empty, with its age; raises InstrumentTimeout."""
        deadline = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        while True:
            line = self._line_from_pending()
            if line is not None and line.text:
                return line
            if line is None:
                if time.monotonic() > deadline:
                    raise InstrumentTimeout(f"{self._url} gave no answer in time")
                self._receive()

    def query(self, command: str) -> str:
        """Send a command and return the answer; an echo of the command is skipped. Drops what came unasked before."""
        if self._answer_owed:
            self._wait_for_silence()
        self.discard()
        self.send(command)
        self._answer_owed = True
        deadline = time.monotonic() + self._timeout_s
        while True:
            answer = self.read_line(timeout_s=max(0.0, deadline - time.monotonic()))
            if answer != command:
                self._answer_owed = False
                return answer

    def discard(self) -> None:
        """Drop all received octets. Raises InstrumentLost."""
        self._forget_pending()
        try:
            self._port.reset_input_buffer()
        except (serial.SerialException, OSError) as error:
            raise InstrumentLost(f"{self._url} went away: {error}") from None
        self._empty_at_s = time.monotonic()

    def close(self) -> None:
        """Close the line."""
        self._port.close()

    def _wait_for_silence(self) -> None:
        """Read until nothing has come for as long as an answer may take, or for ten times as long."""
        began_s = heard_s = time.monotonic()
        while (now_s := time.monotonic()) - heard_s < self._timeout_s and now_s - began_s < 10 * self._timeout_s:
            self._forget_pending()
            self._receive()
            if self._pending:
                heard_s = time.monotonic()

    def _forget_pending(self) -> None:
        self._pending.clear()
        self._arrivals.clear()

    def _receive(self) -> None:
        began_s = time.monotonic()
        try:
            octets = self._port.read(max(1, self._port.in_waiting))
            if octets:
                self._pending += octets
                self._arrivals.append((len(octets), self._empty_at_s))
            if not self._port.in_waiting:
                self._empty_at_s = began_s
        except (serial.SerialException, OSError, TypeError) as error:
            raise InstrumentLost(f"{self._url} went away: {error}") from None
        if len(self._pending) > _MAX_LINE_OCTETS and self._end_of_line() < 0:
            self._forget_pending()
            raise InstrumentError(
                f"{self._url} sends more than {_MAX_LINE_OCTETS} octets without a line end; is the baud rate right?"
            )

    def _end_of_line(self) -> int:
        ends = [at for at in (self._pending.find(b"\r"), self._pending.find(b"\n")) if at >= 0]
        return min(ends, default=-1)

    def _line_from_pending(self) -> ReceivedLine | None:
        at = self._end_of_line()
        if at < 0:
            return None
        line = bytes(self._pending[:at])
        del self._pending[: at + 1]
        since_s = self._took(at + 1)
        text = line.decode("ascii", errors="replace").strip(" \t\0")
        return ReceivedLine(text=text, age_s=time.monotonic() - since_s)

    def _took(self, n_octets: int) -> float:
        """Count octets as read; returns the time after which the last of them came."""
        since_s = self._empty_at_s
        while n_octets > 0:
            count, since_s = self._arrivals.popleft()
            if count > n_octets:
                self._arrivals.appendleft((count - n_octets, since_s))
            n_octets -= count
        return since_s
