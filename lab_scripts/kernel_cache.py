"""Where compiled kernels are kept: one folder for each state of their sources, so that no stale kernel is ever loaded.

numba looks at the file a kernel is in, not at the files it calls into; hence the hash over all that a kernel depends
on (`kernel_sources`). It files a kernel under its source's path; hence the path in the hash. A change elsewhere keeps
the kernels. Folders of other states of the sources are removed when no command has used them for a week.

The folder is the first of these that can be written to: the user's own (NUMBA_CACHE_DIR), the user's cache folder
(XDG_CACHE_HOME or ~/.cache), a private one among the temporary files. Where none can, kernels are compiled at every
start and not kept: slower, and everything works.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lab_scripts.kernel_sources import kernel_sources

_KEPT_FOLDERS = 4
"""Number of folders that are kept even if they are old."""
_UNUSED_S = 7 * 24 * 3600
"""A folder that a command used within this time is never removed: a lab may run on it, from another checkout."""
_READY = "ready"
_VARIABLE = "NUMBA_CACHE_DIR"
_ROOM_OCTETS = 32 << 20
"""Free space that a folder must have for kernels that are yet to be compiled: ten times what they take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelCache:
    """The folder of compiled kernels.

    `passed_over` lists preferred folders that could not be used, with the reasons.
    """

    folder: Path | None
    passed_over: tuple[str, ...]


_in_use: KernelCache | None = None


def use_kernel_cache() -> KernelCache:
    """Point numba at the folder for these sources; a folder of the user's own (NUMBA_CACHE_DIR) comes first."""
    global _in_use
    if _in_use is not None and os.environ.get(_VARIABLE) == (str(_in_use.folder) if _in_use.folder else None):
        return _in_use
    passed_over = []
    chosen = None
    for said, folder, private in _preferences():
        why = "no home folder is known" if folder is None else _objection(folder, private)
        if why is None:
            chosen = folder
            break
        passed_over.append(f"{said}: {why}")
    if chosen is None:
        os.environ.pop(_VARIABLE, None)
        _keep_nothing()
    else:
        os.environ[_VARIABLE] = str(chosen)
    _in_use = KernelCache(folder=chosen, passed_over=tuple(passed_over))
    return _in_use


def is_warm() -> bool:
    """Whether all kernels were compiled on this machine for these sources, and kept."""
    folder = use_kernel_cache().folder
    if folder is None or not (folder / _READY).exists():
        return False
    _mark_as_used(folder)
    return True


def compile_all() -> None:
    """Compile every kernel of a normal run, or load it where that was done before."""
    from radio.emulator.air import warm_up as compile_channel
    from radio.phy.lte.ue_phy import compile_kernels
    from security.sakke.fast_tables import compile_kernels as compile_sakke

    compile_kernels()
    compile_sakke()
    compile_channel()
    folder = use_kernel_cache().folder
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        _mark_as_used(folder)
        if folder.parent.name.startswith("pc5lab"):  # not in a folder that the user named
            _forget_old_folders(folder)


def _preferences() -> Iterator[tuple[str, Path | None, bool]]:
    """Folders in order of preference: the name, the folder, and whether another user could have made it first."""
    own = os.environ.get(_VARIABLE)
    if own:
        yield f"{_VARIABLE}={own}", Path(own), False
    kernels = f"kernels-{_sources_digest()}"
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        yield f"XDG_CACHE_HOME={base}", Path(base) / "pc5lab" / kernels, False
    else:
        home = _home()
        yield str(home / ".cache") if home else "~/.cache", home and home / ".cache" / "pc5lab" / kernels, False
    try:
        temporary = Path(tempfile.gettempdir())
    except OSError:
        return
    yield str(temporary), temporary / f"pc5lab-kernels-{os.geteuid()}" / kernels, True


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # no HOME, and a user that the system does not know
        return None


def _objection(folder: Path, private: bool) -> str | None:
    """The reason why a folder can't hold kernels; None if it can. Makes the folder."""
    try:
        if private:
            folder.parent.mkdir(mode=0o700, exist_ok=True)
            about = folder.parent.lstat()
            if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o022:
                return f"{folder.parent} is another user's, or others may write to it"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        room = os.statvfs(folder)
        if room.f_bavail * room.f_frsize < _ROOM_OCTETS and not (folder / _READY).exists():
            return f"{os.strerror(errno.ENOSPC)}, less than {_ROOM_OCTETS >> 20} MiB are free"
    except OSError as error:
        return error.strerror or str(error)
    return None


def _keep_nothing() -> None:
    """Have numba compile in memory only: without a folder it would refuse to compile at all."""
    try:
        from numba.core.dispatcher import Dispatcher
    except ImportError:
        return
    Dispatcher.enable_caching = lambda self: None  # type: ignore[method-assign]  # noqa: ARG005


def _mark_as_used(folder: Path) -> None:
    with contextlib.suppress(OSError):  # kernels can be read where nothing can be written
        (folder / _READY).touch()


def _last_used_s(folder: Path) -> float:
    ready = folder / _READY
    return (ready if ready.exists() else folder).stat().st_mtime


def _forget_old_folders(current: Path) -> None:
    """Remove the folders that no command has used for a week, but for the latest few."""
    others = [path for path in current.parent.glob("kernels-*") if path != current]
    oldest_in_use_s = time.time() - _UNUSED_S
    for path in sorted(others, key=_last_used_s)[:-_KEPT_FOLDERS]:
        if _last_used_s(path) < oldest_in_use_s:
            shutil.rmtree(path, ignore_errors=True)


@cache
def _sources_digest() -> str:
    top = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256(f"{sys.version} {top}".encode())
    for path, text in kernel_sources(top).items():
        digest.update(path.as_posix().encode() + b"\0" + text)
    return digest.hexdigest()[:16]
