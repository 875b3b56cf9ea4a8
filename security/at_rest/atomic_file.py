"""Atomic replacement of files: after a crash at any moment a file has its old content or its new one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def replace_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file's whole content; a crash at any point leaves the old content or the new one. Raises OSError.

    The new content goes to a second file, is synced, and takes the name in one rename; then the folder is synced. The
    caller makes sure that there is one writer at a time.
    """
    neighbour = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        neighbour.unlink()
    try:
        write_synced(neighbour, content, mode=mode)
        neighbour.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            neighbour.unlink()
        raise
    sync_folder(path.parent)


def write_synced(path: Path, content: bytes, *, mode: int) -> None:
    """Make a new file and write its content to the disk. Raises OSError, FileExistsError included."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Write a folder's entries to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
