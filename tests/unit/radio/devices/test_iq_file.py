"""Recordings as streams: types against numpy and the reference library, blocks of any size, hostile files."""

import gzip
import io
import json
import random
import tarfile
import zipfile
from typing import Any

import numpy as np
import pytest
import sigmf

from radio.devices.iq_file import IqOptions, open_iq
from radio.devices.protocol import DeviceError, DeviceNotFound
from radio.devices.sample_types import sample_type
from radio.errors import RadioError

RNG = np.random.default_rng(5)
IQ = ((RNG.standard_normal(2000) + 1j * RNG.standard_normal(2000)) / 8).astype(np.complex64)
WIDE = ("f32", "f64", "i16", "i32", "u16", "u32")
TYPES = [*(f"c{kind}{order}" for kind in WIDE for order in ("_le", "_be")), "ci8", "cu8"]


def stored(datatype, iq=IQ):
    parts = iq.view(np.float32).astype(np.float64)
    order = ">" if datatype.endswith("_be") else "<"
    number, bits = datatype[1], int(datatype[2:].split("_")[0])
    if number != "f":
        parts = np.round(parts * 2 ** (bits - 1)).clip(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        parts += 2 ** (bits - 1) if number == "u" else 0
    return parts.astype(f"{order}{number}{bits // 8}").tobytes()


def recording(folder, datatype="cf32_le", octets=None, captures=({"core:sample_start": 0},), **described):
    document = {
        "global": {"core:datatype": datatype, "core:sample_rate": 1e6, "core:version": "1.0.0"}
        | {f"core:{name}": value for name, value in described.items()},
        "captures": list(captures),
        "annotations": [],
    }
    (folder / "x.sigmf-meta").write_text(json.dumps(document))
    (folder / "x.sigmf-data").write_bytes(stored(datatype) if octets is None else octets)
    return folder / "x.sigmf-meta"


@pytest.mark.parametrize("datatype", TYPES)
def test_the_reference_library_reads_the_same(datatype, tmp_path):
    path = recording(tmp_path, datatype)
    theirs = sigmf.fromfile(str(path)).read_samples()
    with open_iq(path) as stream:
        ours = stream.read(10_000)
        assert (stream.n_samples, stream.sample_rate_hz, stream.sample_type.name) == (2000, 1e6, datatype)
    assert ours.dtype == np.complex64
    assert np.max(np.abs(ours - theirs)) < 1e-6


@pytest.mark.parametrize("n_channels", [2, 3, 8])
def test_channels_are_interleaved_sample_by_sample(n_channels, tmp_path):
    every = IQ[: 2000 // n_channels * n_channels].reshape(-1, n_channels)
    path = recording(tmp_path, "ci16_be", stored("ci16_be", every.reshape(-1)), num_channels=n_channels)
    theirs = sigmf.fromfile(str(path)).read_samples()
    for channel in range(n_channels):
        with open_iq(path, IqOptions(channel=channel)) as stream:
            assert np.max(np.abs(stream.read(10_000) - theirs[:, channel])) < 1e-6


@pytest.mark.parametrize("seed", range(8))
def test_blocks_of_any_size_and_any_place_give_the_same(seed, tmp_path):
    rng = random.Random(seed)
    headers, starts = [rng.randrange(9) for _ in range(3)], [0, 700, 1500]
    captures = [{"core:sample_start": s, "core:header_bytes": h} for s, h in zip(starts, headers, strict=True)]
    parts = [stored("ci8", part) for part in np.split(IQ, starts[1:])]
    octets = b"".join(b"h" * header + part for header, part in zip(headers, parts, strict=True)) + b"t" * 5
    path = recording(tmp_path, "ci8", octets, captures, trailing_bytes=5)
    whole = sample_type("ci8").to_complex64(stored("ci8"))
    with open_iq(path) as stream:
        read = []
        while (block := stream.read(rng.randrange(1, 400))).size:
            read.append(block)
    assert np.array_equal(np.concatenate(read), whole)
    with open_iq(
        recording(tmp_path, "ci8", b"abc" + stored("ci8"), [{"core:sample_start": 0, "core:header_bytes": 3}])
    ) as s:
        assert s.is_seekable
        for _ in range(20):
            first, count = rng.randrange(2100), rng.randrange(500)
            assert np.array_equal(s.samples(first, count), whole[first : first + count])


def test_lost_samples_are_zeros_and_a_capture_can_be_chosen(tmp_path):
    captures = [
        {"core:sample_start": 10, "core:global_index": 1_000_010},
        {"core:sample_start": 510, "core:global_index": 1_000_610},
    ]
    path = recording(tmp_path, captures=captures, offset=10)
    with open_iq(path) as stream:
        assert stream.n_samples == 2100
        assert not stream.is_seekable
        assert np.array_equal(stream.read(3000), np.r_[IQ[:500], np.zeros(100), IQ[500:]].astype(np.complex64))
    for capture, part in ((0, IQ[:500]), (1, IQ[500:])):
        with open_iq(path, IqOptions(capture=capture)) as stream:
            assert stream.n_samples == part.size
            assert np.array_equal(stream.read(3000), part)


@pytest.mark.parametrize("kind", ["tar", "gz", "xz", "bz2", "zip"])
def test_archives(kind, tmp_path):
    recording(tmp_path, "ci16_le")
    path = tmp_path / f"y.sigmf{'' if kind == 'tar' else '.' + kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for suffix in ("meta", "data"):
                archive.write(tmp_path / f"x.sigmf-{suffix}", f"x/x.sigmf-{suffix}")
    else:
        mode: Any = "w" if kind == "tar" else f"w:{kind}"
        with tarfile.open(path, mode) as tar:
            for suffix in ("data", "meta"):
                tar.add(tmp_path / f"x.sigmf-{suffix}", f"x/x.sigmf-{suffix}")
    with open_iq(path) as stream, open_iq(tmp_path / "x.sigmf-meta") as plain:
        assert stream.n_samples == 2000
        assert np.array_equal(np.r_[stream.read(123), stream.read(5000)], plain.read(5000))
    octets = path.read_bytes()
    for cut in range(0, len(octets), len(octets) // 23):
        path.write_bytes(octets[:cut])
        try:
            with open_iq(path) as stream:
                while stream.read(500).size:
                    pass
        except (DeviceError, DeviceNotFound) as error:
            assert "y.sigmf" in str(error)


def test_an_archive_never_leads_out_of_itself(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(80))
    meta = json.dumps({"global": {"core:datatype": "ci8", "core:dataset": "secret"}, "captures": []}).encode()
    with tarfile.open(tmp_path / "y.sigmf", "w") as archive:
        info = tarfile.TarInfo("a/x.sigmf-meta")
        info.size = len(meta)
        archive.addfile(info, io.BytesIO(meta))
        link = tarfile.TarInfo("a/secret")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
        archive.addfile(link)
    with pytest.raises(DeviceError, match="no dataset a/secret"):
        open_iq(tmp_path / "y.sigmf")


def test_what_is_none_is_named(tmp_path):
    for name, octets, words in (
        ("z.sigmf", b"\x28\xb5\x2f\xfd" + bytes(9), "zstd"),
        ("z.sigmf", b"no tar", "no SigMF archive"),
        ("z.sigmf.gz", gzip.compress(bytes(10240)), "without SigMF metadata"),
        ("z.wav", b"RIFF", "--format"),
    ):
        (tmp_path / name).write_bytes(octets)
        with pytest.raises(DeviceError, match=words):
            open_iq(tmp_path / name)
    with pytest.raises(DeviceError, match="folder"):
        open_iq(tmp_path)
    with pytest.raises(DeviceNotFound, match="none"):
        open_iq(tmp_path / "none.sigmf")
    for name in ("cf16", "float", "ci64", "cu8_xe", ""):
        with pytest.raises(DeviceError, match="not known"):
            sample_type(name)
    for name in ("rf32_le", "ri8"):
        with pytest.raises(DeviceError, match="real samples"):
            sample_type(name)


def test_altered_metadata_gives_samples_or_the_error(tmp_path):
    path = recording(
        tmp_path, "ci16_le", captures=[{"core:sample_start": 0}, {"core:sample_start": 50}], num_channels=2
    )
    good = path.read_text()
    values = ["null", "-1", "1e400", "NaN", '"x"', "[]", "{}", "true", "1e9", "9" * 400, "0.5", "[[]]"]
    rng = random.Random(1)
    for _ in range(400):
        document = json.loads(good)
        part = rng.choice([document["global"], *document["captures"], document])
        key = rng.choice(
            [*part, "core:header_bytes", "core:global_index", "core:trailing_bytes", "core:dataset", "core:offset"]
        )
        part[key] = json.loads(rng.choice(values))
        path.write_text(json.dumps(document))
        try:
            with open_iq(path) as stream:
                while stream.read(700).size:
                    pass
        except RadioError as error:
            assert str(tmp_path) in str(error)
