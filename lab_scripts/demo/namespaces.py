"""Network namespaces of a run. A process holds each one, so that none is left when the run ends in any way."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.runs.supervisor import die_with_parent
from prose_link.errors import ProseLinkError
from prose_link.userplane.addresses import own_addresses
from prose_link.userplane.netns import inside
from prose_link.userplane.tun import TunConfig, TunInterface

_CLONE_NEWNET = 0x40000000
"""unshare(2): a new network namespace."""
_HINT = "run it as root on Linux with /dev/net/tun; without --tun the demo needs neither"
_TRIAL_L2_ID = 1


class Namespace:
    """A network namespace with nothing in it but a loopback interface; `path` names it to other processes.

    It is held open here, so that its identity stays its own, and by a process that ends with this one.
    """

    def __init__(self) -> None:
        try:
            self._holder = subprocess.Popen(
                ["sleep", "infinity"], stdin=subprocess.DEVNULL, preexec_fn=_unshare, start_new_session=True
            )
        except (subprocess.SubprocessError, OSError) as error:
            why = "no permission to make a network namespace"
            raise LabError(why, code=ExitCode.USAGE, hint=_HINT) from error
        self.path = f"/proc/{self._holder.pid}/ns/net"
        self._pin = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self._identity = os.fstat(self._pin)

    def start(self, command: Sequence[str], output: IO[str]) -> subprocess.Popen[str]:
        """Start a program inside; its stdout and stderr go to `output`."""
        with inside(self.path):
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def close(self) -> None:
        """End everything that runs inside, daemons' children too, and the namespace. May be called twice."""
        if self._pin < 0:
            return
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._holder.wait()
        os.close(self._pin)
        self._pin = -1

    def processes(self) -> list[int]:
        """Process ids of all that runs inside, the holder included; none once it is closed."""
        if self._pin < 0:
            return []
        return [int(e.name) for e in Path("/proc").iterdir() if e.name.isdigit() and _is_in(e, self._identity)]


def check_tun() -> None:
    """Make a TUN interface in a namespace and take both away again: what a run with --tun needs.

    Raises:
        LabError: no permission, no TUN device, or no `ip` command.
    """
    if shutil.which("ip") is None:
        raise LabError("--tun needs the `ip` command", code=ExitCode.USAGE, hint="Debian package iproute2")
    namespace = Namespace()
    try:
        trial = TunConfig(name="pc5-trial", netns=namespace.path, mtu=1280)
        TunInterface(trial, own_addresses(_TRIAL_L2_ID, ipv4=True)).close()
    except ProseLinkError as error:
        raise LabError(str(error), code=ExitCode.USAGE, hint=_HINT) from error
    finally:
        namespace.close()


def _is_in(process: Path, namespace: os.stat_result) -> bool:
    try:
        return os.path.samestat((process / "ns/net").stat(), namespace)
    except OSError:
        return False


def _unshare() -> None:
    die_with_parent()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
