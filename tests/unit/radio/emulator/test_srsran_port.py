"""Peers that speak the two dialects of raw cf32 over REQ/REP, written from the facts known of srsRAN and GNU Radio."""

import threading
import time
from typing import Any

import numpy as np
import pytest
import zmq

from radio.emulator.air import Air
from radio.emulator.client import ZeroMqDevice
from radio.emulator.hub import Hub
from radio.emulator.scenario import Scenario, UeRadio, fully_meshed
from radio.emulator.srsran_port import SrsranPort

BLOCK = 1920
N_BLOCKS = 40


def scenario():
    ues = tuple(UeRadio(name=name, noise_figure_db=None) for name in ("a", "b"))
    return Scenario(name="r", seed=1, sample_rate_hz=1_920_000, ues=ues, links=fully_meshed(ues, path_loss_db=80.0))


def srsran_receiver(context, endpoint, n_samples, results):
    """Asks with one octet and takes what comes."""
    with context.socket(zmq.REQ) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(endpoint)
        received = b""
        while len(received) < 8 * n_samples:
            socket.send(b"\xff")
            received += socket.recv()
    results["rx"] = np.frombuffer(received, np.complex64)


def gnuradio_receiver(context, endpoint, n_samples, results):
    """Asks for at most 700 items with four octets."""
    with context.socket(zmq.REQ) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(endpoint)
        received, longest = b"", 0
        while len(received) < 8 * n_samples:
            socket.send((700).to_bytes(4, "little"))
            message = socket.recv()
            longest = max(longest, len(message))
            received += message
    assert longest <= 700 * 8
    results["rx"] = np.frombuffer(received, np.complex64)


def transmitter(context, waveform, sizes, stop, results):
    """A REP that hands out its waveform in messages of odd sizes, then zeros."""
    with context.socket(zmq.REP) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        results["port"] = socket.bind_to_random_port("tcp://127.0.0.1")
        at, turn = 0, 0
        while not stop.is_set():
            if not socket.poll(50):
                continue
            socket.recv()
            size = sizes[turn % len(sizes)]
            turn += 1
            part = waveform[at : at + size]
            at += size
            socket.send(np.pad(part, (0, size - len(part))).astype(np.complex64).tobytes())


@pytest.mark.parametrize("receiver", [srsran_receiver, gnuradio_receiver])
def test_a_foreign_pair_hears_each_other_through_the_hub(tmp_path, receiver):
    rng = np.random.default_rng(2)
    waveform = np.repeat(rng.standard_normal(60) + 1j * rng.standard_normal(60), 64).astype(np.complex64)
    stop = threading.Event()
    results = {}
    endpoint = f"ipc://{tmp_path}/air"
    with Hub(Air(scenario()), endpoint) as hub, zmq.Context() as context:
        threads = [threading.Thread(target=hub.serve, args=(stop.is_set,))]
        threads.append(threading.Thread(target=transmitter, args=(context, waveform, (1000, 3333, 77), stop, results)))
        for thread in threads:
            thread.start()
        while "port" not in results:
            time.sleep(0.01)

        def play(ue, **ports):
            device = ZeroMqDevice(endpoint, ue)
            try:
                with SrsranPort(device, **ports) as port:
                    if port.rx_endpoint:
                        results["endpoint"] = port.rx_endpoint
                    port.run(stop.is_set)
            finally:
                device.close()

        sender = {"rx_endpoint": None, "tx_endpoint": f"tcp://127.0.0.1:{results['port']}"}
        threads.append(threading.Thread(target=play, args=("a",), kwargs=sender))
        listener = {"rx_endpoint": "tcp://127.0.0.1:*", "tx_endpoint": None}
        threads.append(threading.Thread(target=play, args=("b",), kwargs=listener))
        for thread in threads[2:]:
            thread.start()
        while "endpoint" not in results:
            time.sleep(0.01)
        receiver(context, results["endpoint"], N_BLOCKS * BLOCK, results)
        stop.set()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
    heard: Any = results["rx"]
    delay = (4 + 2) * BLOCK
    assert not heard[: delay - 20].any()
    assert np.allclose(heard[delay : delay + len(waveform)], waveform, atol=1e-4)


def test_an_absent_peer_is_named(tmp_path):
    stop = threading.Event()
    endpoint = f"ipc://{tmp_path}/air"
    waits = []
    with Hub(Air(scenario()), endpoint) as hub:
        thread = threading.Thread(target=hub.serve, args=(stop.is_set,))
        thread.start()
        a, b = ZeroMqDevice(endpoint, "a"), ZeroMqDevice(endpoint, "b")

        def on_wait(whom):
            waits.append(whom)
            stop.set()

        with SrsranPort(a, rx_endpoint="tcp://127.0.0.1:*", tx_endpoint="tcp://127.0.0.1:9", lag_blocks=0) as port:
            port.run(stop.is_set, on_wait=on_wait)
        for device in (a, b):
            device.close()
        thread.join(10)
    assert "127.0.0.1:9" in waits[0]
    assert "ask for samples" in waits[0]
