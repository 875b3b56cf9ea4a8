"""Programmable attenuators and RF relays on a serial line.

A setting counts only when the instrument shows it. Some instruments acknowledge every command and do nothing, some clip
to their limit silently, some don't acknowledge. So every setting is read back and compared.
"""

from __future__ import annotations

from typing import Protocol

from radio.instruments.serial_line import InstrumentError, InstrumentTimeout, SerialLine
from radio.instruments.settings import shown_number, whole_steps

_READINGS = 3
"""Number of times a setting is read back before it counts as refused: relays of a step attenuator need some ms."""


class Attenuator(Protocol):
    """An instrument that attenuates a signal by a set number of dB."""

    def set_attenuation_db(self, attenuation_db: float) -> None:
        """Set the attenuation and read it back. Raises InstrumentError if the instrument refuses it."""
        ...

    def attenuation_db(self) -> float:
        """Return the attenuation that is set; raises InstrumentError."""
        ...


class MiniCircuitsAttenuator:
    """Mini-Circuits RCDAT family, ASCII commands over RS-232 (`:SETATT=`, `:ATT?`), steps of 0.25 dB."""

    STEP_DB = 0.25
    HIGHEST_DB = 120.0
    """Largest attenuation of the family; a unit with less reports an error, or shows another value."""

    def __init__(self, line: SerialLine) -> None:
        self._line = line

    def model(self) -> str:
        """Return the model name the instrument gives."""
        return self._line.query(":MN?").removeprefix("MN=")

    def set_attenuation_db(self, attenuation_db: float) -> None:
        """Set the attenuation and read it back. Raises InstrumentError if it is out of range or refused."""
        wanted_db = whole_steps(attenuation_db, step=self.STEP_DB, highest=self.HIGHEST_DB, unit="dB") * self.STEP_DB
        answer = self._line.query(f":SETATT={wanted_db:.2f}")
        if answer == "2":
            raise InstrumentError(f"the attenuator can't do {attenuation_db} dB and took its nearest limit")
        if answer != "1":
            raise InstrumentError(f"the attenuator answered {answer!r} to a setting of {attenuation_db} dB")
        for _ in range(_READINGS):
            shown_db = self.attenuation_db()
            if abs(shown_db - wanted_db) < self.STEP_DB / 2:
                return
        raise InstrumentError(f"the attenuator said yes to {attenuation_db} dB and stands at {shown_db:g} dB")

    def attenuation_db(self) -> float:
        """Return the attenuation that is set."""
        shown_db = shown_number(self._line.query(":ATT?"), asked=":ATT?", unit="dB")
        if not 0 <= shown_db <= self.HIGHEST_DB:
            raise InstrumentError(f"the attenuator shows {shown_db:g} dB, which none of its kind can do")
        return shown_db


class WeinschelUnit:
    """Aeroflex/Weinschel 8210A device controller: attenuators and relays at addresses (manual IM-377).

    It doesn't acknowledge settings, so they are read back; echoes of commands are skipped.
    """

    STEP_DB = 0.01
    HIGHEST_DB = 327.67
    """Largest value of its number: hundredths of a dB in 16 bits with a sign."""

    def __init__(self, line: SerialLine, *, address: int) -> None:
        if not 0 <= address <= 255:
            raise InstrumentError(f"{address} is no address of a unit: 0 to 255")
        self._line = line
        self._address = address

    def set_attenuation_db(self, attenuation_db: float) -> None:
        """Set the attenuation and read it back; raises InstrumentError when the unit shows another."""
        wanted = whole_steps(attenuation_db, step=self.STEP_DB, highest=self.HIGHEST_DB, unit="dB")
        command = f"DEVICE ATTN {self._address} {wanted}"
        self._line.send(command)
        for _ in range(_READINGS):
            shown = self._shown(after=command)
            if shown == wanted:
                return
        raise InstrumentError(f"attenuator {self._address} stands at {shown / 100} dB instead of {attenuation_db} dB")

    def attenuation_db(self) -> float:
        """Return the attenuation that is set."""
        return self._shown() / 100

    def set_relay(self, relay: int, *, closed: bool) -> None:
        """Switch one of relays 1 to 8. Its position can't be read back; only the signal shows it."""
        if not 1 <= relay <= 8:
            raise InstrumentError(f"there is no relay {relay}; they go from 1 to 8")
        self._line.send(f"DEVICE RELAY {self._address} {relay} {int(closed)}")

    def _shown(self, after: str = "") -> int:
        """The hundredths of a dB the unit shows. `after`: the command that came before, whose echo may still come."""
        question = f"DEVICE? ATTN {self._address}"
        answer = self._line.query(question)
        for _ in range(2):
            if answer not in (after, question):
                break
            answer = self._line.read_line()
        else:
            raise InstrumentTimeout(f"no answer to {question}")
        digits = answer.removeprefix("-")
        if not (digits.isascii() and digits.isdecimal() and len(digits) <= 6):
            raise InstrumentError(
                f"unit {self._address} answered {answer!r} to {question} instead of hundredths of a dB"
            )
        return int(answer)
