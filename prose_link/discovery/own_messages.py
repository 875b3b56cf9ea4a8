"""The messages that a UE sends: announcements in every period, questions in rounds, answers a few times.

With their keys. Each kind has a list of bounded size. An announcement stays in its list until its validity ends or the
owner stops it. A question is sent in a round of a few periods; while no received message answers it, a new round begins
after its interval. An answer is sent a few times and then dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from prose_link.discovery.codec import DiscoveryFormatError, encode_content
from prose_link.discovery.key_periods import KeyPeriods
from prose_link.discovery.messages import DiscoveryMessage
from prose_link.instant import Instant

MAX_OWN_MESSAGES: Final = 16
SOLICITATIONS: Final = 4
"""Transmissions of a solicitation or query in one round."""
RESPONSES: Final = 2
"""Transmissions of a response."""


@dataclass(slots=True, kw_only=True)
class _Announcement:
    keys: KeyPeriods
    valid_until_utc_s: float | None


@dataclass(slots=True, kw_only=True)
class _Question:
    keys: KeyPeriods
    every_s: float
    answered_by: Callable[[DiscoveryMessage], bool]
    valid_until_utc_s: float | None
    due_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class _Limited:
    keys: KeyPeriods
    times: int


class OwnMessages:
    """The lists of own messages: at most MAX_OWN_MESSAGES of each kind."""

    def __init__(self) -> None:
        self._announced: dict[DiscoveryMessage, _Announcement] = {}
        self._questions: dict[DiscoveryMessage, _Question] = {}
        self._limited: dict[DiscoveryMessage, _Limited] = {}

    @property
    def announced(self) -> tuple[DiscoveryMessage, ...]:
        """The messages of every period."""
        return tuple(self._announced)

    @property
    def limited(self) -> tuple[DiscoveryMessage, ...]:
        """The solicitations, queries and answers to send now."""
        return tuple(self._limited)

    @property
    def asks(self) -> bool:
        """Whether a question waits for answers."""
        return bool(self._questions)

    def announce(self, message: DiscoveryMessage, keys: KeyPeriods, valid_until_utc_s: float | None) -> None:
        """Add an announcement. Raises DiscoveryFormatError."""
        encode_content(message)
        if len(self._announced) >= MAX_OWN_MESSAGES:
            raise DiscoveryFormatError(f"more than {MAX_OWN_MESSAGES} announcements")
        self._announced[message] = _Announcement(keys=keys, valid_until_utc_s=valid_until_utc_s)

    def ask(
        self,
        message: DiscoveryMessage,
        keys: KeyPeriods,
        every_s: float,
        answered_by: Callable[[DiscoveryMessage], bool],
        valid_until_utc_s: float | None,
    ) -> None:
        """Add a question. Raises DiscoveryFormatError."""
        encode_content(message)
        if len(self._questions) >= MAX_OWN_MESSAGES:
            raise DiscoveryFormatError(f"more than {MAX_OWN_MESSAGES} questions")
        self._questions[message] = _Question(
            keys=keys, every_s=every_s, answered_by=answered_by, valid_until_utc_s=valid_until_utc_s
        )

    def send_few(self, message: DiscoveryMessage, keys: KeyPeriods, times: int) -> bool:
        """Send a message `times` times. Returns False if there is no room for it."""
        if message not in self._limited and len(self._limited) >= MAX_OWN_MESSAGES:
            return False
        self._limited[message] = _Limited(keys=keys, times=times)
        return True

    @property
    def standing(self) -> tuple[DiscoveryMessage, ...]:
        """The announcements and questions that stay until they are stopped."""
        return (*self._announced, *self._questions)

    def replace_keys(self, keys: Mapping[DiscoveryMessage, KeyPeriods]) -> None:
        """Use other keys; an answer that is being sent keeps the keys of its question."""
        for message, periods in keys.items():
            for own in (self._announced, self._questions, self._limited):
                if message in own:
                    own[message].keys = periods

    def stop(self, message: DiscoveryMessage) -> None:
        """Stop announcing or asking a message."""
        self._announced.pop(message, None)
        self._questions.pop(message, None)

    def end_validity(self, utc_s: float) -> list[DiscoveryMessage]:
        """Remove the messages whose validity is over, and return them."""
        ended = [
            message
            for own in (self._announced, self._questions)
            for message, one in own.items()
            if one.valid_until_utc_s is not None and utc_s >= one.valid_until_utc_s
        ]
        for message in ended:
            self.stop(message)
            self._limited.pop(message, None)
        return ended

    def ask_again(self, heard: Iterable[DiscoveryMessage], now: Instant) -> None:
        """Begin a round of every question that is due and not answered."""
        present = list(heard)
        for message, question in self._questions.items():
            if now.mono_s >= question.due_s and not any(question.answered_by(one) for one in present):
                question.due_s = now.mono_s + question.every_s
                self.send_few(message, question.keys, SOLICITATIONS)

    def keys_of(self, message: DiscoveryMessage) -> KeyPeriods:
        """The keys of a message that is to be sent."""
        own: _Limited | _Announcement = self._limited.get(message) or self._announced[message]
        return own.keys

    def count_sent(self, message: DiscoveryMessage) -> None:
        """Note a transmission."""
        limited = self._limited.get(message)
        if limited is not None:
            limited.times -= 1
            if limited.times <= 0:
                del self._limited[message]
