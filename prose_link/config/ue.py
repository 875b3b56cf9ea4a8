"""Configuration of one UE: a TOML file checked by pydantic, passed on as plain values.

`UeConfig` is the whole file, with one section for each part of the UE. Unknown keys, missing keys and values out of
range are errors that name the file, the key and the value. Options of radios and carriers belong to their kinds: the
section collects the keys that it does not have itself and lets the dataclass of the kind check them, so that a plug-in
brings its own options. Checks that concern several sections are here. The string under each field is its meaning in
docs/ue-configuration.md.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError, model_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import ErrorDetails

from prose_link.config.carriers import CarriersSection
from prose_link.config.discovery import DiscoverySection
from prose_link.config.group import GroupSection
from prose_link.config.kind_options import checked_options
from prose_link.config.layer2 import Layer2Section
from prose_link.config.link import LinkSection
from prose_link.config.numbers import NumberEntry
from prose_link.config.queues import QueuesSection
from prose_link.config.section import Identity, L2Id, Section
from prose_link.config.time import TimeSection
from prose_link.config.timers import TimersSection
from prose_link.config.traffic import TrafficSection
from prose_link.errors import ProseLinkError
from prose_link.pc5s.wire.party import DIRECT
from prose_link.sync.rules import N_NETWORK_IDS
from radio.devices.protocol import AirKind, DeviceError, DeviceKind
from radio.devices.registry import device_kind
from radio.quantities import ClockErrorS, DurationS, PositiveDurationS, PowerDbm, Seed
from radio.text_file import TextError, read_text
from radio.toml_file import TomlError, parse_toml

_LONGEST_SHOWN = 60


class ConfigError(ProseLinkError):
    """An unusable configuration file. The text names the file, the key, and the reason."""


class RadioSection(Section):
    """The radio of the UE: its kind, and the options of that kind besides the common keys."""

    device: str = "zeromq"
    """A kind of radio: one of those below, or one that an installed plug-in brings."""
    n_prb: Literal[6, 15, 25, 50, 75, 100] = 50
    """Bandwidth in PRBs; the same as in the preconfiguration."""
    tx_lead_subframes: Annotated[int, Field(ge=2, le=32)] = 6
    """Time by which bursts are made ahead of their transmission."""
    rx_reference_dbm: PowerDbm = 0.0
    """Input power at which samples have full scale: with it S-RSRP is in dBm; with 0 it is in dBFS."""
    options: SkipJsonSchema[Any] = None

    @model_validator(mode="before")
    @classmethod
    def _options_of_the_kind(cls, keys: Any) -> Any:
        """Collect the keys of the kind into its own dataclass, which checks them by its annotations."""
        if not isinstance(keys, dict) or "options" in keys:
            return keys
        own = {key: value for key, value in keys.items() if key in cls.model_fields}
        kind = _kind_of(own.get("device", cls.model_fields["device"].default))
        given = {key: value for key, value in keys.items() if key not in own}
        return own | {"options": TypeAdapter(checked_options(kind.options)).validate_python(given)}

    @property
    def air(self) -> AirKind:
        """The time that the radio's samples follow."""
        return _kind_of(self.device).air


def _kind_of(device: object) -> DeviceKind:
    try:
        return device_kind(str(device))
    except DeviceError as error:
        raise ValueError(str(error)) from error


