"""The source files that a compiled kernel depends on.

A kernel is compiled from its own file, from the kernels it calls and from the constants it reads. numba freezes all of
them into the machine code, and none of them can be defined anywhere but in the kernel's file or in what that file
imports. So the result is a closure: it starts with every file that names numba, and follows the imports within the
lab's packages.

Only imports at the top of a file count: a kernel's globals come from nowhere else. They are read from the text, not by
importing, because the answer is needed before numba may be loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PACKAGES_WITH_KERNELS: Final = ("radio", "security")

_HOUSE: Final = "|".join(PACKAGES_WITH_KERNELS)
_IMPORT: Final = re.compile(
    rf"^(?:from ((?:{_HOUSE})[\w.]*) import (\([^)]*\)|.*)|import ((?:{_HOUSE})[\w.]*))", re.MULTILINE
)
_NAME: Final = re.compile(r"(\w+)(?:\s+as\s+\w+)?")


def kernel_sources(top: Path) -> dict[Path, bytes]:
    """Each file that a kernel depends on, by its path below `top`, with its octets; in the order of the paths."""
    texts = {path: path.read_bytes() for package in PACKAGES_WITH_KERNELS for path in (top / package).rglob("*.py")}
    waiting = [path for path, text in texts.items() if b"numba" in text]
    reached: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting.extend(found for found in _imported(top, texts[path].decode()) if found in texts)
    return {path.relative_to(top): texts[path] for path in sorted(reached)}


def _imported(top: Path, text: str) -> Iterator[Path]:
    """Files that the imports of a text may mean; not all of them exist."""
    for package, names, module in _IMPORT.findall(text):
        modules = [module] if module else [package, *(f"{package}.{name}" for name in _NAME.findall(names))]
        for name in modules:
            place = top.joinpath(*name.split("."))
            yield place.with_suffix(".py")
            yield place / "__init__.py"
