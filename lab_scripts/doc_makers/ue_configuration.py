"""Writes docs/ue-configuration.md from the models: `python -m lab_scripts.doc_makers.ue_configuration [FILE]`."""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from lab_scripts.doc_makers.field_docstrings import field_docstrings
from lab_scripts.doc_makers.prose_width import wrapped
from prose_link.carriers.registry import OWN_CARRIERS, carrier_kind
from prose_link.config.carriers import CarriersSection
from prose_link.config.kind_options import checked_options
from prose_link.config.ue import RadioSection, UeConfig
from radio.devices.registry import OWN_DEVICES, device_kind

FILE: Final = Path("docs/ue-configuration.md")
EXAMPLE: Final = """\
name = "ue-a"
identity = "tel:+447700900001"
l2_id = 0x5C1A01

[kms]
url = "https://127.0.0.1:8443"
ticket = "ue-a.ticket"
store = "stores/ue-a"

[discovery]
user_info_id = 0x0A000001

[link]
mutual_ask = "required"
allow = "tel:+4477009000*"

[[link.peers]]
identity = "tel:+447700900002"
user_info_id = 0x0A000002

[[link.peers]]
identity = "tel:+447700900003"
user_info_id = 0x0A000003
pings = 20
release_when_done = true

[[link.policy]]
peers = "tel:+44770090000*"
ciphering = [2]
rekey_contribution = "always"

[timers]
t4102_s = 5
"""
_INTRODUCTION: Final = """# The configuration of a UE

Written from the models in `prose_link` by `python -m lab_scripts.doc_makers.ue_configuration`; a
test holds this page and the models equal. `pc5lab ue run CONFIG` reads one TOML file. An unknown
key, a value out of range or keys that contradict each other end it with exit code 2 and one line
that names the key. A `required` key must be given; a table may be left out as a whole, but for
`[kms]`.

An example with two peers, one of them released when its traffic is done:

```toml
{example}```

"""
_UNITS: Final = {
    "_hz": "Hz",
    "_db": "dB",
    "_dbm": "dBm",
    "_s": "s",
    "_prb": "PRB",
    "_octets": "octets",
    "_subframes": "subframes",
    "mtu": "octets",
}
_BOUNDS: Final = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
_INCLUSIVE: Final = {"exclusiveMinimum": ("minimum", 1), "exclusiveMaximum": ("maximum", -1)}
_SIZES: Final = {"minItems": "at least", "maxItems": "at most"}
_KINDS: Final = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "text"}
_FORMATS: Final = {"path": "path", "date-time": "date and time", "ipv6": "IPv6 address", "binary": "hex digits"}


