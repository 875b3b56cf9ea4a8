"""A check whether the lab's import names lead to the lab: `radio` and `security` are generic names.

It needs the standard library only, and imports none of the packages, so that it can run before any of them is imported.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

OUR_PACKAGES = ("radio", "security", "prose_link", "hw_configs", "lab_scripts")
HOME = Path(__file__).resolve().parents[1]
"""The folder that the lab's packages are in."""


def foreign_packages() -> list[str]:
    """One line for each of the lab's names that leads elsewhere, or nowhere."""
    foreign = []
    for name in OUR_PACKAGES:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError) as error:
            foreign.append(f"{name} cannot be looked up: {error}")
            continue
        if spec is None or spec.origin is None:
            places = list(spec.submodule_search_locations or ()) if spec else []
            foreign.append(f"{name} is {f'the folder {places[0]}' if places else 'missing'}")
        elif HOME not in Path(spec.origin).resolve().parents:
            foreign.append(f"{name} is {spec.origin}")
    return foreign


def way_out() -> str:
    """Advice about foreign packages."""
    if os.environ.get("PYTHONPATH"):
        return f"unset PYTHONPATH (it is {os.environ['PYTHONPATH']}), or install the lab into an environment of its own"
    return "install the lab into an environment of its own, and don't run it in a folder that holds such names"
