"""Named pipes (FIFOs) on the command line: opening one waits for its other end, for ever if there is none.

A pipe that a process reads is one to write to, and is not opened here. A pipe that no process reads must get data
within some time. The lab holds the ends it opened here until the command ends: closing one would signal the end of data
to the other side.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from lab_scripts.exit_codes import ExitCode, LabError

PATIENCE_S = 10.0


@contextlib.contextmanager
def pipes_with_another_end(arguments: Sequence[str]) -> Iterator[None]:
    """Wait until each named pipe among the arguments has its other end; raises LabError if one has none."""
    held: list[int] = []
    try:
        for argument in arguments:
            paths = filter(_is_named_pipe, {argument, argument.partition("=")[2]})
            held.extend(_open_end(path, PATIENCE_S) for path in paths)
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


def _is_named_pipe(path: str) -> bool:
    """Whether a path is a FIFO with a name. A path under /dev/fd leads to a pipe whose ends another process holds."""
    try:
        return (
            bool(path)
            and stat.S_ISFIFO(Path(path).stat().st_mode)
            and not os.path.realpath(path).startswith(("/dev/", "/proc/"))
        )
    except (OSError, ValueError):
        return False


def _open_end(path: str, patience_s: float) -> int:
    with contextlib.suppress(OSError):  # ENXIO: no process reads
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(patience_s * 1000):
        os.close(descriptor)
        raise LabError(f"{path} is a pipe, and nothing was written to it in {patience_s:.0f} s", code=ExitCode.TIMEOUT)
    return descriptor
