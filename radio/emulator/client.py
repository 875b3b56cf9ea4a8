"""A UE's radio in the RF emulator: the native client of the hub.

The client implements the port `TimedIqDevice` over a ZeroMQ socket. A read waits for samples that the hub pushes; a
write sends a burst. After each read it declares up to which sample the UE's bursts are complete (`lock_step`). The hub
continues on that declaration: it depends on the UE's own counters only, so that a run does not depend on the speed of
any process. While it waits the hub names the UEs that it waits for, and the client can name them in an error.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import zmq

from radio.arrays import Iq
from radio.devices.protocol import (
    AirKind,
    DeviceError,
    DeviceLost,
    DeviceStatus,
    DeviceTimeout,
    EndOfSamples,
    Stopped,
    never_stopped,
)
from radio.emulator.lock_step import LockStepClock
from radio.emulator.wire import (
    HEARTBEAT_INTERVAL_MS,
    HEARTBEAT_TIMEOUT_MS,
    MAX_SAMPLES,
    Header,
    Kind,
    WireError,
    decode_fields,
    encode_fields,
    samples_of,
)

_GOODBYE_LINGER_MS = 300

_ASK_IF_STOPPED_MS = 100
_MAX_AHEAD_BLOCKS = 256
"""A write further ahead than this would fill the hub's memory."""


