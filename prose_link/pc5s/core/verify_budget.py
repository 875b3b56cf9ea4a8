"""The budget of signature verifications: who gets the next one (PROFILE 2, bucket *verify*).

Anybody can put requests on the air, in anybody's name and from any layer-2 id, and only a verification tells the good
ones from the bad. So the budget bounds the work, and what matters is who gets a token:

* While there are tokens and nobody waits, a message gets one at once. The default rate is above what a pool can carry.
* Else it waits, for a short time and in a bounded room. Whatever leaves the room does so at random, never in the order
  of coming: an attacker who is always faster gains nothing.
* Half of the tokens are kept for messages that have come before with T4100's spacing, octet for octet, and for those of
  signers that were verified before. Of these the one that has come most often is served first. An attacker can come
  back too, but each of its messages gets one verification: for the n-th coming it spends n transmissions on each, so
  that an honest sender is ahead of it before its last transmission.
* What the kept half can't use spills into the other one, and the other way round.

A message whose verification has failed gets no second one. That shuts nobody out: the octets are the same, with the
signature, so the outcome is too. No source counts for or against a message on the air, since all are forgeable; where
a carrier knows its sources, each has a bucket of its own.

Nothing here reads a clock; a draw takes randomness only where there is more than one to draw from.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from prose_link.errors import ProseLinkError
from prose_link.pc5s.core.buckets import VERIFY_PER_SOURCE, Buckets
from prose_link.pc5s.wire.pdus import ReceivedPdu

VERIFY_PER_S: Final = 400.0
"""Signature verifications a second, all carriers: above what a pool can carry (PROFILE 2)."""
MIN_VERIFY_PER_S: Final = 2.0
MAX_VERIFY_PER_S: Final = 100_000.0
WAITING_ROOM: Final = 128
"""Messages that wait for a token at one time (P)."""
LONGEST_WAIT_S: Final = 0.5
"""How long a message waits; its sender repeats it about then (P)."""
SEEN_KEPT: Final = 8192
"""Messages remembered so that their next coming is known: more than a second's worth of any pool (P)."""
SEEN_FOR_S: Final = 30.0
"""How long a message is remembered after its last coming (P)."""
SIGNERS_KEPT: Final = 256
"""Signers verified before that are remembered (P)."""
_Key: TypeAlias = tuple[str, Hashable, int, int, bytes]
_WHOLE_TOKEN: Final = 1.0 - 1e-6
"""A token, but for what rounding may have taken from it."""


TOO_MANY: Final = "too many requests to verify"
"""Why a message had no verification."""
SAME_OCTETS: Final = "the same octets came before and did not verify"
"""How it is known without a verification that a signature is bad."""


class Waits(Enum):
    """The message waits for its verification; the entity takes it in again when it has a token."""

    WAITS = "waits for its verification"


class Admission(Enum):
    """What becomes of a message that wants to be verified."""

    GRANTED = "a token was taken: verify now"
    WAITS = "it waits for a token, and is handed back when it has one"
    REFUSED = "its source has had its share"
    FAILED_BEFORE = "these very octets did not verify"


