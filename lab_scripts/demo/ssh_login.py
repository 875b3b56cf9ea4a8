"""A login by ssh as one of the programs of a run: an sshd with keys made for it, gone with it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lab_scripts.demo.programs import Program, last_line
from lab_scripts.runs.scratch_folder import scratch_folder

_PORT: Final = 2222
_PRIVILEGE_SEPARATION: Final = Path("/run/sshd")
"""Where sshd confines its unprivileged half; a distribution's own start-up makes it."""


@contextmanager
def ssh_login() -> Iterator[tuple[Program, ...]]:
    """ssh to an sshd in UE-B's namespace, while the context lasts; no program where a part of it is not installed."""
    sshd = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
    if sshd is None or not all(map(shutil.which, ("ssh", "ssh-keygen"))):
        yield ()
        return
    made_here = not _PRIVILEGE_SEPARATION.exists()
    _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    try:
        with scratch_folder("ssh") as folder:
            yield (_program(folder, sshd),)
    finally:
        if made_here:
            _PRIVILEGE_SEPARATION.rmdir()


def _program(folder: Path, sshd: str) -> Program:
    host_key, user_key, config = folder / "host_key", folder / "user_key", folder / "sshd_config"
    for key in (host_key, user_key):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    config.write_text(
        f"Port {_PORT}\nHostKey {host_key}\nAuthorizedKeysFile {user_key}.pub\nPidFile none\nStrictModes no\n"
        "UsePAM no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nUseDNS no\n",
        encoding="utf-8",
    )
    options = ["-p", str(_PORT), "-i", str(user_key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]
    options += ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder / 'known_hosts'}"]
    options += ["-o", "LogLevel=ERROR", "-o", "ConnectTimeout=60"]
    return Program(
        name="ssh",
        client=("ssh", "-F", "/dev/null", *options, "root@{peer6}", 'echo "logged in: $SSH_CONNECTION"'),
        server=(sshd, "-D", "-e", "-f", str(config)),
        summary=last_line,
    )
