"""Kinds of carriers by name: those of the lab, imported when needed, and those of other packages.

Another package adds one through the entry point group `pc5lab.carriers`: name -> a `CarrierKind`. It is then a table
`[carriers.NAME]` of a UE's configuration, with its own options as keys. Direct radio is no kind: every UE has it.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import Any

from prose_link.carriers.protocol import Carrier, CarrierKind, CarrierNotFound, CarrierParts
from prose_link.pc5s.wire.party import DIRECT, CarrierError

ENTRY_POINT_GROUP = "pc5lab.carriers"

_OWN = {"proxy": "prose_link.carriers.proxy.carrier", "ims": "prose_link.carriers.ims.carrier"}
"""Modules with a `KIND`."""

OWN_CARRIERS = tuple(_OWN)
"""Kinds of carriers that the lab brings itself, beside direct radio."""


def carrier_names() -> tuple[str, ...]:
    """Return the names of all registered kinds, sorted."""
    return tuple(sorted({*_OWN, *(point.name for point in metadata.entry_points(group=ENTRY_POINT_GROUP))}))


def carrier_kind(name: str) -> CarrierKind:
    """Return a kind of carrier.

    Raises CarrierNotFound for an unknown name, CarrierError for a plug-in that is no `CarrierKind`.
    """
    if name in _OWN:
        kind: CarrierKind = import_module(_OWN[name]).KIND
        return kind
    for point in metadata.entry_points(group=ENTRY_POINT_GROUP, name=name):
        loaded = point.load()
        if not isinstance(loaded, CarrierKind) or loaded.name != name or name == DIRECT:
            raise CarrierError(f"the plug-in {point.value!r} for carrier {name!r} is no CarrierKind of that name")
        return loaded
    raise CarrierNotFound(f"no kind of carrier is called {name!r}; there are {', '.join(carrier_names())}")


def open_carrier(name: str, options: Any, parts: CarrierParts) -> Carrier:
    """Return an open carrier; see `CarrierKind.open` for arguments and errors."""
    carrier = carrier_kind(name).open(options, parts)
    if carrier.name != name or carrier.traits.name != name:
        carrier.close()
        raise CarrierError(f"the carrier opened for {name!r} calls itself {carrier.name!r}, {carrier.traits.name!r}")
    return carrier
