"""Layer-2 settings of a UE: sizes of its queues, priorities of its logical channels, RLC window."""

from __future__ import annotations

from dataclasses import dataclass

from radio.errors import RadioError
from radio.l2.logical_channels import HIGHEST_PPPP, LOWEST_PPPP, USER_LCIDS
from radio.l2.pdcp import MAX_PDU_OCTETS
from radio.l2.rlc_um import LEAST_SN_CYCLE_SUBFRAMES


class L2ConfigError(RadioError):
    """Layer-2 settings out of range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class L2Config:
    """Raises L2ConfigError.

    After `max_wait_turns` turns in which destinations with less urgent data were passed over one of them is served.
    """

    max_destinations: int = 64
    max_queue_sdus: int = 512
    max_queue_octets: int = 512 * 1024
    """Of one logical channel."""
    max_wait_turns: int = 4
    user_pppp: tuple[int, ...] = tuple(min(lcid, LOWEST_PPPP) for lcid in USER_LCIDS)
    """ProSe per-packet priority of what LCIDs 1, 2, ... 10 carry; which LCID has which is the UE's own affair
    (TS 36.321 5.14.1.3.1). PC5 signalling goes before all of them."""
    max_receivers: int = 512
    """RLC receive entities, one for each (source, destination, LCID); the one longest unused gives way."""
    um_window_size: int = 0
    """UM_Window_Size: 0 for STCH, 16 reorders within t-Reordering (TS 36.322 7.2)."""
    t_reordering_subframes: int = 40
    sn_cycle_subframes: int = LEAST_SN_CYCLE_SUBFRAMES
    """The least time from one RLC PDU of a sender to the one after it but 32, as the access and its pool have it."""

    def __post_init__(self) -> None:
        if self.um_window_size not in (0, 16):
            raise L2ConfigError(f"um_window_size {self.um_window_size} is neither 0 nor 16")
        if self.max_queue_octets < MAX_PDU_OCTETS:
            raise L2ConfigError(f"max_queue_octets {self.max_queue_octets} is below one PDCP PDU of {MAX_PDU_OCTETS}")
        if len(self.user_pppp) != len(USER_LCIDS) or not all(
            HIGHEST_PPPP <= pppp <= LOWEST_PPPP for pppp in self.user_pppp
        ):
            raise L2ConfigError(f"user_pppp {self.user_pppp} are not {len(USER_LCIDS)} priorities of 1..8")
        if self.sn_cycle_subframes < LEAST_SN_CYCLE_SUBFRAMES:
            raise L2ConfigError(f"sn_cycle_subframes {self.sn_cycle_subframes} is below {LEAST_SN_CYCLE_SUBFRAMES}")
        for name in (
            "max_destinations",
            "max_queue_sdus",
            "max_wait_turns",
            "max_receivers",
            "t_reordering_subframes",
        ):
            if getattr(self, name) < 1:
                raise L2ConfigError(f"{name} {getattr(self, name)} is below 1")
