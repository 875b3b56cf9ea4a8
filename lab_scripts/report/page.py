"""report.html: one page that needs nothing but the pictures beside it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1150px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; margin-bottom: .2em; }
h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #ddd; padding-bottom: .2em; }
.verdict { font-weight: 600; padding: .5em .8em; border-radius: 6px; background: #e7f4ea; border: 1px solid #9ccfa8; }
.verdict.bad { background: #fdecea; border-color: #e3a49d; }
table { border-collapse: collapse; }
td, th { padding: .25em .9em .25em 0; text-align: left; vertical-align: top; }
th { font-weight: 600; color: #555; }
td.n { font-variant-numeric: tabular-nums; }
img { max-width: 100%; border: 1px solid #e2e2e2; border-radius: 4px; }
p.caption { color: #555; margin-top: .3em; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture beside the page, and the words under it."""

    title: str
    file: str
    caption: str


def write_page(
    path: Path, *, title: str, verdict: str, ok: bool, rows: Sequence[tuple[str, str]], pictures: Sequence[Picture]
) -> None:
    """Write the page.

    Args:
        path: the HTML file.
        title: headline.
        verdict: one sentence on how the run went.
        ok: colours the verdict.
        rows: (name, value) of the closing table.
        pictures: shown in order; files are relative to the page.
    """
    table = "\n".join(
        f"<tr><th>{html.escape(name)}</th><td class='n'>{html.escape(value)}</td></tr>" for name, value in rows
    )
    figures = "\n".join(
        f"<h2>{html.escape(p.title)}</h2>\n<img src='{html.escape(p.file)}' alt='{html.escape(p.title)}'>\n"
        f"<p class='caption'>{html.escape(p.caption)}</p>"
        for p in pictures
    )
    verdict_class = "verdict" if ok else "verdict bad"
    path.write_text(
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>{html.escape(title)}</title>"
        f"<style>{_STYLE}</style></head>\n<body>\n<h1>{html.escape(title)}</h1>\n"
        f"<p class='{verdict_class}'>{html.escape(verdict)}</p>\n<table>\n{table}\n</table>\n"
        f"{figures}\n</body></html>\n",
        encoding="utf-8",
    )
