"""Paths of the Lua plug-in for Wireshark, and of Wireshark's folder for plug-ins."""

from __future__ import annotations

import os
from pathlib import Path

PLUGIN = Path(__file__).with_name("pc5lab.lua")
"""Dissectors prose.pc5s, prose.slpdcp and prose.pc5d for Wireshark and tshark."""


def personal_plugin_folder() -> Path:
    """Wireshark's personal plug-in folder on Unix (Wireshark User's Guide, appendix B.4)."""
    return Path(os.environ.get("HOME", "~")).expanduser() / ".local" / "lib" / "wireshark" / "plugins"
