import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import zmq

from radio.devices.protocol import DeviceError, DeviceLost, DeviceTimeout, EndOfSamples, TimedIqDevice
from radio.emulator.air import Air
from radio.emulator.client import ZeroMqDevice
from radio.emulator.endpoint import EndpointBusy, EndpointError
from radio.emulator.events import AirEnded, UeBackInReach, UeJoined, UeLeft, UeLost, UeOutOfReach, UeRefused, WaitingFor
from radio.emulator.hub import Hub, JoinTimeout, UeLostError
from radio.emulator.scenario import Scenario, UeRadio, fully_meshed

RATE = 1_920_000
BLOCK = 1920
SPAWN = multiprocessing.get_context("spawn")


def scenario(**changes):
    ues = (UeRadio(name="a", cfo_hz=80.0, clock_ppm=3.0), UeRadio(name="b", power_on_sample=2500, clock_ppm=-4.0))
    fields = {"name": "pair", "seed": 4, "sample_rate_hz": RATE, "ues": ues}
    return Scenario(**(fields | {"links": fully_meshed(ues, path_loss_db=90.0)} | changes))


class Serving:
    """A hub in a thread of the test."""

    def __init__(self, endpoint, plan=None, **options):
        self.events = []
        self.error = None
        self.why = None
        self._stop = False
        self.hub = Hub(Air(plan or scenario()), endpoint, on_event=self.events.append, **options)
        self.endpoint = self.hub.endpoint
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            with self.hub:
                self.why = self.hub.serve(lambda: self._stop)
        except Exception as error:
            self.error = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._stop = True
        self.wait()

    def wait(self, timeout_s=10):
        self._thread.join(timeout_s)
        assert not self._thread.is_alive()

    def saw(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


def talk(endpoint, name, blocks, chunk, naps, results):
    device = ZeroMqDevice(endpoint, name)
    digest = hashlib.sha256()
    wave = np.exp(2j * np.pi * 0.03 * len(name) * np.arange(BLOCK)).astype(np.complex64)
    sent = 0
    for k in range(blocks * BLOCK // chunk):
        iq, first = device.read(chunk)
        assert first == k * chunk
        assert iq.shape == (chunk,)
        digest.update(iq.tobytes())
        due = (first // BLOCK + 4) * BLOCK
        if due % (2 * BLOCK) == (name == "a") * BLOCK and due > sent:
            device.write(wave, max(due, device.earliest_write_sample))
            sent = due
        if naps:
            time.sleep(0.002 * (k % 3))
    results[name] = (digest.hexdigest(), device.status.late)
    device.close()


def pair(endpoint, *, naps=(False, False), chunks=(BLOCK, BLOCK), blocks=30):
    results = {}
    with Serving(endpoint) as serving:
        threads = [
            threading.Thread(target=talk, args=(serving.endpoint, name, blocks, chunk, nap, results))
            for name, nap, chunk in zip("ab", naps, chunks, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        serving.wait()
    assert serving.error is None
    assert serving.why == "every UE has left"
    assert {event.ue for event in serving.saw(UeLeft)} == {"a", "b"}
    return results


def test_who_goes_out_of_reach_and_comes_back_is_told(tmp_path):
    ues = (UeRadio(name="a", out_of_reach_ms=((5, 12),)), UeRadio(name="b", out_of_reach_ms=((0, 5),)))
    results = {}
    with Serving(f"ipc://{tmp_path}/air", scenario(ues=ues, links=fully_meshed(ues, path_loss_db=90.0))) as serving:
        threads = [
            threading.Thread(target=talk, args=(serving.endpoint, name, 20, BLOCK, False, results)) for name in "ab"
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        serving.wait()
    assert serving.error is None
    assert [event for event in serving.events if isinstance(event, UeOutOfReach | UeBackInReach)] == [
        UeOutOfReach(ue="b", hub_block=0),
        UeOutOfReach(ue="a", hub_block=5),
        UeBackInReach(ue="b", hub_block=5),
        UeBackInReach(ue="a", hub_block=12),
    ]


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_a_run_repeats_whatever_the_timing(tmp_path, transport):
    endpoint = f"ipc://{tmp_path}/air" if transport == "ipc" else "tcp://127.0.0.1:*"
    quick = pair(endpoint)
    slow = pair(endpoint, naps=(True, False))
    assert quick == slow == pair(endpoint, naps=(False, True))
    assert all(late == 0 for _, late in quick.values())


def test_a_run_repeats_with_reads_across_blocks(tmp_path):
    endpoint = f"ipc://{tmp_path}/air"
    chunks = (700, 5000)
    assert pair(endpoint, chunks=chunks) == pair(endpoint, chunks=chunks, naps=(True, True))


def test_the_device_is_a_timed_iq_device_and_counts_late_bursts(tmp_path):
    with Serving(f"ipc://{tmp_path}/air") as serving:
        a, b = ZeroMqDevice(serving.endpoint, "a"), ZeroMqDevice(serving.endpoint, "b", sample_rate_hz=RATE)
        assert isinstance(a, TimedIqDevice)
        assert a.sample_rate_hz == RATE
        assert a.earliest_write_sample == 4 * BLOCK
        a.write(np.ones(10, np.complex64), 4 * BLOCK - 1)
        assert a.status.late == 1
        a.read(BLOCK)
        assert a.earliest_write_sample == 4 * BLOCK
        a.read(1)
        assert a.earliest_write_sample == 5 * BLOCK
        with pytest.raises(DeviceError, match="too far ahead"):
            a.write(np.ones(10, np.complex64), 10**9)
        b.close()
        b.close()
        a.close()


def _die_after(endpoint, blocks):
    device = ZeroMqDevice(endpoint, "b")
    for _ in range(blocks):
        device.read(BLOCK)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("policy", ["continue", "stop"])
def test_the_death_of_a_ue_is_noticed_and_named(tmp_path, policy):
    with Serving(f"ipc://{tmp_path}/air", scenario(on_loss=policy)) as serving:
        child = SPAWN.Process(target=_die_after, args=(serving.endpoint, 5))
        child.start()
        device = ZeroMqDevice(serving.endpoint, "a")
        began = None
        if policy == "stop":
            with pytest.raises(EndOfSamples, match="b was lost"):
                for _ in range(5000):
                    device.read(BLOCK)
        else:
            while not serving.saw(UeLost):
                device.read(BLOCK)
            began = time.monotonic()
            for _ in range(20):
                device.read(BLOCK)
            assert time.monotonic() - began < 3
        child.join(10)
        device.close()
        serving.wait()
    assert [event.ue for event in serving.saw(UeLost)] == ["b"]
    assert isinstance(serving.error, UeLostError) == (policy == "stop")


def _freeze(endpoint):
    device = ZeroMqDevice(endpoint, "b")
    device.read(BLOCK)
    os.kill(os.getpid(), signal.SIGSTOP)


def test_a_frozen_ue_is_lost_within_seconds(tmp_path):
    with Serving(f"ipc://{tmp_path}/air") as serving:
        child = SPAWN.Process(target=_freeze, args=(serving.endpoint,))
        child.start()
        device = ZeroMqDevice(serving.endpoint, "a")
        try:
            device.read(BLOCK)
            while not serving.saw(UeLost):  # for ever, if the hub does not notice
                device.read(BLOCK)
        finally:
            child.kill()
            child.join(10)
            device.close()


def test_a_ue_that_died_may_come_back(tmp_path):
    with Serving(f"ipc://{tmp_path}/air") as serving:
        a, b = ZeroMqDevice(serving.endpoint, "a"), ZeroMqDevice(serving.endpoint, "b")
        a.read(BLOCK)
        b.close()
        for _ in range(10):
            a.read(BLOCK)
        b = ZeroMqDevice(serving.endpoint, "b")
        results = []
        thread = threading.Thread(target=lambda: results.append(b.read(3 * BLOCK)))
        thread.start()
        while thread.is_alive():
            a.read(BLOCK)
        assert results[0][1] == 0
        a.close()
        b.close()
    assert [event.again for event in serving.saw(UeJoined)] == [False, False, True]


def test_where_ues_come_and_go_one_is_enough_and_the_hub_outlives_them_all(tmp_path):
    with Serving(f"ipc://{tmp_path}/air", scenario(come_and_go=True)) as serving:
        a = ZeroMqDevice(serving.endpoint, "a")
        assert a.read(20 * BLOCK)[1] == 0
        b = ZeroMqDevice(serving.endpoint, "b")
        a.close()
        assert b.read(20 * BLOCK)[1] == 0
        b.close()
        while len(serving.saw(UeLeft)) < 2:
            time.sleep(0.01)
        a = ZeroMqDevice(serving.endpoint, "a")
        assert a.read(20 * BLOCK)[1] == 0
        a.close()
    assert [event.again for event in serving.saw(UeJoined)] == [False, False, True]
    assert serving.why == "the hub was stopped" and serving.error is None
    assert not serving.saw(UeLost)


def test_where_ues_come_and_go_who_stands_still_is_left_behind(tmp_path):
    with Serving(f"ipc://{tmp_path}/air", scenario(come_and_go=True), stall_timeout_s=0.3) as serving:
        a, b = ZeroMqDevice(serving.endpoint, "a"), ZeroMqDevice(serving.endpoint, "b")
        a.read(BLOCK)
        while not serving.saw(UeLost):
            a.read(BLOCK)
        a.read(20 * BLOCK)
        a.close()
        b.close()
    assert [event.ue for event in serving.saw(UeLost)] == ["b"]
    assert "stood still" in serving.saw(UeLost)[0].why and serving.error is None


def test_a_ue_that_leaves_before_the_start_leaves_no_trace(tmp_path):
    with Serving(f"ipc://{tmp_path}/air", scenario(ues=scenario().ues[:1], links=())) as alone:
        device = ZeroMqDevice(alone.endpoint, "a")
        wanted = device.read(8 * BLOCK)[0]
        device.close()
    with Serving(f"ipc://{tmp_path}/air") as serving:
        b = ZeroMqDevice(serving.endpoint, "b")
        b.write(np.ones(BLOCK, np.complex64), b.earliest_write_sample)
        b.close()
        while not serving.saw(UeLeft):
            time.sleep(0.01)
        b, a = ZeroMqDevice(serving.endpoint, "b"), ZeroMqDevice(serving.endpoint, "a")
        thread = threading.Thread(target=lambda: b.read(6 * BLOCK))
        thread.start()
        heard = a.read(8 * BLOCK)[0]
        thread.join(10)
        a.close()
        b.close()
    assert np.std(heard) == pytest.approx(np.std(wanted) * 10 ** (-(23 - 90) / 20), rel=1e-3)


def test_a_missing_ue_is_named(tmp_path):
    with Serving(f"ipc://{tmp_path}/air", join_timeout_s=2.5) as serving:
        device = ZeroMqDevice(serving.endpoint, "a")
        with pytest.raises(EndOfSamples, match="for b to join"):
            device.read(BLOCK)
        device.close()
        serving.wait()
    assert isinstance(serving.error, JoinTimeout)
    assert serving.saw(WaitingFor)[0].ues == ("b",)


def test_who_is_waited_for_is_told_to_the_ue(tmp_path):
    with Serving(f"ipc://{tmp_path}/air") as serving:
        device = ZeroMqDevice(serving.endpoint, "a", read_timeout_s=2.6)
        with pytest.raises(DeviceTimeout, match="waiting for b"):
            device.read(BLOCK)
        device.close()


def test_strangers_doubles_and_wrong_rates_are_refused(tmp_path):
    with Serving(f"ipc://{tmp_path}/air") as serving:
        a = ZeroMqDevice(serving.endpoint, "a")
        for name, rate, complaint in [
            ("zoe", None, "it has a, b"),
            ("a", None, "already joined"),
            ("b", 3_840_000, "runs at 1920000"),
        ]:
            with pytest.raises(DeviceError, match=complaint):
                ZeroMqDevice(serving.endpoint, name, sample_rate_hz=rate)
        a.close()
    assert len(serving.saw(UeRefused)) == 3


def test_junk_is_ignored(tmp_path):
    with (
        Serving(f"ipc://{tmp_path}/air") as serving,
        zmq.Context() as context,
        context.socket(zmq.DEALER) as socket,
    ):
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(serving.endpoint)
        for frames in ([b""], [b"x" * 24, b""], [b"a", b"b", b"c"], [b"PC5A\x01\x01" + bytes(18), b"{"]):
            socket.send_multipart(frames)
        a = ZeroMqDevice(serving.endpoint, "a")
        a.close()
    assert serving.error is None


def test_the_loss_of_the_hub_is_noticed(tmp_path):
    with Serving(f"ipc://{tmp_path}/air") as serving:
        device = ZeroMqDevice(serving.endpoint, "a")
        serving._stop = True
        with pytest.raises((EndOfSamples, DeviceLost)):
            device.read(BLOCK)
        device.close()
    assert serving.saw(AirEnded)[0].why == "the hub was stopped"


def test_no_hub_no_device(tmp_path):
    with pytest.raises(DeviceTimeout, match="rf serve"):
        ZeroMqDevice(f"ipc://{tmp_path}/nobody", "a", connect_timeout_s=0.2)
    with pytest.raises(DeviceError, match="no endpoint"):
        ZeroMqDevice("nonsense", "a", connect_timeout_s=0.2)


def test_busy_and_impossible_endpoints(tmp_path):
    endpoint = f"ipc://{tmp_path}/air"
    with Hub(Air(scenario()), endpoint), pytest.raises(EndpointBusy, match="busy"):
        Hub(Air(scenario()), endpoint)
    with Hub(Air(scenario()), endpoint):
        pass
    with Hub(Air(scenario()), "tcp://127.0.0.1:*") as hub, pytest.raises(EndpointBusy, match="busy"):
        Hub(Air(scenario()), hub.endpoint)
    for wrong in (f"ipc://{tmp_path}/none/air", f"ipc://{tmp_path}/{'x' * 120}", "udp://1", "tcp://nowhere.invalid:1"):
        with pytest.raises(EndpointError):
            Hub(Air(scenario()), wrong)


def serve_command(*arguments):
    return [sys.executable, "-m", "lab_scripts.cli.main", "rf", "serve", *map(str, arguments)]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_command_starts_and_stops_cleanly(tmp_path, number, code):
    command = serve_command("first_light", "--endpoint", f"ipc://{tmp_path}/air", "--json", "--record", tmp_path / "iq")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        ready = json.loads(process.stdout.readline())
        assert ready["event"] == "rf-serving"
        assert ready["endpoint"] == f"ipc://{tmp_path}/air"
        busy = subprocess.run(
            serve_command("first_light", "--endpoint", ready["endpoint"]), check=False, capture_output=True, text=True
        )
        assert busy.returncode == 2
        assert "busy" in busy.stderr
        assert "Traceback" not in busy.stderr
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert process.returncode == code
    assert "Traceback" not in err
    assert json.loads(out.splitlines()[-1])["event"] == "air-ended"
    assert not Path(f"{tmp_path}/air").exists()


def test_a_killed_hub_is_noticed_by_its_ues(tmp_path):
    command = serve_command("first_light", "--endpoint", f"ipc://{tmp_path}/air", "--json")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        device = ZeroMqDevice(json.loads(process.stdout.readline())["endpoint"], "ue-a")
        threading.Timer(0.3, process.kill).start()
        began = time.monotonic()
        with pytest.raises(DeviceLost, match="went away"):
            device.read(BLOCK)
        device.close()
    assert time.monotonic() - began < 3


def test_the_command_explains_bad_scenarios(tmp_path):
    (tmp_path / "bad.toml").write_text("name = 3")
    for scenario_name in (tmp_path / "bad.toml", tmp_path / "missing.toml", "no_such_scenario"):
        done = subprocess.run(serve_command(scenario_name), check=False, capture_output=True, text=True)
        assert done.returncode == 2
        assert str(scenario_name) in done.stderr
        assert "Traceback" not in done.stderr
