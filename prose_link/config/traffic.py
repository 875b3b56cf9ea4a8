"""The `[traffic]` section of a UE's configuration: what it does over each link that stands."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from prose_link.config.section import Section
from prose_link.userplane.traffic_plan import TrafficPlan
from radio.quantities import DurationS

Pings = Annotated[int, Field(ge=0, le=10_000)]
PushOctets = Annotated[int, Field(ge=0, le=64 * 1024 * 1024)]
VoiceSeconds = Annotated[float, Field(ge=0, le=3600)]


class TrafficSection(Section):
    """What this UE does once a link stands; the same with every peer, but for what `[[link.peers]]` says."""

    pings: Pings = 0
    """Echo requests to send, one after the other; the end that pings also pushes first."""
    push_octets: PushOctets = 0
    """Octets to push, and to take from a peer that pushes back."""
    voice_s: VoiceSeconds = 0.0
    """How long this UE speaks: a 20 ms UDP stream, as a voice call sends it."""
    release_when_done: bool = False
    """Release the link once all this is done; the UE switches off when its last link is."""
    linger_s: DurationS = 0.2
    """How long the UE stays on the air after its work is done."""
    stop_when_refused: bool = False
    """Give a peer up when the link could not be set up, instead of calling again after a while."""

    @property
    def plan(self) -> TrafficPlan:
        """What is done over the link itself, as the user plane takes it."""
        return TrafficPlan(pings=self.pings, push_octets=self.push_octets, voice_s=self.voice_s)
