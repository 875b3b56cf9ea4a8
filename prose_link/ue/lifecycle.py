"""When a UE calls its peers, releases their links, and switches itself off."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prose_link.config.traffic import TrafficSection
from prose_link.config.ue import UeConfig
from prose_link.pc5s.core import events as link_events
from prose_link.ue.caller import Caller

LAST_WORDS_S = 0.5
"""Between the end of the traffic and the release: time for the last answers to go out, and to be asked for again."""


class Lifecycle:
    """Follows the links of a UE from the first call to the last release; no clock.

    Args:
        config: whom to call, when to release, and how long to stay.
        traffic_with: what is done over the link with a peer.
    """

    def __init__(self, config: UeConfig, traffic_with: Callable[[str], TrafficSection]) -> None:
        self.caller = Caller(config.link)
        self._config = config
        self._traffic_with = traffic_with
        self._releases: dict[str, float] = {}
        self._stop_at_s: float | None = None
        self._stop_why = ""
        self._heard_at_s = 0.0

    @property
    def is_stopping(self) -> bool:
        """Whether the UE makes no more calls, since it is about to switch off."""
        return self._stop_at_s is not None

    def heard_others(self, now_s: float) -> None:
        """Somebody else is on the air: a reference may be needed."""
        self._heard_at_s = now_s

    def follow(self, event: link_events.Event, now_s: float, *, others_left: bool) -> None:
        """Go on from what became of a link; `others_left` tells whether there is a link or a group beside it."""
        match event:
            case link_events.LinkEstablished(peer=peer):
                self.caller.linked(peer)
            case link_events.LinkReleased(peer=peer, agreed=agreed):
                self._releases.pop(peer, None)
                if agreed:
                    self._end_with(peer, "the link is released", now_s, others_left=others_left)
                else:
                    self.caller.link_lost(peer)
            case link_events.RequestYielded(peer=peer):
                self.caller.call_failed(peer, now_s)
            case link_events.LinkFailed(peer=peer, why=why):
                self.caller.call_failed(peer, now_s)
                if self._config.traffic.stop_when_refused:
                    self._end_with(peer, f"no link: {why}", now_s, others_left=others_left)

    def traffic_done(self, peer: str, now_s: float) -> None:
        """What was planned over a link is done: it is released after the last words, where that was asked for."""
        if self._traffic_with(peer).release_when_done:
            self._releases[peer] = now_s + LAST_WORDS_S

    def take_due_releases(self, now_s: float) -> Iterator[str]:
        """Peers whose links are to be released now, each named once."""
        for peer in [peer for peer, at_s in self._releases.items() if now_s >= at_s]:
            del self._releases[peer]
            yield peer

    def stop(self, why: str, at_s: float) -> None:
        """Switch off at a moment; the first reason stands."""
        if self._stop_at_s is None:
            self._stop_at_s, self._stop_why = at_s, why

    def stop_when_idle(self, why: str, now_s: float) -> None:
        """Switch off after the lingering time of the configuration."""
        self.stop(why, now_s + self._config.traffic.linger_s)

    def reason_to_be_off(self, now_s: float) -> str:
        """Why the UE switches off now; empty while it goes on."""
        if self._stop_at_s is not None and now_s >= max(self._stop_at_s, self._needed_until_s):
            return self._stop_why
        if now_s >= self._config.stop_after_s:
            return f"its {self._config.stop_after_s:.0f} s are over"
        return ""

    def _end_with(self, peer: str, why: str, now_s: float, *, others_left: bool) -> None:
        """There is nothing more to do with a peer; the UE switches off once that is so with all, and nothing is left.

        A UE in a group goes on until the group's plan is done.
        """
        self.caller.over(peer)
        if self.caller.done and not others_left:
            self.stop_when_idle(why, now_s)

    @property
    def _needed_until_s(self) -> float:
        """A reference is needed as long as others are heard, where it was told to mind them."""
        stay_s = self._config.sync.stay_for_others_s
        return self._heard_at_s + stay_s if stay_s else 0.0
