"""The drivers' own logic against doubles of the vendor modules. This is no test of SoapySDR, of UHD or of a radio."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from radio.devices.protocol import DeviceError, DeviceLost, DeviceNotFound, DeviceTimeout, TimedIqDevice
from radio.devices.registry import open_device
from radio.devices.rx_stitching import RxStitcher
from radio.devices.soapy import SoapyDevice, ns_to_ticks, ticks_to_ns
from radio.devices.uhd_usrp import UhdDevice, ticks_to_time, time_to_ticks

RATE = 1_920_000
OPTIONS = {"sample_rate_hz": RATE, "carrier_hz": 796e6, "rx_gain_db": 30.0, "tx_gain_db": 40.0}


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


class SoapyDouble:
    """A radio whose input is a ramp of its own tick count; `codes` are given out instead of samples first."""

    SOAPY_SDR_RX, SOAPY_SDR_TX, SOAPY_SDR_CF32 = 1, 0, "CF32"
    SOAPY_SDR_END_BURST, SOAPY_SDR_HAS_TIME = 2, 4
    SOAPY_SDR_TIMEOUT, SOAPY_SDR_OVERFLOW, SOAPY_SDR_TIME_ERROR, SOAPY_SDR_UNDERFLOW = -1, -4, -6, -7

    def __init__(self, *, rate=float(RATE), timed=True, codes=(), write_codes=()):
        self.rate, self.timed, self.codes, self.write_codes = rate, timed, list(codes), list(write_codes)
        self.bursts, self.closed, self.tick = [], [], 0

    def Device(self, args):
        if args == "none":
            raise RuntimeError("no match")
        return self

    def __getattr__(self, name):
        if name.startswith(("set", "activate")):
            return lambda *args: self.tick if name == "setupStream" else None
        raise AttributeError(name)

    def setupStream(self, direction, sample_format, channels):
        return direction

    def activateStream(self, stream, flags=0, time_ns=0):
        if stream == self.SOAPY_SDR_RX:
            self.tick = ns_to_ticks(time_ns, RATE)
            self.start = self.tick

    def getSampleRate(self, direction, channel):
        return self.rate

    def hasHardwareTime(self):
        return self.timed

    def getHardwareTime(self):
        return 5_000_000_000

    def getStreamMTU(self, stream):
        return 1000

    def readStream(self, stream, buffers, n, flags, timeout_us):
        if self.codes and (code := self.codes.pop(0)) < 0:
            if code == self.SOAPY_SDR_OVERFLOW:
                self.tick += 500
            return SimpleNamespace(ret=code, flags=0, timeNs=0)
        buffers[0][:n] = self.tick - self.start + np.arange(n)
        result = SimpleNamespace(ret=n, flags=self.SOAPY_SDR_HAS_TIME, timeNs=ticks_to_ns(self.tick, RATE))
        self.tick += n
        return result

    def writeStream(self, stream, buffers, n, flags, time_ns, timeout_us):
        code = self.write_codes.pop(0) if self.write_codes else n
        if code > 0:
            tick = ns_to_ticks(time_ns, RATE) - self.start if flags & self.SOAPY_SDR_HAS_TIME else None
            self.bursts.append((tick, code))
        return SimpleNamespace(ret=code)

    def errToStr(self, code):
        return f"code {code}"

    def deactivateStream(self, stream):
        self.closed.append(stream)

    def closeStream(self, stream):
        self.closed.append(stream)


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
        open_device(kind, args="", **OPTIONS)


class TimeSpec:
    def __init__(self, full, fraction):
        self.full, self.fraction = full + int(fraction), fraction - int(fraction)

    def get_full_secs(self):
        return self.full

    def get_frac_secs(self):
        return self.fraction


class UhdDouble:
    """The part of UHD's binding that the driver uses."""

    def __init__(self, *, rate=float(RATE), locked=True):
        self.rate, self.locked, self.sent, self.commands, self.async_events, self.errors = rate, locked, [], [], [], []
        codes = SimpleNamespace(none="none", timeout="timeout", overflow="overflow", late="late")
        events = SimpleNamespace(time_error="late", underflow="under", underflow_in_packet="under2")
        self.types = SimpleNamespace(
            TimeSpec=TimeSpec,
            TuneRequest=float,
            StreamCMD=lambda mode: SimpleNamespace(mode=mode),
            StreamMode=SimpleNamespace(start_cont="start", stop_cont="stop"),
            RXMetadata=lambda: SimpleNamespace(error_code="none", time_spec=None, strerror=lambda: "broken chain"),
            RXMetadataErrorCode=codes,
            TXMetadata=SimpleNamespace,
            TXAsyncMetadata=lambda: SimpleNamespace(event_code=None),
            TXMetadataEventCode=events,
        )
        self.usrp = SimpleNamespace(MultiUSRP=self.open, StreamArgs=lambda cpu, wire: SimpleNamespace(channels=None))

    def open(self, args):
        if args == "none":
            raise RuntimeError("LookupError: KeyError: No devices found")
        return self

    def __getattr__(self, name):
        if name.startswith("set_"):
            return lambda *args: None
        if name in ("get_rx_rate", "get_tx_rate"):
            return lambda channel: self.rate
        if name in ("get_rx_stream", "get_tx_stream"):
            return lambda args: self
        raise AttributeError(name)

    def get_mboard_sensor_names(self):
        return ["ref_locked"]

    def get_mboard_sensor(self, name):
        return SimpleNamespace(to_bool=lambda: self.locked)

    def get_time_now(self):
        return TimeSpec(7, 0.5)

    def get_max_num_samps(self):
        return 300

    def issue_stream_cmd(self, command):
        self.commands.append(command.mode)
        if command.mode == "start":
            self.start = self.tick = time_to_ticks(command.time_spec.full, command.time_spec.fraction, RATE)

    def recv(self, buffer, metadata, timeout):
        metadata.error_code = self.errors.pop(0) if self.errors else "none"
        if metadata.error_code != "none":
            self.tick += 50
            return 0
        n = buffer.shape[1]
        buffer[0] = self.tick - self.start + np.arange(n)
        metadata.time_spec = TimeSpec(*ticks_to_time(self.tick, RATE))
        self.tick += n
        return n

    def send(self, samples, metadata, timeout):
        tick = time_to_ticks(metadata.time_spec.full, metadata.time_spec.fraction, RATE) - self.start
        self.sent.append((tick, samples.shape[1], metadata.start_of_burst, metadata.end_of_burst))
        return samples.shape[1]

    def recv_async_msg(self, metadata, timeout):
        if not self.async_events:
            return False
        metadata.event_code = self.async_events.pop(0)
        return True


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
