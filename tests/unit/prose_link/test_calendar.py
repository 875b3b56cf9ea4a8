"""A UE whose calendar clock is the system's keeps to it although its air stands still now and then."""

from types import SimpleNamespace
from typing import Any

from prose_link.config.ue import UeConfig
from prose_link.event_stream import EventStream
from prose_link.ue.node import MAX_CALENDAR_ERROR_S, Node
from prose_link.ue.recorder import Recorder
from prose_link.ue.runtime import run
from radio.devices.protocol import EndOfSamples

KMS = {"url": "https://kms.lab.invalid", "ticket": "t", "store": "s"}
CONFIG = {"name": "ue-a", "identity": "tel:+447700900001", "l2_id": 1, "kms": KMS}


def test_the_clock_follows_the_calendar_once_they_have_come_apart() -> None:
    config = UeConfig.model_validate(CONFIG | {"utc_at_power_on": "2026-03-10T12:00:00Z"})
    parts: Any = SimpleNamespace(
        phy=SimpleNamespace(carrier=SimpleNamespace(sample_rate_hz=1000)),
        pools=SimpleNamespace(comm=(None,), disc=()),
        **dict.fromkeys(("l2", "pc5s", "discovery", "sync", "user_plane", "group")),
    )
    node = Node(config, parts, EventStream("ue-a"), Recorder(0))
    started = node.now
    node.set_calendar(started.utc_s + 0.9 * MAX_CALENDAR_ERROR_S)
    assert node.now == started
    node.set_calendar(started.utc_s + 30.0)
    assert (node.now.utc_s, node.now.mono_s) == (started.utc_s + 30.0, started.mono_s)
    assert node.clock.utc_s == node.now.utc_s


def test_the_calendar_is_looked_at_before_each_step() -> None:
    seen: list[object] = []

    class Device:
        sample_rate_hz = 1000
        status = SimpleNamespace(late=0)
        reads = 0

        def read(self, n_samples: int) -> tuple[list[int], int]:
            self.reads += 1
            if self.reads > 2:
                raise EndOfSamples("over")
            return [0] * n_samples, self.reads

    fake: Any = SimpleNamespace(
        set_calendar=seen.append,
        step=lambda _iq, _first: seen.append("step") or (),
        done="",
        subframe=0,
        now=SimpleNamespace(utc_s=0.0, mono_s=0.0),
        shut_down=lambda: 0,
        close=lambda: None,
    )
    device: Any = Device()
    run(fake, device, EventStream("ue-a"), calendar=iter([5.0, 6.0]).__next__)
    assert seen == [5.0, "step", 6.0, "step"]


def test_virtual_air_is_held_to_real_time_for_programs_and_for_the_systems_calendar() -> None:
    at = {"utc_at_power_on": "2026-03-10T12:00:00Z"}
    tun = {"userplane": {"kind": "tun"}}
    assert not UeConfig.model_validate(CONFIG | at).held_to_real_time
    assert UeConfig.model_validate(CONFIG).held_to_real_time
    assert UeConfig.model_validate(CONFIG | at | tun).held_to_real_time
    assert not UeConfig.model_validate(CONFIG | tun | {"radio": {"device": "uhd"}}).held_to_real_time
