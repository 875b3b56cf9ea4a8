"""Layer-2 settings of a UE: sizes of its queues, link adaptation, RLC window."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from radio.errors import RadioError
from radio.l2.pdcp import MAX_PDU_OCTETS


class L2ConfigError(RadioError):
    """Layer-2 settings out of range."""


class Selection(Enum):
    """How a UE chooses its resources in transmission mode 2."""

    RANDOM = "random"
    """Anew in each SC period, every selection with equal probability (TS 36.321 5.14.1.1)."""
    SENSING = "sensing"
    """From what the grants heard leave free, for some periods (beyond the standard)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class L2Config:
    """Raises L2ConfigError.

    `robust_mcs` is used for signalling and while the backlog fits; above it MCS rises to what the peer's SNR carries,
    `unmeasured_mcs` where none is known, never above `max_mcs`. `snr_margin_db` stands between capacity and an MCS. A
    destination with user data only is served before signalling of others once it has waited `max_wait_periods`.
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
    max_destinations: int = 64
    max_queue_sdus: int = 512
    max_queue_octets: int = 512 * 1024
    """Of one logical channel."""
    max_wait_periods: int = 8
    max_receivers: int = 256
    """RLC receive entities, one for each (source, destination, LCID); the one longest unused gives way."""
    um_window_size: int = 0
    """UM_Window_Size: 0 for STCH, 16 reorders within t-Reordering (TS 36.322 7.2)."""
    t_reordering_subframes: int = 40

    def __post_init__(self) -> None:
        if not 0 <= self.robust_mcs <= self.max_mcs <= 28 or not 0 <= self.unmeasured_mcs <= self.max_mcs:
            raise L2ConfigError(
                f"robust_mcs {self.robust_mcs} and unmeasured_mcs {self.unmeasured_mcs} lie in 0..max_mcs, "
                f"max_mcs {self.max_mcs} in 0..28"
            )
        if self.um_window_size not in (0, 16):
            raise L2ConfigError(f"um_window_size {self.um_window_size} is neither 0 nor 16")
        if self.max_queue_octets < MAX_PDU_OCTETS:
            raise L2ConfigError(f"max_queue_octets {self.max_queue_octets} is below one PDCP PDU of {MAX_PDU_OCTETS}")
        for name in (
            "comfortable_prb",
            "min_shared_prb",
            "max_destinations",
            "max_queue_sdus",
            "max_wait_periods",
            "max_receivers",
            "t_reordering_subframes",
        ):
            if getattr(self, name) < 1:
                raise L2ConfigError(f"{name} {getattr(self, name)} is below 1")
