"""The `[timers]` section of a UE's configuration: durations and numbers of transmissions on the link (PROFILE 2)."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator

from prose_link.pc5s.desk import KD_AGE_S, Pc5sConfig
from prose_link.pc5s.timers import TimerValues
from prose_link.section import Section

_DEFAULT: Final = TimerValues()
_DEFAULT_T4108_S: Final[Any] = Pc5sConfig.__dataclass_fields__["maximum_inactivity_period_s"].default
_PERIODS_PER_EXCHANGE: Final = 2
"""SC periods that a message and its answer take at least: each is in a period of its own."""
_Transmissions = Annotated[int, Field(ge=1, le=64)]


class TimersSection(Section):
    """Timers of PC5 signalling; the defaults suit SC periods of 40 to 80 ms."""

    t4100_s: Annotated[float, Field(ge=0.04, le=60)] = _DEFAULT.t4100_s
    """How long a Request waits for its Accept before it is sent again; the same for Rekeying Requests."""
    n4100: _Transmissions = _DEFAULT.n4100
    """How often a Request is sent."""
    t4101_s: Annotated[float, Field(ge=0.04, le=60)] = _DEFAULT.t4101_s
    """How long a Confirm or a Keepalive waits for its Ack."""
    n4101: _Transmissions = _DEFAULT.n4101
    """How often a Confirm or a Keepalive is sent."""
    t4102_s: Annotated[float, Field(ge=0.1, le=3600)] = _DEFAULT.t4102_s
    """How long the initiator hears nothing of the peer before it sends a Keepalive."""
    t4103_s: Annotated[float, Field(ge=0.04, le=60)] = _DEFAULT.t4103_s
    """How long a Release waits for its Accept."""
    n4103: _Transmissions = _DEFAULT.n4103
    """How often a Release is sent."""
    t4108_s: Annotated[int, Field(ge=1, le=24 * 3600)] = _DEFAULT_T4108_S
    """Maximum inactivity period: what this UE asks of those it calls, who end the link after so long a silence."""
    t4111_s: Annotated[float, Field(ge=0.1, le=600)] = _DEFAULT.t4111_s
    """How long a link that was answered waits for the Confirm."""
    t_old_s: Annotated[float, Field(ge=0.1, le=60)] = _DEFAULT.t_old_s
    """How long the context before a rekey, or a group's key before a new one, is still received under."""
    keying_s: Annotated[float, Field(ge=0.04, le=60)] = _DEFAULT.keying_s
    """How long a group's keying message waits for its receipt."""
    kd_age_s: Annotated[float, Field(ge=1, le=KD_AGE_S)] = KD_AGE_S
    """How long a link's KD is used before it is replaced by a rekey with I_MESSAGEs."""

    @model_validator(mode="after")
    def _fit_each_other(self) -> Self:
        alive_s = self.t4102_s + self.n4101 * self.t4101_s
        if alive_s > self.t4108_s:
            raise ValueError(
                f"t4102_s + n4101 * t4101_s is {alive_s:g} s: the peer would end the link after t4108_s = "
                f"{self.t4108_s} s of silence, before every Keepalive is sent"
            )
        if self.n4101 * self.t4101_s > self.t4111_s:
            raise ValueError(
                f"n4101 * t4101_s is {self.n4101 * self.t4101_s:g} s: Confirms would still be sent when t4111_s = "
                f"{self.t4111_s:g} s is over and the peer has dropped the link"
            )
        return self

    def to_values(self) -> TimerValues:
        """The timers that the link's entity goes by."""
        return TimerValues(
            t4100_s=self.t4100_s,
            n4100=self.n4100,
            t4101_s=self.t4101_s,
            n4101=self.n4101,
            t4102_s=self.t4102_s,
            t4103_s=self.t4103_s,
            n4103=self.n4103,
            keying_s=self.keying_s,
            t4111_s=self.t4111_s,
            t_old_s=self.t_old_s,
        )

    def misfits(self, sc_period_ms: int) -> tuple[str, ...]:
        """Timers that run out before an answer can come, where the pool has this SC period."""
        least_s = _PERIODS_PER_EXCHANGE * sc_period_ms * 1e-3
        awaited = ("t4100_s", "t4101_s", "t4103_s", "keying_s")
        return tuple(
            f"{name} = {getattr(self, name):g} s, an answer takes {least_s:g} s at an SC period of {sc_period_ms} ms"
            for name in awaited
            if getattr(self, name) < least_s
        )
