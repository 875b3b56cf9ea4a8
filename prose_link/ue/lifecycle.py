"""The lifecycle of a UE: when it calls its peers, releases their links, and switches itself off.

After power-on the UE calls its peers. When the planned traffic over a link is done, the link is released after a short
time for the last answers. When no link and no group is left, the UE waits for its lingering time and switches off. A
synchronisation reference stays on while other UEs need its timing. A UE that is asked to leave releases all links
first, within a bounded time. The first reason to stop is the one that is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prose_link.config.traffic import TrafficSection
from prose_link.config.ue import UeConfig
from prose_link.pc5s.core import events as link_events
from prose_link.ue.caller import Caller

LAST_WORDS_S = 0.5
"""Time between the end of the traffic and the release, in which the last answers are sent and may be repeated."""


class Lifecycle:
    """Follows the links of a UE from the first call to the last release; no clock.

    Args:
        config: the peers to call, when to release, and how long to stay.
        traffic_with: the traffic over the link with a peer.
    """

    def __init__(self, config: UeConfig, traffic_with: Callable[[str], TrafficSection]) -> None:
        self.caller = Caller(config.link)
        self._config = config
        self._traffic_with = traffic_with
        self._releases: dict[str, float] = {}
        self._stop_at_s: float | None = None
        self._stop_why = ""
        self._heard_at_s = 0.0
        self._heard_anything_at_s: float | None = None
        self._leave_by_s: float | None = None
        self._leave_why = ""

    @property
    def is_leaving(self) -> bool:
        """Whether the UE releases its links and switches off as soon as they are."""
        return self._leave_by_s is not None

    @property
    def is_stopping(self) -> bool:
        """Whether the UE makes no more calls, since it is about to switch off."""
        return self._stop_at_s is not None or self.is_leaving

    def heard_anything(self, now_s: float) -> None:
        """Note any signal of another UE: a synchronisation signal, a discovery message, a block of data."""
        self._heard_anything_at_s = now_s

    def heard_others(self, now_s: float) -> None:
        """Another UE is on the air: it may need a reference."""
        self._heard_at_s = now_s

    def follow(self, event: link_events.Event, now_s: float, *, others_left: bool) -> None:
        """Continue after an event of a link; `others_left` says whether there is another link or a group."""
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
        """The planned traffic over a link is done: release the link after the last answers, if configured."""
        if self._traffic_with(peer).release_when_done:
            self._releases[peer] = now_s + LAST_WORDS_S

    def take_due_releases(self, now_s: float) -> Iterator[str]:
        """Peers whose links are to be released now, each returned once; none if the UE is leaving."""
        due = [] if self.is_leaving else [peer for peer, at_s in self._releases.items() if now_s >= at_s]
        for peer in due:
            del self._releases[peer]
            yield peer

    def stop(self, why: str, at_s: float) -> None:
        """Switch off at a moment; the first reason counts."""
        if self._stop_at_s is None:
            self._stop_at_s, self._stop_why = at_s, why

    def stop_when_idle(self, why: str, now_s: float) -> None:
        """Switch off after the lingering time of the configuration."""
        self.stop(why, now_s + self._config.traffic.linger_s)

    def leave(self, why: str, by_s: float) -> None:
        """Switch off once every link is released, at the latest at a moment."""
        self._leave_by_s, self._leave_why = by_s, why

    def reason_to_be_off(self, now_s: float, *, releasing: bool = False) -> str:
        """The reason to switch off now, empty if there is none; `releasing` is whether a Release awaits its Accept."""
        if self._leave_by_s is not None and (not releasing or now_s >= self._leave_by_s):
            return self._leave_why
        if self._stop_at_s is not None and now_s >= max(self._stop_at_s, self._needed_until_s):
            return self._stop_why
        if now_s >= self._config.stop_after_s:
            return f"its {self._config.stop_after_s:.0f} s are over"
        alone_s = self._config.stop_when_alone_s
        if alone_s and self._heard_anything_at_s is not None and now_s - self._heard_anything_at_s >= alone_s:
            return f"it has heard no other UE for {alone_s:g} s"
        return ""

    def _end_with(self, peer: str, why: str, now_s: float, *, others_left: bool) -> None:
        """A peer is done; the UE switches off once all are done and nothing is left.

        A UE in a group stays on until the group's plan is done.
        """
        self.caller.over(peer)
        if self.caller.done and not others_left:
            self.stop_when_idle(why, now_s)

    @property
    def _needed_until_s(self) -> float:
        """The end of the time in which a reference is needed: while other UEs are heard, if configured."""
        stay_s = self._config.sync.stay_for_others_s
        return self._heard_at_s + stay_s if stay_s else 0.0
