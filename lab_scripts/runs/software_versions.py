"""Versions of installed packages, as runs and benches report them."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable


def software_versions(packages: Iterable[str]) -> dict[str, str]:
    """The version of each package that is installed."""
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
