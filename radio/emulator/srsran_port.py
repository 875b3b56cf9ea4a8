"""The compatibility port: programs that speak raw cf32 over REQ/REP, as srsRAN and GNU Radio do, as a UE of the hub.

The peer asks our REP socket for received samples: any request will do, one of four octets is GNU Radio's and caps the
reply (little-endian count of samples). We ask the peer's REP socket for what it transmits. Messages may have any
length. The peer's time is its running sample count. What it counts as its transmit sample m goes on the air some blocks
later (the hub's TX lead and the peer's lag), since it can't answer before it has heard.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import zmq

from radio.arrays import Iq
from radio.devices.protocol import EndOfSamples
from radio.emulator.client import ZeroMqDevice
from radio.emulator.endpoint import EndpointError, bind
from radio.errors import RadioError

_POLL_MS = 100
_NAMED_AFTER_S = 2.0
_ASK_AGAIN_AFTER_S = 2.0
_REQUEST = b"\xff"
_SAMPLE_OCTETS = 8
MAX_REPLY_SAMPLES = 3_072_000
"""srsRAN's buffer for one message."""


class SrsranPort:
    """One REQ/REP peer joined to the hub as the UE that `device` is. Use as a context manager.

    `rx_endpoint`: where the peer asks us for samples (we bind); `tx_endpoint`: where the peer serves its own (we
    connect). Either may be None. The peer answers for block k of its time at the latest when it has heard block
    k + `lag_blocks`.
    """

    def __init__(
        self, device: ZeroMqDevice, *, rx_endpoint: str | None, tx_endpoint: str | None, lag_blocks: int = 2
    ) -> None:
        """Raises EndpointBusy, EndpointError."""
        self._device = device
        self._block = device.block_samples
        self._lag = lag_blocks
        self._rx = bytearray()
        self._tx = bytearray()
        self._wanted: int | None = None
        self._asked_at: float | None = None
        self._context = zmq.Context()
        self._poller = zmq.Poller()
        self._rep = self._req = None
        self.rx_endpoint: str | None = None
        self.tx_endpoint = tx_endpoint
        try:
            if rx_endpoint is not None:
                self._rep = self._socket(zmq.REP)
                self.rx_endpoint = bind(self._rep, rx_endpoint)
            if tx_endpoint is not None:
                self._req = self._socket(zmq.REQ)
                self._req.setsockopt(zmq.REQ_RELAXED, 1)
                self._req.setsockopt(zmq.REQ_CORRELATE, 1)
                self._req.connect(tx_endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise EndpointError(f"{tx_endpoint!r} is no endpoint: {error.strerror}") from None
        except RadioError:
            self.close()
            raise

    def __enter__(self) -> SrsranPort:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the port; the device stays as it is."""
        for socket in (self._rep, self._req):
            if socket is not None:
                socket.close(linger=0)
        self._context.term()

    def run(self, stopped: Callable[[], bool], *, on_wait: Callable[[str], None] = lambda _: None) -> None:
        """Carry samples both ways until `stopped()` or the hub ends the run.

        `on_wait` is called with the cause of a wait.
        """
        step = 0
        while not stopped():
            try:
                iq, _ = self._device.read(self._block)
            except EndOfSamples:
                return
            if self._rep is not None:
                self._rx += iq.tobytes()
            self._exchange(step >= self._lag, stopped, on_wait)
            if self._req is not None and step >= self._lag and not stopped():
                block = self._transmitted_block()
                if block.any():
                    self._device.write(block, self._device.earliest_write_sample)
            step += 1

    def _exchange(self, tx_due: bool, stopped: Callable[[], bool], on_wait: Callable[[str], None]) -> None:
        """Exchange messages with the peer until it has taken all received samples and, when due, delivered a block."""
        named_at = time.monotonic()
        while not stopped():
            waiting = [
                *([f"the peer to ask for samples at {self.rx_endpoint}"] if self._rx else []),
                *([f"samples of the peer at {self.tx_endpoint}"] if tx_due and self._lacks_tx() else []),
            ]
            if not waiting:
                return
            self._talk()
            if time.monotonic() - named_at > _NAMED_AFTER_S:
                named_at = time.monotonic()
                on_wait(" and ".join(waiting))

    def _talk(self) -> None:
        now = time.monotonic()
        may_ask = self._asked_at is None or now - self._asked_at > _ASK_AGAIN_AFTER_S
        if self._req is not None and self._lacks_tx() and may_ask:
            self._req.send(_REQUEST)
            self._asked_at = now
        ready = dict(self._poller.poll(_POLL_MS))
        if self._rep is not None and self._rep in ready:
            self._wanted = _samples_wanted(self._rep.recv())
        if self._rep is not None and self._wanted is not None and self._rx:
            size = min(len(self._rx), self._wanted * _SAMPLE_OCTETS)
            self._rep.send(bytes(self._rx[:size]))
            del self._rx[:size]
            self._wanted = None
        if self._req is not None and self._req in ready:
            samples = self._req.recv()
            self._tx += samples[: len(samples) // _SAMPLE_OCTETS * _SAMPLE_OCTETS]
            self._asked_at = None

    def _lacks_tx(self) -> bool:
        return self._req is not None and len(self._tx) < self._block * _SAMPLE_OCTETS

    def _transmitted_block(self) -> Iq:
        size = self._block * _SAMPLE_OCTETS
        block = np.frombuffer(bytes(self._tx[:size]), dtype="<c8")
        del self._tx[:size]
        return block

    def _socket(self, kind: int) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        self._poller.register(socket, zmq.POLLIN)
        return socket


def _samples_wanted(request: bytes) -> int:
    """Return the cap a request puts on its reply: GNU Radio sends a 4-octet count, srsRAN one octet without meaning."""
    if len(request) == 4:
        return min(max(1, int.from_bytes(request, "little", signed=True)), MAX_REPLY_SAMPLES)
    return MAX_REPLY_SAMPLES
