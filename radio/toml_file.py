"""TOML as the lab takes it: bounded in size, depth, length of dotted keys and size of integers.

The standard library's parser recurses once for each bracket, and its time and memory grow with the square of a dotted
key's length: 40 kB of `a.a.a...` takes seconds and gigabytes. No configuration needs either, so both are bounded by a
look at the text before it is parsed. Strings and comments don't count: brackets and dots in them mean nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from radio.errors import RadioError

MAX_OCTETS = 1 << 20
MAX_DEPTH = 32
MAX_KEY_PARTS = 8
_INTEGERS = range(-(1 << 63), 1 << 63)
"""TOML 1.0: 64 bits, signed; an integer beyond is an error."""
_LITERALS = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+"{3,5}'
    r"|'''(?:[^']|'(?!''))*+'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*",
    re.DOTALL,
)
"""Strings and comments, whichever begins first."""
_LONG_KEY = re.compile(rf"(?<![\w-])[\w-]++(?:[ \t]*+\.[ \t]*+[\w-]++){{{MAX_KEY_PARTS}}}")
_BRACKETS = re.compile(r"[\[\]{}]")
_LONG_NUMBER = re.compile(r"(?<![\w.+-])[+-]?+(?:\d_?+){25}")


class TomlError(RadioError):
    """A text that is no TOML, or TOML beyond the lab's bounds."""


def parse_toml(text: str) -> dict[str, Any]:
    """A TOML text as a mapping. Raises TomlError, which says where."""
    if len(text) > MAX_OCTETS:
        raise TomlError(f"{len(text)} characters are more than the {MAX_OCTETS} that a file of the lab may have")
    _check_shape(text)
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise TomlError(f"tables and lists nest too deeply: at most {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise TomlError(f"not TOML: {error}") from None
    _check_values(document, "")
    return document


def _check_shape(text: str) -> None:
    bare = _LITERALS.sub(_blank, text)
    long_key = _LONG_KEY.search(bare)
    if long_key:
        raise TomlError(f"line {_line(bare, long_key.start())}: a dotted key of more than {MAX_KEY_PARTS} parts")
    long_number = _LONG_NUMBER.search(bare)
    if long_number:
        raise TomlError(f"line {_line(bare, long_number.start())}: an integer beyond 64 bits")
    depth = 0
    for bracket in _BRACKETS.finditer(bare):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_DEPTH:
            raise TomlError(f"line {_line(bare, bracket.start())}: lists or tables nest more than {MAX_DEPTH} levels")


def _blank(literal: re.Match[str]) -> str:
    """What stands for a string or comment: a key's part where it may be one, the same number of lines."""
    return ("" if literal[0].startswith("#") else "s") + "\n" * literal[0].count("\n")


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _check_values(value: object, place: str) -> None:
    """Every integer fits 64 bits; the depth is bounded by now."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_values(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _check_values(item, f"{place}[{number}]")
    elif isinstance(value, int) and value not in _INTEGERS:
        raise TomlError(f"{place}: an integer beyond 64 bits")
