"""What an entity does about time itself: holds its clock against the counter, and raises the floor on record.

Each call of the entity brings an instant. The watch compares both of its clocks (`own_clock`), tells where the verdict
changes, and while the clock is in step moves the time floor on record along with it, every 150 s. The floor rises no
further than the end of the newest key period held, so that one wrong time can't spoil it. At the same pace the keys of
key periods that have ended are let go.
"""

from __future__ import annotations

from typing import Final

from prose_link.instant import Instant
from prose_link.pc5s.core.shared import Desk
from security.device.record import RecordError

FLOOR_STEP_S: Final = 150
"""How far the clock runs before the time floor is raised on record."""


class ClockWatch:
    """Minds the clock of one entity."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._floor_ntp_s = 0
        self._looked_ntp_s = 0.0

    def observe(self, now: Instant) -> None:
        """It is this late: take the time in, and do what it asks for."""
        self._desk.outbox.go_to(now.mono_s)
        event = self._desk.clock.observe(now)
        if event is not None:
            self._desk.outbox.emit(event)
        if not self._desk.clock.may_raise_floor:
            return
        if now.ntp_s >= self._looked_ntp_s + FLOOR_STEP_S:
            self._looked_ntp_s = now.ntp_s
            self._desk.credentials.forget_ended(now.ntp_s)
        floor_ntp_s = min(int(now.ntp_s), self._desk.credentials.keys_end_ntp_s)
        if floor_ntp_s < self._floor_ntp_s + FLOOR_STEP_S:
            return
        try:
            self._desk.record.raise_floor(floor_ntp_s)
            self._floor_ntp_s = floor_ntp_s
        except RecordError:
            self._desk.outbox.counters["record can't be used"] += 1

    def kms_contact(self, kms_ntp_s: int, now: Instant) -> None:
        """Take the time that the home KMS told just now; an event where it is more than W from the own clock's."""
        event = self._desk.clock.kms_contact(kms_ntp_s, now)
        if event is not None:
            self._desk.outbox.emit(event)
        try:
            self._desk.record.kms_contact(kms_ntp_s, keys_end_ntp_s=self._desk.credentials.keys_end_ntp_s)
        except RecordError:
            self._desk.outbox.counters["record can't be used"] += 1
        self._floor_ntp_s = 0
