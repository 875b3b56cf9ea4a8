"""Settings of bench instruments as whole steps: asked for, set, and read back."""

from __future__ import annotations

import math

from radio.instruments.serial_line import InstrumentError

_TOLERANCE_OF_A_STEP = 1e-6


def whole_steps(value: float, *, step: float, highest: float, unit: str) -> int:
    """Return the number of steps of a setting.

    Raises InstrumentError if it is no number, out of range or between two steps.
    """
    if not math.isfinite(value) or not 0 <= value <= highest:
        raise InstrumentError(f"{value} {unit} is out of range: 0 to {highest:g} {unit}")
    steps = round(value / step)
    if abs(value / step - steps) > _TOLERANCE_OF_A_STEP:
        raise InstrumentError(f"{value} {unit} is not a multiple of {step:g} {unit}")
    return steps


def shown_number(answer: str, *, asked: str, unit: str) -> float:
    """Return an instrument's answer as a number. Raises InstrumentError if it is not a finite one."""
    try:
        number = float(answer) if _plain(answer) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InstrumentError(f"the instrument answered {answer!r} to {asked} instead of a number of {unit}")
    return number


def _plain(answer: str) -> bool:
    """Whether a number is written as instruments write it: float() takes 1_0, Arabic digits and `infinity` as well."""
    return bool(answer) and all(character in "0123456789+-.eE" for character in answer)
