"""Every number of every model of a file: finite and bounded. The models are walked, so that a new field is held too."""

import math
import typing
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from prose_link.config.preconfiguration import Preconfiguration
from prose_link.config.ue import UeConfig
from radio.emulator import scenario_file

ROOTS = (UeConfig, Preconfiguration, scenario_file._File)
UNBOUNDED = 10**30


def models(root: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """All models that a file of this kind may hold."""
    found: dict[str, type[BaseModel]] = {}
    waiting = [root]
    while waiting:
        model = waiting.pop()
        if model.__name__ in found:
            continue
        found[model.__name__] = model
        for field in model.model_fields.values():
            waiting += [
                kind for kind in parts(field.annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)
            ]
    return found


def parts(kind: object) -> Iterator[object]:
    """A type and everything it is made of."""
    yield kind
    for argument in typing.get_args(kind):
        if not isinstance(argument, str | int):
            yield from parts(argument)


def numbers() -> Iterator[tuple[str, type[BaseModel], str, type]]:
    for root in ROOTS:
        for name, model in models(root).items():
            for key, field in model.model_fields.items():
                kinds = {kind for kind in parts(field.annotation) if kind in (int, float)}
                for kind in kinds:
                    yield f"{root.__name__}.{name}.{key}.{kind.__name__}", model, field.alias or key, kind


NUMBERS = {name: (model, key, kind) for name, model, key, kind in numbers()}


def refuses(model: type[BaseModel], key: str, value: object) -> bool:
    """Whether a model finds fault with this very field; other fields are missing and don't count."""
    for shape in (value, [value], [value, value], {"between": [value, value]}):
        try:
            model.model_validate({key: shape})
        except ValidationError as error:
            if not any(item["loc"] and item["loc"][0] == key for item in error.errors()):
                return False
        else:
            return False
    return True


def test_the_walk_meets_what_is_there() -> None:
    assert len(NUMBERS) > 80
    for known in (
        "UeConfig.UeConfig.l2_id.int",
        "_File._Link.path_loss_db.float",
        "UeConfig.UeConfig.seed.int",
    ):
        assert known in NUMBERS
    assert "Preconfiguration.TfResourceConfig.prb_Num.int" in NUMBERS


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "nan", "inf"])
@pytest.mark.parametrize("name", NUMBERS)
def test_no_number_is_endless(name: str, value: object) -> None:
    model, key, _ = NUMBERS[name]
    assert refuses(model, key, value)


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_an_end_either_way(name: str) -> None:
    model, key, kind = NUMBERS[name]
    for value in (UNBOUNDED, -UNBOUNDED):
        assert refuses(model, key, kind(value))


def test_what_is_wrong_is_told_with_its_value() -> None:
    from prose_link.config.ue import explain

    with pytest.raises(ValidationError) as caught:
        UeConfig.model_validate({"stop_after_s": -1.5})
    assert "stop_after_s: Input should be greater than 0 (it is -1.5)" in explain(caught.value)
