"""Events of the lab itself, besides those of its UEs, its emulator and its KMS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramEnded:
    """A program that ran over the TUN interfaces of two UEs has ended."""

    program: str
    """Its name in the closing table."""
    command: str
    """The command line."""
    exit_code: int | None
    """Exit code of the program; None if it was stopped because it took too long."""
    summary: str
    """One line of its output."""
    ok: bool
    """Whether it ended by itself, with 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmedUp:
    """The hot kernels are compiled and on disk."""

    was_warm: bool
    """Whether they were before."""
    took_s: float
    """Wall time of compiling or loading them."""


LabEvent: TypeAlias = ProgramEnded | WarmedUp
