"""Draws docs/architecture.md's import graph from the code: `python -m lab_scripts.doc_makers.import_graph [FILE]`.

The page itself is written by hand. Between two marks it holds a diagram of all packages and one for each place in
`PLACES`: a box for each folder or file there, and an arrow if one imports another. This script replaces the diagrams.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

FILE: Final = Path("docs/architecture.md")
PACKAGES: Final = ("lab_scripts", "prose_link", "radio", "security")
PLACES: Final = (
    "lab_scripts",
    "prose_link",
    "prose_link.pc5s",
    "radio",
    "radio.phy",
    "radio.phy.lte",
    "security",
)
"""Rooms whose insides are drawn."""
BEGIN: Final = "<!-- import graph: begin -->"
END: Final = "<!-- import graph: end -->"
TOP: Final = Path(__file__).resolve().parents[2]


def imports() -> Iterator[tuple[str, str]]:
    """(importing module, imported module) of every import between the lab's modules, from the source."""
    modules = {_module_of(path): path for package in PACKAGES for path in (TOP / package).rglob("*.py")}
    for module, path in sorted(modules.items()):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in _names_in(node):
                target = name if name in modules else name.rpartition(".")[0]
                if target in modules and target != module:
                    yield module, target


def arrows(within: str = "") -> list[tuple[str, str]]:
    """(room, room it imports), sorted: the folders and files directly in `within`, or the packages of the lab."""
    found = set()
    prefix = f"{within}." if within else ""
    depth = prefix.count(".") + 1
    for importer, imported in imports():
        if importer.startswith(prefix) and imported.startswith(prefix):
            found.add((_room(importer, depth), _room(imported, depth)))
    return sorted(pair for pair in found if pair[0] != pair[1] and within not in pair)


def diagrams() -> str:
    """The diagrams, Markdown with Mermaid."""
    parts = ["### The packages", "", *_diagram("")]
    for place in PLACES:
        parts += ["", f"### `{place.replace('.', '/')}`", "", *_diagram(place)]
    return "\n".join(parts)


def page(text: str) -> str:
    """A page with today's diagrams between its marks; raises ValueError where it has no marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{diagrams()}\n\n{END}{after}"


def _diagram(within: str) -> Iterable[str]:
    pairs = arrows(within)
    rooms = sorted({room for pair in pairs for room in pair})
    yield "```mermaid"
    yield "graph LR"
    yield from (f"    {_id(room)}[{room.rpartition('.')[2]}]" for room in rooms)
    yield from (f"    {_id(importer)} --> {_id(imported)}" for importer, imported in pairs)
    yield "```"


def _id(room: str) -> str:
    return room.replace(".", "_")


def _module_of(path: Path) -> str:
    module = ".".join(path.relative_to(TOP).with_suffix("").parts)
    return module.removesuffix(".__init__")


def _names_in(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.ImportFrom(module=str(module), level=0):
            yield from (f"{module}.{alias.name}" for alias in node.names)
        case ast.Import():
            yield from (alias.name for alias in node.names)


def _room(module: str, depth: int) -> str:
    """The folder that a module is in, at most `depth` levels deep; a file beside the folders is a room of its own."""
    return ".".join(module.split(".")[:depth])


def main(arguments: list[str]) -> None:
    """Write the page."""
    file = Path(arguments[0]) if arguments else FILE
    file.write_text(page(file.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{file}: {len(PLACES) + 1} diagrams")


if __name__ == "__main__":
    main(sys.argv[1:])
