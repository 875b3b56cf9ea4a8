"""Standard input, output and error as people leave them: closed, full, or a pipe whose reader has gone."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from io import TextIOWrapper

_STDOUT, _STDERR = 1, 2


def prepare_streams() -> None:
    """Give closed streams a place to go, and let any character be printed.

    Without it a file that is opened later would become descriptor 1 and take what is meant for standard output.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush_streams() -> None:
    """Bring out what was printed; raises OSError. What is left to the interpreter's end gets no exit code."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def failed_stream() -> str | None:
    """The name of the standard stream that takes no more, after an error that did not say what it was about."""
    for stream, name in ((sys.stdout, "standard output"), (sys.stderr, "standard error")):
        try:
            stream.flush()
        except (OSError, ValueError):
            return name
    return None


def reader_is_gone() -> bool:
    """Whether standard output or standard error is a pipe, and nobody holds its other end."""
    poll = select.poll()
    for descriptor in (_STDOUT, _STDERR):
        poll.register(descriptor, 0)
    try:
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except OSError:
        return False


def give_up_failed_streams() -> None:
    """Let what can't be brought out go nowhere, so that the interpreter's own flush at the end is silent."""
    for stream, descriptor in ((sys.stdout, _STDOUT), (sys.stderr, _STDERR)):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno() if stream.fileno() >= 0 else descriptor)
                os.close(nowhere)
                stream.flush()
