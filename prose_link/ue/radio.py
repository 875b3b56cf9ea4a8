"""Opens the radio a UE's configuration names."""

from __future__ import annotations

from prose_link.config.ue import UeConfig
from radio.devices.protocol import Stopped, TimedIqDevice, never_stopped
from radio.devices.registry import open_device


def open_radio(config: UeConfig, sample_rate_hz: int, stopped: Stopped = never_stopped) -> TimedIqDevice:
    """The UE's radio, open.

    Args:
        config: the UE's configuration.
        sample_rate_hz: the rate its channel needs.
        stopped: says whether the UE has been asked to stop; ends a radio's wait for others.

    Raises:
        radio.devices.protocol.DeviceError: no such radio, or it cannot do what is asked.
    """
    section = config.radio
    return open_device(section.device, section.options, ue=config.name, sample_rate_hz=sample_rate_hz, stopped=stopped)
