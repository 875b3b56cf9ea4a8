"""The drivers' own logic against doubles of the vendor modules. This is no test of SoapySDR, of UHD or of a radio."""

import sys

import numpy as np
import pytest

from radio.devices.protocol import DeviceError, DeviceLost, DeviceNotFound, DeviceTimeout, TimedIqDevice
from radio.devices.registry import device_kind, open_device
from radio.devices.rx_stitching import RxStitcher
from radio.devices.soapy import SoapyDevice, ns_to_ticks, ticks_to_ns
from radio.devices.uhd_usrp import UhdDevice, ticks_to_time, time_to_ticks
from tests.doubles.soapy_double import SoapyDouble
from tests.doubles.uhd_double import UhdDouble

RATE = 1_920_000
SETTINGS = {"carrier_hz": 796e6, "rx_gain_db": 30.0, "tx_gain_db": 40.0}
OPTIONS = {"sample_rate_hz": RATE, **SETTINGS}


def test_ticks_survive_the_way_to_nanoseconds_and_back():
    for rate in (1_920_000, 11_520_000, 15_360_000, 23_040_000, 30_720_000):
        for ticks in (0, 1, 12_345, 10**12 + 7, 3 * 10**14 + 1):
            assert ns_to_ticks(ticks_to_ns(ticks, rate), rate) == ticks
            assert time_to_ticks(*ticks_to_time(ticks, rate), rate) == ticks


def test_gaps_are_filled_and_overlaps_dropped():
    stitcher = RxStitcher()
    stitcher.put(0, np.ones(10, np.complex64))
    stitcher.put(14, np.full(4, 2, np.complex64))
    stitcher.put(16, np.full(4, 3, np.complex64))
    assert stitcher.n_ready == 20
    first, start = stitcher.take(12)
    rest, then = stitcher.take(8)
    assert (start, then, stitcher.gaps) == (0, 12, 1)
    values = np.concatenate([first, rest]).real.astype(int).tolist()
    assert values == [1] * 10 + [0] * 4 + [2] * 4 + [3] * 2
    with pytest.raises(DeviceLost, match="jumped"):
        stitcher.put(10**12, np.ones(1, np.complex64))


def soapy(monkeypatch, **faults):
    double = SoapyDouble(**faults)
    monkeypatch.setitem(sys.modules, "SoapySDR", double)
    return double, SoapyDevice("driver=double", read_timeout_s=0.05, **OPTIONS)


def test_soapy_reads_the_stream_through_an_overflow(monkeypatch):
    _, device = soapy(monkeypatch, codes=[0, -1, -4])
    assert isinstance(device, TimedIqDevice)
    iq, first = device.read(2500)
    assert first == 0
    assert iq[999] == 999
    assert not iq[1000:1500].any()
    assert iq[1500] == 1500
    assert device.status.overflow == 1
    assert device.read(100)[1] == 2500


def test_soapy_sends_at_the_tick(monkeypatch):
    double, device = soapy(monkeypatch, write_codes=[600, 400])
    device.read(1920)
    assert device.earliest_write_sample == 1920 + 3840
    device.write(np.ones(1000), 9600)
    assert double.bursts == [(9600, 600), (None, 400)]
    device.write(np.ones(10), 5000)
    double.write_codes = [-6]
    device.write(np.ones(10), 9600)
    double.write_codes = [-7]
    device.write(np.ones(10), 9600)
    assert (device.status.late, device.status.underflow) == (2, 1)
    double.write_codes = [-2]
    with pytest.raises(DeviceLost, match="code -2"):
        device.write(np.ones(10), 9600)
    device.close()
    device.close()
    assert len(double.closed) == 4


def test_soapy_explains_what_is_wrong(monkeypatch):
    with pytest.raises(DeviceNotFound, match="no match"):
        monkeypatch.setitem(sys.modules, "SoapySDR", SoapyDouble())
        SoapyDevice("none", **OPTIONS)
    with pytest.raises(DeviceError, match="1000000"):
        soapy(monkeypatch, rate=1e6)
    with pytest.raises(DeviceError, match="hardware time"):
        soapy(monkeypatch, timed=False)
    _, device = soapy(monkeypatch, codes=[-1] * 10**6)
    with pytest.raises(DeviceTimeout):
        device.read(10)
    _, device = soapy(monkeypatch, codes=[-2])
    with pytest.raises(DeviceLost, match="code -2"):
        device.read(10)


@pytest.mark.parametrize(("kind", "module", "hint"), [("soapy", "SoapySDR", "soapysdr"), ("uhd", "uhd", "python3-uhd")])
def test_a_missing_binding_comes_with_a_hint(monkeypatch, kind, module, hint):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DeviceNotFound, match=hint):
        open_device(kind, device_kind(kind).options(**SETTINGS), ue="a", sample_rate_hz=RATE)


@pytest.mark.parametrize("module", ["SoapySDR", "uhd"])
def test_a_type_error_within_a_driver_stays_one(monkeypatch, module):
    """It is a bug, which ends a command with 70: it must not be taken for an option that the driver does not know."""
    kind = {"SoapySDR": "soapy", "uhd": "uhd"}[module]
    monkeypatch.setitem(sys.modules, module, object())
    options = device_kind(kind).options(**SETTINGS)
    with pytest.raises((TypeError, AttributeError)):
        open_device(kind, options, ue="a", sample_rate_hz=RATE)
    monkeypatch.setattr("radio.devices.soapy.SoapyDevice.__init__", lambda _self: None)
    monkeypatch.setattr("radio.devices.uhd_usrp.UhdDevice.__init__", lambda _self: None)
    with pytest.raises(TypeError, match=r"positional argument|keyword argument"):
        open_device(kind, options, ue="a", sample_rate_hz=RATE)


def uhd(monkeypatch, **faults):
    double = UhdDouble(**faults)
    monkeypatch.setitem(sys.modules, "uhd", double)
    return double, UhdDevice("type=double", clock_source="external", read_timeout_s=0.05, **OPTIONS)


def test_uhd_reads_and_sends_on_ticks(monkeypatch):
    double, device = uhd(monkeypatch)
    assert isinstance(device, TimedIqDevice)
    double.errors = ["none", "overflow"]
    iq, first = device.read(700)
    assert first == 0
    assert not iq[300:350].any()
    assert iq[350] == 350
    device.write(np.ones(77), 10_001)
    assert double.sent == [(10_001, 77, True, True)]
    device.write(np.ones(77), 10)
    double.async_events = ["late", "under"]
    device.read(1)
    assert (device.status.late, device.status.underflow, device.status.overflow) == (2, 1, 1)
    double.errors = ["late"]
    with pytest.raises(DeviceLost, match="broken chain"):
        device.read(1000)
    device.close()
    device.close()
    assert double.commands == ["start", "stop"]


def test_uhd_explains_what_is_wrong(monkeypatch):
    with pytest.raises(DeviceNotFound, match="No devices"):
        monkeypatch.setitem(sys.modules, "uhd", UhdDouble())
        UhdDevice("none", **OPTIONS)
    with pytest.raises(DeviceError, match="instead of 1920000"):
        uhd(monkeypatch, rate=2e6)
    monkeypatch.setattr("radio.devices.uhd_usrp._LOCK_TIMEOUT_S", 0.1)
    with pytest.raises(DeviceError, match="ref_locked"):
        uhd(monkeypatch, locked=False)
