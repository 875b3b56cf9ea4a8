"""The JSON form of each type that a field of an event may have: how it is read, its schema, and its name in words.

`prose_link.event_stream.fields_of` writes these forms. A type that has none is refused when the catalogue is loaded.
"""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Callable, Mapping
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from lab_scripts.exit_codes import LabError


class EventFormatError(LabError):
    """A line or record that is no event of the catalogue."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One type in JSON."""

    words: str
    """The name of the form in words, for a page."""
    schema: Mapping[str, Any]
    """Its JSON Schema."""
    read: Callable[[Any], Any]
    """From JSON to the value. Raises EventFormatError."""


@cache
def form_of(annotation: Any) -> Form:
    """The form of a type. Raises TypeError for a type that no event may have."""
    plain = _PLAIN.get(annotation)
    if plain is not None:
        return plain
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (types.UnionType, Union) and len(arguments) == 2 and type(None) in arguments:
        return _optional(form_of(next(one for one in arguments if one is not type(None))))
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _list(form_of(arguments[0]), tuple)
    if origin is frozenset:
        return _list(form_of(arguments[0]), frozenset)
    if isinstance(origin, type) and issubclass(origin, Mapping) and arguments[0] is str:
        return _mapping(form_of(arguments[1]))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _enumeration(annotation)
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _structure(annotation)
    raise TypeError(f"a field of an event can't be of type {annotation}: it has no JSON form")


@cache
def fields_in_json(kind: type) -> Mapping[str, Form]:
    """The fields of an event's class in their order, and the form of each. Raises TypeError."""
    hints = get_type_hints(kind)
    return {field.name: form_of(hints[field.name]) for field in dataclasses.fields(kind)}


@cache
def needed_fields(kind: type) -> frozenset[str]:
    """Those that every line has; one with a default may be missing in files that are older than the field."""
    return frozenset(
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )


def read_fields(kind: type, record: Mapping[str, Any]) -> Any:
    """An instance of `kind` from the JSON form of its fields.

    Raises EventFormatError: a field is missing, unknown, or of another form.
    """
    forms = fields_in_json(kind)
    if missing := needed_fields(kind) - record.keys():
        raise EventFormatError(f"no field {', '.join(sorted(missing))}")
    if unknown := record.keys() - forms.keys():
        raise EventFormatError(f"unknown field {', '.join(sorted(unknown))}")
    values = {}
    for name, value in record.items():
        try:
            values[name] = forms[name].read(value)
        except EventFormatError as error:
            raise EventFormatError(f"field {name}: {error}") from error
    return kind(**values)


def _of_type(words: str, *kinds: type) -> Callable[[Any], Any]:
    """Takes values of these types as they are; True and False are no numbers."""

    def read(value: Any) -> Any:
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise EventFormatError(f"{_short(value)} is not {words}")
        return value

    return read


def _made_by(make: Callable[[str], Any], words: str) -> Callable[[Any], Any]:
    """Takes texts that `make` turns into a value."""

    def read(value: Any) -> Any:
        try:
            return make(_TEXT.read(value))
        except ValueError as error:
            raise EventFormatError(f"{_short(value)} is not {words}") from error

    return read


def _optional(inner: Form) -> Form:
    def read(value: Any) -> Any:
        return None if value is None else inner.read(value)

    schema = {"anyOf": [inner.schema, {"type": "null"}]}
    return Form(words=f"{inner.words}, or null", schema=schema, read=read)


def _list(inner: Form, make: Callable[[list[Any]], Any]) -> Form:
    def read(value: Any) -> Any:
        if not isinstance(value, list):
            raise EventFormatError(f"{_short(value)} is not a list")
        return make([inner.read(item) for item in value])

    schema: dict[str, Any] = {"type": "array", "items": inner.schema}
    if make is frozenset:
        schema["uniqueItems"] = True
    return Form(words=f"list of {inner.words}", schema=schema, read=read)


def _mapping(inner: Form) -> Form:
    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise EventFormatError(f"{_short(value)} is not an object")
        return {key: inner.read(item) for key, item in value.items()}

    schema = {"type": "object", "additionalProperties": inner.schema}
    return Form(words=f"object, text to {inner.words}", schema=schema, read=read)


def _enumeration(kind: type[enum.Enum]) -> Form:
    if issubclass(kind, enum.IntEnum):
        numbers = {int(one): one for one in kind}
        return _choice(numbers, {"type": "integer", "enum": list(numbers)})
    names = {one.name.lower(): one for one in kind}
    return _choice(names, {"type": "string", "enum": list(names)})


def _choice(values: Mapping[Any, enum.Enum], schema: Mapping[str, Any]) -> Form:
    words = " or ".join(f"`{one}`" for one in values)

    def read(value: Any) -> Any:
        if isinstance(value, bool | list | dict) or value not in values:
            raise EventFormatError(f"{_short(value)} is not {words}")
        return values[value]

    return Form(words=words, schema=schema, read=read)


def _structure(kind: type) -> Form:
    inner = fields_in_json(kind)

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise EventFormatError(f"{_short(value)} is not an object")
        return read_fields(kind, value)

    schema = {
        "type": "object",
        "properties": {name: form.schema for name, form in inner.items()},
        "required": [name for name in inner if name in needed_fields(kind)],
        "additionalProperties": False,
    }
    return Form(words=f"object: {', '.join(f'`{name}`' for name in inner)}", schema=schema, read=read)


def _short(value: Any, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


_TEXT: Final = Form(words="text", schema={"type": "string"}, read=_of_type("text", str))
_HEX_DIGITS: Final = {"type": "string", "pattern": "^([0-9a-f]{2})*$"}
_PLAIN: Final[Mapping[Any, Form]] = {
    bool: Form(words="true or false", schema={"type": "boolean"}, read=_of_type("true or false", bool)),
    int: Form(words="integer", schema={"type": "integer"}, read=_of_type("an integer", int)),
    float: Form(words="number", schema={"type": "number"}, read=_of_type("a number", int, float)),
    str: _TEXT,
    bytes: Form(words="hex digits", schema=_HEX_DIGITS, read=_made_by(bytes.fromhex, "hex digits")),
    IPv4Address: Form(
        words="IPv4 address",
        schema={"type": "string", "format": "ipv4"},
        read=_made_by(IPv4Address, "an IPv4 address"),
    ),
    IPv6Address: Form(
        words="IPv6 address",
        schema={"type": "string", "format": "ipv6"},
        read=_made_by(IPv6Address, "an IPv6 address"),
    ),
}
