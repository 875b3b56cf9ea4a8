"""Options of kinds that plug-ins may add, radios and carriers: dataclasses that become strict tables of the file."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, with_config


def checked_options(options: type[Any]) -> type[Any]:
    """The option class of a kind, changed so that it refuses unknown keys."""
    config = ConfigDict(extra="forbid")
    return with_config(config)(type(options.__name__, (options,), {}))
