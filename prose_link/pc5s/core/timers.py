"""Timers of PC5-S: names, values, and the set of running timers (PROFILE 2; names of TS 24.334 13.2).

Default values suit pools whose SC period is at most 80 ms. A PDU waits up to one SC period for its transmission, so
with a longer period every timer that waits for the air grows (`TimerValues.for_period`). The checks refuse values that
can't work: a timer that expires before an answer can come, a provisional link that ends before the Confirms sent to it,
or an inactivity period shorter than the repetitions of a Keepalive. `TimerSet` holds the deadlines on the monotonic
clock; it never reads a clock itself.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from prose_link.errors import ProseLinkError
from prose_link.pc5s.wire.party import DIRECT, CarrierTraits

MAX_TIMER_S: Final = 3600.0
"""Longest value of any of these timers; TS 24.334 13.2 leaves values to the UE (unconfirmed, its text was not
available).
"""
MAX_TRANSMISSIONS: Final = 64
"""Largest number of transmissions of a message (P)."""
LONGEST_WAY_PERIODS: Final = 2
"""SC periods from the submission of a PDU to its reception: it waits for the next period, and is received by the end of
that.

A PDU too long for one period takes more; retransmissions cover that.
"""
MEAN_ROUND_TRIP_PERIODS: Final = 3
"""SC periods from a PDU to its answer, if each waits half a period on average."""
DEFAULTS_UP_TO_MS: Final = 80.0
"""Longest SC period for which the default values are made."""


ANSWER_AGAIN_AFTER_S: Final = 0.5
"""Least time between two answers to the same Request, for each carrier that it came by (PROFILE 6, step 3)."""
T4100_SPREAD: Final = 0.25
"""Relative jitter of T4100, drawn at random each time, so that repetitions don't keep step with each other (PROFILE 2).
"""


class TimerError(ProseLinkError):
    """An impossible timer value, or one that doesn't fit the pool or another timer.

    The text names the timer, and a value that would fit.
    """


class Timer(Enum):
    """The timers of one link."""

    T4100 = "waiting for the Accept"
    T4101 = "waiting for a Keepalive Ack"
    T4102 = "until the next Keepalive"
    T4103 = "waiting for the Release Accept, or for the silence after it"
    T4108 = "longest silence of the peer, or longest wait for a Keepalive Ack"
    T4111 = "life of a provisional link"
    REKEY_T4100 = "waiting for the Rekeying Response"
    REKEY_T4101 = "waiting for the Ack of a rekey's Confirm"
    REKEY_T4108 = "longest wait for a sign of the peer on the new context"
    REKEY_AGAIN = "until a rekey that failed is tried again"
    T_OLD = "how long the old context is still received"
    REKEY_DUE = "age of KD, or end of a key period"
    KEYS_LOW = "the last day of a key period"
    KEYS_END = "the end of what a key period allows"


UNUSED_TIMERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "T4104": "not seen in any source",
        "T4105": "relay: TMGI monitoring",
        "T4106": "not seen in any source",
        "T4107": "relay: cell id announcement",
        "T4109": "not seen in any source",
        "T4110": "not seen in any source",
    }
)
"""Timers of TS 24.334 13.2 that this UE doesn't run. One of them may be the timer of a rekey, which is REKEY_T4100
here.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerValues:
    """Durations in seconds; how often Request (`n4100`), Confirm (`n4101`) and Release (`n4103`) are sent.

    T4100, N4100 and T4111 are those of direct radio; another carrier brings its own. The defaults are for SC periods of
    40 to 80 ms: a Request repeats after 6 periods or more, and a set-up comes through more than 99 times in 100 where
    three PDUs in ten are lost. `keying_s` is T4100 of groups. T4108 isn't here: its value comes in the Request. A
    Request or keying message goes out for the first time after 0 to `first_within_s`, at random. Raises TimerError for
    values that can't be.
    """

    t4100_s: float = 0.5
    n4100: int = 12
    t4101_s: float = 0.3
    n4101: int = 12
    t4102_s: float = 10.0
    t4103_s: float = 0.5
    n4103: int = 3
    keying_s: float = 0.6
    t4111_s: float = 6.0
    t_old_s: float = 2.0
    first_within_s: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.startswith("n"):
                _check_transmissions(field.name, value)
            elif field.name == "first_within_s" and value == 0:
                continue
            else:
                _check_duration(field.name, value)
        self._check_confirming("t4111_s", self.t4111_s)

    @classmethod
    def for_period(cls, sc_period_ms: float) -> TimerValues:
        """The default values; timers that wait for the air are longer if the SC period is longer than 80 ms."""
        _check_period(sc_period_ms)
        values, factor = cls(), max(1.0, sc_period_ms / DEFAULTS_UP_TO_MS)
        return replace(
            values,
            t4100_s=values.t4100_s * factor,
            t4101_s=values.t4101_s * factor,
            t4103_s=values.t4103_s * factor,
            keying_s=values.keying_s * factor,
            t4111_s=values.t4111_s * factor,
            t_old_s=values.t_old_s * factor,
        )

    def check_against(self, sc_period_ms: float) -> None:
        """Raise TimerError if a timer expires before an answer can have come over a pool of this SC period."""
        _check_period(sc_period_ms)
        round_trip = 2 * LONGEST_WAY_PERIODS
        for name, periods, awaited in (
            ("t4100_s", round_trip, "the answer to a Request"),
            ("t4101_s", MEAN_ROUND_TRIP_PERIODS, "an Ack"),
            ("t4103_s", MEAN_ROUND_TRIP_PERIODS, "the Release Accept"),
            ("keying_s", round_trip, "the receipt of a group key"),
            ("t_old_s", LONGEST_WAY_PERIODS, "what was sent under the old keys"),
        ):
            least_s = periods * sc_period_ms / 1000
            if getattr(self, name) < least_s:
                raise TimerError(
                    f"{name} = {getattr(self, name):g} is too short for an SC period of {sc_period_ms:g} ms: {awaited} "
                    f"takes up to {periods} periods, so it must be {least_s:g} or more"
                )

    def check_inactivity(self, maximum_inactivity_period_s: float) -> None:
        """Raise TimerError if T4108 expires before a Keepalive has been sent N4101 times."""
        keeping_alive_s = self.t4102_s + self.t4101_s * self.n4101
        if maximum_inactivity_period_s < keeping_alive_s:
            raise TimerError(
                f"maximum inactivity period {maximum_inactivity_period_s:g} s is shorter than t4102_s and {self.n4101} "
                f"Keepalives take: {keeping_alive_s:g} s"
            )

    def check_carrier(self, traits: CarrierTraits) -> None:
        """Raise TimerError if a link set up by a carrier would end before the Confirms that are sent to it."""
        self._check_confirming(f"t4111_s of carrier {traits.name}", traits.t4111_s)

    @property
    def direct(self) -> CarrierTraits:
        """The traits of direct radio with the T4100, N4100 and T4111 of these values."""
        return CarrierTraits(
            name=DIRECT,
            addresses_count=True,
            knows_sources=False,
            repeats_by_itself=False,
            bears_links=True,
            t4100_s=self.t4100_s,
            n4100=self.n4100,
            t4111_s=self.t4111_s,
        )

    def _check_confirming(self, name: str, t4111_s: float) -> None:
        confirming_s = self.t4101_s * self.n4101
        if t4111_s < confirming_s:
            raise TimerError(
                f"{name} = {t4111_s:g} is shorter than the {confirming_s:g} s in which the Confirm is "
                f"sent {self.n4101} times: the last ones would find no provisional link"
            )


