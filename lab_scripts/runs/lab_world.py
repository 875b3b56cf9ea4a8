"""Common data of all runs: the lab's virtual time, its KMS, and TOML text for its processes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

LAB_UTC = datetime(2026, 3, 10, 12, 0, 0, tzinfo=UTC)
"""The virtual UTC at which every demo starts, so that runs repeat whatever the day."""


KMS_URI = "kms.lab.invalid"


NAMESPACE = "tel:+4477009000*"
"""Ofcom's range of telephone numbers for drama: they are never assigned."""


DISCOVERY_GROUP = 0x0051AB


def to_toml(document: dict[str, Any], prefix: str = "") -> str:
    """A mapping of plain values and nested mappings as TOML text."""
    lines = [f"{key} = {_toml_value(value)}" for key, value in document.items() if not isinstance(value, dict)]
    for key, value in document.items():
        if isinstance(value, dict):
            lines += ["", f"[{prefix}{key}]", to_toml(value, f"{prefix}{key}.")]
    return "\n".join(lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)
