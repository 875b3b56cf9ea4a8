"""What the lab itself tells beside its UEs, its emulator and its KMS."""

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
    """The program's own; None where it was stopped for taking too long."""
    summary: str
    """One line of what it said."""
    ok: bool
    """It ended by itself, with 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmedUp:
    """The hot kernels are compiled and on disk."""

    was_warm: bool
    """They were before."""
    took_s: float
    """Wall time of compiling or loading them."""


LabEvent: TypeAlias = ProgramEnded | WarmedUp
