"""What a machine must have for programs to talk over TUN interfaces."""

from __future__ import annotations

import shutil

from lab_scripts.demo.namespaces import check_tun
from lab_scripts.exit_codes import LabError

SSHD = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")


def missing_for_tun() -> str:
    """What keeps this machine from running programs over TUN interfaces; empty where nothing does."""
    if shutil.which("ping") is None:
        return "ping is not installed (make interop)"
    try:
        check_tun()
    except LabError as error:
        return str(error)
    return ""
