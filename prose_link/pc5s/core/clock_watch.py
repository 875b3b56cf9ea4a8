"""The entity's check of time: it compares the clock with the counter, raises the time floor, and drops old keys.

Each call of the entity brings an instant. The watch compares its calendar clock with its monotonic counter
(`own_clock`) and emits an event if the verdict changes. Every 150 s it raises the time floor on record to the greater
of two values:

* the value by the monotonic counter: the floor as it was found, plus the time counted since. It does not depend on the
  calendar clock. So a clock that is set back while the UE runs, and left there, can never reach the floor again. A
  counter may run a little fast, so a ten-thousandth of it isn't counted;
* the value by the own clock, while the clock is in step, but no further than the end of the newest key period held. So
  one wrong time at the start can't spoil the floor.

If the floor is lower than the watch left it, another process of the device has corrected it in a contact with the home
KMS. The watch then counts from the new value, and disputes the own clock, which had a part in the old one.

Keys of a period are not used once the floor is past the end of its overlap (2 days after its end at most). They are
wiped when a contact with the home KMS shows that, or when the floor has said so for 24 h of running. A single jump of
the clock must not destroy the month's keys.
"""

from __future__ import annotations

from typing import Final

from prose_link.instant import Instant
from prose_link.pc5s.core.credentials import HeldPeriod
from prose_link.pc5s.core.events import KeysWiped
from prose_link.pc5s.core.replay import WINDOW_S
from prose_link.pc5s.core.shared import Desk
from security.device.record import RecordError

FLOOR_STEP_S: Final = 150
"""How far the clock or the counter runs before the time floor is raised on record."""
COUNTER_ERROR: Final = 1e-4
"""How much too fast the monotonic counter may run; a radio's sample clock is within 2e-5."""
WIPE_AFTER_S: Final = 24 * 3600.0
"""How long the floor alone must have said that a key period is over before its keys are wiped (PROFILE 10)."""


class ClockWatch:
    """The watch over the clock of one entity."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._floor_ntp_s = 0
        """The floor as it was left on record."""
        self._base_ntp_s = 0.0
        self._base_s = 0.0
        self._looked_s: float | None = None
        self._cleaned_ntp_s = 0.0
        self._over_since_s: dict[HeldPeriod, float] = {}

    def observe(self, now: Instant) -> None:
        """Take in the present time, and do all work that has become due by it."""
        self._desk.outbox.go_to(now.mono_s)
        event = self._desk.clock.observe(now)
        if event is not None:
            self._desk.outbox.emit(event)
        if self._desk.clock.may_raise_floor and now.ntp_s >= self._cleaned_ntp_s + FLOOR_STEP_S:
            self._cleaned_ntp_s = now.ntp_s
            self._desk.credentials.forget_ended(now.ntp_s)
        rested = self._looked_s is not None and now.counted_s < self._looked_s + FLOOR_STEP_S
        if rested and self._clock_ntp_s(now) < self._floor_ntp_s + FLOOR_STEP_S:
            return
        try:
            self._look(now)
        except RecordError:
            self._desk.outbox.counters["record can't be used"] += 1

    def kms_contact(self, kms_ntp_s: int, now: Instant) -> None:
        """Take the time that the home KMS has just given.

        An event reports a time that is more than W from the own clock's.
        """
        event = self._desk.clock.kms_contact(kms_ntp_s, now)
        if event is not None:
            self._desk.outbox.emit(event)
        credentials = self._desk.credentials
        try:
            contact = self._desk.record.kms_contact(kms_ntp_s, keys_end_ntp_s=credentials.keys_end_ntp_s)
        except RecordError:
            self._desk.outbox.counters["record can't be used"] += 1
        else:
            self._count_on_from(contact.floor_ntp_s, now)
            self._floor_ntp_s = contact.floor_ntp_s
            credentials.use_none_over_by(contact.floor_ntp_s)
        for period in credentials.periods_over(kms_ntp_s - WINDOW_S):
            self._wipe(period)
        self._looked_s = None

    def _clock_ntp_s(self, now: Instant) -> int:
        """The highest time floor that the own clock may set now; 0 if it may set none."""
        if not self._desk.clock.may_raise_floor:
            return 0
        return min(int(now.ntp_s), self._desk.credentials.keys_end_ntp_s)

    def _look(self, now: Instant) -> None:
        """Raise the floor on record, and find the key periods that are over by it. Raises RecordError."""
        held_ntp_s = self._desk.record.time_floor_ntp_s
        first, self._looked_s = self._looked_s is None and not self._floor_ntp_s, now.counted_s
        if held_ntp_s < self._floor_ntp_s:
            self._desk.clock.dispute()
        if first or held_ntp_s < self._floor_ntp_s or held_ntp_s > self._counted_ntp_s(now):
            self._count_on_from(held_ntp_s, now)
        clock_ntp_s = self._clock_ntp_s(now)
        if clock_ntp_s > self._counted_ntp_s(now):
            self._count_on_from(clock_ntp_s, now)
        self._floor_ntp_s = int(self._counted_ntp_s(now))
        if self._floor_ntp_s > held_ntp_s:
            self._desk.record.raise_floor(self._floor_ntp_s)
        self._let_go_of_periods(now)

    def _count_on_from(self, floor_ntp_s: int, now: Instant) -> None:
        self._base_ntp_s, self._base_s = float(floor_ntp_s), now.counted_s

    def _counted_ntp_s(self, now: Instant) -> float:
        """The time floor by the monotonic counter."""
        return self._base_ntp_s + (now.counted_s - self._base_s) * (1.0 - COUNTER_ERROR)

    def _let_go_of_periods(self, now: Instant) -> None:
        """Stop using keys of periods that are over by the floor, and wipe those that have been over for 24 h."""
        credentials = self._desk.credentials
        credentials.use_none_over_by(self._floor_ntp_s)
        over = credentials.periods_over(self._floor_ntp_s)
        self._over_since_s = {period: self._over_since_s.get(period, now.counted_s) for period in over}
        for period, since_s in list(self._over_since_s.items()):
            if now.counted_s >= since_s + WIPE_AFTER_S:
                self._wipe(period)

    def _wipe(self, period: HeldPeriod) -> None:
        self._desk.credentials.wipe(period)
        self._over_since_s.pop(period, None)
        self._desk.outbox.emit(KeysWiped(kms=period.kms_uri, key_period=period.key_period_no))
