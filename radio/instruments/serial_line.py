"""A bench instrument on a serial line: commands out, answers in, one line each."""

from __future__ import annotations

import time

import serial

from radio.errors import RadioError

_MAX_LINE_OCTETS = 1024


class InstrumentError(RadioError):
    """An instrument that refuses or talks nonsense."""


class InstrumentLost(InstrumentError):
    """The serial line can't be opened or went away."""


class InstrumentTimeout(InstrumentError):
    """No answer in time."""


class SerialLine:
    """A line-oriented serial connection. `url` is a device path or any URL that pyserial opens."""

    def __init__(self, url: str, *, baud: int = 9600, terminator: bytes = b"\r\n", timeout_s: float = 1.0) -> None:
        """Open 8N1; raises InstrumentLost."""
        self._url = url
        self._terminator = terminator
        self._timeout_s = timeout_s
        self._pending = bytearray()
        try:
            self._port = serial.serial_for_url(url, baudrate=baud, timeout=0.05, write_timeout=timeout_s)
        except (serial.SerialException, ValueError, OSError) as error:
            raise InstrumentLost(f"can't open {url}: {error}") from None

    def send(self, command: str) -> None:
        """Send one command; raises InstrumentLost."""
        try:
            self._port.write(command.encode("ascii") + self._terminator)
        except (serial.SerialException, OSError) as error:
            raise InstrumentLost(f"{self._url} went away: {error}") from None

    def read_line(self, *, timeout_s: float | None = None) -> str:
        """Return the next line that isn't empty, without its end (CR, LF or both); raises InstrumentTimeout."""
        deadline = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        while True:
            line = self._line_from_pending()
            if line:
                return line
            if line is None:
                if time.monotonic() > deadline:
                    raise InstrumentTimeout(f"{self._url} gave no answer in time")
                self._receive()

    def query(self, command: str) -> str:
        """Send a command and return the answer; an echo of the command is skipped. Drops what came unasked before."""
        self._pending.clear()
        try:
            self._port.reset_input_buffer()
        except (serial.SerialException, OSError) as error:
            raise InstrumentLost(f"{self._url} went away: {error}") from None
        self.send(command)
        deadline = time.monotonic() + self._timeout_s
        while True:
            answer = self.read_line(timeout_s=max(0.0, deadline - time.monotonic()))
            if answer != command:
                return answer

    def close(self) -> None:
        """Close the line."""
        self._port.close()

    def _receive(self) -> None:
        try:
            self._pending += self._port.read(max(1, self._port.in_waiting))
        except (serial.SerialException, OSError) as error:
            raise InstrumentLost(f"{self._url} went away: {error}") from None
        if len(self._pending) > _MAX_LINE_OCTETS and self._end_of_line() < 0:
            self._pending.clear()
            raise InstrumentError(f"{self._url} sends more than {_MAX_LINE_OCTETS} octets without a line end")

    def _end_of_line(self) -> int:
        ends = [at for at in (self._pending.find(b"\r"), self._pending.find(b"\n")) if at >= 0]
        return min(ends, default=-1)

    def _line_from_pending(self) -> str | None:
        at = self._end_of_line()
        if at < 0:
            return None
        line = bytes(self._pending[:at])
        del self._pending[: at + 1]
        return line.decode("ascii", errors="replace").strip()
