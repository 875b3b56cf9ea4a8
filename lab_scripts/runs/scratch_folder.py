"""The temporary folder of a run: it holds master secrets, tickets and keys, so it must not outlive the run.

Leaving the context removes the folder. A run that was killed (SIGKILL, power) can't do so; the next run does. Each
folder has a lock file that its run holds locked (flock) for as long as it lives: the system gives the lock back
when the process ends, however it ends. A folder of the same user whose lock is free has no run any more. A folder
becomes visible under its final name only once it is locked, so that no other start takes a new one for a left one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lab_scripts.exit_codes import LabError

PREFIX = "pc5lab-"
LOCK_FILE = "pc5lab-run.lock"
"""File with the process id of its run, for information; the lock on it decides."""


@contextlib.contextmanager
def scratch_folder(kind: str = "") -> Iterator[Path]:
    """A new private folder for temporary files, removed at the end. Removes the folders of killed runs first.

    Args:
        kind: becomes part of the folder's name.

    Raises:
        LabError: no folder can be made.
    """
    try:
        root = Path(tempfile.gettempdir())
        remove_leftovers(root)
        folder, lock = _make(root, f"{PREFIX}{kind}-" if kind else PREFIX)
    except OSError as error:
        where = error.filename or os.environ.get("TMPDIR", "the temporary folder")
        raise LabError(
            f"cannot make a temporary folder: {error.strerror}: {where}",
            hint="set TMPDIR to a folder that you may write to and that has some MB free",
        ) from error
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


def leftovers(root: Path | None = None) -> list[Path]:
    """Temporary folders of this user's runs that were killed."""
    found = []
    for folder in _candidates(root or Path(tempfile.gettempdir())):
        lock = _free_lock(folder)
        if lock is not None:
            os.close(lock)
            found.append(folder)
    return found


def remove_leftovers(root: Path | None = None) -> list[Path]:
    """Remove what killed runs of this user left; a folder whose run lives, or is another user's, stays."""
    removed = []
    for folder in _candidates(root or Path(tempfile.gettempdir())):
        lock = _free_lock(folder)
        if lock is None:
            continue
        try:
            _remove(folder)
            removed.append(folder)
        finally:
            os.close(lock)
    return removed


def _make(root: Path, prefix: str) -> tuple[Path, int]:
    """A locked folder under its final name, and the descriptor that holds the lock."""
    hidden = Path(tempfile.mkdtemp(prefix=f".{prefix}", dir=root))
    lock = -1
    try:
        lock = os.open(hidden / LOCK_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(lock, f"{os.getpid()}\n".encode())
        folder = root / f"{prefix}{secrets.token_hex(6)}"
        hidden.rename(folder)
    except BaseException:
        if lock >= 0:
            os.close(lock)
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    return folder, lock


def _candidates(root: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError), os.scandir(root) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX):
                with contextlib.suppress(OSError):
                    about = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid():
                        yield Path(entry.path)


def _free_lock(folder: Path) -> int | None:
    """The descriptor of the folder's lock, taken; None where there is no lock file of this user, or a run holds it."""
    try:
        lock = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        about = os.fstat(lock)
        if stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
    except OSError:
        pass
    os.close(lock)
    return None


def _remove(folder: Path) -> None:
    """Remove a folder. Its lock file goes last, so that what can't be removed now is found again."""
    for _ in range(2):  # a process that is about to end may write once more
        with contextlib.suppress(OSError):
            for path in list(folder.iterdir()):
                if path.name == LOCK_FILE:
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            if [path.name for path in folder.iterdir()] == [LOCK_FILE]:
                (folder / LOCK_FILE).unlink()
                folder.rmdir()
                return