def _check_duration(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_TIMER_S:
        raise TimerError(f"{name} = {value!r} is no duration above 0 and up to {MAX_TIMER_S:g} s")


def _check_transmissions(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_TRANSMISSIONS:
        raise TimerError(f"{name} = {value!r} is no number of transmissions from 1 to {MAX_TRANSMISSIONS}")


def _check_period(sc_period_ms: float) -> None:
    if not (math.isfinite(sc_period_ms) and sc_period_ms > 0):
        raise TimerError(f"an SC period of {sc_period_ms!r} ms can't be")


_Owner = TypeVar("_Owner", bound=Hashable)


class TimerSet(Generic[_Owner]):
    """Running timers by owner, with deadlines on the monotonic clock.

    Equal deadlines expire in the order of starting.
    """

    def __init__(self) -> None:
        self._deadlines: dict[tuple[_Owner, Timer], float] = {}

    def start(self, owner: _Owner, timer: Timer, deadline_s: float) -> None:
        """Start or restart a timer."""
        self._deadlines.pop((owner, timer), None)
        self._deadlines[owner, timer] = deadline_s

    def stop(self, owner: _Owner, *timers: Timer) -> None:
        """Stop timers, whether they run or not."""
        for timer in timers:
            self._deadlines.pop((owner, timer), None)

    def stop_all(self, owner: _Owner) -> None:
        """Stop every timer of an owner."""
        self.stop(owner, *Timer)

    def runs(self, owner: _Owner, timer: Timer) -> bool:
        """Whether a timer is running."""
        return (owner, timer) in self._deadlines

    def next_deadline_s(self) -> float | None:
        """The earliest deadline; None if no timer runs."""
        return min(self._deadlines.values(), default=None)

    def take_due(self, now_s: float) -> Iterator[tuple[_Owner, Timer]]:
        """Stop and yield every expired timer, earliest first."""
        while self._deadlines:
            key = min(self._deadlines, key=self._deadlines.__getitem__)
            if self._deadlines[key] > now_s:
                return
            del self._deadlines[key]
            yield key
