"""Settings of a UE's own resource selection in transmission mode 2, and of its link adaptation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from radio.l2.config import L2ConfigError


class Selection(Enum):
    """How a UE chooses its resources in transmission mode 2."""

    RANDOM = "random"
    """Anew in each SC period, every selection with equal probability (TS 36.321 5.14.1.1)."""
    SENSING = "sensing"
    """From what the grants heard leave free, for some periods (beyond the standard)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode2Config:
    """Raises L2ConfigError.

    `robust_mcs` is used for signalling and while the backlog fits; above it MCS rises to what the peer's SNR carries,
    `unmeasured_mcs` where none is known, never above `max_mcs`. `snr_margin_db` stands between capacity and an MCS.
    """

    selection: Selection = Selection.SENSING
    robust_mcs: int = 5
    unmeasured_mcs: int = 10
    max_mcs: int = 20
    snr_margin_db: float = 4.0
    comfortable_prb: int = 25
    """Transport blocks grow no wider than this while more of them are at hand."""
    min_shared_prb: int = 2
    """What a UE takes at least, however many others are heard."""
    standing_ms: int = 1500
    """How long after the last user packet a UE goes on taking grants while the pool is free; 0 for not at all."""
    hearing_reports: bool = True
    """Whether a sensing UE tells a sender whose blocks collide what it hears."""

    def __post_init__(self) -> None:
        if not 0 <= self.robust_mcs <= self.max_mcs <= 28 or not 0 <= self.unmeasured_mcs <= self.max_mcs:
            raise L2ConfigError(
                f"robust_mcs {self.robust_mcs} and unmeasured_mcs {self.unmeasured_mcs} lie in 0..max_mcs, "
                f"max_mcs {self.max_mcs} in 0..28"
            )
        for name in ("comfortable_prb", "min_shared_prb"):
            if getattr(self, name) < 1:
                raise L2ConfigError(f"{name} {getattr(self, name)} is below 1")
        if self.standing_ms < 0:
            raise L2ConfigError(f"standing_ms {self.standing_ms} is below 0")
