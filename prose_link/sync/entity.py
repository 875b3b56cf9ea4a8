"""The synchronisation entity of a UE out of coverage: listens, follows, relays, becomes the reference; no clock.

Its inputs are the detections of the PHY, its outputs are orders to the PHY. A UE is in one of three states (TS 36.331
5.10.7, 5.10.8):

* Listening: it follows no source and transmits no SLSS. It collects sources for some SLSS periods and follows the best
  one by the rules of `sync.rules`. If it hears none until its time is over, it becomes the reference.
* Following: it takes its timing from a SyncRef, and relays it by SLSS of its own where the SyncRef is heard weakly.
* Reference: it has timing of its own.

In the last two states it searches for a better source in one SLSS period from time to time. UEs that follow each other,
directly or through others, are an island; two islands that touch merge when a UE between them moves, and others follow
it.

The procedure has to exclude circles: a UE that follows a source which follows that UE. So a UE that loses its SyncRef
first listens in silence: the UEs that follow it lose it and fall silent too, and what is still heard on the same timing
after `listen_s` does not come back from the UE itself. And a source on the own timing with what the UE itself transmits
is never taken for a better one (`_is_of_own_island`). Listening and searching times are drawn at random, so that two
UEs in the same place seldom do the same thing at once.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from prose_link.instant import Instant
from prose_link.sync import rules
from prose_link.sync.broadcast import slss_tx
from prose_link.sync.candidates import Candidate, CandidateTable
from prose_link.sync.events import (
    BecomeReference,
    Follow,
    Scan,
    SlssStarted,
    SlssStopped,
    SyncAction,
    SyncEvent,
    SyncRefSelected,
    SyncRefTooWeak,
)
from prose_link.sync.rules import SyncParameters
from radio.phy.lte.channels.indications import Indication, MibReceived, SlssDetected, SyncLost
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.transmissions import SlssTx

MAX_QUEUED_EVENTS = 256
ECHO_S = 20e-6
"""Sources no further from the own timing may have it from this UE: there and back over 3 km."""
_MEASURED_PERIODS = 4
"""SLSS periods for which a listening UE collects before it chooses."""
_SCAN_MARGIN_SUBFRAMES = 2
_SCAN_LATENCY_S = 0.006
"""Time from the last subframe of a scan until its sources have been reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncTimes:
    """Waiting times of a UE, which the standard leaves to the implementation.

    A UE without SyncRef becomes one after `listen_s` to twice that; one that follows or is a reference searches one
    SLSS period about every `scan_every_s`.
    """

    listen_s: float = 1.0
    scan_every_s: float = 2.0


class SyncState(enum.Enum):
    """The source of this UE's timing."""

    LISTENING = "listening"
    FOLLOWING = "following"
    REFERENCE = "reference"


