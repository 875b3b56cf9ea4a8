"""Prose of generated pages at the width of all pages: a test holds every page of the project to it."""

from __future__ import annotations

import textwrap
from typing import Final

WIDTH: Final = 100
"""Columns of a line of prose; rows of tables, headings and code are as long as they are."""


def wrapped(text: str, indent: str = "") -> str:
    """Paragraphs, with an empty line between them, folded at `WIDTH`.

    `indent` is put before all lines of a paragraph but the first: that of a list item's text.
    """
    fold = textwrap.TextWrapper(WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False).fill
    return "\n\n".join(fold(paragraph) for paragraph in text.split("\n\n"))