class SyncSection(Section):
    """The source of this UE's timing.

    `reference`: it starts as synchronisation reference; `follow`: it follows the first source it hears, transmits no
    SLSS, and searches again when it has lost its source; `auto`: the procedure of an out-of-coverage UE, which chooses,
    relays and becomes reference by itself, also when it has lost its source. Links outlive the search for some seconds.
    """

    role: Literal["reference", "follow", "auto"] = "follow"
    n_sl_id: Annotated[int, Field(ge=0, le=335)] = 168
    """SLSSID of a `reference`."""
    in_coverage: bool = False
    """A reference that stands for a UE in coverage: inCoverage TRUE, an SLSSID of the set for in coverage."""
    listen_s: Annotated[float, Field(ge=0.2, le=60)] = 1.0
    """Shortest time for which an `auto` UE listens before it becomes the reference."""
    scan_every_s: Annotated[float, Field(ge=0.2, le=3600)] = 2.0
    """How often an `auto` UE looks for other synchronisation sources."""
    lowest_id_wins: bool = False
    """Beyond the standard: of two islands out of coverage that touch, the one with the higher SLSSID moves."""
    stay_for_others_s: Annotated[float, Field(ge=0, le=60)] = 0.0
    """A reference whose work is done stays on until it has heard no discovery message for this time: other UEs need its
    timing.
    """

    @model_validator(mode="after")
    def _ids_fit_coverage(self) -> Self:
        if self.in_coverage and self.n_sl_id >= N_NETWORK_IDS:
            raise ValueError(f"n_sl_id {self.n_sl_id} is not for a UE in coverage: those have 0..{N_NETWORK_IDS - 1}")
        return self


class KmsSection(Section):
    """The KMS where this UE enrols and gets its keys, and the place where it keeps them."""

    url: str
    """HTTPS."""
    ticket: Path
    """The ticket of the KMS's operator: one-time token and lab CA."""
    store: Path
    """Folder of the sealed key store; made at the first start."""
    passphrase_file: Path | None = None
    """File with the passphrase of the key store; the UE makes one beside the store if none is named."""


class UserPlaneSection(Section):
    """Source and sink of IP packets: an `endpoint` within the UE, or programs behind a `tun` interface."""

    kind: Literal["endpoint", "tun"] = "endpoint"
    """tun needs the right to make interfaces; `[traffic]` is for the endpoint."""
    interface: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,14}$")] = "pc5"
    """Name of the interface."""
    netns: str = ""
    """Network namespace of the interface: a name of `ip netns`, a path such as /proc/PID/ns/net, or empty for the UE's
    own.
    """
    ipv4: bool = False
    """Offer IPv4 beside IPv6; the address is 10.0.0.0/8 with the layer-2 id as its host part."""
    mtu: Annotated[int, Field(ge=1280, le=8188)] = 1400
    """MTU of the interface in octets."""

    @model_validator(mode="after")
    def _ipv4_needs_tun(self) -> Self:
        if self.ipv4 and self.kind == "endpoint":
            raise ValueError("ipv4 needs kind = tun: the endpoint speaks IPv6 only")
        return self