class SyncEntity:
    """One UE's synchronisation; a `SansIoEntity` from detections of the PHY to orders to the PHY.

    The class is longer than most: each of its three states takes a few methods, and all of them share the same table.
    """

    def __init__(
        self,
        parameters: SyncParameters,
        times: SyncTimes,
        rng: np.random.Generator,
        *,
        n_prb: int,
        rx_reference_dbm: float,
        sample_rate_hz: int,
    ) -> None:
        """A UE that has just been switched on; `rx_reference_dbm` is the input power of full scale."""
        self._parameters = parameters
        self._times = times
        self._rng = rng
        self._n_prb = n_prb
        self._rx_reference_dbm = rx_reference_dbm
        self._table = CandidateTable(
            rx_reference_dbm=rx_reference_dbm,
            filter_coefficient=parameters.filter_coefficient,
            sample_rate_hz=sample_rate_hz,
            period=parameters.period,
        )
        self._actions: deque[SyncAction] = deque(maxlen=MAX_QUEUED_EVENTS)
        self._events: deque[SyncEvent] = deque(maxlen=MAX_QUEUED_EVENTS)
        self._state = SyncState.LISTENING
        self._sync_ref: Candidate | None = None
        self._slss: tuple[int, int] | None = None
        self._own_id = -1
        self._own_offset = 0
        self._guard_until_s = 0.0
        self._listen_until_s = self._listening_time_s()
        self._scanning_since_s: float | None = None
        self._timer_s = self._measuring_s

    @property
    def state(self) -> SyncState:
        """What the UE does now: listen, follow, or be the reference."""
        return self._state

    @property
    def sync_ref(self) -> Candidate | None:
        """The UE that is followed."""
        return self._sync_ref

    def receive(self, indication: Indication, now: Instant) -> None:
        """Process an indication of the PHY; indications without synchronisation are ignored."""
        match indication:
            case SlssDetected():
                self._table.note(indication, now.mono_s)
            case MibReceived(n_sl_id=n_sl_id) if self._sync_ref is not None and n_sl_id == self._sync_ref.n_sl_id:
                self._measure(self._sync_ref, indication, now.mono_s)
            case SyncLost() if self._state is SyncState.FOLLOWING:
                self._listen(now.mono_s)

    def next_timer(self) -> float:
        """When `handle_timer` is due, on the clock of `Instant.mono_s`."""
        return self._timer_s

    def handle_timer(self, now: Instant) -> None:
        """Make the decisions that are due."""
        if now.mono_s < self._timer_s:
            return
        if self._state is SyncState.LISTENING:
            self._choose(now.mono_s)
        elif self._scanning_since_s is None:
            self._start_scan(now.mono_s)
        else:
            self._judge_scan(self._scanning_since_s, now.mono_s)

    def pdus_to_send(self, now: Instant) -> list[SyncAction]:  # noqa: ARG002
        """Return the orders to the PHY, in order. The signals themselves are the PHY's."""
        actions = list(self._actions)
        self._actions.clear()
        return actions

    def next_event(self) -> SyncEvent | None:
        """Return the oldest event."""
        return self._events.popleft() if self._events else None

    def transmission(self, subframe: int) -> SlssTx | None:
        """The SLSS and PSBCH due in a subframe.

        A UE with SyncRef copies the fields of its MIB-SL, except the numbers and inCoverage (TS 36.331 5.10.7.4).
        """
        if self._slss is None or subframe % self._parameters.period != self._slss[1]:
            return None
        if self._sync_ref is None:
            like = MibSl(bandwidth_prb=self._n_prb, dfn=0, subframe=0, in_coverage=False)
        else:
            like = replace(self._sync_ref.source.mib, in_coverage=False)
        return slss_tx(self._slss[0], subframe, like)

    # Listening.

    @property
    def _period_s(self) -> float:
        return self._parameters.period * 1e-3

    @property
    def _measuring_s(self) -> float:
        return _MEASURED_PERIODS * self._period_s

    def _listening_time_s(self) -> float:
        return self._times.listen_s * (1 + float(self._rng.random()))

    def _listen(self, now_s: float) -> None:
        """No source is followed any more: stay on the timing, transmit no SLSS, search without a pause."""
        self._state, self._sync_ref = SyncState.LISTENING, None
        self._table.clear()
        self._guard_until_s = now_s + self._times.listen_s
        self._listen_until_s = now_s + self._listening_time_s()
        self._timer_s = now_s + self._measuring_s
        self._actions.append(Scan(n_subframes=round(1e3 * (self._listen_until_s - now_s + self._measuring_s))))
        self._update_slss()

    def _choose(self, now_s: float) -> None:
        is_guarded = now_s < self._guard_until_s
        heard = self._table.heard_since(
            now_s - self._measuring_s - self._period_s, lambda source: not (is_guarded and _is_on_own_timing(source))
        )
        chosen = rules.select(heard, self._parameters)
        if chosen is not None:
            self._follow(chosen, now_s)
        elif now_s >= self._listen_until_s:
            self._become_reference(now_s)
        else:
            self._timer_s = min(now_s + self._measuring_s, self._listen_until_s)

    # Changing the source that the timing hangs on.

    def _follow(self, chosen: Candidate, now_s: float) -> None:
        left = -1 if self._sync_ref is None else self._sync_ref.n_sl_id
        self._state, self._sync_ref = SyncState.FOLLOWING, chosen
        self._own_id = rules.relayed_slss_id(chosen)
        self._table.clear()
        self._actions.append(Follow(source=chosen.source))
        self._events.append(
            SyncRefSelected(
                n_sl_id=chosen.n_sl_id,
                in_coverage=chosen.in_coverage,
                s_rsrp_dbm=chosen.s_rsrp_dbm,
                left_n_sl_id=left,
            )
        )
        self._await_scan(now_s)
        self._update_slss()

    def _become_reference(self, now_s: float) -> None:
        self._state, self._sync_ref = SyncState.REFERENCE, None
        self._own_id = rules.own_slss_id(float(self._rng.random()))
        self._own_offset = rules.own_offset(self._parameters.offset_indicators, float(self._rng.random()))
        self._actions.append(BecomeReference(n_sl_id=self._own_id))
        self._await_scan(now_s)
        self._update_slss()

    def _measure(self, sync_ref: Candidate, heard: MibReceived, now_s: float) -> None:
        measured_dbm = heard.s_rsrp_dbfs + self._rx_reference_dbm
        sync_ref.s_rsrp_dbm = rules.filtered(sync_ref.s_rsrp_dbm, measured_dbm, self._parameters.filter_coefficient)
        if rules.is_too_weak(sync_ref, self._parameters):
            self._events.append(SyncRefTooWeak(n_sl_id=sync_ref.n_sl_id, s_rsrp_dbm=sync_ref.s_rsrp_dbm))
            self._listen(now_s)
        else:
            self._update_slss()

    def _update_slss(self) -> None:
        """Decide whether this UE transmits SLSS, and emit an event if that changes."""
        due: tuple[int, int] | None = None
        if self._state is SyncState.REFERENCE:
            due = self._own_id, self._own_offset
        elif self._sync_ref is not None and rules.transmits_slss(self._sync_ref, self._parameters):
            offset = rules.relay_offset(
                self._parameters.offset_indicators, _number(self._sync_ref.source.mib) % self._parameters.period
            )
            due = None if offset is None else (self._own_id, offset)
        if due == self._slss:
            return
        if due is not None:
            self._events.append(SlssStarted(n_sl_id=due[0], offset_subframes=due[1]))
        elif self._slss is not None:
            self._events.append(SlssStopped(n_sl_id=self._slss[0]))
        self._slss = due

    # Searching beside following or being the reference.

    def _await_scan(self, now_s: float) -> None:
        self._scanning_since_s = None
        self._timer_s = now_s + self._times.scan_every_s * (0.75 + 0.5 * float(self._rng.random()))

    def _start_scan(self, now_s: float) -> None:
        n_subframes = self._parameters.period + _SCAN_MARGIN_SUBFRAMES
        self._scanning_since_s = now_s
        self._timer_s = now_s + n_subframes * 1e-3 + _SCAN_LATENCY_S
        self._actions.append(Scan(n_subframes=n_subframes))

    def _judge_scan(self, since_s: float, now_s: float) -> None:
        self._table.forget_before(now_s - 3 * self._times.scan_every_s)
        heard = self._table.heard_since(since_s, lambda source: not self._is_of_own_island(source))
        if self._sync_ref is None:
            better = rules.give_way(self._own_id, heard, self._parameters)
        else:
            better = rules.reselect(self._sync_ref, heard, self._parameters)
        if better is not None:
            self._follow(better, now_s)
        else:
            self._await_scan(now_s)

    def _is_of_own_island(self, source: SlssDetected) -> bool:
        """Whether a source is the one followed, or has this UE's timing and transmits the same as this UE.

        Such a source may follow this UE: to follow it would leave both without a source.
        """
        if not _is_on_own_timing(source):
            return False
        if source.n_sl_id == self._own_id:
            return True
        ref = self._sync_ref
        return (
            ref is not None and source.n_sl_id == ref.n_sl_id and self._offset_of(source) == self._offset_of(ref.source)
        )

    def _offset_of(self, source: SlssDetected) -> int:
        return _number(source.mib) % self._parameters.period


def _number(mib: MibSl) -> int:
    """10 * DFN + subframe of the subframe a MIB-SL came in."""
    return 10 * mib.dfn + mib.subframe


def _is_on_own_timing(source: SlssDetected) -> bool:
    return source.off_own_timing_s is not None and abs(source.off_own_timing_s) <= ECHO_S
