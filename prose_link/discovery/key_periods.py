"""The keys of a discovery group or code over several key periods: which one to send under, which ones to accept.

Keys change with the key period, and clocks differ. A message is sent under the running period's key, and taken under
any key whose period, widened by an overlap on either side, holds the time: near a change both the old and the new one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from prose_link.discovery.protection import MessageKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodKeys:
    """Keys of one key period; they are good from `overlap_s` before its start until as long after its end (Unix s)."""

    keys: MessageKeys
    start_utc_s: float = -math.inf
    end_utc_s: float = math.inf
    overlap_s: float = 0.0

    def good_at(self, utc_s: float) -> bool:
        """Whether messages under these keys are taken at a time (the day rules of RFC 6509 3.3)."""
        return self.start_utc_s - self.overlap_s <= utc_s < self.end_utc_s + self.overlap_s


@dataclass(frozen=True, slots=True)
class KeyPeriods:
    """Keys of the periods held. While none of them is good, nothing is sent and nothing is accepted."""

    periods: tuple[PeriodKeys, ...]

    def to_send(self, utc_s: float) -> MessageKeys | None:
        """Keys of the present period; if they are not held, the newest ones that other UEs still accept."""
        good = [one for one in self.periods if one.good_at(utc_s)]
        running = [one for one in good if one.start_utc_s <= utc_s < one.end_utc_s]
        newest = max(running or good, key=lambda one: one.start_utc_s, default=None)
        return newest.keys if newest else None

    def to_accept(self, utc_s: float) -> tuple[MessageKeys, ...]:
        """Keys under which a message is taken now: near a change of period the old and the new ones."""
        return tuple(one.keys for one in self.periods if one.good_at(utc_s))


def always(keys: MessageKeys) -> KeyPeriods:
    """Keys that no period bounds."""
    return KeyPeriods((PeriodKeys(keys=keys),))


UNPROTECTED: Final = always(MessageKeys())
"""No MIC is sent, none is checked."""
