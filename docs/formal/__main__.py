"""Run the model: `python -m docs.formal [--fast] [--trace] [--table] [NAME ...]`.

Prints a line for each case, or with `--table` the rows of README.md; exit code 1 if a case doesn't end as it must. NAME
picks the cases whose name begins so. `--trace` shows the shortest way to each state that breaks a property.
"""

from __future__ import annotations

import argparse
import sys
import time

from docs.formal.case import Case
from docs.formal.cases import CASES
from docs.formal.search import Result


def row(case: Case, result: Result) -> str:
    """A case and its result as a row of the page's table."""
    found = "holds" if result.holds else f"breaks: {result.broken}"
    return f"| {case.name} | {case.label} | {case.kind.value} | {case.rule} | {found} | {result.states} |"


def main(arguments: list[str]) -> int:
    """Run the cases asked for."""
    parser = argparse.ArgumentParser(prog="python -m docs.formal")
    parser.add_argument("names", nargs="*", metavar="NAME", help="run the cases whose name begins so")
    parser.add_argument("--fast", action="store_true", help="leave out what takes longer than seconds")
    parser.add_argument("--trace", action="store_true", help="show how each property breaks")
    parser.add_argument("--table", action="store_true", help="print the rows of README.md")
    asked = parser.parse_args(arguments)
    wrong = 0
    for case in CASES:
        if (asked.fast and case.slow) or (asked.names and not case.name.startswith(tuple(asked.names))):
            continue
        begun = time.monotonic()
        result = case.run()
        as_expected = case.is_as_expected(result)
        wrong += not as_expected
        if asked.table:
            print(row(case, result), flush=True)
        else:
            took = f"{result.states} states, {time.monotonic() - begun:.1f} s"
            verdict = "as it must" if as_expected else "NOT AS IT MUST"
            found = "holds" if result.holds else f"breaks: {result.broken}"
            print(f"{case.name} ({case.kind.value}): {found}; {verdict} ({took})", flush=True)
        if asked.trace and not result.holds:
            print("".join(f"    {number}. {text}\n" for number, text in enumerate(result.trace, start=1)), end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