@dataclass(slots=True, kw_only=True)
class _Seen:
    """One message by its octets: when it last came with T4100's spacing, how often, and whether it had its token."""

    came_at_s: float
    comings: int = 1
    spent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A message that waits, and whom it names as its signer."""

    pdu: ReceivedPdu
    signer: str
    until_s: float


class VerifyBudget:
    """Tokens for verifications, and the messages that wait for one.

    The owner verifies what `ask` grants, tells `verified`, and works off what `draw` hands back by taking it in again.
    """

    def __init__(self, random_bytes: Callable[[int], bytes], *, per_s: float, spacing_s: float) -> None:
        """`spacing_s`: the least time between two comings of a message that are its sender's repetition.

        Raises VerifyBudgetError for a rate that can't be.
        """
        check_rate(per_s)
        self._random_bytes = random_bytes
        self._spacing_s = spacing_s
        self._tokens = _HalvedTokens(per_s)
        self._sources = Buckets(None, VERIFY_PER_SOURCE)
        self._seen: OrderedDict[_Key, _Seen] = OrderedDict()
        self._waiting: dict[_Key, Waiting] = {}
        """In the order of `until_s`."""
        self._favoured: dict[_Key, None] = {}
        """Those of them that the kept tokens are for."""
        self._lapsed: list[Waiting] = []
        self._signers: OrderedDict[str, None] = OrderedDict()
        self._granted: tuple[_Key, bool] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, pdu: ReceivedPdu, signer: str, now_s: float, *, is_proven: bool = False) -> Admission:
        """Whether a message may be verified now. All that costs less than a verification has been checked before.

        `is_proven`: something cheap has shown that it is none of those that anybody can make: it is favoured.
        """
        key = _key(pdu)
        if self._granted is not None and self._granted[0] == key:
            self._granted = None
            self._seen[key].spent = True
            return Admission.GRANTED
        seen = self._note_coming(key, now_s)
        if seen.spent:
            return Admission.FAILED_BEFORE
        if key not in self._waiting and not self._source_has_token(pdu, now_s):
            return Admission.REFUSED
        self._tokens.fill(now_s)
        favoured = is_proven or self._favours(key, signer)
        if not self._waiting and self._tokens.take(favoured=favoured):
            seen.spent = True
            return Admission.GRANTED
        self._let_wait(key, Waiting(pdu=pdu, signer=signer, until_s=now_s + LONGEST_WAIT_S), favoured=favoured)
        return Admission.WAITS

    def verified(self, pdu: ReceivedPdu, signer: str) -> None:
        """A message has turned out to be its signer's."""
        key = _key(pdu)
        if key not in self._waiting:
            self._seen.pop(key, None)
        self._signers[signer] = None
        self._signers.move_to_end(signer)
        if len(self._signers) > SIGNERS_KEPT:
            self._signers.popitem(last=False)

    def draw(self, now_s: float) -> ReceivedPdu | None:
        """The next message that gets a token, None while there is no token or nobody waits; `ask` then grants it.

        A grant that was not asked for, because the message failed an earlier check this time, gives its token back.
        """
        if self._granted is not None:
            self._tokens.give_back(favoured=self._granted[1])
            self._granted = None
        self._let_lapse(now_s)
        self._tokens.fill(now_s)
        if self._favoured and self._tokens.take_kept():
            most = max(self._seen[key].comings for key in self._favoured)
            return self._grant([key for key in self._favoured if self._seen[key].comings == most], favoured=True)
        if self._waiting and self._tokens.take(favoured=False):
            return self._grant(list(self._waiting), favoured=False)
        return None

    def next_timer(self) -> float | None:
        """When `draw` may next have something, or a message has waited long enough; None if nobody waits."""
        if not self._waiting:
            return None
        lapses_s = next(iter(self._waiting.values())).until_s
        return min(lapses_s, self._tokens.next_token_s(favoured=bool(self._favoured)))

    def take_lapsed(self) -> list[Waiting]:
        """Messages that had no token in time, or made room for others."""
        lapsed, self._lapsed = self._lapsed, []
        return lapsed

    def wipe(self) -> None:
        """Let go of all that waits."""
        self._waiting.clear()
        self._favoured.clear()
        self._lapsed.clear()
        self._granted = None

    def _source_has_token(self, pdu: ReceivedPdu, now_s: float) -> bool:
        """Take a token of its source, where its carrier knows sources."""
        return not pdu.via.traits.knows_sources or self._sources.take(pdu.via.bucket, now_s)

    def _note_coming(self, key: _Key, now_s: float) -> _Seen:
        seen = self._seen.get(key)
        if seen is None or now_s - seen.came_at_s > SEEN_FOR_S:
            seen = self._seen[key] = _Seen(came_at_s=now_s)
        elif now_s - seen.came_at_s >= self._spacing_s:
            seen.came_at_s = now_s
            seen.comings += 1
        else:
            return seen
        self._seen.move_to_end(key)
        if len(self._seen) > SEEN_KEPT:
            self._forget_oldest()
        return seen

    def _forget_oldest(self) -> None:
        """The one that came longest ago goes, but for those that wait: `draw` asks how often they came."""
        oldest = next(key for key in self._seen if key not in self._waiting)
        del self._seen[oldest]

    def _favours(self, key: _Key, signer: str) -> bool:
        return self._seen[key].comings > 1 or signer in self._signers

    def _let_wait(self, key: _Key, one: Waiting, *, favoured: bool) -> None:
        self._waiting.pop(key, None)
        self._waiting[key] = one
        if favoured:
            self._favoured[key] = None
        if len(self._waiting) > WAITING_ROOM:
            strangers = [key for key in self._waiting if key not in self._favoured]
            self._lapsed.append(self._leave(self._pick(strangers or list(self._waiting))))

    def _let_lapse(self, now_s: float) -> None:
        while self._waiting:
            key, one = next(iter(self._waiting.items()))
            if one.until_s > now_s:
                return
            self._lapsed.append(self._leave(key))

    def _leave(self, key: _Key) -> Waiting:
        self._favoured.pop(key, None)
        return self._waiting.pop(key)

    def _grant(self, keys: list[_Key], *, favoured: bool) -> ReceivedPdu:
        key = self._pick(keys)
        self._granted = key, favoured
        return self._leave(key).pdu

    def _pick(self, keys: list[_Key]) -> _Key:
        if len(keys) == 1:
            return keys[0]
        return keys[int.from_bytes(self._random_bytes(4)) % len(keys)]


