"""The pace of requests without a certificate: enrolments are rare, guesses and floods are not. No I/O, no clock.

A bucket holds a number of requests and fills at a steady rate. Each request takes one. A request that finds none waits
until there is one, for a bounded time; beyond that it is refused. So a burst passes and a flood is cut to the rate.
"""

from __future__ import annotations

from typing import Final

REQUESTS_AT_ONCE: Final = 100
REQUESTS_PER_S: Final = 50.0
LONGEST_WAIT_S: Final = 5.0


class AnonymousPace:
    """A bucket for requests without a certificate; see the head of this file."""

    def __init__(self) -> None:
        self._turns = float(REQUESTS_AT_ONCE)
        self._counted_s: float | None = None

    def wait_s(self, now_s: float) -> float | None:
        """Reserve a token for a request: the seconds until it comes, or None if the wait would be too long."""
        if self._counted_s is not None:
            self._turns = min(REQUESTS_AT_ONCE, self._turns + (now_s - self._counted_s) * REQUESTS_PER_S)
        self._counted_s = now_s
        wait_s = max(0.0, 1.0 - self._turns) / REQUESTS_PER_S
        if wait_s > LONGEST_WAIT_S:
            return None
        self._turns -= 1
        return wait_s
