import json

import numpy as np
import pytest
import sigmf

from radio.devices.iq_file import open_iq
from radio.devices.protocol import DeviceError, DeviceNotFound, EndOfSamples, TimedIqDevice
from radio.devices.sigmf_file import SigMfFileDevice, write_metadata
from radio.emulator.air import Air
from radio.emulator.recording import SigMfRecorder
from radio.emulator.scenario import Scenario, UeRadio

IQ = (np.arange(1000) - 1j * np.arange(1000)).astype(np.complex64)


def recording(folder):
    IQ.tofile(folder / "x.sigmf-data")
    write_metadata(folder / "x.sigmf-meta", sample_rate_hz=1_920_000, description="test")
    return folder / "x.sigmf-meta"


def test_a_recording_is_a_device(tmp_path):
    device = SigMfFileDevice(recording(tmp_path))
    assert isinstance(device, TimedIqDevice)
    assert device.sample_rate_hz == 1_920_000
    first, start = device.read(600)
    assert start == 0
    assert np.array_equal(first, IQ[:600])
    with pytest.raises(EndOfSamples, match="1000 samples"):
        device.read(401)
    device.write(IQ, 0)
    device.close()


def test_bare_floats_need_a_rate(tmp_path):
    path = tmp_path / "x.cf32"
    IQ.tofile(path)
    with pytest.raises(DeviceError, match="sample rate"):
        SigMfFileDevice(path)
    assert np.array_equal(SigMfFileDevice(path, sample_rate_hz=1000).read(10)[0], IQ[:10])
    with open_iq(path) as stream:
        assert stream.n_samples == 1000
        assert np.array_equal(stream.read(995), IQ[:995])
        assert np.array_equal(stream.read(10), IQ[995:])
        assert not stream.read(1).size


def test_integer_samples_are_scaled(tmp_path):
    np.array([16384, -32768, 0, 8192], dtype="<i2").tofile(tmp_path / "x.sigmf-data")
    write_metadata(tmp_path / "x.sigmf-meta", sample_rate_hz=1, description="")
    meta = json.loads((tmp_path / "x.sigmf-meta").read_text())
    meta["global"]["core:datatype"] = "ci16_le"
    (tmp_path / "x.sigmf-meta").write_text(json.dumps(meta))
    assert open_iq(tmp_path / "x.sigmf-data").read(2).tolist() == [0.5 - 1j, 0.25j]


def test_the_sigmf_library_reads_what_is_recorded(tmp_path):
    plan = Scenario(name="r", seed=1, sample_rate_hz=1_920_000, ues=(UeRadio(name="a"),), links=())
    air = Air(plan, taps=[SigMfRecorder(tmp_path / "iq", plan, max_ms=2)])
    air.declare_complete("a", 10**6)
    heard = [air.mix()[0].iq for _ in range(4)]
    air.close()
    read = sigmf.sigmffile.fromfile(str(tmp_path / "iq" / "a.sigmf-meta"))
    read.validate()
    assert np.array_equal(read.read_samples(), np.concatenate(heard[:2]))


def test_what_cannot_be_read_is_explained(tmp_path):
    with pytest.raises(DeviceNotFound, match=r"none\.cf32"):
        open_iq(tmp_path / "none.cf32")
    with pytest.raises(DeviceNotFound, match=r"none\.sigmf-meta"):
        open_iq(tmp_path / "none.sigmf-data")
    (tmp_path / "odd.dat").write_bytes(bytes(12))
    with pytest.raises(DeviceError, match="12 octets"):
        open_iq(tmp_path / "odd.dat")
    with pytest.raises(DeviceError, match="end in"):
        open_iq(tmp_path / "x.wav")
    for text, complaint in [("{", "JSON"), ("[]", "global"), ('{"global":{"core:datatype":"rf64"}}', "rf64")]:
        (tmp_path / "bad.sigmf-meta").write_text(text)
        with pytest.raises(DeviceError, match=complaint):
            open_iq(tmp_path / "bad.sigmf-meta")
    (tmp_path / "empty.cf32").write_bytes(b"")
    assert len(open_iq(tmp_path / "empty.cf32").read(5)) == 0
