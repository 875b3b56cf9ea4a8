"""The base class of all errors of the direct link, and the exit code that a command gets from each."""

from __future__ import annotations

from typing import ClassVar, Final

USAGE: Final = 2
HARDWARE: Final = 3
SECURITY: Final = 5
"""Exit codes; `lab_scripts.exit_codes` has the table of all, and a test holds the two equal."""


class ProseLinkError(Exception):
    """Base class of the errors the direct link raises."""

    exit_code: ClassVar[int] = USAGE
    """Exit code of a command that ends with this error: unusable input (2), unless a subclass sets another one."""
