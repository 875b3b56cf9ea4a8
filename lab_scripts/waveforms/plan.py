"""The signals of a generated waveform, as a plan over subframes, and its samples subframe by subframe.

A plan repeats with a period (the SC period of modes 1 and 2, the period of SLSS in modes 3 and 4) and has no end: it
draws what is random period by period, in order. `Rendering` turns it into samples one subframe at a time, so that a
waveform of any length takes the memory of one period. A signal that the end of the waveform would cut (a transport
block that is sent four times, a message) is left out whole: what the contents name is all there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lab_scripts.exit_codes import LabError
from radio.arrays import Grid, Iq
from radio.phy.lte.channels.transmissions import Transmission
from radio.phy.lte.channels.waveform import map_transmission
from radio.phy.lte.grid import scfdma
from radio.phy.lte.grid.numerology import Carrier

KINDS = ("slss", "mib_sl", "sci", "transport_blocks", "discovery")
"""Keys of the contents, those of the document of `pc5lab phy decode`."""

Place = Callable[[Grid], None]
"""Writes one transmission into the grid of its subframe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSignal:
    """One item of the contents, `kind` its list there, and its transmissions: (subframe, how it is placed)."""

    kind: str
    item: dict[str, Any]
    places: tuple[tuple[int, Place], ...]

    @property
    def last_subframe(self) -> int:
        """The last subframe that the signal has a transmission in."""
        return max(subframe for subframe, _ in self.places)


class WaveformPlan(Protocol):
    """The signals of a waveform, and their times."""

    @property
    def carrier(self) -> Carrier:
        """The carrier of the signals."""
        ...

    @property
    def period(self) -> int:
        """Subframes after which the plan repeats."""
        ...

    @property
    def padding_octets(self) -> int:
        """Zeros that fill a given payload up to its block."""
        ...

    def signals(self, period: int) -> list[PlannedSignal]:
        """Signals of period number `period`, none of which leaves it; periods are asked for once each, in order."""
        ...


class Rendering:
    """The samples of a plan, of `n_subframes` or without end (None); subframes are asked for in ascending order."""

    def __init__(
        self,
        plan: WaveformPlan,
        n_subframes: int | None = None,
        *,
        on_signal: Callable[[PlannedSignal], None] = lambda _: None,
    ) -> None:
        self.carrier = plan.carrier
        self.n_subframes = n_subframes
        self._plan = plan
        self._on_signal = on_signal
        self._n_periods = 0
        self._places: dict[int, list[Place]] = {}

    def subframe(self, n: int) -> Iq:
        """Samples of subframe `n`, complex64. Raises a RadioError that names what does not fit."""
        while n >= self._n_periods * self._plan.period:
            self._begin_period()
        grid = np.zeros((self.carrier.n_symbols, self.carrier.n_subcarriers), dtype=np.complex64)
        for place in self._places.get(n, ()):
            place(grid)
        return scfdma.modulate(self.carrier, grid)

    def subframes(self) -> Iterator[Iq]:
        """All subframes, one after the other."""
        n = 0
        while self.n_subframes is None or n < self.n_subframes:
            yield self.subframe(n)
            n += 1

    def _begin_period(self) -> None:
        self._places = {}
        for signal in self._plan.signals(self._n_periods):
            if self.n_subframes is not None and signal.last_subframe >= self.n_subframes:
                continue
            self._on_signal(signal)
            for subframe, place in signal.places:
                self._places.setdefault(subframe, []).append(place)
        self._n_periods += 1


class Contents:
    """Collects the signals of a rendering, in the form of `pc5lab phy decode`."""

    def __init__(self) -> None:
        self.document: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}

    def add(self, signal: PlannedSignal) -> None:
        """Take one signal."""
        self.document[signal.kind].append(signal.item)


def rendered(plan: WaveformPlan, n_subframes: int) -> tuple[Iq, dict[str, Any]]:
    """All samples of a short waveform, complex64, and its contents."""
    contents = Contents()
    iq = np.concatenate(list(Rendering(plan, n_subframes, on_signal=contents.add).subframes()))
    return iq, contents.document


def placed(carrier: Carrier, transmission: Transmission) -> Place:
    """How a transmission of modes 1 and 2, or SLSS of any mode, is placed."""

    def place(grid: Grid) -> None:
        map_transmission(grid, carrier, transmission)

    return place


def with_slss(_: Grid) -> None:
    """How PSBCH is placed: its SLSS brings it along."""


def filled_up(payload: bytes | None, n_octets: int, rng: np.random.Generator, *, carries: str, hint: str) -> bytes:
    """`payload` with zeros up to `n_octets`, or random octets for None.

    `carries` names the thing that holds `n_octets`. Raises LabError, with `hint`, if the payload is longer.
    """
    if payload is None:
        return rng.bytes(n_octets)
    if len(payload) > n_octets:
        raise LabError(f"a payload of {len(payload)} octets does not fit: {carries} {n_octets} octets", hint=hint)
    return payload.ljust(n_octets, b"\0")
