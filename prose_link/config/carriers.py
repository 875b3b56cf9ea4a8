"""The `[carriers]` tables of a UE's configuration: carriers of PC5 signalling besides direct radio (PROFILE 12)."""

from __future__ import annotations

from typing import Any

from pydantic import Field, TypeAdapter, ValidationError, model_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import InitErrorDetails, PydanticCustomError

from prose_link.carriers.registry import carrier_kind
from prose_link.config.kind_options import checked_options
from prose_link.config.section import Section
from prose_link.pc5s.wire.party import CarrierError


class CarriersSection(Section):
    """Carriers of PC5 signalling besides direct radio: a table for each carrier, with the keys of its kind.

    The kinds are those below, and those of installed plug-ins. Direct radio always exists and has no table.
    """

    options: SkipJsonSchema[dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _tables_of_the_kinds(cls, tables: Any) -> Any:
        """Each table is checked by the dataclass of its kind."""
        if not isinstance(tables, dict) or "options" in tables:
            return tables
        options = {}
        for name, keys in tables.items():
            try:
                kind = carrier_kind(str(name))
            except CarrierError as error:
                raise ValueError(str(error)) from error
            try:
                options[name] = TypeAdapter(checked_options(kind.options)).validate_python(keys)
            except ValidationError as error:
                raise _within(str(name), error) from error
        return {"options": options}


def _within(name: str, error: ValidationError) -> ValidationError:
    """The same error, with the table's name before each key."""
    lines = [
        InitErrorDetails(
            type=PydanticCustomError(one["type"], "{message}", {"message": one["msg"]}),
            loc=(name, *one["loc"]),
            input=one["input"],
        )
        for one in error.errors(include_url=False)
    ]
    return ValidationError.from_exception_data(error.title, lines)