class _Schema(GenerateJsonSchema):
    """A schema that takes defaults from the models, so that a default without a JSON form does no harm."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"non-serializable-default"}  # noqa: RUF012


def page() -> str:
    """The whole page, Markdown."""
    return _INTRODUCTION.format(example=EXAMPLE) + "\n".join(_tables(UeConfig, "", frozenset())) + "\n"


def _tables(model: type[BaseModel], name: str, known: frozenset[str], *, is_list: bool = False) -> Iterator[str]:
    """A table of the file, then the tables within it; keys `known` from the one around it are only named."""
    schema = model.model_json_schema(schema_generator=_Schema)
    words = field_docstrings(model)
    inner = {key: found for key, field in model.model_fields.items() if (found := _models_of(field.annotation))}
    title = f"[[{name}]]" if is_list else f"[{name}]"
    yield from (f"## `{title}`" if name else "## Before the first table", "", wrapped(inspect.getdoc(model) or ""), "")
    properties = schema.get("properties", {})
    own = [key for key in properties if key not in inner and key not in known]
    if own:
        yield from ("| key | value | default | meaning |", "|---|---|---|---|")
    for key in own:
        value = properties[key]
        default = "required" if key in schema.get("required", ()) else _default(model.model_fields[key].default)
        cells = (
            f"`{key}`",
            _value(value, is_id=key.endswith(("_id", "_l2"))) + _unit(key),
            default,
            words.get(key, ""),
        )
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    if known & properties.keys():
        again = ", ".join(f"`{key}`" for key in properties if key in known)
        yield from ("", wrapped(f"And, where they differ from those of `[{name.rpartition('.')[0]}]`: {again}."))
    yield ""
    if model is RadioSection:
        for kind in (device_kind(device) for device in OWN_DEVICES):
            yield from _option_table(f'### `[radio]` with `device = "{kind.name}"`', kind.options)
    if model is CarriersSection:
        for carrier in OWN_CARRIERS:
            yield from _option_table(f"### `[carriers.{carrier}]`", carrier_kind(carrier).options)
    for key, found in inner.items():
        within = f"{name}.{key}" if name else key
        is_array = properties[key].get("type") == "array"
        for one in found:
            yield from _tables(one, within, _keys_in_common(model, one), is_list=is_array)


def _option_table(title: str, kind_options: type[Any]) -> Iterator[str]:
    """The keys that a table takes with one kind of radio or carrier."""
    schema = TypeAdapter(checked_options(kind_options)).json_schema(schema_generator=_Schema)
    words = field_docstrings(kind_options)
    yield from (title, "", wrapped(inspect.getdoc(kind_options) or ""), "")
    yield from ("| key | value | default | meaning |", "|---|---|---|---|")
    for field in dataclasses.fields(kind_options):
        default = "required" if field.default is dataclasses.MISSING else _default(field.default)
        cells = (
            f"`{field.name}`",
            _value(schema["properties"][field.name], is_id=False) + _unit(field.name),
            default,
            words.get(field.name, ""),
        )
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""


def _keys_in_common(outer: type[BaseModel], inner: type[BaseModel]) -> frozenset[str]:
    """Keys that two models have from one base class."""
    bases = set(outer.__mro__) & set(inner.__mro__)
    return frozenset(key for base in bases if issubclass(base, BaseModel) for key in base.model_fields)


def _models_of(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The sections that an annotation holds: one, alone, optional or in a tuple, or a choice of several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    return tuple(found for inner in get_args(annotation) for found in _models_of(inner))


def _value(value: Mapping[str, Any], *, is_id: bool) -> str:
    """The allowed values of a key, in words."""
    if "anyOf" in value:
        return " or ".join(_value(one, is_id=is_id) for one in value["anyOf"] if one.get("type") != "null")
    if "enum" in value or "const" in value:
        return ", ".join(f"`{one}`" for one in value.get("enum", [value.get("const")]))
    if value["type"] == "array":
        sizes = [f"{words} {value[key]}" for key, words in _SIZES.items() if key in value]
        return ", ".join([f"list of {_value(value['items'], is_id=is_id)}", *sizes])
    if value["type"] == "object":
        return f"table of {_value(value['additionalProperties'], is_id=is_id)}"
    kind = _FORMATS.get(value.get("format", ""), _KINDS[value["type"]])
    pattern = [f"matching `{value['pattern']}`"] if "pattern" in value else []
    return " ".join([kind, *_bounds(value, is_id=is_id), *pattern])


def _bounds(value: Mapping[str, Any], *, is_id: bool) -> Iterator[str]:
    given = {key: value[key] for key in _BOUNDS if key in value}
    if value["type"] == "integer":
        given = {_INCLUSIVE[key][0] if key in _INCLUSIVE else key: bound + _INCLUSIVE.get(key, ("", 0))[1]
                 for key, bound in given.items()}  # fmt: skip
    for key, bound in given.items():
        yield f"{_BOUNDS[key]} " + (f"0x{bound:X}" if is_id and bound > 9 else f"{bound:.15g}")


def _unit(key: str) -> str:
    return next((f", {unit}" for suffix, unit in _UNITS.items() if key.endswith(suffix)), "")


def _default(default: Any) -> str:
    if default is None:
        return "none"
    if default in ("", ()):
        return "empty"
    if isinstance(default, bytes):
        return f"`{default.hex()}`"
    return f"`{json.dumps(default, default=str)}`"


def main(arguments: list[str]) -> None:
    """Write the page."""
    (Path(arguments[0]) if arguments else FILE).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
