"""The budget of signature verifications, and the choice of the message that gets the next one (PROFILE 2, *verify*).

Any sender can put requests on the air, in any name and from any layer-2 id, and only a verification tells good ones
from bad ones. So the budget bounds the work, and the choice of the next message decides whether honest ones get
through:

* While there are tokens and no message waits, a message gets one at once. The default rate is above what a pool can
  carry.
* Else the message waits, for a short time and in a bounded room. Messages leave the room in random order, never in the
  order of arrival: an attacker that is always faster gains nothing.
* Half of the tokens are kept for messages that came before with T4100's spacing, octet for octet, and for signers that
  were verified before. Among these the message that has come most often is first. An attacker can repeat its messages
  too, but each message gets one verification only: for the n-th repetition it has to spend n transmissions on each
  message. So an honest sender is ahead of it before its last transmission.
* Tokens that the kept half can't use go to the other half, and the other way round.

A message whose verification failed gets no second one. This excludes no honest sender: the octets are the same, with
the signature, so the result is the same too. The source of a message on the air counts neither for nor against it,
since all sources can be forged. On a carrier that knows its sources each source has a bucket of its own.

Nothing here reads a clock. A draw takes randomness only if there is more than one message to draw from.
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
"""Most messages that wait for a token at one time (P)."""
LONGEST_WAIT_S: Final = 0.5
"""Longest wait of a message; its sender repeats it after about this time (P)."""
SEEN_KEPT: Final = 8192
"""Most messages remembered, to recognise repetitions: more than any pool carries in a second (P)."""
SEEN_FOR_S: Final = 30.0
"""Time for which a message is remembered after it last came (P)."""
SIGNERS_KEPT: Final = 256
"""Signers verified before that are remembered (P)."""
_Key: TypeAlias = tuple[str, Hashable, int, int, bytes]
_WHOLE_TOKEN: Final = 1.0 - 1e-6
"""One token, less the error of rounding."""


TOO_MANY: Final = "too many requests to verify"
"""The reason why a message was not verified."""
SAME_OCTETS: Final = "the same octets came before and did not verify"
"""The reason for which a signature counts as bad without a verification."""


class Waits(Enum):
    """The message waits for its verification; the entity processes it again when there is a token for it."""

    WAITS = "waits for its verification"


class Admission(Enum):
    """The decision about a message that needs a verification."""

    GRANTED = "a token was taken: verify now"
    WAITS = "it waits for a token, and is handed back when it has one"
    REFUSED = "its source has had its share"
    FAILED_BEFORE = "these very octets did not verify"


@dataclass(slots=True, kw_only=True)
class _Seen:
    """A message, by its octets: when it last came with T4100's spacing, how often, and whether it had its token."""

    came_at_s: float
    comings: int = 1
    spent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A message that waits, and the signer that it names."""

    pdu: ReceivedPdu
    signer: str
    until_s: float


class VerifyBudget:
    """Tokens for verifications, and the messages that wait for one.

    The owner verifies a message when `ask` grants it, reports a good one by `verified`, and processes again each
    message that `draw` returns.
    """

    def __init__(self, random_bytes: Callable[[int], bytes], *, per_s: float, spacing_s: float) -> None:
        """`spacing_s`: least time between two copies of a message that count as its sender's repetition.

        Raises VerifyBudgetError for an impossible rate.
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
        """The waiting messages that may use the kept tokens."""
        self._lapsed: list[Waiting] = []
        self._signers: OrderedDict[str, None] = OrderedDict()
        self._granted: tuple[_Key, bool] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, pdu: ReceivedPdu, signer: str, now_s: float, *, is_proven: bool = False) -> Admission:
        """Whether a message may be verified now. All checks that cost less have been made before.

        `is_proven`: a cheap check has shown that not every sender can make this message: it gets precedence.
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
        """Note that a message is genuine: its signature has verified."""
        key = _key(pdu)
        if key not in self._waiting:
            self._seen.pop(key, None)
        self._signers[signer] = None
        self._signers.move_to_end(signer)
        if len(self._signers) > SIGNERS_KEPT:
            self._signers.popitem(last=False)

    def draw(self, now_s: float) -> ReceivedPdu | None:
        """The next message that gets a token; None while there is no token or no message waits. `ask` then grants it.

        If the message fails an earlier check this time and does not call `ask`, its token is given back.
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
        """The time when `draw` may return a message, or a message has waited long enough; None if none waits."""
        if not self._waiting:
            return None
        lapses_s = next(iter(self._waiting.values())).until_s
        return min(lapses_s, self._tokens.next_token_s(favoured=bool(self._favoured)))

    def take_lapsed(self) -> list[Waiting]:
        """Messages that got no token in time, or made room for others."""
        lapsed, self._lapsed = self._lapsed, []
        return lapsed

    def wipe(self) -> None:
        """Drop all waiting messages."""
        self._waiting.clear()
        self._favoured.clear()
        self._lapsed.clear()
        self._granted = None

    def _source_has_token(self, pdu: ReceivedPdu, now_s: float) -> bool:
        """Take a token of the message's source, if its carrier knows sources."""
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
        """Forget the message that came longest ago, except waiting ones: `draw` needs their counts."""
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
    """An impossible rate of verifications."""


def check_rate(per_s: float) -> None:
    """Raise VerifyBudgetError for an impossible rate."""
    if not MIN_VERIFY_PER_S <= per_s <= MAX_VERIFY_PER_S:
        raise VerifyBudgetError(
            f"verify_per_s = {per_s!r} is not from {MIN_VERIFY_PER_S:g} to {MAX_VERIFY_PER_S:g} verifications a second"
        )


class _HalvedTokens:
    """Two buckets that each fill at half the rate and hold half a second of tokens.

    Tokens that do not fit into one bucket go to the other. Both are full at the start.
    """

    __slots__ = ("_filled_at_s", "_holds", "_kept", "_open", "_per_s")

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._holds = max(1.0, per_s / 2)
        self._kept = self._open = self._holds
        self._filled_at_s: float | None = None

    def fill(self, now_s: float) -> None:
        """Add the tokens of the time since the last call; a clock that goes back brings none."""
        if self._filled_at_s is None:
            self._filled_at_s = now_s
        new = max(0.0, now_s - self._filled_at_s) * self._per_s
        self._filled_at_s = max(now_s, self._filled_at_s)
        kept, opened = self._kept + new / 2, self._open + new / 2
        spilt_kept, spilt_open = max(0.0, kept - self._holds), max(0.0, opened - self._holds)
        self._kept = min(self._holds, kept + spilt_open)
        self._open = min(self._holds, opened + spilt_kept)

    def take(self, *, favoured: bool) -> bool:
        """Take a token: a kept one if the caller may use it, else an open one."""
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
        """The latest time of the next token, counted from the last `fill`."""
        after_s = self._full_after_s(self._open, self._kept)
        if favoured:
            after_s = min(after_s, self._full_after_s(self._kept, self._open))
        return (self._filled_at_s or 0.0) + after_s

    def _full_after_s(self, own: float, other: float) -> float:
        rate = self._per_s if other >= self._holds else self._per_s / 2
        return max(0.0, 1.0 - own) / rate


def _key(pdu: ReceivedPdu) -> _Key:
    """The key by which a message is recognised: its octets, its source and its carrier."""
    return pdu.via.carrier, pdu.via.address, pdu.src_l2, pdu.lcid, hashlib.sha256(pdu.data).digest()