class UeConfig(Section):
    """One UE, as its TOML file describes it."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    """Name of the UE in events and captures."""
    identity: Identity
    """Its public identity: `tel:+...` or `sip:user@host`, in canonical form."""
    l2_id: L2Id
    """Its link layer-2 id and ProSe UE ID."""
    seed: Seed = 0
    """Seed of all randomness except keys, nonces and signatures."""
    lab_deterministic: bool = False
    """For labs: keys and nonces depend on the seed too, so that a run repeats bit for bit; demo keys only."""
    preconfiguration: str = "preconfigurations/first_light.toml"
    """Pools and synchronisation: a path, or a file that the lab ships."""
    utc_at_power_on: datetime | None = None
    """The UE's calendar at its first sample; without it the UE uses the system clock."""
    clock_error_s: ClockErrorS = 0.0
    """Error of this UE's calendar clock."""
    stop_after_s: PositiveDurationS = 3600.0
    """Air time after which the UE switches off in any case."""
    stop_when_alone_s: DurationS = 0.0
    """The UE switches off if it has heard other UEs and then nothing at all for this time; 0: it stays on and searches.
    """
    radio: RadioSection = RadioSection()
    sync: SyncSection = SyncSection()
    layer2: Layer2Section = Layer2Section()
    kms: KmsSection
    discovery: DiscoverySection = DiscoverySection()
    carriers: CarriersSection = CarriersSection()
    link: LinkSection = LinkSection()
    time: TimeSection = TimeSection()
    timers: TimersSection = TimersSection()
    numbers: Annotated[tuple[NumberEntry, ...], Field(max_length=1024)] = ()
    traffic: TrafficSection = TrafficSection()
    userplane: UserPlaneSection = UserPlaneSection()
    queues: QueuesSection = QueuesSection()
    group: GroupSection | None = None

    @model_validator(mode="after")
    def _calls_others(self) -> Self:
        for peer in self.link.called:
            if self.identity == peer.identity or self.l2_id == peer.l2_id:
                raise ValueError(
                    f"link: {peer.identity or peer.number} at {peer.l2_id:06x} is to be called, which is this UE itself"
                )
        return self

    @model_validator(mode="after")
    def _carriers_are_there(self) -> Self:
        for peer in self.link.called:
            if peer.carrier != DIRECT and peer.carrier not in self.carriers.options:
                whom = peer.identity or peer.number
                raise ValueError(f"link: {whom} is to be called by {peer.carrier!r}: no [carriers.{peer.carrier}]")
        return self

    @model_validator(mode="after")
    def _numbers_lead_to_one_each(self) -> Self:
        numbers = [entry.number for entry in self.numbers]
        if len(set(numbers)) < len(numbers):
            raise ValueError("two of [[numbers]] have the same number")
        return self

    @property
    def numbers_to_ask(self) -> tuple[str, ...]:
        """The numbers that this UE calls and that its own file does not hold: the UE asks its KMS for them."""
        own = {entry.number for entry in self.numbers}
        return tuple(peer.number for peer in self.link.called if peer.number and peer.number not in own)

    @property
    def held_to_real_time(self) -> bool:
        """Whether virtual air must not run ahead of the wall clock, because programs or calendar clocks use it."""
        is_tied = self.userplane.kind == "tun" or self.utc_at_power_on is None
        return is_tied and self.radio.air is AirKind.VIRTUAL

    @property
    def utc_s_at_power_on(self) -> float:
        """Unix time at the UE's first sample; the system clock's if the file names none."""
        moment = self.utc_at_power_on or datetime.now(UTC)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def load_ue_config(path: Path) -> UeConfig:
    """Read a UE's configuration.

    Raises:
        ConfigError: the file is missing, is not TOML, or has a key that is unknown, missing or out of range.
    """
    try:
        return UeConfig.model_validate(read_toml(path))
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error)}") from error


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as a mapping: a path, or the name of a file the lab ships in hw_configs.

    Raises:
        ConfigError: no such file, not text, or not TOML.
    """
    try:
        return parse_toml(_read_text(path))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file, and the lab ships none of that name") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except TextError as error:
        raise ConfigError(str(error)) from error
    except TomlError as error:
        raise ConfigError(f"{path}: {error}") from error


def explain(error: ValidationError) -> str:
    """A validation error in one line: each key, what is wrong with it, and its value."""
    parts = []
    for item in error.errors(include_url=False):
        key = ".".join(str(step) for step in item["loc"]) or "(file)"
        unknown = item["type"] in ("extra_forbidden", "unexpected_keyword_argument")
        message = "unknown key" if unknown else item["msg"].removeprefix("Value error, ")
        parts.append(f"{key}: {message}{_given(item)}")
    return "; ".join(parts)


def _given(item: ErrorDetails) -> str:
    """The value that is wrong, where it is one value and short."""
    value = item["input"]
    if item["type"] in ("extra_forbidden", "missing", "value_error") or not isinstance(value, bool | int | float | str):
        return ""
    shown = repr(value)
    return f" (it is {shown})" if len(shown) <= _LONGEST_SHOWN else ""


def shipped_path(name: str) -> Path:
    """The path of a file of hw_configs on this machine."""
    return Path(str(resources.files("hw_configs"))) / name


def _read_text(path: Path) -> str:
    shipped = shipped_path(str(path))
    if not path.is_absolute() and not path.exists() and shipped.is_file():
        return read_text(shipped)
    return read_text(path)
