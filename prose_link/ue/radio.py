"""Opens the radio a UE's configuration names."""

from __future__ import annotations

from typing import Any

from prose_link.config.ue import ConfigError, UeConfig
from radio.devices.protocol import TimedIqDevice
from radio.devices.registry import open_device

_EMULATOR = "zeromq"
_SDR_NEEDS = ("carrier_hz", "rx_gain_db", "tx_gain_db")
_SDR_OPTIONS = ("rx_antenna", "tx_antenna", "clock_source", "time_source")


def open_radio(config: UeConfig, sample_rate_hz: int) -> TimedIqDevice:
    """The UE's radio, open.

    Args:
        config: the UE's configuration.
        sample_rate_hz: the rate its carrier needs.

    Raises:
        ConfigError: an SDR without carrier or gains.
        radio.devices.protocol.DeviceError: no such radio, or it cannot do what is asked.
    """
    section = config.radio
    if section.device == _EMULATOR:
        return open_device(_EMULATOR, endpoint=section.address, ue=config.name, sample_rate_hz=sample_rate_hz)
    missing = [name for name in _SDR_NEEDS if getattr(section, name) is None]
    if missing:
        raise ConfigError(f"radio: device {section.device!r} needs {', '.join(missing)}")
    options: dict[str, Any] = {name: getattr(section, name) for name in (*_SDR_NEEDS, *_SDR_OPTIONS)}
    given = {name: value for name, value in options.items() if value is not None}
    return open_device(section.device, args=section.address, sample_rate_hz=sample_rate_hz, **given)
