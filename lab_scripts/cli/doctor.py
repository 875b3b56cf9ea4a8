"""`pc5lab doctor`: checks of the lab on this machine, and advice for each fault."""

from __future__ import annotations

from typing import Annotated

import typer

from lab_scripts.doctor_checks import Finding, all_well, examine, plain_report
from lab_scripts.exit_codes import ExitCode

app = typer.Typer()


@app.callback(invoke_without_command=True)
def doctor(as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False) -> int:
    """Check libraries, radios, serial gear, permissions, and run a self-test. Example: pc5lab doctor"""
    findings = examine()
    if as_json:
        print(plain_report(findings, as_json=True))
    else:
        _print(findings)
    return int(ExitCode.OK if all_well(findings) else ExitCode.FAILED)


def _print(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    colours = {"ok": "green", "missing": "yellow", "bad": "red"}
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "found", "hint"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        colour = colours[finding.verdict]
        table.add_row(
            f"[{colour}]{finding.verdict}[/]", escape(finding.subject), escape(finding.detail), escape(finding.hint)
        )
    Console().print(table)
