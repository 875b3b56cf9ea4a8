"""The base of everything the radio raises, and how a command ends that meets it."""

from __future__ import annotations

from typing import ClassVar, Final

FAILED: Final = 1
USAGE: Final = 2
HARDWARE: Final = 3
TIMEOUT: Final = 4
"""Exit codes; `lab_scripts.exit_codes` has the table of all, and a test holds the two equal."""


class RadioError(Exception):
    """Base class of the errors the radio raises: bad configuration, bad input, a device that failed."""

    exit_code: ClassVar[int] = USAGE
    """How a command ends that nobody helps out of it: what it was given can't be used, where a child says no other."""
