"""What every radio keeps to, whatever drives it: `TimedIqDevice` and `DeviceKind`, one suite for all of them."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from prose_link.config.ue import RadioSection
from radio.devices.protocol import (
    AirKind,
    DeviceError,
    DeviceKind,
    DeviceNotFound,
    Stopped,
    TimedIqDevice,
    never_stopped,
)
from radio.devices.registry import ENTRY_POINT_GROUP, device_kind, device_names, open_device
from radio.devices.sigmf_file import SigMfFileDevice, write_metadata
from radio.emulator.in_process import MemoryAir
from radio.emulator.scenario import Scenario, UeRadio
from tests.doubles.soapy_double import SoapyDouble
from tests.doubles.uhd_double import UhdDouble

RATE = 1_920_000
MS = RATE // 1000
SDR = {"carrier_hz": 796e6, "rx_gain_db": 30.0, "tx_gain_db": 40.0}
OWN_KINDS = ("sigmf", "soapy", "uhd", "zeromq")


def alone() -> Scenario:
    return Scenario(name="c", seed=1, sample_rate_hz=RATE, ues=(UeRadio(name="a"),), links=())


def memory(_folder: Path, _patch: pytest.MonkeyPatch) -> TimedIqDevice:
    return MemoryAir(alone()).devices["a"]


def recording(folder: Path, _patch: pytest.MonkeyPatch) -> TimedIqDevice:
    np.zeros(100 * MS, np.complex64).tofile(folder / "x.sigmf-data")
    write_metadata(folder / "x.sigmf-meta", sample_rate_hz=RATE, description="test")
    kind = device_kind("sigmf")
    return kind.open(kind.options(path=folder / "x.sigmf-meta"), ue="a", sample_rate_hz=RATE)


def soapy(_folder: Path, patch: pytest.MonkeyPatch) -> TimedIqDevice:
    patch.setitem(sys.modules, "SoapySDR", SoapyDouble())
    return open_device("soapy", device_kind("soapy").options(**SDR), ue="a", sample_rate_hz=RATE)


def uhd(_folder: Path, patch: pytest.MonkeyPatch) -> TimedIqDevice:
    patch.setitem(sys.modules, "uhd", UhdDouble())
    return open_device("uhd", device_kind("uhd").options(**SDR), ue="a", sample_rate_hz=RATE)


@pytest.fixture(params=[memory, recording, soapy, uhd], ids=lambda make: make.__name__)
def device(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TimedIqDevice]:
    make: Callable[[Path, pytest.MonkeyPatch], TimedIqDevice] = request.param
    opened = make(tmp_path, monkeypatch)
    yield opened
    opened.close()


def test_it_is_a_timed_iq_device(device: TimedIqDevice) -> None:
    assert isinstance(device, TimedIqDevice)
    assert device.sample_rate_hz == RATE
    assert (device.status.late, device.status.underflow, device.status.overflow) == (0, 0, 0)


def test_reads_follow_on_each_other_from_sample_0(device: TimedIqDevice) -> None:
    position = 0
    for n_samples in (MS, 1, 777, MS):
        iq, first = device.read(n_samples)
        assert (first, iq.shape) == (position, (n_samples,))
        assert iq.dtype == np.complex64
        position += n_samples


def test_the_earliest_write_depends_on_what_was_read_and_never_goes_back(device: TimedIqDevice) -> None:
    before = device.earliest_write_sample
    for _ in range(5):
        device.read(MS)
        assert device.earliest_write_sample >= before
        before = device.earliest_write_sample
    device.write(np.zeros(10, np.complex64), before + 5 * MS)
    assert device.earliest_write_sample == before


def test_nothing_before_the_earliest_write_goes_out(device: TimedIqDevice) -> None:
    """A recording has no antenna: what is written to it goes nowhere, early or late, and none of it counts."""
    has_antenna = not isinstance(device, SigMfFileDevice)
    for _ in range(8):
        device.read(MS)
    device.write(np.ones(10, np.complex64), device.earliest_write_sample - 1)
    assert device.status.late == has_antenna
    device.write(np.ones(10, np.complex64), device.earliest_write_sample)
    assert device.status.late == has_antenna


def test_close_may_be_called_twice(device: TimedIqDevice) -> None:
    device.close()
    device.close()


@pytest.mark.parametrize("name", OWN_KINDS)
def test_every_kind_has_a_name_an_air_and_documented_options(name: str) -> None:
    kind = device_kind(name)
    assert isinstance(kind, DeviceKind)
    assert kind.name == name and isinstance(kind.air, AirKind)
    assert dataclasses.is_dataclass(kind.options) and kind.options.__doc__
    assert name in device_names()


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"device": "warp-drive"}, "no kind of radio is called 'warp-drive'"),
        ({"device": "sigmf"}, "path"),
        ({"device": "sigmf", "path": "x", "colour": "red"}, "colour"),
        ({"device": "soapy", "carrier_hz": 2.57e9}, "rx_gain_db"),
        ({"device": "uhd", **SDR, "carrier_hz": 0}, "carrier_hz"),
        ({"device": "zeromq", "carrier_hz": 2.57e9}, "carrier_hz"),
    ],
)
def test_a_configuration_is_held_against_the_options_of_the_kind(keys: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        RadioSection.model_validate(keys)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ToyOptions:
    """Options of a plug-in."""

    colour: str
    """Anything."""


class ToyKind:
    """What another package would bring."""

    name = "toy"
    air = AirKind.PEERS
    options = ToyOptions

    def open(
        self, options: ToyOptions, *, ue: str, sample_rate_hz: int, stopped: Stopped = never_stopped
    ) -> TimedIqDevice:
        assert (options.colour, ue, sample_rate_hz) == ("red", "a", RATE)
        return MemoryAir(alone()).devices["a"]


def plug_in(patch: pytest.MonkeyPatch, loaded: object) -> None:
    point = SimpleNamespace(name="toy", value="toys:KIND", load=lambda: loaded)
    found = lambda group, name=None: [point] if group == ENTRY_POINT_GROUP and name in (None, "toy") else []  # noqa: E731
    patch.setattr(metadata, "entry_points", found)


def test_a_plug_in_opens_from_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, ToyKind())
    section = RadioSection.model_validate({"device": "toy", "colour": "red"})
    assert section.air is AirKind.PEERS
    opened = open_device(section.device, section.options, ue="a", sample_rate_hz=RATE)
    assert opened.sample_rate_hz == RATE


def test_a_plug_in_that_is_no_kind_of_radio_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, object())
    with pytest.raises(DeviceError, match="toys:KIND"):
        device_kind("toy")


def test_an_unknown_kind_comes_with_the_list_of_known_ones() -> None:
    with pytest.raises(DeviceNotFound, match="zeromq"):
        device_kind("warp-drive")


def test_a_type_error_inside_a_driver_is_not_taken_for_a_bad_option(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(ToyKind):
        def open(
            self, options: ToyOptions, *, ue: str, sample_rate_hz: int, stopped: Stopped = never_stopped
        ) -> TimedIqDevice:
            raise TypeError("a bug of the driver")

    plug_in(monkeypatch, Broken())
    with pytest.raises(TypeError):
        open_device("toy", ToyOptions(colour="red"), ue="a", sample_rate_hz=RATE)
