"""The planned traffic over one link, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPlan:
    """Echo requests to send, octets to push and to expect, seconds of voice to send; 0 for none."""

    pings: int = 0
    push_octets: int = 0
    voice_s: float = 0.0
