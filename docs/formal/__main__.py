"""Run the model: `python -m docs.formal [--fast] [--trace] [--write] [NAME ...]`.

Prints a line for each case; exit code 1 if a case doesn't end as it must. NAME picks the cases whose name begins so.
`--trace` shows the shortest way to each state that breaks a property. `--write` puts the results into the table of
README.md; rows of cases that were not run stay.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Final

from docs.formal.case import Case
from docs.formal.cases import CASES
from docs.formal.search import Result

PAGE: Final = Path(__file__).parent / "README.md"


def row(case: Case, result: Result) -> str:
    """A case and its result as a row of the page's table."""
    found = "holds" if result.holds else f"breaks: {result.broken}"
    return f"| {case.name} | {case.label} | {case.kind.value} | {case.rule} | {found} | {result.states} |"


def write(rows: dict[str, str]) -> None:
    """Put rows into the page's table, by the names of their cases."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    old = {line.split(" | ")[0].lstrip("| "): line for line in lines if re.match(r"\| [a-z-]+/", line)}
    first = next(number for number, line in enumerate(lines) if line.startswith("|---|---|---|---|---|---|")) + 1
    table = [rows.get(case.name) or old.get(case.name, f"| {case.name} | | | | not run | |") for case in CASES]
    lines[first : first + len(old)] = table
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run the cases asked for."""
    parser = argparse.ArgumentParser(prog="python -m docs.formal")
    parser.add_argument("names", nargs="*", metavar="NAME", help="run the cases whose name begins so")
    parser.add_argument("--fast", action="store_true", help="leave out what takes longer than seconds")
    parser.add_argument("--trace", action="store_true", help="show how each property breaks")
    parser.add_argument("--write", action="store_true", help="put the results into README.md")
    asked = parser.parse_args(arguments)
    wrong = 0
    rows: dict[str, str] = {}
    for case in CASES:
        if (asked.fast and case.slow) or (asked.names and not case.name.startswith(tuple(asked.names))):
            continue
        begun = time.monotonic()
        result = case.run()
        as_expected = case.is_as_expected(result)
        wrong += not as_expected
        rows[case.name] = row(case, result)
        took = f"{result.states} states, {time.monotonic() - begun:.1f} s"
        verdict = "as it must" if as_expected else "NOT AS IT MUST"
        found = "holds" if result.holds else f"breaks: {result.broken}"
        print(f"{case.name} ({case.kind.value}): {found}; {verdict} ({took})", flush=True)
        if asked.trace and not result.holds:
            print("".join(f"    {number}. {text}\n" for number, text in enumerate(result.trace, start=1)), end="")
    if asked.write:
        write(rows)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
