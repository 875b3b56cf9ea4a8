"""The base of everything the direct link raises, and how a command ends that meets it."""

from __future__ import annotations

from typing import ClassVar, Final

USAGE: Final = 2
HARDWARE: Final = 3
SECURITY: Final = 5
"""Exit codes; `lab_scripts.exit_codes` has the table of all, and a test holds the two equal."""


class ProseLinkError(Exception):
    """Base class of the errors the direct link raises."""

    exit_code: ClassVar[int] = USAGE
    """How a command ends that nobody helps out of it: what it was given can't be used, where a child says no other."""
