"""A picture of an object and of all it holds, as plain values: two pictures differ where anything built differs.

Left out are what functions close over, and sections of the configuration: what a part of the UE has not
yet taken out of its section has not reached it.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Hashable, Mapping
from enum import Enum
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from prose_link.config.section import Section

MOST_VALUES = 4096
"""An array of more values is a buffer: only its shape counts, since it may begin with anything."""
_PLAIN = bool | int | float | complex | str | bytes | PurePath | None
_LEFT_OUT = (ModuleType, type, Section)


def picture(root: Any) -> tuple[Hashable, ...]:
    """The values held by an object, each with the way to it."""
    found: list[Hashable] = []
    seen: set[int] = set()
    kept: list[Any] = []
    waiting: deque[tuple[str, Any]] = deque([("", root)])
    while waiting:
        way, thing = waiting.popleft()
        if isinstance(thing, Enum | _PLAIN):
            found.append((way, repr(thing)))
        elif isinstance(thing, np.ndarray):
            values = thing.tobytes() if thing.size <= MOST_VALUES else b""
            found.append((way, str(thing.dtype), thing.shape, values))
        elif isinstance(thing, np.random.Generator):
            found.append((way, repr(thing.bit_generator.state)))
        elif isinstance(thing, FunctionType | BuiltinFunctionType):
            found.append((way, thing.__qualname__))
        elif isinstance(thing, _LEFT_OUT) or id(thing) in seen:
            continue
        else:
            seen.add(id(thing))
            kept.append(thing)
            waiting.extend((f"{way}.{name}", value) for name, value in _held(thing))
    return tuple(found)


def _held(thing: Any) -> list[tuple[str, Any]]:
    if isinstance(thing, MethodType):
        return [("self", thing.__self__)]
    if isinstance(thing, Mapping):
        return [(f"key {n}", key) for n, key in enumerate(thing)] + [(f"[{key!r}]", thing[key]) for key in thing]
    if isinstance(thing, set | frozenset):
        return [(f"[{n}]", value) for n, value in enumerate(sorted(thing, key=repr))]
    if isinstance(thing, list | tuple | deque | range):
        return [(f"[{n}]", value) for n, value in enumerate(thing)]
    names = {*getattr(thing, "__dict__", {})}
    if dataclasses.is_dataclass(thing):
        names |= {field.name for field in dataclasses.fields(thing)}
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names |= {slots} if isinstance(slots, str) else set(slots)
    return [(name, value) for name in sorted(names) if (value := getattr(thing, name, None)) is not None]
