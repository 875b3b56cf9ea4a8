"""Token buckets: a bound on the work that other parties can make a UE do (PROFILE 2).

A bucket holds tokens, and one token allows one piece of work, such as the verification of a signature. Tokens come back
at a fixed rate up to the bucket's size. A piece of work without a token is not done. `Buckets` joins one bucket for all
sources with one bucket for each source: a token is taken from both or from none. So a single source can't use more than
its share, and many sources together can't use more than the total. The number of sources remembered is bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """The rate of a bucket in tokens per second, and the number of tokens in a full bucket."""

    per_s: float
    burst: int


VERIFY_PER_SOURCE: Final = Rate(per_s=5, burst=10)
"""Signature verifications for one registered SIP or NAS source; on the air every source can be forged (PROFILE 2)."""
REJECT_AGAIN: Final = Rate(per_s=2, burst=4)
"""Repetitions of one Reject (P)."""
ANSWERS: Final = Rate(per_s=4, burst=16)
"""Answers to one request that are signed by its target and opened (PROFILE 2)."""
PAIR_ALL: Final = Rate(per_s=10, burst=20)
"""Decapsulations of all verified signers (PROFILE 2)."""
PAIR_PER_SIGNER: Final = Rate(per_s=1, burst=4)
"""Decapsulations of one verified signer (PROFILE 2)."""
MAX_SOURCES: Final = 1024
"""Buckets kept for single sources; the one used longest ago makes room."""


class Bucket:
    """One token bucket; full at the start."""

    __slots__ = ("_filled_at_s", "_rate", "_tokens")

    def __init__(self, rate: Rate, now_s: float) -> None:
        self._rate = rate
        self._tokens = float(rate.burst)
        self._filled_at_s = now_s

    def has_token(self, now_s: float) -> bool:
        """Whether `take` would succeed now."""
        return self._level(now_s) >= 1.0

    def take(self, now_s: float) -> bool:
        """Take a token. Returns False if there is none now."""
        self._tokens = self._level(now_s)
        self._filled_at_s = max(now_s, self._filled_at_s)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _level(self, now_s: float) -> float:
        """Number of tokens at a time. A clock that goes back brings no tokens."""
        elapsed_s = max(0.0, now_s - self._filled_at_s)
        return min(float(self._rate.burst), self._tokens + elapsed_s * self._rate.per_s)


class Buckets:
    """A bucket for all, unless `everyone` is None, and one for each source; a token is taken from both or from none.

    An attacker with ever new sources empties the common bucket only; the table of sources stays bounded.
    """

    def __init__(self, everyone: Rate | None, each: Rate, *, max_sources: int = MAX_SOURCES) -> None:
        self._everyone_rate = everyone
        self._each_rate = each
        self._max_sources = max_sources
        self._everyone: Bucket | None = None
        self._each: OrderedDict[Hashable, Bucket] = OrderedDict()

    def take(self, source: Hashable, now_s: float) -> bool:
        """Take one token for this source; False if its bucket or the common one is empty."""
        if self._everyone is None and self._everyone_rate is not None:
            self._everyone = Bucket(self._everyone_rate, now_s)
        own = self._bucket_of(source, now_s)
        if not own.has_token(now_s) or (self._everyone is not None and not self._everyone.has_token(now_s)):
            return False
        if self._everyone is not None:
            self._everyone.take(now_s)
        return own.take(now_s)

    def _bucket_of(self, source: Hashable, now_s: float) -> Bucket:
        bucket = self._each.get(source)
        if bucket is None:
            bucket = self._each[source] = Bucket(self._each_rate, now_s)
            if len(self._each) > self._max_sources:
                self._each.popitem(last=False)
        self._each.move_to_end(source)
        return bucket
