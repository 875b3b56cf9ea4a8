"""Signals from outside the scenario: tones and white noise, steady or in bursts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from radio.arrays import Iq
from radio.emulator.channel.noise import noise_block


@dataclass(frozen=True, slots=True, kw_only=True)
class Interferer:
    """One interferer as one receiver hears it; times are hub samples, `amplitude` its RMS while it is on.

    The interferer is on for the first `on_samples` of every `period_samples`.
    """

    kind: Literal["tone", "noise"]
    amplitude: float
    frequency_hz: float
    on_samples: int
    period_samples: int
    key: int

    def add(self, out: Iq, hub_block: int, first_hub_sample: int, sample_rate_hz: int) -> None:
        """Add the interferer to one block of a receiver's samples, the first of them at a hub sample."""
        n = first_hub_sample + np.arange(len(out))
        on = n % self.period_samples < self.on_samples
        if not on.any():
            return
        if self.kind == "noise":
            wave = noise_block(len(out), self.amplitude, self.key, hub_block)
        else:
            turns = (n * self.frequency_hz / sample_rate_hz) % 1.0
            wave = (self.amplitude * np.exp(2j * np.pi * turns)).astype(np.complex64)
        out += np.where(on, wave, 0)
