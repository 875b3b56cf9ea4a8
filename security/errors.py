"""The base class of all errors of the security package, and the exit code that a command gets from each."""

from __future__ import annotations

from typing import ClassVar, Final

FAILED: Final = 1
USAGE: Final = 2
TIMEOUT: Final = 4
SECURITY: Final = 5
"""Exit codes; `lab_scripts.exit_codes` has the table of all, and a test holds the two equal."""


class SecurityError(Exception):
    """Base class of the errors the security package raises."""

    exit_code: ClassVar[int] = SECURITY
    """Exit code of a command that ends with this error: a failed security check (5), unless a subclass sets another
    one.
    """
