"""The part of a run that the IMS adds: a core of two Kamailios, and a subscription for each UE."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab_scripts.demo.plan import IDENTITY_A, IDENTITY_B, UES
from lab_scripts.runs.ims_core import PORT, ImsCore, Subscriber


def subscribers() -> dict[str, Subscriber]:
    """A subscription for each UE, under the number that is its identity."""
    numbers = (identity.removeprefix("tel:") for identity in (IDENTITY_A, IDENTITY_B))
    return {name: Subscriber(number=number, password=f"lab-{name}") for name, number in zip(UES, numbers, strict=True)}


@contextmanager
def ims_session(folder: Path, logs: Path) -> Iterator[Mapping[str, Mapping[str, Any]]]:
    """Run a core, and give the `[carriers.ims]` table of each UE. Raises LabError where Kamailio is missing.

    Args:
        folder: where the core's files are, for as long as it runs.
        logs: where its logs go.
    """
    folder.mkdir()
    known = subscribers()
    with ImsCore(folder, logs, list(known.values()), block=os.getpid() % 250) as core:
        yield {
            name: {"proxy": core.proxy, "host": core.ue_address(place), "port": PORT, "password": one.password}
            for place, (name, one) in enumerate(known.items())
        }
