"""Whether an I_MESSAGE is fresh: key period, timestamp window, replay cache (RFC 3830 5.4, RFC 6509 2.5 and 3.3).

For receivers of plain MIKEY-SAKKE. A device's links keep theirs on disk (`security.device.record`), by the same rules.

An I_MESSAGE can be recorded and sent again. A receiver takes one when T lies in a window around its clock and the
signed part is not in the cache; the cache remembers it until T leaves the window, and from then on the window refuses
it. So the cache is bounded by time, and may be bounded in number too without a hole: when it is full, new messages are
refused, never old entries dropped. A share for each signer keeps one signer from filling it. A clock that is turned
back does not make a forgotten message good again. Where a cache was lost, everything is refused for one window. For
deferred delivery there is no window, and the key period alone decides.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from enum import StrEnum

from security.identifiers import KmsDomain
from security.mikey.i_message import IMessage
from security.mikey.numbers import Role

WINDOW_S = 300.0
CAPACITY = 4096
CAPACITY_PER_SIGNER = 256
"""Share of one signer, so that it can't keep out the messages of others."""


class Freshness(StrEnum):
    """The verdict on a message's time."""

    FRESH = "fresh"
    OTHER_PERIOD = "keys of that period are not, or no longer, in use"
    TOO_OLD = "older than the window allows"
    TOO_NEW = "further in the future than the window allows"
    REPLAYED = "came before"
    OVERLOADED = "the replay cache is full or was lost"


class ReplayCache:
    """Signed parts of accepted messages, each until its time is over; bounded in all and for each signer.

    Nothing is evicted before its time. `window_s`: largest difference of T from the clock; None for deferred delivery,
    where only the key period decides. `lost_at_ntp_s`: the time when an earlier cache was lost; all messages are
    refused for a window from then (RFC 3830 5.4).
    """

    def __init__(
        self,
        *,
        window_s: float | None = WINDOW_S,
        capacity: int = CAPACITY,
        capacity_per_signer: int = CAPACITY_PER_SIGNER,
        lost_at_ntp_s: float | None = None,
    ) -> None:
        self._window_s = window_s
        self._capacity = capacity
        self._lost_at_ntp_s = lost_at_ntp_s
        self._capacity_per_signer = capacity_per_signer
        self._expiries: dict[bytes, float] = {}
        self._signers: dict[bytes, bytes] = {}
        self._held_by: Counter[bytes] = Counter()
        self._earliest_ntp_s = math.inf
        self._forgotten_to_ntp_s = 0.0

    def __len__(self) -> int:
        return len(self._expiries)

    def judge(self, i_message: IMessage, *, domains: tuple[KmsDomain, ...], now_ntp_s: float) -> Freshness:
        """The verdict on a message now, by the key periods of its ends' KMSs. Raises MikeyError for a counter in T.

        It is cheap: call it before the signature is verified, and `remember` after.
        """
        self._forget(now_ntp_s)
        t = i_message.timestamp.ntp_s
        if not all(domain.accepts_period(now_ntp_s, t) for domain in domains):
            return Freshness.OTHER_PERIOD
        if self._window_s is not None and t > now_ntp_s + self._window_s:
            return Freshness.TOO_NEW
        if self._window_s is not None and t < now_ntp_s - self._window_s:
            return Freshness.TOO_OLD
        if self._expiry(t, domains) < self._forgotten_to_ntp_s:
            return Freshness.TOO_OLD
        if _digest(i_message) in self._expiries:
            return Freshness.REPLAYED
        full = len(self._expiries) >= self._capacity or self._held_by[_signer(i_message)] >= self._capacity_per_signer
        if full or self._is_lost(now_ntp_s):
            return Freshness.OVERLOADED
        return Freshness.FRESH

    def remember(self, i_message: IMessage, *, domains: tuple[KmsDomain, ...]) -> None:
        """Note a message that was judged fresh and whose signature has verified: an unverified one takes no room."""
        expiry = self._expiry(i_message.timestamp.ntp_s, domains)
        digest, signer = _digest(i_message), _signer(i_message)
        if digest not in self._expiries:
            self._signers[digest] = signer
            self._held_by[signer] += 1
        self._expiries[digest] = expiry
        self._earliest_ntp_s = min(self._earliest_ntp_s, expiry)

    def _expiry(self, t_ntp_s: float, domains: tuple[KmsDomain, ...]) -> float:
        if self._window_s is not None:
            return t_ntp_s + self._window_s
        return max(domain.period_bounds(domain.period_of(t_ntp_s))[1] + domain.overlap_s() for domain in domains)

    def _forget(self, now_ntp_s: float) -> None:
        """Drop entries whose time is over. A clock that is turned back later doesn't make their messages good again."""
        self._forgotten_to_ntp_s = max(self._forgotten_to_ntp_s, now_ntp_s)
        if self._earliest_ntp_s < now_ntp_s:
            self._expiries = {key: expiry for key, expiry in self._expiries.items() if expiry >= now_ntp_s}
            self._signers = {key: self._signers[key] for key in self._expiries}
            self._held_by = Counter(self._signers.values())
            self._earliest_ntp_s = min(self._expiries.values(), default=math.inf)

    def _is_lost(self, now_ntp_s: float) -> bool:
        window_s = WINDOW_S if self._window_s is None else self._window_s
        return self._lost_at_ntp_s is not None and now_ntp_s <= self._lost_at_ntp_s + window_s


def _signer(i_message: IMessage) -> bytes:
    """The signer, as the message names its initiator; that name has been verified by then."""
    return i_message.role(Role.INITIATOR, Role.INITIATOR_UID) or b""


def _digest(i_message: IMessage) -> bytes:
    """Hash of the signed part only: (r, q-s) is another good signature of the same message."""
    return hashlib.sha256(i_message.signed_part).digest()
