"""The `[timers]` section of a UE's configuration: durations and numbers of transmissions on the link (PROFILE 2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator

from prose_link.config.section import Section
from prose_link.pc5s.core.shared import KD_AGE_S, Pc5sConfig
from prose_link.pc5s.core.timers import DEFAULTS_UP_TO_MS, TimerError, TimerValues

_DEFAULT: Final = TimerValues()
_DEFAULT_T4108_S: Final[Any] = Pc5sConfig.__dataclass_fields__["maximum_inactivity_period_s"].default
_Transmissions = Annotated[int, Field(ge=1, le=64)]


class TimersSection(Section):
    """Timers of PC5 signalling; the defaults are for SC periods up to 80 ms, and grow with longer ones."""

    t4100_s: Annotated[float, Field(ge=0.04, le=60)] = _DEFAULT.t4100_s
    """Wait of a Request for its Accept before it is sent again; the same for Rekeying Requests."""
    n4100: _Transmissions = _DEFAULT.n4100
    """Number of transmissions of a Request."""
    t4101_s: Annotated[float, Field(ge=0.04, le=60)] = _DEFAULT.t4101_s
    """Wait of a Confirm or a Keepalive for its Ack."""
    n4101: _Transmissions = _DEFAULT.n4101
    """Number of transmissions of a Confirm. A Keepalive is sent as often, then every 2 s until `t4108_s`."""
    t4102_s: Annotated[float, Field(ge=0.1, le=3600)] = _DEFAULT.t4102_s
    """Time from the last acknowledged Keepalive of the initiator to the next one."""
    t4103_s: Annotated[float, Field(ge=0.04, le=60)] = _DEFAULT.t4103_s
    """Wait of a Release for its Accept."""
    n4103: _Transmissions = _DEFAULT.n4103
    """Number of transmissions of a Release."""
    t4108_s: Annotated[int, Field(ge=1, le=24 * 3600)] = _DEFAULT_T4108_S
    """Maximum inactivity period: after this silence both ends release a link that this UE asked for."""
    t4111_s: Annotated[float, Field(ge=0.1, le=600)] = _DEFAULT.t4111_s
    """Wait of an answered link for its Confirm."""
    t_old_s: Annotated[float, Field(ge=0.1, le=60)] = _DEFAULT.t_old_s
    """Time for which the context before a rekey, or a group's key before a new one, still opens received PDUs."""
    keying_s: Annotated[float, Field(ge=0.04, le=60)] = _DEFAULT.keying_s
    """Wait of a group's keying message for its receipt."""
    kd_age_s: Annotated[float, Field(ge=1, le=KD_AGE_S)] = KD_AGE_S
    """Life of a link's KD: a rekey with I_MESSAGEs replaces it up to a tenth of this earlier, at random."""

    @model_validator(mode="after")
    def _fit_each_other(self) -> Self:
        try:
            self.to_values().check_inactivity(self.t4108_s)
        except TimerError as error:
            raise ValueError(str(error)) from error
        return self

    def to_values(self, sc_period_ms: float = DEFAULTS_UP_TO_MS) -> TimerValues:
        """The timers for the link's entity: the configured ones, and defaults that suit this SC period.

        Raises TimerError if they contradict each other.
        """
        given = {name: getattr(self, name) for name in self.model_fields_set - {"t4108_s", "kd_age_s"}}
        return replace(TimerValues.for_period(sc_period_ms), **given)
