import threading

import numpy as np
import pytest

from radio.devices.protocol import DeviceTimeout, EndOfSamples, TimedIqDevice
from radio.emulator.in_process import MemoryAir
from radio.emulator.scenario import Scenario, UeRadio, fully_meshed

BLOCK = 1920


def memory_air(**options):
    ues = (UeRadio(name="a", noise_figure_db=None), UeRadio(name="b", noise_figure_db=None))
    links = fully_meshed(ues, path_loss_db=70.0)
    return MemoryAir(Scenario(name="m", seed=1, sample_rate_hz=1_920_000, ues=ues, links=links), **options)


def test_two_devices_in_one_thread():
    air = memory_air()
    a, b = air.devices["a"], air.devices["b"]
    assert isinstance(a, TimedIqDevice)
    burst = np.exp(2j * np.pi * 0.05 * np.arange(BLOCK)).astype(np.complex64)
    heard = []
    for subframe in range(12):
        _, first = a.read(BLOCK)
        if subframe == 3:
            a.write(burst, first + 4 * BLOCK)
        heard.append(b.read(BLOCK)[0])
    assert np.allclose(heard[7], burst, atol=1e-5)
    assert not np.concatenate(heard[:7] + heard[8:]).any()
    assert a.status.late == 0
    a.write(burst, a.earliest_write_sample - 1)
    assert a.status.late == 1


def test_who_reads_too_far_ahead_is_told_whom_to_wait_for():
    air = memory_air(timeout_s=0.05)
    air.devices["a"].read(3 * BLOCK)
    with pytest.raises(DeviceTimeout, match="waits for b"):
        air.devices["a"].read(BLOCK)


def test_a_thread_each():
    air = memory_air()
    done = []

    def read_on(name):
        for _ in range(50):
            air.devices[name].read(1000)
        done.append(name)

    threads = [threading.Thread(target=read_on, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(done) == ["a", "b"]


class Bystander:
    """Lets everything pass, one block late."""

    lookahead_blocks = 1

    def process(self, piece):
        return piece.iq


@pytest.mark.parametrize("offset", [0, 1, 13, 14, 15, 960, BLOCK - 15, BLOCK - 14, BLOCK - 13, BLOCK - 1])
@pytest.mark.parametrize(("lead", "actions"), [(3, []), (4, [Bystander()])])
def test_nobody_waits_for_himself_however_the_blocks_lie(offset, lead, actions):
    ues = (UeRadio(name="a", clock_ppm=20.0), UeRadio(name="b", power_on_sample=offset, clock_ppm=-20.0))
    plan = Scenario(name="m", seed=1, sample_rate_hz=1_920_000, ues=ues, links=(), tx_lead_blocks=lead)
    air = MemoryAir(plan, actions=actions, timeout_s=0.5)
    done = []

    def read_on(name):
        air.devices[name].read(37)
        for _ in range(20):
            air.devices[name].read(BLOCK)
        done.append(name)

    threads = [threading.Thread(target=read_on, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(done) == ["a", "b"]


def test_a_closed_device_is_off_the_air():
    air = memory_air()
    air.devices["b"].close()
    air.devices["a"].read(20 * BLOCK)
    with pytest.raises(EndOfSamples):
        air.devices["b"].read(1)
    air.close()
