"""The string under each field of a class, from its source: the text about fields in generated pages."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any


def field_docstrings(kind: type[Any]) -> dict[str, str]:
    """Field -> the string under it, in one line; those of the base classes included."""
    words: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if one.__module__ == "builtins" or one.__module__.startswith("pydantic."):
            continue
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        assert isinstance(body, ast.ClassDef)
        for statement, after in zip(body.body, body.body[1:], strict=False):
            match statement, after:
                case ast.AnnAssign(target=ast.Name(id=key)), ast.Expr(value=ast.Constant(value=str(text))):
                    words[key] = " ".join(text.split())
    return words
