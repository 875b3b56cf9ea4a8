"""Scenarios as TOML files: checked when they are read; ranges are drawn from the seed.

The pydantic models describe the tables of a file. A value may be a range, `{between = [low, high]}`; it is replaced by
a number that depends only on the seed, the name of the UE and the name of the key. So the same seed gives the same
scenario, and a new UE does not change the values of the others. The models are then turned into the plain values of
`scenario`, which checks that they fit together. Errors name the file, the key and the value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from radio.emulator.channel.fading import FadingModel
from radio.emulator.channel.seeds import derive_uniform
from radio.emulator.scenario import (
    MIN_TX_LEAD_BLOCKS,
    InterferenceSource,
    RadioLink,
    Scenario,
    ScenarioError,
    UeRadio,
    noise_floor_dbm,
)
from radio.phy.lte.grid.numerology import Carrier, NumerologyError
from radio.quantities import (
    FINITE,
    BasebandHz,
    ClockPpm,
    DelayNs,
    DistanceM,
    DurationMs,
    NoiseFigureDb,
    OffsetHz,
    PathLossDb,
    PowerDbm,
    Seed,
    SnrDb,
)
from radio.text_file import TextError, read_text
from radio.toml_file import TomlError, parse_toml

SPEED_OF_LIGHT_M_PER_NS = 0.299_792_458
_FEWEST_PRB = 6
_MAX_DOPPLER_HZ = 5000.0
"""More than any vehicle has at any sidelink channel frequency."""
_Number = TypeVar("_Number", bound=float)


class _Table(BaseModel):
    model_config = FINITE


class _Range(_Table, Generic[_Number]):
    """`{between = [low, high]}`: drawn evenly, fixed by the seed."""

    between: tuple[_Number, _Number]

    @model_validator(mode="after")
    def _from_low_to_high(self) -> _Range[_Number]:
        if self.between[0] > self.between[1]:
            raise ValueError(f"between {list(self.between)}: the first is above the second")
        return self


def _sidelink_rate(rate_hz: int) -> int:
    """A rate at which a sidelink carrier can be sampled: SC-FDMA symbols are whole numbers of samples."""
    try:
        Carrier.at_rate(_FEWEST_PRB, rate_hz)
    except NumerologyError as error:
        raise ValueError(f"no sidelink carrier is sampled at {rate_hz} samples/s: {error}") from None
    return rate_hz


_Rate = Annotated[int, Field(gt=0, le=61_440_000), AfterValidator(_sidelink_rate)]
_Sample = Annotated[float, Field(ge=0, le=1e12)]
_Ms = Annotated[int, Field(ge=0, le=10**9)]


class _Ue(_Table):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")]
    power_on_sample: _Sample | _Range[_Sample] = 0.0
    cfo_hz: OffsetHz | _Range[OffsetHz] = 0.0
    clock_ppm: ClockPpm | _Range[ClockPpm] = 0.0
    tx_power_dbm: PowerDbm = 23.0
    noise_figure_db: NoiseFigureDb | Literal["none"] = 9.0
    rx_reference_dbm: PowerDbm | None = None
    out_of_reach_ms: tuple[tuple[_Ms, _Ms], ...] = ()


class _Link(_Table):
    between: tuple[str, str]
    path_loss_db: PathLossDb | None = None
    snr_db: SnrDb | None = None
    delay_ns: DelayNs | None = None
    distance_m: DistanceM | None = None
    fading: str | None = None
    loss: Annotated[float, Field(ge=0, le=1)] = 0.0
    loss_ms: Annotated[int, Field(ge=1, le=10_000)] = 1

    @model_validator(mode="after")
    def _one_of_each(self) -> _Link:
        if (self.path_loss_db is None) == (self.snr_db is None):
            raise ValueError("a link has either path_loss_db or snr_db")
        if self.delay_ns is not None and self.distance_m is not None:
            raise ValueError("a link has delay_ns or distance_m, not both")
        return self


class _Interferer(_Table):
    name: str
    kind: Literal["tone", "noise"]
    power_dbm: PowerDbm
    frequency_hz: BasebandHz = 0.0
    on_ms: DurationMs = 1.0
    period_ms: DurationMs = 1.0
    hears: tuple[str, ...] = ()


class _File(_Table):
    name: str
    seed: Seed = 1
    sample_rate_hz: _Rate
    tx_lead_blocks: Annotated[int, Field(ge=MIN_TX_LEAD_BLOCKS, le=64)] = 4
    on_loss: Literal["continue", "stop"] = "continue"
    come_and_go: bool = False
    ue: tuple[_Ue, ...]
    link: tuple[_Link, ...] = ()
    interferer: tuple[_Interferer, ...] = ()


def load_scenario(path: Path, *, seed: int | None = None) -> Scenario:
    """Return the scenario of a TOML file, `seed` instead of the file's own; raises ScenarioError."""
    try:
        text = read_text(path)
    except (OSError, TextError) as error:
        raise ScenarioError(f"can't read scenario {path}: {error}") from None
    return parse_scenario(text, source=str(path), seed=seed)


