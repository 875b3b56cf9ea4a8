"""Writes docs/link-figures.md and docs/link-figures.json from what `pc5lab bench link --json` has found.

Run it as `python -m lab_scripts.doc_makers.link_figures RESULT.json ...`: families may be measured one by one, and of a
figure that is in several files the last one counts. Name docs/link-figures.json first to keep what is there. Without a
file the page is written anew from docs/link-figures.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lab_scripts.benchmarks.figure_family import Family, Figure
from lab_scripts.benchmarks.link import families
from lab_scripts.doc_makers.prose_width import wrapped
from lab_scripts.exit_codes import LabError

PAGE: Final = Path("docs/link-figures.md")
FOUND: Final = Path("docs/link-figures.json")
Document = Mapping[str, Any]

_INTRODUCTION: Final = (
    "What a link is worth to its users, beside what it is meant to be worth. `pc5lab bench link` measures "
    "it; this page is made of its JSON, `docs/link-figures.json`, by `python -m lab_scripts.doc_makers.link_figures`, "
    "and a test holds the two together.\n\n"
    "All times are times on the air, in virtual time: with the same seeds the figures are the same on every machine, "
    "but for those of memory. Seeds give places, oscillators, noise, fading, loss and all choices of the UEs. *Found* "
    "is the median of the trials, or what the figure's name says: a mean for shares of lost packets, a share of the "
    "trials that got there, or the worst trial where the aim is one for each. *Spread* is the interquartile range of "
    "the trials; for a share of trials it is the width of its 95 % interval (Wilson), which is wide where trials are "
    "few."
)
_HOW: Final = (
    "`pc5lab bench link --family NAME` measures one family, `--quick` takes a fast look at it, and Ctrl-C keeps the "
    "figures that are finished. Minutes are those of one core without other work."
)


class UnknownFigure(LabError):
    """A result that no family gives."""


def merged(documents: Sequence[Document]) -> dict[str, Any]:
    """Results of several runs as one document, in the order of the page; of each figure the last one counts.

    Raises UnknownFigure.
    """
    found: dict[str, dict[str, Any]] = {}
    for document in documents:
        for result in document["results"]:
            found[result["name"]] = {**result, **({"quick": True} if document.get("quick") else {})}
    order = [figure.name for family in families() for figure in family.figures]
    for name in found.keys() - set(order):
        raise UnknownFigure(f"no family gives a figure {name!r}")
    return {"machine": documents[-1]["machine"], "results": [found[name] for name in order if name in found]}


def page(document: Document) -> str:
    """The whole page, Markdown. Raises UnknownFigure."""
    found = {result["name"]: result for result in merged([document])["results"]}
    parts = ["# What a link is worth", wrapped(_INTRODUCTION), wrapped(_summary(found)), wrapped(_HOW)]
    for family in families():
        parts += [f"## {family.title}", wrapped(_method(family)), _table(family, found)]
    machine = document["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    parts += ["## Measured with", wrapped(f"{machine['processor']}, Python {machine['python']}; {versions}.")]
    return "\n\n".join(parts) + "\n"


def _summary(found: Mapping[str, Mapping[str, Any]]) -> str:
    aims = [figure for family in families() for figure in family.figures if figure.aim is not None]
    met = [figure.name for figure in aims if found.get(figure.name, {}).get("met") is True]
    missed = [figure.name for figure in aims if found.get(figure.name, {}).get("met") is False]
    not_run = len(aims) - len(met) - len(missed)
    text = f"Of {len(aims)} figures with an aim {len(met)} reach it"
    text += f", {len(missed)} miss it" if missed else ""
    text += f", and {not_run} were not run." if not_run else "."
    return text + (f" Missed: {'; '.join(missed)}." if missed else "")


def _method(family: Family) -> str:
    return f"`--family {family.name}`, about {family.full_minutes:g} min. {family.method}"


def _table(family: Family, found: Mapping[str, Mapping[str, Any]]) -> str:
    head = ["| figure | found | aim | met | trials | spread | seeds |", "|---|---|---|---|---|---|---|"]
    return "\n".join([*head, *(_row(figure, found.get(figure.name)) for figure in family.figures)])


def _row(figure: Figure, result: Mapping[str, Any] | None) -> str:
    aim = "" if figure.aim is None else f"{'≤' if figure.lower_is_better else '≥'} {figure.aim:g} {figure.unit}"
    return f"| {' | '.join((figure.name, *_cells(figure, aim, result)))} |"


def _cells(figure: Figure, aim: str, result: Mapping[str, Any] | None) -> Iterator[str]:
    if result is None:
        yield from ("not run", aim, "", "", "", "")
        return
    yield f"{result['value']:g} {figure.unit}" + (" (fast look)" if result.get("quick") else "")
    yield aim
    yield {True: "yes", False: "**no**", None: ""}[result["met"]]
    yield str(result["runs"])
    yield f"{result['spread']:g}" if result["runs"] > 1 else ""
    yield result.get("seeds", "")


def main(files: Sequence[str]) -> None:
    """Write the page, and the document that it is made of."""
    documents = [json.loads(Path(file).read_text(encoding="utf-8")) for file in files or (str(FOUND),)]
    document = merged(documents)
    FOUND.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(document), encoding="utf-8")
    print(f"{PAGE}, {FOUND}: {len(document['results'])} figures")


if __name__ == "__main__":
    main(sys.argv[1:])
