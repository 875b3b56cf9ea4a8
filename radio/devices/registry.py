"""Kinds of radio by name: those of the lab, imported when needed, and those of other packages.

Another package adds one through the entry point group `pc5lab.devices`: name -> a `DeviceKind`. It is then a value of
`device` in a UE's `[radio]`, with its own options as keys there.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import Any

from radio.devices.protocol import DeviceError, DeviceKind, DeviceNotFound, Stopped, TimedIqDevice, never_stopped

ENTRY_POINT_GROUP = "pc5lab.devices"

_OWN = {
    "zeromq": "radio.emulator.client",
    "sigmf": "radio.devices.sigmf_file",
    "uhd": "radio.devices.uhd_usrp",
    "soapy": "radio.devices.soapy",
}
"""Modules with a `KIND`."""

OWN_DEVICES = tuple(_OWN)
"""Kinds of radio that the lab brings itself."""


def device_names() -> tuple[str, ...]:
    """Return the names of all registered kinds of radio, sorted."""
    return tuple(sorted({*_OWN, *(point.name for point in metadata.entry_points(group=ENTRY_POINT_GROUP))}))


def device_kind(name: str) -> DeviceKind:
    """Return a kind of radio; this loads no vendor library.

    Raises DeviceNotFound for an unknown name, DeviceError for a plug-in that is no `DeviceKind`.
    """
    if name in _OWN:
        kind: DeviceKind = import_module(_OWN[name]).KIND
        return kind
    for point in metadata.entry_points(group=ENTRY_POINT_GROUP, name=name):
        loaded = point.load()
        if not isinstance(loaded, DeviceKind):
            raise DeviceError(f"the plug-in {point.value!r} for device {name!r} is no DeviceKind")
        return loaded
    raise DeviceNotFound(f"no kind of radio is called {name!r}; there are {', '.join(device_names())}")


def open_device(
    name: str, options: Any, *, ue: str, sample_rate_hz: int, stopped: Stopped = never_stopped
) -> TimedIqDevice:
    """Return an open radio; see `DeviceKind.open` for arguments and errors."""
    return device_kind(name).open(options, ue=ue, sample_rate_hz=sample_rate_hz, stopped=stopped)
