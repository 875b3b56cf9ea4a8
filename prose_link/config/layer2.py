"""The `[layer2]` section of a UE's configuration: how it chooses its resources and its MCS, and the window of RLC."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from prose_link.config.section import Section
from radio.l2.config import L2Config
from radio.l2.lte_mode2.config import Mode2Config, Selection

_DEFAULTS = Mode2Config()
_RLC_DEFAULTS = L2Config()
_HIGHEST_MCS = 20
"""The highest MCS of 16QAM, the highest modulation of PSSCH in modes 1 and 2 (TS 36.213 14.1.1)."""
Mcs = Annotated[int, Field(ge=0, le=_HIGHEST_MCS)]


class Layer2Section(Section):
    """Autonomous resource selection (mode 2), and link adaptation without feedback."""

    selection: Literal["sensing", "random"] = "sensing"
    """sensing: avoid the grants heard, and keep a resource for some periods (beyond the standard); random: as TS 36.321
    5.14.1.1 says, each allowed selection with equal probability, drawn again in each period.
    """
    robust_mcs: Mcs = _DEFAULTS.robust_mcs
    """MCS for signalling, and for data while the backlog fits."""
    unmeasured_mcs: Mcs = _DEFAULTS.unmeasured_mcs
    """Highest MCS towards a peer whose signal has not been measured."""
    max_mcs: Mcs = _DEFAULTS.max_mcs
    """The highest at all."""
    snr_margin_db: Annotated[float, Field(ge=0, le=30)] = _DEFAULTS.snr_margin_db
    """Between the SNR at which a Gaussian channel would just carry an MCS, and the one at which it is used."""

    standing_ms: Annotated[int, Field(ge=0, le=60_000)] = _DEFAULTS.standing_ms
    """How long after the last user packet a UE goes on taking grants, so that the next one need not wait for an SC
    period to begin; only while the pool is free. 0: not at all."""
    rlc_window: Literal[0, 16] = 0
    """UM_Window_Size: 0, as STCH has it, gives PDUs up as they come; 16 puts them in order (TS 36.322 7.2)."""
    t_reordering_ms: Annotated[int, Field(ge=1, le=1600)] = _RLC_DEFAULTS.t_reordering_subframes
    """How long a window of 16 waits for a PDU that is missing; one SC period is enough."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if max(self.robust_mcs, self.unmeasured_mcs) > self.max_mcs:
            raise ValueError(f"robust_mcs {self.robust_mcs} and unmeasured_mcs {self.unmeasured_mcs} exceed max_mcs")
        return self

    def config(self) -> Mode2Config:
        """The settings as the scheduler takes them."""
        return Mode2Config(
            selection=Selection(self.selection),
            robust_mcs=self.robust_mcs,
            unmeasured_mcs=self.unmeasured_mcs,
            max_mcs=self.max_mcs,
            snr_margin_db=self.snr_margin_db,
            standing_ms=self.standing_ms,
        )

    def config_of_layer_2(self, user_pppp: tuple[int, ...]) -> L2Config:
        """The settings as MAC and RLC take them; `user_pppp` are the priorities of LCIDs 1, 2, ... 10."""
        return L2Config(
            um_window_size=self.rlc_window, t_reordering_subframes=self.t_reordering_ms, user_pppp=user_pppp
        )
