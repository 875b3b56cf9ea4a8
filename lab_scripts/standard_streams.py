"""Standard output and error in every state: open, closed, full, or a pipe whose reader has gone."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

STDOUT, STDERR = "standard output", "standard error"
_NAMES = {1: STDOUT, 2: STDERR}


class _NamedDescriptor(io.FileIO):
    """A descriptor whose write errors say which stream they are about: those of write(2) name nothing."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = _NAMES[self.fileno()]
            raise


def prepare_streams() -> None:
    """Make standard output and error ready for every state; call it first.

    A closed stream gets a sink, since otherwise a file that is opened later would take its number, and its output. Any
    character can be printed. An error in writing names the stream.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= max(_NAMES):
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdout = _named(sys.stdout, 1)
    sys.stderr = _named(sys.stderr, 2)


def _named(stream: TextIO | None, descriptor: int) -> TextIO:
    raw = _NamedDescriptor(descriptor, "w", closefd=False)
    encoding = stream.encoding if stream is not None else "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=raw.isatty() or descriptor == 2,
        write_through=bool(getattr(stream, "write_through", False)),
    )


def is_about_a_stream(error: OSError) -> bool:
    """Whether an error is about standard output or error of this process."""
    return error.filename in _NAMES.values()


def flush_streams() -> None:
    """Write out everything that was printed.

    Raises OSError. An error at the interpreter's end would change no exit code.
    """
    for stream in _streams():
        stream.flush()


def give_up_failed_streams() -> None:
    """Redirect streams that can't be written to nowhere, so that the interpreter's own flush at the end is silent."""
    for stream in _streams():
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
                stream.flush()


def _streams() -> Iterator[TextIO]:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            yield stream
