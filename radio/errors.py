"""The base class of all errors that `radio` raises, and the exit code that a command gets from each."""

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
    """Exit code of a command that ends with this error: unusable input (2), unless a subclass sets another one."""
