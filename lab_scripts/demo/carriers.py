"""The carriers that the demo can take its requests by."""

from __future__ import annotations

import enum


class ByCarrier(enum.Enum):
    """What takes a Direct Connection Request to the peer, and its answer back."""

    DIRECT = "direct"
    PROXY = "proxy"
    IMS = "ims"
