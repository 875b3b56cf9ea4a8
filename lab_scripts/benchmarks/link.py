"""What living on a link is like: figures in families, beside their aims; `docs/link-figures.md` is made of them.

A family is a module with a `FAMILY`; to add one, write it and add its line to `FAMILY_MODULES`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from lab_scripts.benchmarks.figure_family import Family
from lab_scripts.benchmarks.measure import Result
from lab_scripts.exit_codes import LabError

FAMILY_MODULES: Final = (
    "link_cells",
    "link_faint",
    "link_gaps",
    "link_groups",
    "link_keys",
    "link_latency",
    "link_memory",
    "link_queues",
    "link_quiet",
    "link_reference",
)
"""In the order of the page."""


def families() -> tuple[Family, ...]:
    """All families, in the order of the page."""
    modules = (importlib.import_module(f"lab_scripts.benchmarks.{name}") for name in FAMILY_MODULES)
    return tuple(module.FAMILY for module in modules)


def chosen_families(names: Sequence[str]) -> tuple[Family, ...]:
    """The families named, in the order of the page; all where none is. Raises LabError for one that is not known."""
    known = {family.name: family for family in families()}
    for name in names:
        if name not in known:
            raise LabError(f"--family {name} is not known", hint=f"choose from {', '.join(known)}")
    return tuple(family for family in known.values() if not names or family.name in names)


def run(*, quick: bool, only: Sequence[str] = ()) -> Iterator[Result]:
    """The figures of the families named, or of all, each as it is ready. Raises LabError for an unknown family."""
    for family in chosen_families(only):
        for result in family.measure(quick):
            yield replace(result, family=family.name)
