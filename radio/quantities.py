"""Numbers in files that people write, as pydantic types: finite, in a range that makes sense, units in names.

Every float of a configuration or scenario is one of these, or bounded where it stands; `FINITE` is for the model's
configuration, so that nan and the infinities are refused wherever a float is read.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

FINITE = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
"""A table of a file: an unknown key is an error, nothing changes once it is read, and every number is finite."""

ChannelFrequencyHz = Annotated[float, Field(ge=1e6, le=1e11)]
"""An RF channel frequency: 1 MHz to 100 GHz."""
OffsetHz = Annotated[float, Field(ge=-1e6, le=1e6)]
"""What a carrier is off its nominal frequency; 1 MHz is far beyond any oscillator."""
BasebandHz = Annotated[float, Field(ge=-61.44e6, le=61.44e6)]
"""A frequency within what is sampled."""
ClockPpm = Annotated[float, Field(ge=-1000, le=1000)]
PowerDbm = Annotated[float, Field(ge=-250, le=120)]
PathLossDb = Annotated[float, Field(ge=-50, le=400)]
"""Below 0: an amplifier between two antenna connectors."""
SnrDb = Annotated[float, Field(ge=-100, le=200)]
NoiseFigureDb = Annotated[float, Field(ge=0, le=100)]
GainDb = Annotated[float, Field(ge=-200, le=200)]
DelayNs = Annotated[float, Field(ge=0, le=1e7)]
"""Up to 10 ms: 3000 km."""
DistanceM = Annotated[float, Field(ge=0, le=3e6)]
DurationMs = Annotated[float, Field(gt=0, le=1e7)]
DurationS = Annotated[float, Field(ge=0, le=1e9)]
"""From 0 to some thirty years."""
PositiveDurationS = Annotated[float, Field(gt=0, le=1e9)]
ClockErrorS = Annotated[float, Field(ge=-1e10, le=1e10)]
"""Some three hundred years either way."""
Seed = Annotated[int, Field(ge=0, lt=1 << 48)]
