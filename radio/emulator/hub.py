"""The hub: UE processes joined through the air in lock-step virtual time, over ZeroMQ.

Virtual time starts when every UE of the scenario has joined and advances as far as their transmissions are complete;
where UEs come and go it starts with the first, and stands still while there is no UE. The hub reads messages (bursts
and declarations), mixes every block that can be mixed, and pushes each UE its samples. It never waits for one UE in
particular, and it says which UEs it waits for once that has lasted.

The hub has to distinguish a UE that is gone from one that is slow. When the socket's monitor sees a connection end
(ZeroMQ heartbeats end those of peers that hang), the hub sends to every UE: a send to one that is gone fails at once.
The hub first reads what that UE had sent before, so that a proper LEAVE is not taken for a loss. Then the scenario
decides: the run stops, or it continues without that UE.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import zmq
from zmq.utils.monitor import recv_monitor_message

from radio.emulator.air import Air, TransmissionTooLate
from radio.emulator.endpoint import bind
from radio.emulator.events import (
    AirEnded,
    AirStarted,
    HubEvent,
    UeBackInReach,
    UeJoined,
    UeLeft,
    UeLost,
    UeOutOfReach,
    UeRefused,
    WaitingFor,
)
from radio.emulator.wire import (
    HEARTBEAT_INTERVAL_MS,
    HEARTBEAT_TIMEOUT_MS,
    Header,
    Kind,
    WireError,
    decode_fields,
    encode_fields,
    samples_of,
)
from radio.errors import HARDWARE, TIMEOUT, RadioError

_NAMED_AFTER_S = 2.0
_POLL_MS = 100
_GOODBYE_LINGER_MS = 200
_MAX_MESSAGES_IN_A_ROW = 64


class HubError(RadioError):
    """The hub can't continue."""


class JoinTimeout(HubError):
    """A UE of the scenario did not join in time."""

    exit_code: ClassVar[int] = TIMEOUT


class StallTimeout(HubError):
    """A UE that is alive stopped reading."""

    exit_code: ClassVar[int] = TIMEOUT


class UeLostError(HubError):
    """A UE was lost, and the scenario stops the run then."""

    exit_code: ClassVar[int] = HARDWARE


@dataclass(slots=True)
class _Peer:
    route: bytes
    sent: int = 0
    received: int = 0
    gone: bool = False
    """Whether it can't be reached any more; its last messages may still have to be read."""


