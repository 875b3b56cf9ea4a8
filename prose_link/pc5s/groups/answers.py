"""A keyer's answers to asks of members; the asks are verified before (PROFILE 11).

A member that asks gets the current key, with its ask's hash. A new key is made where this keyer hasn't made the one in
use, or where the member knows of a greater mark than the keyer does. What an ask can cause is bounded: so many answers
for one member, so many in all, and one new key in half a minute. Asks of other keyers are counted by themselves: each
keyer asks the others at its start, and a keyer that has made a key for that must still be able to stand in for one that
dies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.buckets import Bucket, Buckets, Rate
from prose_link.pc5s.core.group_config import GroupConfig, info_of
from prose_link.pc5s.core.group_events import GroupAskAnswered, GroupEpochFailed
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.groups.deliveries import Deliveries
from prose_link.pc5s.wire.party import Party
from security.errors import SecurityError
from security.groups import GroupKeyer, GroupMembership

EPOCH_FOR_ASKS_EVERY_S: Final = 30.0
"""Least time between new keys that asks of members cause, and between those that keyers' asks cause (PROFILE 11)."""
ANSWERS_TO_MEMBER: Final = Rate(per_s=0.5, burst=2)
ANSWERS_TO_ALL: Final = Rate(per_s=5, burst=5)
"""Answers to the asks of one member, and of all (PROFILE 11)."""
ANSWER_AGAIN: Final = Rate(per_s=2, burst=2)
"""Repetitions of answers for repeated asks (P)."""

NewEpoch = Callable[[Instant, str, int], None]
"""Makes a key, called with the time, the reason, and a number below its epoch; raises SecurityError, ProseLinkError."""


class AskAnswers:
    """Answers the asks of one group's members."""

    def __init__(
        self,
        desk: Desk,
        config: GroupConfig,
        membership: GroupMembership,
        keyer: GroupKeyer,
        deliveries: Deliveries,
        new_epoch: NewEpoch,
    ) -> None:
        self._desk = desk
        self._config = config
        self._membership = membership
        self._keyer = keyer
        self._deliveries = deliveries
        self._new_epoch = new_epoch
        self._made_at_s: dict[bool, float] = {}
        """When the last new key was made for an ask, by whether a keyer had asked."""
        self._buckets = Buckets(ANSWERS_TO_ALL, ANSWERS_TO_MEMBER)
        self._repetitions: Bucket | None = None

    def take_right(self, member: str, now: Instant) -> bool:
        """Take a token to answer one more ask of a member."""
        return self._buckets.take(member, now.mono_s)

    def answer(self, member: Party, ask_hash: bytes, mark: int, now: Instant) -> str:
        """Send a member the current key, with a mark above the one that it names.

        Returns the reason if the keyer sends none, else an empty text.
        """
        needs_new = self._needs_new(mark)
        if needs_new:
            fault = self._make_new(member.identity, mark, now)
            if fault:
                return fault
        order = self._keyer.current
        if order is None:
            return "no key is held"
        self._desk.outbox.emit(
            GroupAskAnswered(
                group=self._config.identity, member=member.identity, epoch=order.keying.epoch, new_epoch=needs_new
            )
        )
        self._deliveries.answer(member, ask_hash, info_of(order.keying), order.removals, order.ssv, now)
        return ""

    def answer_again(self, ask_hash: bytes, now: Instant) -> bool:
        """Answer a repeated ask with the same octets, at a bounded rate. Returns False if nothing is sent."""
        if self._repetitions is None:
            self._repetitions = Bucket(ANSWER_AGAIN, now.mono_s)
        return self._repetitions.take(now.mono_s) and self._deliveries.answer_again(ask_hash)

    def _needs_new(self, mark: int) -> bool:
        current, held = self._keyer.current, self._membership.newest(self._config.l2_id)
        if current is None or held is None or held.keying.mark != current.keying.mark:
            return True
        return mark > held.keying.mark

    def _make_new(self, member: str, mark: int, now: Instant) -> str:
        """Why no new key is made for an ask; empty where one is."""
        of_keyer = member in self._config.keyers
        if now.mono_s < self._made_at_s.get(of_keyer, -math.inf) + EPOCH_FOR_ASKS_EVERY_S:
            return "a new key was made for an ask a moment ago"
        try:
            self._new_epoch(now, f"{member} asks", mark)
        except (SecurityError, ProseLinkError) as error:
            self._desk.outbox.emit(GroupEpochFailed(group=self._config.identity, why=str(error)))
            return "no new key can be made"
        self._made_at_s[of_keyer] = now.mono_s
        return ""
