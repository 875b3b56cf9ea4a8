"""Radios by name: ours, imported when asked for, and those that other packages register.

Another package adds one through the entry point group `pc5lab.devices`: name -> callable that returns a TimedIqDevice.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module, metadata
from typing import Any

from radio.devices.protocol import DeviceError, DeviceNotFound, TimedIqDevice

ENTRY_POINT_GROUP = "pc5lab.devices"

_OWN = {
    "zeromq": "radio.emulator.client:ZeroMqDevice",
    "sigmf": "radio.devices.sigmf_file:SigMfFileDevice",
    "uhd": "radio.devices.uhd_usrp:UhdDevice",
    "soapy": "radio.devices.soapy:SoapyDevice",
}


def device_names() -> tuple[str, ...]:
    """Return the names of all registered kinds of radio, sorted."""
    return tuple(sorted({*_OWN, *(point.name for point in metadata.entry_points(group=ENTRY_POINT_GROUP))}))


def open_device(kind: str, **options: Any) -> TimedIqDevice:
    """Return an open radio of a kind; `options` are its constructor's.

    Raises DeviceNotFound for an unknown kind, DeviceError for options it doesn't have, and what the radio raises.
    """
    factory = _factory(kind)
    try:
        return factory(**options)
    except TypeError as error:
        raise DeviceError(
            f"device {kind!r} can't be opened with {', '.join(options) or 'no options'}: {error}"
        ) from None


def _factory(kind: str) -> Callable[..., TimedIqDevice]:
    if kind in _OWN:
        module, _, name = _OWN[kind].partition(":")
        factory: Callable[..., TimedIqDevice] = getattr(import_module(module), name)
        return factory
    for point in metadata.entry_points(group=ENTRY_POINT_GROUP, name=kind):
        loaded: Callable[..., TimedIqDevice] = point.load()
        return loaded
    raise DeviceNotFound(f"no kind of radio is called {kind!r}; there are {', '.join(device_names())}")
