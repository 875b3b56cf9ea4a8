"""The `[traffic]` section of a UE's configuration: the traffic over each established link."""

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
    """The traffic of this UE over an established link.

    The same with every peer, unless `[[link.peers]]` says otherwise.
    """

    pings: Pings = 0
    """Echo requests to send, one after the other; the end that pings also pushes first."""
    push_octets: PushOctets = 0
    """Octets to push to the peer, and to expect from a peer that pushes back."""
    voice_s: VoiceSeconds = 0.0
    """Duration of this UE's voice-like stream: a UDP datagram every 20 ms."""
    release_when_done: bool = False
    """Release the link once all this is done; the UE switches off when its last link has ended."""
    linger_s: DurationS = 0.2
    """Time for which the UE stays on the air after its work is done."""
    stop_when_refused: bool = False
    """Stop calling a peer if the set-up fails, instead of calling again later."""

    @property
    def plan(self) -> TrafficPlan:
        """The traffic plan of the section, for the user plane."""
        return TrafficPlan(pings=self.pings, push_octets=self.push_octets, voice_s=self.voice_s)
