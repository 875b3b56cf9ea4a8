"""The events of `serve` about refusals: single ones while they are few, counts while they are many.

No I/O, no clock.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from security.kms.events import EventSink, KmsRefusals, KmsRefused

EVENTS_AT_ONCE: Final = 40
EVENTS_PER_S: Final = 2.0
SUMMARY_INTERVAL_S: Final = 5.0
MAX_ADDRESSES: Final = 64
ADDRESSES_TOLD: Final = 5
OTHER_ADDRESSES: Final = "others"


class RefusalReports:
    """Passes refusals on at a bounded rate; `flush` reports the number of all others in `kms-refusals`.

    `at_the_door` counts connections that are closed before they have a request; these are reported as counts only.
    """

    def __init__(self, emit: EventSink) -> None:
        self._emit = emit
        self._credit = float(EVENTS_AT_ONCE)
        self._credited_s: float | None = None
        self._held_back: Counter[str] = Counter()
        self._closed: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self._told_s: float | None = None

    def refused(self, refusal: str, message: str, *, now_s: float) -> None:
        """A request was refused."""
        if self._credited_s is not None:
            self._credit = min(EVENTS_AT_ONCE, self._credit + (now_s - self._credited_s) * EVENTS_PER_S)
        self._credited_s = now_s
        if self._credit >= 1:
            self._credit -= 1
            self._emit(KmsRefused(refusal=refusal, message=message))
        else:
            self._held_back[refusal] += 1

    def at_the_door(self, why: str, address: str) -> None:
        """A connection was closed."""
        self._closed[why] += 1
        known = address in self._addresses or len(self._addresses) < MAX_ADDRESSES
        self._addresses[address if known else OTHER_ADDRESSES] += 1

    def flush(self, *, now_s: float, last: bool = False) -> None:
        """Report the counts, if there are any and the last report is some time ago."""
        if not (self._closed or self._held_back):
            return
        if self._told_s is not None and now_s - self._told_s < SUMMARY_INTERVAL_S and not last:
            return
        self._told_s = now_s
        self._emit(
            KmsRefusals(
                connections_closed=dict(sorted(self._closed.items())),
                requests_refused=dict(sorted(self._held_back.items())),
                addresses=dict(self._addresses.most_common(ADDRESSES_TOLD)),
            )
        )
        for counter in (self._closed, self._held_back, self._addresses):
            counter.clear()
