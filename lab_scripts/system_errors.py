"""Errors of the operating system in words: no bug of the lab, whatever file, disk or network they concern."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.standard_streams import is_about_a_stream

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_OUR_OWN_FAULT = {errno.EBADF, errno.EFAULT, errno.ENOTSOCK}
"""Errors that no state of a machine explains."""
_LITTLE_OCTETS = 1 << 17
"""Fewer octets than one more write of a database needs."""
_TIMEOUTS = {errno.ETIMEDOUT}
_WORDS = {errno.ENOSPC: "no space left on device", errno.EDQUOT: "no space left on device (quota)"}


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Add `path` to an error of a full disk that does not name its file: a failed write(2) knows no name."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in _FULL:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def full_disks_named(*folders: Path) -> Iterator[None]:
    """Add a note if a run failed and one of its folders has no space left.

    The processes that met the full disk can't always report it, since their logs go to such a folder too. The error
    becomes a LabError.
    """
    try:
        yield
    except LabError as error:
        full = next((folder for folder in folders if _free_octets(folder) < _LITTLE_OCTETS), None)
        if full is None or error.exit_code is ExitCode.INTERRUPTED:
            raise
        raise LabError(f"no space left on device: {full} ({error})", code=ExitCode.FAILED, hint=error.hint) from error


def _free_octets(folder: Path) -> int:
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize


def is_about_the_machine(error: OSError) -> bool:
    """Whether an OSError is a fault of the machine or of the user's input, not a bug."""
    return error.errno not in _OUR_OWN_FAULT


def in_words(error: OSError) -> tuple[str, ExitCode, str]:
    """Message, exit code and hint of an OSError."""
    what = _WORDS.get(error.errno or 0) or error.strerror or str(error) or type(error).__name__
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    about = ": " + " -> ".join(names) if names else ""
    if error.errno in _FULL:
        hint = "" if about else f"look at the run folder, the UE's store and {os.environ.get('TMPDIR', '/tmp')}"
        return what + about, ExitCode.FAILED, hint
    if isinstance(error, TimeoutError) or error.errno in _TIMEOUTS:
        return what + about, ExitCode.TIMEOUT, ""
    return what + about, ExitCode.USAGE if names and not is_about_a_stream(error) else ExitCode.FAILED, ""