class ZeroMqDevice:
    """One UE of a hub's scenario, joined on construction.

    Attributes besides the protocol's: `tx_power_dbm` is what mean |x|^2 = 1 sends, `rx_reference_dbm` the input power
    that mean |y|^2 = 1 stands for, `block_samples` the hub's block of 1 ms.
    """

    def __init__(
        self,
        endpoint: str,
        ue: str,
        *,
        sample_rate_hz: int | None = None,
        connect_timeout_s: float = 10.0,
        read_timeout_s: float = 90.0,
        stopped: Stopped = never_stopped,
    ) -> None:
        """Join the hub; raises DeviceTimeout when the hub does not answer, DeviceError when it refuses.

        `stopped` is asked while the radio waits (for the hub, for other UEs); once it says yes, what waits ends with
        EndOfSamples.
        """
        self.status = DeviceStatus()
        self._endpoint = endpoint
        self._ue = ue
        self._read_timeout_s = read_timeout_s
        self._stopped = stopped
        self._sent = 0
        self._received = 0
        self._waiting_for: tuple[str, ...] = ()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, 4 * _MAX_AHEAD_BLOCKS)
        self._socket.setsockopt(zmq.RCVHWM, _MAX_AHEAD_BLOCKS)
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_INTERVAL_MS)
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        try:
            welcome = self._join(sample_rate_hz, connect_timeout_s)
        except Exception:
            self._close_sockets()
            raise
        self._sample_rate_hz = int(welcome["sample_rate_hz"])
        self.block_samples = int(welcome["block_samples"])
        self.tx_power_dbm = float(welcome["tx_power_dbm"])
        self.rx_reference_dbm = float(welcome["rx_reference_dbm"])
        self._clock = LockStepClock(self.block_samples, int(welcome["tx_lead_blocks"]))
        self._declared = self._clock.complete_to
        self._declare()

    @property
    def sample_rate_hz(self) -> int:
        """Return the hub's nominal sample rate."""
        return self._sample_rate_hz

    @property
    def earliest_write_sample(self) -> int:
        """Return the first sample that can still be written (see `lock_step`)."""
        return self._clock.complete_to

    def read(self, n_samples: int) -> tuple[Iq, int]:
        """Return the next samples; see `TimedIqDevice.read`."""
        deadline = time.monotonic() + self._read_timeout_s
        clock = self._clock
        end = clock.position + n_samples
        reached = clock.position
        while True:
            available = min(end, clock.position + clock.n_buffered)
            reached = max(reached, min(available, end - 1))
            if clock.advance_to(reached) > self._declared:
                self._declared = clock.complete_to
                self._declare()
            if available >= end:
                return clock.pull(n_samples)
            self._receive_one(deadline)

    def write(self, iq: Iq, first_sample: int) -> None:
        """Send a burst; see `TimedIqDevice.write`. Raises DeviceError when it is absurdly far ahead."""
        clock = self._clock
        if first_sample < clock.complete_to:
            self.status.late += 1
            return
        if first_sample - clock.position > _MAX_AHEAD_BLOCKS * self.block_samples or len(iq) > MAX_SAMPLES:
            raise DeviceError(
                f"a burst of {len(iq)} samples at sample {first_sample} is too far ahead: "
                f"reading is at {clock.position}, at most {_MAX_AHEAD_BLOCKS} ms are held"
            )
        samples = np.ascontiguousarray(iq, dtype="<c8")
        self._send(Kind.IQ, samples.tobytes(), n_samples=len(samples), sample=first_sample)

    def close(self) -> None:
        """Say goodbye to the hub and leave."""
        if self._socket.closed:
            return
        with contextlib.suppress(DeviceLost):
            self._send(Kind.LEAVE, b"")
        self._socket.setsockopt(zmq.LINGER, _GOODBYE_LINGER_MS)
        self._close_sockets()

    def _close_sockets(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._socket.close()
        self._context.term()

    def _join(self, sample_rate_hz: int | None, timeout_s: float) -> dict[str, Any]:
        try:
            self._socket.connect(self._endpoint)
        except zmq.ZMQError as error:
            raise DeviceError(f"{self._endpoint!r} is no endpoint of an RF hub: {error.strerror}") from None
        fields = encode_fields({"ue": self._ue, "sample_rate_hz": sample_rate_hz})
        self._socket.send_multipart([Header(kind=Kind.JOIN, sequence=0).encode(), fields])
        deadline = time.monotonic() + timeout_s
        while (remaining_s := deadline - time.monotonic()) > 0:
            if not self._socket.poll(self._patience_ms(remaining_s)):
                continue
            header, payload = self._message()
            self._received = header.sequence
            if header.kind is Kind.WELCOME:
                return decode_fields(payload)
            if header.kind is Kind.REFUSED:
                raise DeviceError(f"the RF hub refuses {self._ue}: {decode_fields(payload).get('why')}")
        raise DeviceTimeout(f"no RF hub answers at {self._endpoint} ({timeout_s:.0f} s); is `pc5lab rf serve` running?")

    def _receive_one(self, deadline: float) -> None:
        """Wait for one message of the hub and process it."""
        while True:
            remaining_s = deadline - time.monotonic()
            ready = dict(self._poller.poll(self._patience_ms(remaining_s)))
            if ready or remaining_s <= 0:
                break
        if self._socket not in ready:
            if self._monitor in ready:
                raise DeviceLost(f"the RF hub at {self._endpoint} went away, or gave {self._ue} up for standing still")
            whom = ", ".join(self._waiting_for) or "the RF hub"
            raise DeviceTimeout(f"{self._ue} got no samples for {self._read_timeout_s:.0f} s: waiting for {whom}")
        header, payload = self._message()
        self._received += 1
        if header.sequence != self._received:
            raise DeviceLost(f"messages of the RF hub were lost: {header.sequence} came where {self._received} was due")
        if header.kind is Kind.IQ:
            self._waiting_for = ()
            self._clock.push(samples_of(header, payload))
        elif header.kind is Kind.NOTICE:
            self._waiting_for = tuple(decode_fields(payload).get("waiting_for", ()))
        elif header.kind is Kind.END:
            raise EndOfSamples(f"the RF hub ended the run: {decode_fields(payload).get('why')}")

    def _patience_ms(self, remaining_s: float) -> int:
        """The time to wait at once; raises EndOfSamples if the caller has stopped."""
        if self._stopped():
            raise EndOfSamples("asked to stop")
        return min(max(0, int(remaining_s * 1000) + 1), _ASK_IF_STOPPED_MS)

    def _message(self) -> tuple[Header, memoryview]:
        frames = self._socket.recv_multipart(copy=False)
        if len(frames) != 2:
            raise WireError(f"a message of {len(frames)} frames instead of 2")
        return Header.decode(bytes(frames[0].buffer)), frames[1].buffer

    def _declare(self) -> None:
        self._send(Kind.CREDIT, b"", sample=self._clock.complete_to)

    def _send(self, kind: Kind, payload: bytes, *, n_samples: int = 0, sample: int = 0) -> None:
        self._sent += 1
        header = Header(kind=kind, sequence=self._sent, n_samples=n_samples, sample=sample)
        try:
            self._socket.send_multipart([header.encode(), payload], zmq.NOBLOCK)
        except zmq.Again:
            raise DeviceLost(f"the RF hub at {self._endpoint} takes nothing any more") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    """A UE of the RF emulator's scenario, by the UE's own name."""

    address: str = ""
    """Endpoint of the emulator."""


class EmulatorKind:
    """The `DeviceKind` of the RF emulator."""

    name = "zeromq"
    air = AirKind.VIRTUAL
    options = EmulatorOptions

    def open(
        self, options: EmulatorOptions, *, ue: str, sample_rate_hz: int, stopped: Stopped = never_stopped
    ) -> ZeroMqDevice:
        """Join the hub; see `DeviceKind.open`."""
        return ZeroMqDevice(options.address, ue, sample_rate_hz=sample_rate_hz, stopped=stopped)


KIND = EmulatorKind()
