"""The contents of a SigMF metadata file (SigMF 1.2): type and rate of the samples, channels, place in the dataset.

A dataset is a run of samples, cut into captures. A capture may begin with `core:header_bytes` that are no samples,
and the dataset may end with `core:trailing_bytes` (non-conforming datasets). Sample indices are absolute: the first
sample of the dataset is number `core:offset`. `core:global_index` counts on through samples that were lost.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from radio.devices.protocol import DeviceError
from radio.devices.sample_types import SampleType, sample_type

MAX_CHANNELS = 1024
_MAX_CAPTURES = 100_000
_MAX_RATE_HZ = 1e12
"""The schema's maximum of core:sample_rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """A run of samples: its first one, counted from the dataset's start, and the octets in front of it."""

    first_sample: int
    header_octets: int = 0
    global_index: int | None = None
    frequency_hz: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """A recording as its metadata describes it. `dataset` is None where it has the recording's name."""

    sample_type: SampleType
    sample_rate_hz: float | None
    n_channels: int
    dataset: str | None
    is_metadata_only: bool
    trailing_octets: int
    captures: tuple[Capture, ...]


def parse_json_object(text: str, source: str) -> dict[str, Any]:
    """A JSON text that is an object. Raises DeviceError, which names `source`."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DeviceError(f"{source} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise DeviceError(f"{source} has no SigMF 'global' object: it is no JSON object")
    return document


def parse_metadata(text: str, source: str) -> Metadata:
    """The text of a `.sigmf-meta` file as values. Raises DeviceError, which names `source`."""
    document = parse_json_object(text, source)
    described = document.get("global")
    if not isinstance(described, dict):
        if "collection" in document:
            raise DeviceError(f"{source} is a SigMF collection, not the metadata of one recording")
        raise DeviceError(f"{source} has no SigMF 'global' object")
    datatype = described.get("core:datatype")
    if not isinstance(datatype, str):
        raise DeviceError(f"{source}: core:datatype is missing, or is no string")
    try:
        kind = sample_type(datatype)
    except DeviceError as error:
        raise DeviceError(f"{source}: core:datatype: {error}") from None
    offset = _count(described, "core:offset", source) or 0
    return Metadata(
        sample_type=kind,
        sample_rate_hz=_rate(described, source),
        n_channels=_n_channels(described, source),
        dataset=_dataset(described, source),
        is_metadata_only=described.get("core:metadata_only") is True,
        trailing_octets=_count(described, "core:trailing_bytes", source) or 0,
        captures=_captures(document.get("captures", []), offset, source),
    )


def _rate(described: Mapping[str, Any], source: str) -> float | None:
    rate = described.get("core:sample_rate")
    if rate is None:
        return None
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        raise DeviceError(f"{source}: core:sample_rate {rate!r} is no number")
    if not (isinstance(rate, int) or math.isfinite(rate)) or not 0 < rate <= _MAX_RATE_HZ:
        raise DeviceError(f"{source}: core:sample_rate {rate!r} is no rate in Hz (above 0, at most {_MAX_RATE_HZ:g})")
    return float(rate)


def _n_channels(described: Mapping[str, Any], source: str) -> int:
    n_channels = _count(described, "core:num_channels", source)
    n_channels = 1 if n_channels is None else n_channels
    if not 1 <= n_channels <= MAX_CHANNELS:
        raise DeviceError(f"{source}: core:num_channels is {n_channels}, not 1..{MAX_CHANNELS}")
    return n_channels


def _dataset(described: Mapping[str, Any], source: str) -> str | None:
    name = described.get("core:dataset")
    if name is None:
        return None
    if not isinstance(name, str) or not name or "/" in name or "\\" in name or "\0" in name or name in (".", ".."):
        raise DeviceError(f"{source}: core:dataset {name!r} is no file name: the dataset is in the same folder")
    return name


def _captures(entries: object, offset: int, source: str) -> tuple[Capture, ...]:
    if not isinstance(entries, list) or len(entries) > _MAX_CAPTURES:
        raise DeviceError(f"{source}: captures is no list, or one of more than {_MAX_CAPTURES} entries")
    captures: list[Capture] = []
    for number, entry in enumerate(entries):
        place = f"{source}: captures[{number}]"
        if not isinstance(entry, dict):
            raise DeviceError(f"{place} is no object")
        start = _count(entry, "core:sample_start", place)
        if start is None:
            raise DeviceError(f"{place}: core:sample_start is missing")
        if start < offset:
            raise DeviceError(f"{place}: core:sample_start {start} is below core:offset {offset}")
        if captures and start - offset < captures[-1].first_sample:
            raise DeviceError(f"{place}: core:sample_start {start} is below that of the capture before it")
        captures.append(
            Capture(
                first_sample=start - offset,
                header_octets=_count(entry, "core:header_bytes", place) or 0,
                global_index=_count(entry, "core:global_index", place),
                frequency_hz=_frequency(entry, place),
            )
        )
    return tuple(captures)


def _count(entry: Mapping[str, Any], name: str, source: str) -> int | None:
    """A whole number from 0 on, None where there is none; 5.0 is taken for 5."""
    value = entry.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise DeviceError(f"{source}: {name} {value!r} is no whole number from 0 on")
    return value


def _frequency(entry: Mapping[str, Any], source: str) -> float | None:
    value = entry.get("core:frequency")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MAX_RATE_HZ:
        raise DeviceError(f"{source}: core:frequency {value!r} is no frequency in Hz")
    return float(value)