class VerifyBudgetError(ProseLinkError):
    """A rate of verifications that can't be."""


def check_rate(per_s: float) -> None:
    """Raises VerifyBudgetError for a rate that can't be."""
    if not MIN_VERIFY_PER_S <= per_s <= MAX_VERIFY_PER_S:
        raise VerifyBudgetError(
            f"verify_per_s = {per_s!r} is not from {MIN_VERIFY_PER_S:g} to {MAX_VERIFY_PER_S:g} verifications a second"
        )


class _HalvedTokens:
    """Two buckets that fill at half the rate each and hold half a second's worth each.

    What one can't hold, the other takes. Both are full at the start.
    """

    __slots__ = ("_filled_at_s", "_holds", "_kept", "_open", "_per_s")

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._holds = max(1.0, per_s / 2)
        self._kept = self._open = self._holds
        self._filled_at_s: float | None = None

    def fill(self, now_s: float) -> None:
        """Let the time since the last call bring its tokens; a clock that goes back brings none."""
        if self._filled_at_s is None:
            self._filled_at_s = now_s
        new = max(0.0, now_s - self._filled_at_s) * self._per_s
        self._filled_at_s = max(now_s, self._filled_at_s)
        kept, opened = self._kept + new / 2, self._open + new / 2
        spilt_kept, spilt_open = max(0.0, kept - self._holds), max(0.0, opened - self._holds)
        self._kept = min(self._holds, kept + spilt_open)
        self._open = min(self._holds, opened + spilt_kept)

    def take(self, *, favoured: bool) -> bool:
        """Take a token: of the kept ones if it may, else of the open ones."""
        if favoured and self.take_kept():
            return True
        if self._open < _WHOLE_TOKEN:
            return False
        self._open -= 1.0
        return True

    def take_kept(self) -> bool:
        """Take a kept token."""
        if self._kept < _WHOLE_TOKEN:
            return False
        self._kept -= 1.0
        return True

    def give_back(self, *, favoured: bool) -> None:
        """Undo a take."""
        if favoured:
            self._kept += 1.0
        else:
            self._open += 1.0

    def next_token_s(self, *, favoured: bool) -> float:
        """When the next token comes at the latest, as seen from the last `fill`."""
        after_s = self._full_after_s(self._open, self._kept)
        if favoured:
            after_s = min(after_s, self._full_after_s(self._kept, self._open))
        return (self._filled_at_s or 0.0) + after_s

    def _full_after_s(self, own: float, other: float) -> float:
        rate = self._per_s if other >= self._holds else self._per_s / 2
        return max(0.0, 1.0 - own) / rate


def _key(pdu: ReceivedPdu) -> _Key:
    """What tells one message from another: its octets, where it came from and by which carrier."""
    return pdu.via.carrier, pdu.via.address, pdu.src_l2, pdu.lcid, hashlib.sha256(pdu.data).digest()
