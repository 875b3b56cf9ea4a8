"""Multipath fading: the LTE tapped delay lines with Rayleigh taps, as sums of sinusoids fixed by a key.

Each tap is a sum of 16 waves that arrive from directions spread evenly over the circle, one random offset in each
sector, with random phases. Each wave has the Doppler shift of its direction, so the sum has the classical spectrum;
with 16 waves its amplitude is near Rayleigh. Offsets and phases come from the key, so that the gain at any time is a
plain function of time: no state to carry, no order to keep. The mean power of all taps together is 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radio.emulator.channel.seeds import derive_uniform
from radio.errors import RadioError

SINUSOIDS_PER_TAP = 16

PROFILES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "EPA": ((0, 30, 70, 90, 110, 190, 410), (0, -1, -2, -3, -8, -17.2, -20.8)),
    "EVA": ((0, 30, 150, 310, 370, 710, 1090, 1730, 2510), (0, -1.5, -1.4, -3.6, -0.6, -9.1, -7, -12, -16.9)),
    "ETU": ((0, 50, 120, 200, 230, 500, 1600, 2300, 5000), (-1, -1, -1, 0, 0, 0, -3, -5, -7)),
}
"""Delays in ns and powers in dB of each tap (TS 36.101 B.2.1)."""

_NAME = re.compile(r"(EPA|EVA|ETU)(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FadingModel:
    """A delay profile and the largest Doppler shift of its taps."""

    profile: str
    doppler_hz: float

    @classmethod
    def parse(cls, name: str) -> FadingModel:
        """Return the model a name such as EPA5, EVA70 or ETU300 stands for; raises RadioError."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise RadioError(f"fading {name!r} is unknown: write EPA, EVA or ETU and the Doppler in Hz, such as EPA5")
        return cls(profile=match[1], doppler_hz=float(match[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class TapProcesses:
    """Complex gains of all taps as functions of time; mean power of all taps together is 1.

    Arrays: `delays_s` (taps,), `amplitudes` (taps,), `omegas` and `phases` (taps, sinusoids) in rad/s and rad.
    """

    delays_s: npt.NDArray[np.float64]
    amplitudes: npt.NDArray[np.float64]
    omegas: npt.NDArray[np.float64]
    phases: npt.NDArray[np.float64]

    def gains(self, time_s: npt.NDArray[np.float64]) -> npt.NDArray[np.complex128]:
        """Return the gains at the times, shape (taps, times)."""
        angle = self.omegas[:, :, None] * time_s + self.phases[:, :, None]
        return self.amplitudes[:, None] * np.exp(1j * angle).sum(axis=1)


def flat_path() -> TapProcesses:
    """Return the channel without fading: one tap, gain 1."""
    return TapProcesses(delays_s=np.zeros(1), amplitudes=np.ones(1), omegas=np.zeros((1, 1)), phases=np.zeros((1, 1)))


def rayleigh_taps(model: FadingModel, seed: int, *labels: str) -> TapProcesses:
    """Return the Rayleigh taps of a model with a classical Doppler spectrum, fixed by seed and labels.

    Arrival angles are spread evenly over the circle with one random offset in each sector, phases are uniform.
    """
    delays_ns, powers_db = PROFILES[model.profile]
    power = 10.0 ** (np.asarray(powers_db) / 10)
    amplitudes = np.sqrt(power / power.sum() / SINUSOIDS_PER_TAP)
    omegas = np.empty((len(delays_ns), SINUSOIDS_PER_TAP))
    phases = np.empty_like(omegas)
    for tap in range(len(delays_ns)):
        for ray in range(SINUSOIDS_PER_TAP):
            where = (*labels, str(tap), str(ray))
            angle = 2 * np.pi * (ray + derive_uniform(seed, *where, "angle")) / SINUSOIDS_PER_TAP
            omegas[tap, ray] = 2 * np.pi * model.doppler_hz * np.cos(angle)
            phases[tap, ray] = 2 * np.pi * derive_uniform(seed, *where, "phase")
    return TapProcesses(
        delays_s=np.asarray(delays_ns, dtype=np.float64) * 1e-9, amplitudes=amplitudes, omegas=omegas, phases=phases
    )
