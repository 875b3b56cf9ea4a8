"""Where compiled kernels are kept: one folder for each state of the sources, so that no stale kernel is ever loaded.

numba looks at the file a kernel is in, not at the files it calls into; hence the hash over all of them. It files a
kernel under its source's path; hence the path in the hash.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from functools import cache
from pathlib import Path

_KEPT_FOLDERS = 4
_READY = "ready"


def use_kernel_cache() -> None:
    """Point numba at the folder for these sources; a folder of the user's own (NUMBA_CACHE_DIR) stands."""
    os.environ.setdefault("NUMBA_CACHE_DIR", str(_folder()))


def is_warm() -> bool:
    """Whether all kernels were compiled on this machine for these sources."""
    return (Path(os.environ["NUMBA_CACHE_DIR"]) / _READY).exists()


def compile_all() -> None:
    """Compile every kernel of a normal run, or load it where that was done before."""
    from radio.emulator.air import warm_up as compile_channel
    from radio.ue_phy import compile_kernels
    from security.sakke.fast_tables import compile_kernels as compile_sakke

    compile_kernels()
    compile_sakke()
    compile_channel()
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _READY).touch()
    _forget_old_folders(folder)


def _forget_old_folders(current: Path) -> None:
    others = [path for path in current.parent.glob("kernels-*") if path != current]
    for path in sorted(others, key=lambda path: path.stat().st_mtime)[:-_KEPT_FOLDERS]:
        shutil.rmtree(path, ignore_errors=True)


def _folder() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "pc5lab" / f"kernels-{_sources_digest()}"


@cache
def _sources_digest() -> str:
    top = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256(f"{sys.version} {top}".encode())
    for package in ("radio", "security"):
        for path in sorted((top / package).rglob("*.py")):
            digest.update(path.relative_to(top).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
