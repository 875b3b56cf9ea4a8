"""The lab's TOML files of all kinds: read, checked, shown with every default, described as JSON schema."""

from __future__ import annotations

import json
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic.json_schema import PydanticJsonSchemaWarning

from lab_scripts.exit_codes import LabError
from lab_scripts.runs.lab_world import to_toml
from prose_link.config.preconfiguration import Preconfiguration, load_pools, load_preconfiguration
from prose_link.config.ue import UeConfig, load_ue_config, read_toml, shipped_path


class ConfigKind(StrEnum):
    """The kind of a file."""

    UE = "ue"
    PRECONFIGURATION = "preconfiguration"
    SCENARIO = "scenario"


def kind_of(path: Path) -> ConfigKind:
    """The kind of a TOML file, by its tables. Raises ConfigError if there is no such file, or it is not TOML."""
    document = read_toml(path)
    if "general" in document or "comm" in document:
        return ConfigKind.PRECONFIGURATION
    return ConfigKind.SCENARIO if isinstance(document.get("ue"), list) else ConfigKind.UE


def check(path: Path) -> ConfigKind:
    """Read a file as its command would; a UE's file with the preconfiguration it names.

    Raises RadioError, ProseLinkError, which name the fault and its place.
    """
    kind = kind_of(path)
    match kind:
        case ConfigKind.UE:
            load_pools(Path(load_ue_config(path).preconfiguration))
        case ConfigKind.PRECONFIGURATION:
            load_pools(path)
        case ConfigKind.SCENARIO:
            from radio.emulator.scenario_file import load_scenario

            shipped = shipped_path(str(path))
            load_scenario(shipped if not path.exists() and shipped.is_file() else path)
    return kind


def full_document(path: Path) -> dict[str, Any]:
    """The content of a UE's file or a preconfiguration, every default included.

    Raises ConfigError, and LabError for other kinds.
    """
    match kind_of(path):
        case ConfigKind.UE:
            document = _document(load_ue_config(path))
            radio = document["radio"]
            options = {key: value for key, value in radio.pop("options").items() if value is not None}
            document["radio"] = radio | options
            return document
        case ConfigKind.PRECONFIGURATION:
            return _document(load_preconfiguration(path))
        case ConfigKind.SCENARIO:
            raise LabError(f"{path} is a scenario: show takes a UE's file or a preconfiguration")


def _document(model: UeConfig | Preconfiguration) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(model.model_dump_json(by_alias=True, exclude_none=True))
    return document


def as_toml(document: dict[str, Any]) -> str:
    """A document as TOML text, a list of tables as one table after the other."""
    lists = {name: value for name, value in document.items() if _is_list_of_tables(value)}
    parts = [to_toml({name: value for name, value in document.items() if name not in lists}).strip("\n")]
    for name, tables in lists.items():
        parts += [f"[[{name}]]\n{to_toml(table, f'{name}.')}" for table in tables]
    return "\n\n".join(part for part in parts if part) + "\n"


def _is_list_of_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def preconfiguration_toml(preconfiguration: Preconfiguration) -> str:
    """A preconfiguration as the TOML file that describes it."""
    return as_toml(_document(preconfiguration))


def schema(kind: ConfigKind) -> dict[str, Any]:
    """The JSON schema of a kind of file. Raises LabError for a scenario."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PydanticJsonSchemaWarning)  # a mask of octets as default has no JSON form
        return _schema(kind)


def _schema(kind: ConfigKind) -> dict[str, Any]:
    match kind:
        case ConfigKind.UE:
            return UeConfig.model_json_schema(by_alias=True)
        case ConfigKind.PRECONFIGURATION:
            return Preconfiguration.model_json_schema(by_alias=True)
        case ConfigKind.SCENARIO:
            raise LabError("a scenario has no schema yet: there is one for ue and for preconfiguration")