def parse_scenario(text: str, *, source: str = "scenario", seed: int | None = None) -> Scenario:
    """Return the scenario of a TOML text; raises ScenarioError, which names `source`."""
    try:
        file = _File.model_validate(parse_toml(text))
    except TomlError as error:
        raise ScenarioError(f"{source}: {error}") from None
    except ValidationError as error:
        raise ScenarioError(f"{source}: {_first_complaint(error)}") from None
    return _scenario(file, file.seed if seed is None else seed)


def _first_complaint(error: ValidationError) -> str:
    first: Any = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {first['msg']}{more}"


def _scenario(file: _File, seed: int) -> Scenario:
    ues = tuple(_ue(entry, seed) for entry in file.ue)
    floors = {ue.name: noise_floor_dbm(file.sample_rate_hz, ue.noise_figure_db) for ue in ues}
    powers = {ue.name: ue.tx_power_dbm for ue in ues}
    return Scenario(
        name=file.name,
        seed=seed,
        sample_rate_hz=file.sample_rate_hz,
        ues=ues,
        links=tuple(_link(entry, powers, floors) for entry in file.link),
        interferers=tuple(InterferenceSource(**entry.model_dump()) for entry in file.interferer),
        tx_lead_blocks=file.tx_lead_blocks,
        on_loss=file.on_loss,
        come_and_go=file.come_and_go,
    )


def _ue(entry: _Ue, seed: int) -> UeRadio:
    def draw(label: str, value: float | _Range[float]) -> float:
        if not isinstance(value, _Range):
            return value
        low, high = value.between
        return low + (high - low) * derive_uniform(seed, "radio", entry.name, label)

    return UeRadio(
        name=entry.name,
        power_on_sample=round(draw("power_on_sample", entry.power_on_sample)),
        cfo_hz=draw("cfo_hz", entry.cfo_hz),
        clock_ppm=draw("clock_ppm", entry.clock_ppm),
        tx_power_dbm=entry.tx_power_dbm,
        noise_figure_db=None if entry.noise_figure_db == "none" else entry.noise_figure_db,
        rx_reference_dbm=entry.rx_reference_dbm,
        out_of_reach_ms=entry.out_of_reach_ms,
    )


def _fading(name: str) -> FadingModel:
    model = FadingModel.parse(name)
    if not 0 <= model.doppler_hz <= _MAX_DOPPLER_HZ:
        raise ScenarioError(f"fading {name!r}: a Doppler of {model.doppler_hz:g} Hz is not 0..{_MAX_DOPPLER_HZ:g} Hz")
    return model


def _link(entry: _Link, powers: dict[str, float], floors: dict[str, float]) -> RadioLink:
    a, b = entry.between
    if entry.path_loss_db is not None:
        path_loss_db = entry.path_loss_db
    elif entry.snr_db is not None:
        if a not in powers or b not in powers:
            raise ScenarioError(f"link {a!r}-{b!r}: a UE of that name is missing")
        if floors[b] == float("-inf"):
            raise ScenarioError(f"link {a!r}-{b!r}: snr_db means nothing where {b!r} has no noise")
        path_loss_db = powers[a] - floors[b] - entry.snr_db
    else:
        raise ScenarioError(f"link {a!r}-{b!r} has neither path_loss_db nor snr_db")
    delay_ns = entry.delay_ns or 0.0
    if entry.distance_m is not None:
        delay_ns = entry.distance_m / SPEED_OF_LIGHT_M_PER_NS
    return RadioLink(
        between=(a, b),
        path_loss_db=path_loss_db,
        delay_ns=delay_ns,
        fading=None if entry.fading is None else _fading(entry.fading),
        loss=entry.loss,
        loss_ms=entry.loss_ms,
    )
