"""The scenario of an emulated run: radios, the links between them, interferers.

Power reference. A waveform with mean |x|^2 = 1 leaves its antenna with `tx_power_dbm` (a resource element with |X| = 1
has that power divided by N_FFT, when the grid is modulated with a unitary FFT). A receiver's samples have mean |y|^2 =
1 at an input power of `rx_reference_dbm`. Noise is thermal, -174 dBm/Hz over the sampling bandwidth, plus the noise
figure. The SNR of a link is the one per sample at mean |x|^2 = 1, which is also the one per resource element where |X|
= 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from radio.emulator.channel.fading import FadingModel
from radio.errors import RadioError

THERMAL_NOISE_DBM_PER_HZ = -174.0
"""k T at 290 K."""

BLOCKS_PER_S = 1000
"""A block of the hub is one subframe long, 1 ms."""

MIN_TX_LEAD_BLOCKS = 3
"""A UE's blocks need not coincide with the hub's: a UE's block may end one hub block later, and the interpolator needs
more samples.
"""


class ScenarioError(RadioError):
    """A scenario that contradicts itself or can't be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UeRadio:
    """One UE's radio: the start of its clock (hub samples), and its impairments."""

    name: str
    power_on_sample: int = 0
    cfo_hz: float = 0.0
    clock_ppm: float = 0.0
    tx_power_dbm: float = 23.0
    noise_figure_db: float | None = 9.0
    """None: a receiver without noise."""
    rx_reference_dbm: float | None = None
    """None: the strongest link's mean received power."""
    out_of_reach_ms: tuple[tuple[int, int], ...] = ()
    """Stretches of the air's time, each from a block up to another, in which it is out of reach."""

    def is_out_of_reach(self, hub_block: int) -> bool:
        """Whether nothing comes to it or from it in a block of the air."""
        return any(first <= hub_block < end for first, end in self.out_of_reach_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioLink:
    """The path between two UEs, the same both ways."""

    between: tuple[str, str]
    path_loss_db: float
    delay_ns: float = 0.0
    fading: FadingModel | None = None
    loss: float = 0.0
    """Share of the time, 0 to 1, in which no signal passes; drawn from the seed for each direction."""
    loss_ms: int = 1
    """Length of each such time, in ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterferenceSource:
    """A tone or white noise at the antennas of some receivers; `hears` empty: of all."""

    name: str
    kind: Literal["tone", "noise"]
    power_dbm: float
    frequency_hz: float = 0.0
    on_ms: float = 1.0
    period_ms: float = 1.0
    hears: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One emulated run. Raises ScenarioError when it doesn't hold together."""

    name: str
    seed: int
    sample_rate_hz: int
    ues: tuple[UeRadio, ...]
    links: tuple[RadioLink, ...]
    interferers: tuple[InterferenceSource, ...] = ()
    tx_lead_blocks: int = 4
    on_loss: Literal["continue", "stop"] = "continue"
    """Reaction of the hub to the loss of a UE: it continues with the others, or stops them all."""
    come_and_go: bool = False
    """Whether time runs while any UE is there and the hub serves until it is stopped, instead of one run of all UEs."""

    def __post_init__(self) -> None:
        names = [ue.name for ue in self.ues]
        if not names:
            raise ScenarioError(f"scenario {self.name!r} has no UE")
        for name in names:
            if names.count(name) > 1:
                raise ScenarioError(f"scenario {self.name!r} has two UEs named {name!r}")
        if self.sample_rate_hz <= 0 or self.sample_rate_hz % BLOCKS_PER_S:
            raise ScenarioError(f"sample_rate_hz {self.sample_rate_hz} is not a whole number of samples per ms")
        if self.tx_lead_blocks < MIN_TX_LEAD_BLOCKS:
            raise ScenarioError(f"tx_lead_blocks is {self.tx_lead_blocks}, at least {MIN_TX_LEAD_BLOCKS} are needed")
        for ue in self.ues:
            if ue.power_on_sample < 0:
                raise ScenarioError(f"power_on_sample of {ue.name!r} is {ue.power_on_sample}, below 0")
            for first, end in ue.out_of_reach_ms:
                if not 0 <= first < end:
                    raise ScenarioError(f"out_of_reach_ms of {ue.name!r}: from {first} to {end} is no stretch of time")
        self._check_links(names)
        for source in self.interferers:
            for name in source.hears:
                if name not in names:
                    raise ScenarioError(f"interferer {source.name!r}: no UE is named {name!r}")

    def _check_links(self, names: list[str]) -> None:
        pairs = set()
        for link in self.links:
            a, b = link.between
            for name in link.between:
                if name not in names:
                    raise ScenarioError(f"link {a!r}-{b!r}: no UE is named {name!r}; there are {', '.join(names)}")
            pair = frozenset(link.between)
            if a == b or pair in pairs:
                raise ScenarioError(f"link {a!r}-{b!r}: a link joins two different UEs, once")
            pairs.add(pair)
            if link.delay_ns < 0:
                raise ScenarioError(f"link {a!r}-{b!r}: delay_ns is {link.delay_ns}, below 0")
            if not 0 <= link.loss <= 1:
                raise ScenarioError(f"link {a!r}-{b!r}: loss is {link.loss}, not a share from 0 to 1")
            if link.loss_ms < 1:
                raise ScenarioError(f"link {a!r}-{b!r}: loss_ms is {link.loss_ms}, below 1")

    @property
    def block_samples(self) -> int:
        """Hub samples in a block of 1 ms."""
        return self.sample_rate_hz // BLOCKS_PER_S

    def ue(self, name: str) -> UeRadio:
        """Return the radio of a UE; raises ScenarioError for an unknown name."""
        for ue in self.ues:
            if ue.name == name:
                return ue
        raise ScenarioError(f"no UE is named {name!r}; there are {', '.join(ue.name for ue in self.ues)}")

    def noise_floor_dbm(self, ue: UeRadio) -> float:
        """Return the power of a receiver's noise in the sampling bandwidth, -inf without noise."""
        return noise_floor_dbm(self.sample_rate_hz, ue.noise_figure_db)

    def rx_reference_dbm(self, ue: UeRadio) -> float:
        """Return the input power at which the receiver's samples have mean |y|^2 = 1."""
        if ue.rx_reference_dbm is not None:
            return ue.rx_reference_dbm
        heard = [
            self.ue(other).tx_power_dbm - link.path_loss_db
            for link in self.links
            if ue.name in link.between
            for other in link.between
            if other != ue.name
        ]
        return max(heard, default=0.0)


def noise_floor_dbm(sample_rate_hz: int, noise_figure_db: float | None) -> float:
    """Return thermal noise plus noise figure over a bandwidth, -inf without noise."""
    if noise_figure_db is None:
        return -math.inf
    return THERMAL_NOISE_DBM_PER_HZ + 10 * math.log10(sample_rate_hz) + noise_figure_db


def fully_meshed(ues: tuple[UeRadio, ...], *, path_loss_db: float) -> tuple[RadioLink, ...]:
    """Return a plain link of the same path loss for every pair of UEs."""
    return tuple(RadioLink(between=(a.name, b.name), path_loss_db=path_loss_db) for a, b in combinations(ues, 2))
