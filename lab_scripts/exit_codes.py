"""Exit codes of every command, and the error of the command line that carries one.

Each error class of every package has its own `exit_code`: `radio`, `security` and `prose_link` name the few they use in
their `errors.py`, since they must not import this file.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit code of a command; the table is in README.md."""

    OK = 0
    FAILED = 1
    """The test, run or campaign failed."""
    USAGE = 2
    """Usage or configuration."""
    HARDWARE = 3
    """Hardware missing or lost."""
    TIMEOUT = 4
    SECURITY = 5
    """A security check failed."""
    BUG = 70
    INTERRUPTED = 130
    """By Ctrl-C, SIGTERM or SIGHUP. A UE, the emulator and the KMS end with 0 after the latter two."""
    READER_GONE = 141
    """Standard output was a pipe, and its reader ended before the command did; as a shell tells SIGPIPE."""


class LabError(Exception):
    """An error message for the user of a command: the fault and its reason, with a hint if there is one."""

    exit_code: ExitCode = ExitCode.USAGE

    def __init__(self, message: str, *, code: ExitCode | None = None, hint: str = "") -> None:
        super().__init__(message)
        if code is not None:
            self.exit_code = code
        self.hint = hint
