"""Programmable attenuators and RF relays on a serial line."""

from __future__ import annotations

from typing import Protocol

from radio.instruments.serial_line import InstrumentError, SerialLine


class Attenuator(Protocol):
    """Something that weakens a signal by a set number of dB."""

    def set_attenuation_db(self, attenuation_db: float) -> None:
        """Set the attenuation; raises InstrumentError when it is not taken."""
        ...


class MiniCircuitsAttenuator:
    """Mini-Circuits RCDAT family, ASCII commands over RS-232 (`:SETATT=`, `:ATT?`), steps of 0.25 dB."""

    STEP_DB = 0.25

    def __init__(self, line: SerialLine) -> None:
        self._line = line

    def model(self) -> str:
        """Return the model name the instrument gives."""
        return self._line.query(":MN?").removeprefix("MN=")

    def set_attenuation_db(self, attenuation_db: float) -> None:
        """Set the attenuation and read it back; raises InstrumentError when out of range or not taken."""
        steps = round(attenuation_db / self.STEP_DB)
        if attenuation_db < 0 or abs(steps * self.STEP_DB - attenuation_db) > 1e-9:
            raise InstrumentError(f"{attenuation_db} dB is not a multiple of {self.STEP_DB} dB from 0 on")
        answer = self._line.query(f":SETATT={steps * self.STEP_DB:.2f}")
        if answer == "2":
            raise InstrumentError(f"the attenuator can't do {attenuation_db} dB and took its nearest limit")
        if answer != "1":
            raise InstrumentError(f"the attenuator answered {answer!r} to a setting of {attenuation_db} dB")

    def attenuation_db(self) -> float:
        """Return the attenuation that is set."""
        answer = self._line.query(":ATT?")
        try:
            return float(answer)
        except ValueError:
            raise InstrumentError(f"the attenuator answered {answer!r} instead of a number of dB") from None


class WeinschelUnit:
    """Aeroflex/Weinschel 8210A device controller: attenuators and relays at addresses (manual IM-377).

    It doesn't acknowledge settings: read back what matters.
    """

    def __init__(self, line: SerialLine, *, address: int) -> None:
        self._line = line
        self._address = address

    def set_attenuation_db(self, attenuation_db: float) -> None:
        """Set the attenuation and read it back; raises InstrumentError when the unit shows another."""
        wanted = round(attenuation_db * 100)
        if wanted < 0:
            raise InstrumentError(f"{attenuation_db} dB is below 0")
        self._line.send(f"DEVICE ATTN {self._address} {wanted}")
        shown = self._attenuation_hundredths()
        if shown != wanted:
            raise InstrumentError(
                f"attenuator {self._address} stands at {shown / 100} dB instead of {attenuation_db} dB"
            )

    def attenuation_db(self) -> float:
        """Return the attenuation that is set."""
        return self._attenuation_hundredths() / 100

    def set_relay(self, relay: int, *, closed: bool) -> None:
        """Switch one of relays 1 to 8."""
        if not 1 <= relay <= 8:
            raise InstrumentError(f"there is no relay {relay}; they go from 1 to 8")
        self._line.send(f"DEVICE RELAY {self._address} {relay} {int(closed)}")

    def _attenuation_hundredths(self) -> int:
        answer = self._line.query(f"DEVICE? ATTN {self._address}")
        try:
            return int(answer)
        except ValueError:
            raise InstrumentError(f"unit {self._address} answered {answer!r} instead of hundredths of a dB") from None
