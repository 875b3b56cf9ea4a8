"""The base of everything the security package raises, and how a command ends that meets it."""

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
    """How a command ends that nobody helps out of it: a check of security failed, where a child says no other."""