class Hub:
    """One run of a scenario on a bound endpoint. Use as a context manager.

    The class is longer than most: joining, credits, mixing and the end of a run share the state of each UE.
    """

    def __init__(
        self,
        air: Air,
        endpoint: str,
        *,
        on_event: Callable[[HubEvent], None] = lambda _: None,
        join_timeout_s: float = 30.0,
        stall_timeout_s: float = 60.0,
    ) -> None:
        """Bind the endpoint (`ipc://path`, `tcp://host:port`, port `*` for a free one); raises EndpointBusy."""
        self._air = air
        self._on_event = on_event
        self._join_timeout_s = join_timeout_s
        self._stall_timeout_s = stall_timeout_s
        self._names = tuple(ue.name for ue in air.scenario.ues)
        self._peers: dict[str, _Peer] = {}
        self._routes: dict[bytes, str] = {}
        self._seen: set[str] = set()
        self._started = False
        self._away: frozenset[str] = frozenset()
        self._mixing_s = 0.0
        self._waiting_since = self._started_at = time.monotonic()
        self._named_at = self._waiting_since
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.SNDHWM, 16 * air.scenario.tx_lead_blocks)
        self._socket.setsockopt(zmq.RCVHWM, 64 * air.scenario.tx_lead_blocks)
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_INTERVAL_MS)
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        self.endpoint = ""
        try:
            self.endpoint = bind(self._socket, endpoint)
        except RadioError:
            self.close()
            raise

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Unbind and forget all UEs, at once."""
        if self._socket.closed:
            return
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._socket.close(linger=_GOODBYE_LINGER_MS)
        self._context.term()
        if self.endpoint.startswith("ipc://"):
            Path(self.endpoint.removeprefix("ipc://")).unlink(missing_ok=True)
        self._air.close()

    def serve(self, stopped: Callable[[], bool]) -> str:
        """Run until all UEs have left (not where UEs come and go) or `stopped()`; return why it ended.

        Raises JoinTimeout, StallTimeout, UeLostError.
        """
        self._started_at = time.monotonic()
        self._note_progress()
        scenario = self._air.scenario
        if scenario.come_and_go:
            for name in self._names:
                self._air.switch_off(name)
        why = "the hub failed"
        try:
            while not stopped():
                self._take_messages(0 if self._may_mix() else _POLL_MS)
                if self._started and not self._peers and not scenario.come_and_go:
                    why = "every UE has left"
                    break
                if self._may_mix():
                    self._mix()
                else:
                    self._watch_the_wait()
            else:
                why = "the hub was stopped"
        except HubError as error:
            why = str(error)
            raise
        finally:
            self._end(why)
        return why

    def _may_mix(self) -> bool:
        return self._started and bool(self._peers) and not self._air.waiting_for()

    def _mix(self) -> None:
        self._tell_reach()
        began = time.thread_time()
        for block in self._air.mix():
            self._send(block.ue, Kind.IQ, block.iq, n_samples=len(block.iq), sample=block.first_sample)
        self._mixing_s += time.thread_time() - began
        self._note_progress()

    def _tell_reach(self) -> None:
        """Say which UEs go out of reach with the next block, or come back."""
        away, hub_block = self._air.out_of_reach, self._air.next_block
        for name in sorted(away - self._away):
            self._on_event(UeOutOfReach(ue=name, hub_block=hub_block))
        for name in sorted(self._away - away):
            self._on_event(UeBackInReach(ue=name, hub_block=hub_block))
        self._away = away

    def _note_progress(self) -> None:
        self._waiting_since = self._named_at = time.monotonic()

    def _watch_the_wait(self) -> None:
        if self._air.scenario.come_and_go and not self._peers:
            self._note_progress()
            return
        now = time.monotonic()
        waited_s = now - self._waiting_since
        late = self._air.waiting_for() if self._started else tuple(n for n in self._names if n not in self._peers)
        if now - self._named_at >= _NAMED_AFTER_S:
            self._named_at = now
            self._on_event(WaitingFor(ues=late, hub_block=self._air.next_block, waited_s=round(waited_s, 1)))
            for name in tuple(self._peers):
                self._send(name, Kind.NOTICE, encode_fields({"waiting_for": late}))
        if not self._started and waited_s > self._join_timeout_s:
            raise JoinTimeout(f"waited {waited_s:.0f} s for {', '.join(late)} to join; have they been started?")
        if self._started and waited_s > self._stall_timeout_s:
            if self._air.scenario.come_and_go:
                for name in late:
                    self._lose(name, f"it stood still for {waited_s:.0f} s")
                return
            raise StallTimeout(f"{', '.join(late)} stopped reading: no progress for {waited_s:.0f} s")

    def _take_messages(self, timeout_ms: int) -> None:
        ready = dict(self._poller.poll(timeout_ms))
        if self._socket in ready:
            for _ in range(_MAX_MESSAGES_IN_A_ROW):
                if not self._take_message():
                    break
        if self._monitor in ready:
            recv_monitor_message(self._monitor)
            for name in tuple(self._peers):
                self._send(name, Kind.NOTICE, encode_fields({}))
        if any(peer.gone for peer in self._peers.values()):
            self._declare_lost()

    def _take_message(self) -> bool:
        try:
            frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        self._take(bytes(frames[0].buffer), frames[1:])
        return True

    def _declare_lost(self) -> None:
        """Read what every UE has sent, then declare those lost that are gone without a LEAVE."""
        while self._take_message():
            pass
        for name in tuple(name for name, peer in self._peers.items() if peer.gone):
            self._lose(name, "its process died or hangs")

    def _take(self, route: bytes, frames: list[Any]) -> None:
        name = self._routes.get(route)
        try:
            header, payload = _header_and_payload(frames)
            if header.kind is Kind.JOIN:
                self._join(route, decode_fields(payload))
            elif name is not None:
                self._take_from(name, header, payload)
        except (WireError, TransmissionTooLate) as error:
            if name is not None:
                self._lose(name, f"it broke the protocol: {error}")

    def _take_from(self, name: str, header: Header, payload: memoryview) -> None:
        peer = self._peers[name]
        peer.received += 1
        if header.sequence != peer.received:
            raise WireError(f"message {header.sequence} came where {peer.received} was due")
        if header.kind is Kind.IQ:
            self._air.write(name, header.sample, samples_of(header, payload))
        elif header.kind is Kind.CREDIT:
            self._air.declare_complete(name, header.sample)
        elif header.kind is Kind.LEAVE:
            self._drop(name)
            self._on_event(UeLeft(ue=name, hub_block=self._air.next_block))
        else:
            raise WireError(f"a UE doesn't send {header.kind.name}")

    def _join(self, route: bytes, fields: dict[str, Any]) -> None:
        name, rate = str(fields.get("ue")), fields.get("sample_rate_hz")
        scenario = self._air.scenario
        why = None
        if name not in self._names:
            why = f"scenario {scenario.name!r} has no UE {name!r}; it has {', '.join(self._names)}"
        elif name in self._peers:
            why = f"{name!r} has already joined"
        elif rate not in (None, scenario.sample_rate_hz):
            why = f"{name!r} wants {rate} samples/s, the scenario runs at {scenario.sample_rate_hz}"
        if why is not None:
            self._on_event(UeRefused(ue=name, why=why))
            self._deliver(route, Header(kind=Kind.REFUSED, sequence=0), encode_fields({"why": why}))
            return
        again = name in self._seen
        if again or scenario.come_and_go:
            self._air.switch_on(name)
        self._peers[name] = _Peer(route)
        self._routes[route] = name
        self._seen.add(name)
        radio = scenario.ue(name)
        welcome = {
            "sample_rate_hz": scenario.sample_rate_hz,
            "block_samples": scenario.block_samples,
            "tx_lead_blocks": scenario.tx_lead_blocks,
            "tx_power_dbm": radio.tx_power_dbm,
            "rx_reference_dbm": scenario.rx_reference_dbm(radio),
        }
        self._send(name, Kind.WELCOME, encode_fields(welcome))
        self._on_event(UeJoined(ue=name, again=again))
        self._note_progress()
        if not self._started and (scenario.come_and_go or len(self._peers) == len(self._names)):
            self._started = True
            self._on_event(AirStarted())

    def _send(self, name: str, kind: Kind, payload: Any, *, n_samples: int = 0, sample: int = 0) -> None:
        peer = self._peers.get(name)
        if peer is None or peer.gone:
            return
        peer.sent += 1
        header = Header(kind=kind, sequence=peer.sent, n_samples=n_samples, sample=sample)
        peer.gone = not self._deliver(peer.route, header, payload)

    def _deliver(self, route: bytes, header: Header, payload: Any) -> bool:
        try:
            self._socket.send_multipart([route, header.encode(), payload], zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        return True

    def _drop(self, name: str) -> None:
        del self._routes[self._peers.pop(name).route]
        if self._started:
            self._air.switch_off(name)
        else:
            self._air.switch_on(name)
            self._seen.discard(name)
        self._note_progress()

    def _lose(self, name: str, why: str) -> None:
        self._drop(name)
        self._on_event(UeLost(ue=name, hub_block=self._air.next_block, why=why))
        if self._started and self._air.scenario.on_loss == "stop":
            raise UeLostError(f"{name} was lost: {why}")

    def _end(self, why: str) -> None:
        for peer in self._peers.values():
            peer.sent += 1
            self._deliver(peer.route, Header(kind=Kind.END, sequence=peer.sent), encode_fields({"why": why}))
        self._on_event(
            AirEnded(
                why=why,
                hub_blocks=self._air.next_block,
                wall_s=round(time.monotonic() - self._started_at, 3),
                mixing_s=round(self._mixing_s, 3),
            )
        )


def _header_and_payload(frames: list[Any]) -> tuple[Header, memoryview]:
    """A message behind its route; raises WireError."""
    if len(frames) != 2:
        raise WireError(f"a message of {len(frames)} frames instead of 2")
    return Header.decode(bytes(frames[0].buffer)), frames[1].buffer
