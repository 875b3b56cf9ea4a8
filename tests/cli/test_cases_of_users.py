"""Recordings that users of such tools have trouble with (tests/vectors/cases), each with its right answer; variants."""

from __future__ import annotations

import io
import json
import os
import tarfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sigmf

from lab_scripts.cli.main import run
from tests.benches.cases_of_users import CASES, Capture, said

FOUND = {"slss": 1, "mib_sl": 1, "sci": 2, "transport_blocks": 1, "discovery": 1}


def decoded(capsys: Capture, *arguments: object) -> tuple[dict[str, Any], str]:
    """The document of `phy decode`, and what it said besides."""
    capsys.readouterr()
    assert run(["phy", "decode", *map(str, arguments), "--prb", "6", "--json"]) == 0
    captured = capsys.readouterr()
    return json.loads(captured.out), captured.err


def check_all(document: dict[str, Any], **changed: int) -> None:
    assert {kind: len(items) for kind, items in document.items()} == FOUND | changed
    assert document["slss"][0]["id"] == 252
    assert document["slss"][0]["timing_samples"] == pytest.approx(0, abs=1)


@pytest.fixture(scope="module")
def iq() -> np.ndarray:
    """The recording of most cases, as complex64."""
    octets = (CASES / "header-bytes.sigmf-data").read_bytes()[256:]
    parts = np.frombuffer(octets, dtype="<i2").astype(np.float32) / np.float32(32768)
    return parts.view(np.complex64)


def write_sigmf(folder: Path, name: str, octets: bytes, described: dict[str, Any], captures: list[Any]) -> Path:
    (folder / f"{name}.sigmf-data").write_bytes(octets)
    document = {
        "global": {"core:sample_rate": 1920000, "core:version": "1.0.0"} | described,
        "captures": captures,
        "annotations": [],
    }
    path = folder / f"{name}.sigmf-meta"
    path.write_text(json.dumps(document))
    return path


def stored(iq: np.ndarray, datatype: str) -> bytes:
    """Samples as a SigMF type stores them, by numpy alone."""
    parts = iq.view(np.float32).astype(np.float64)
    number, bits = datatype[1], int(datatype[2:].partition("_")[0])
    order = ">" if datatype.endswith("_be") else "<"
    if number == "f":
        return parts.astype(f"{order}f{bits // 8}").tobytes()
    scaled = np.clip(np.round(parts / np.abs(parts).max() * (2 ** (bits - 1) - 1)), -(2 ** (bits - 1)), None)
    if number == "u":
        scaled += 2 ** (bits - 1)
    return scaled.astype(f"{order}{number}{bits // 8}").tobytes()


@pytest.mark.parametrize(
    "name",
    [
        "header-bytes",
        "header-bytes-odd",
        "dataset-elsewhere",
        "two-channels",
        "ci16-be",
        "ci32-le",
        "cu8",
        "carrier-13-khz-off",
        "rate-2-ms-s",
        "bom",
    ],
)
def test_recordings_of_the_table(name: str, capsys: Capture) -> None:
    document, told = decoded(capsys, CASES / f"{name}.sigmf-meta")
    check_all(document)
    cfo_hz = 13_000 if name == "carrier-13-khz-off" else 0
    for kind in ("slss", "mib_sl", "sci", "transport_blocks", "discovery"):
        for item in document[kind]:
            assert item["cfo_hz"] == pytest.approx(cfo_hz, abs=100)
    assert ("2 channels" in told) == (name == "two-channels")
    assert ("resampled 24/25" in told) == (name == "rate-2-ms-s")


def test_an_archive_and_gnu_radios_suffix(capsys: Capture) -> None:
    check_all(decoded(capsys, CASES / "archive.sigmf")[0])
    check_all(decoded(capsys, CASES / "gnuradio.cfile", "--rate", "1.92e6")[0], discovery=0)


TYPES = [f"c{t}{order}" for t in ("f32", "f64", "i16", "i32", "u16", "u32") for order in ("_le", "_be")] + [
    "ci8",
    "cu8",
]


@pytest.mark.parametrize("datatype", TYPES)
def test_every_type_of_complex_samples(datatype: str, iq: np.ndarray, tmp_path: Path, capsys: Capture) -> None:
    octets = stored(iq, datatype)
    meta = write_sigmf(tmp_path, "x", octets, {"core:datatype": datatype}, [{"core:sample_start": 0}])
    check_all(decoded(capsys, meta)[0])
    (tmp_path / "bare.raw").write_bytes(octets)
    check_all(decoded(capsys, tmp_path / "bare.raw", "--format", datatype, "--rate", "1.92e6")[0])


@pytest.mark.parametrize("datatype", ["rf32_le", "ri16_be", "ru8", "rf64_be"])
def test_real_samples_are_refused_by_name(datatype: str, tmp_path: Path, capsys: Capture) -> None:
    meta = write_sigmf(tmp_path, "x", bytes(160), {"core:datatype": datatype}, [])
    told = said(capsys, 2, "phy", "decode", meta, "--prb", "6")
    assert "real samples" in told
    assert datatype in told


SUFFIXES = {
    ".cf32": "cf32_le",
    ".fc32": "cf32_le",
    ".cfile": "cf32_le",
    ".dat": "cf32_le",
    ".iq": "cf32_le",
    ".raw": "cf32_le",
    ".bin": "cf32_le",
    ".cf64": "cf64_le",
    ".cs16": "ci16_le",
    ".sc16": "ci16_le",
    ".cs8": "ci8",
    ".cu8": "cu8",
}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_suffixes_tell_the_type(suffix: str, iq: np.ndarray, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(stored(iq, SUFFIXES[suffix]))
    check_all(decoded(capsys, path, "--rate", "1920000")[0])


def test_pipes(iq: np.ndarray, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    fifo = tmp_path / "f.cf32"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(stored(iq, "cf32_le")), daemon=True)
    writer.start()
    check_all(decoded(capsys, fifo, "--rate", "1.92e6")[0])
    writer.join()
    for datatype in ("cf32_le", "ci16_be"):
        stdin = io.TextIOWrapper(io.BytesIO(stored(iq, datatype)))
        monkeypatch.setattr("sys.stdin", stdin)
        check_all(decoded(capsys, "-", "--rate", "1.92e6", "--format", datatype)[0])
    mirrored = (1j * np.conj(iq)).astype(np.complex64)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stored(mirrored, "cf32_le"))))
    assert "--swap-iq" in decoded(capsys, "-", "--rate", "1.92e6")[1]


def test_captures_headers_trailers_and_lost_samples(iq: np.ndarray, tmp_path: Path, capsys: Capture) -> None:
    first, second = stored(iq[:9000], "cf32_le"), stored(iq[9000:], "cf32_le")
    described = {"core:datatype": "cf32_le", "core:offset": 77, "core:trailing_bytes": 13}
    captures = [
        {"core:sample_start": 77, "core:header_bytes": 5},
        {"core:sample_start": 9077, "core:header_bytes": 300, "core:frequency": 7e8},
    ]
    octets = b"x" * 5 + first + b"y" * 300 + second + b"z" * 13
    check_all(decoded(capsys, write_sigmf(tmp_path, "a", octets, described, captures))[0])
    kept = np.r_[iq[:3840], iq[5760:]]
    captures = [
        {"core:sample_start": 0, "core:global_index": 1000},
        {"core:sample_start": 3840, "core:global_index": 1000 + 5760},
    ]
    meta = write_sigmf(tmp_path, "b", stored(kept, "ci16_le"), {"core:datatype": "ci16_le"}, captures)
    document, _ = decoded(capsys, meta)
    whole, _ = decoded(capsys, CASES / "header-bytes.sigmf-meta")
    lost = 3840 // 1920
    left = [item["subframe"] for item in whole["sci"] if item["subframe"] != lost]
    assert [item["subframe"] for item in document["sci"]] == left
    (block,), (discovery,) = document["transport_blocks"], document["discovery"]
    assert set(block["subframes"]) == set(whole["transport_blocks"][0]["subframes"]) - {lost}
    assert set(discovery["subframes"]) == set(whole["discovery"][0]["subframes"]) - {lost}


def test_a_retuned_recording_is_decoded_capture_by_capture(iq: np.ndarray, tmp_path: Path, capsys: Capture) -> None:
    noise = np.random.default_rng(1).standard_normal(8000).astype(np.float32).view(np.complex64)
    captures = [
        {"core:sample_start": 0, "core:frequency": 700e6},
        {"core:sample_start": 4000, "core:frequency": 5.9e9},
    ]
    octets = stored(np.r_[noise, iq], "cf32_le")
    meta = write_sigmf(tmp_path, "x", octets, {"core:datatype": "cf32_le"}, captures)
    told = said(capsys, 2, "phy", "decode", meta, "--prb", "6")
    assert "0 at 700 MHz, 1 at 5900 MHz" in told
    assert "--capture" in told
    check_all(decoded(capsys, meta, "--capture", "1")[0])
    assert "no capture 2" in said(capsys, 2, "phy", "decode", meta, "--prb", "6", "--capture", "2")


def test_channels(iq: np.ndarray, tmp_path: Path, capsys: Capture) -> None:
    both = np.empty((iq.size, 3), dtype=np.complex64)
    both[:, 0], both[:, 1], both[:, 2] = 0.01, iq, 0
    described = {"core:datatype": "ci16_le", "core:num_channels": 3}
    meta = write_sigmf(tmp_path, "x", stored(both.reshape(-1), "ci16_le"), described, [{"core:sample_start": 0}])
    check_all(decoded(capsys, meta, "--channel", "1")[0])
    assert "it has 3" in said(capsys, 2, "phy", "decode", meta, "--prb", "6", "--channel", "3")
    assert "one channel" in said(
        capsys, 2, "phy", "decode", CASES / "gnuradio.cfile", "--rate", "1.92e6", "--prb", "6", "--channel", "1"
    )


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_archives_of_several(mode: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / f"two.sigmf{mode[1:].replace(':', '.')}"
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name in ("cu8", "ci16-be"):
            for suffix in ("data", "meta"):
                archive.add(CASES / f"{name}.sigmf-{suffix}", f"some/{name}.sigmf-{suffix}")
    told = said(capsys, 2, "phy", "decode", path, "--prb", "6")
    assert "some/cu8, some/ci16-be" in told
    assert "--recording" in told
    check_all(decoded(capsys, path, "--recording", "ci16-be")[0])
    assert "no recording x" in said(capsys, 2, "phy", "decode", path, "--prb", "6", "--recording", "x")


def test_what_the_reference_library_writes(iq: np.ndarray, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "x.sigmf-data").write_bytes(stored(iq, "ci16_le"))
    theirs = sigmf.SigMFFile(
        data_file=tmp_path / "x.sigmf-data",
        global_info={"core:datatype": "ci16_le", "core:sample_rate": 1920000.0, "core:version": "1.2.0"},
    )
    theirs.add_capture(0, metadata={"core:frequency": 700e6})
    theirs.tofile(tmp_path / "x.sigmf-meta")
    theirs.archive(str(tmp_path / "y.sigmf"))
    check_all(decoded(capsys, tmp_path / "x.sigmf-meta")[0])
    check_all(decoded(capsys, tmp_path / "y.sigmf")[0])
    (tmp_path / "c.sigmf-collection").write_text(
        json.dumps({"collection": {"core:version": "1.2.0", "core:streams": [{"name": "x", "hash": ""}]}})
    )
    check_all(decoded(capsys, tmp_path / "c.sigmf-collection")[0])


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "rate nan": ({"core:sample_rate": float("nan")}, "core:sample_rate nan"),
    "rate infinite": ({"core:sample_rate": float("inf")}, "core:sample_rate inf"),
    "rate 0": ({"core:sample_rate": 0}, "core:sample_rate 0"),
    "rate text": ({"core:sample_rate": "1.92e6"}, "core:sample_rate '1.92e6'"),
    "rate huge": ({"core:sample_rate": 10**400}, "core:sample_rate"),
    "rate true": ({"core:sample_rate": True}, "core:sample_rate"),
    "type": ({"core:datatype": "cf16_le"}, "cf16_le"),
    "no type": ({"core:datatype": None}, "core:datatype"),
    "channels": ({"core:num_channels": 0}, "core:num_channels"),
    "trailing": ({"core:trailing_bytes": -1}, "core:trailing_bytes"),
    "elsewhere": ({"core:dataset": "../../etc/passwd"}, "core:dataset"),
    "not there": ({"core:dataset": "gone.bin"}, "gone.bin"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_metadata_is_named(kind: str, tmp_path: Path, capsys: Capture) -> None:
    changed, words = BROKEN[kind]
    meta = write_sigmf(tmp_path, "x", bytes(800), {"core:datatype": "ci8"} | changed, [])
    assert words in said(capsys, 2, "phy", "decode", meta, "--prb", "6")


def test_metadata_only_and_collections_are_named(tmp_path: Path, capsys: Capture) -> None:
    meta = write_sigmf(tmp_path, "x", b"", {"core:datatype": "ci8", "core:metadata_only": True}, [])
    (tmp_path / "x.sigmf-data").unlink()
    assert "metadata only" in said(capsys, 2, "phy", "decode", meta, "--prb", "6")
    collection = tmp_path / "c.sigmf-collection"
    streams = [{"name": "x", "hash": ""}, {"name": "y", "hash": ""}]
    collection.write_text(json.dumps({"collection": {"core:streams": streams}}))
    told = said(capsys, 2, "phy", "decode", collection, "--prb", "6")
    assert "2 recordings: x, y" in told


@pytest.mark.parametrize("rate", ["nan", "inf", "-inf", "0", "-1.92e6", "1e99"])
def test_rates_that_are_none(rate: str, capsys: Capture) -> None:
    path = CASES / "gnuradio.cfile"
    assert "rate" in said(capsys, 2, "phy", "decode", path, "--prb", "6", f"--rate={rate}").lower()
    assert "rate" in said(capsys, 2, "phy", "decode", CASES / "rate-nan.sigmf-meta", "--prb", "6").lower()


@pytest.mark.parametrize("cfo_hz", [-100_000, -52_500, -22_300, 10_500, 37_500, 99_000])
def test_carriers_far_off_are_found(cfo_hz: float, iq: np.ndarray, tmp_path: Path, capsys: Capture) -> None:
    turned = iq * np.exp(2j * np.pi * cfo_hz / 1.92e6 * np.arange(iq.size))
    path = tmp_path / "x.cf32"
    turned.astype(np.complex64).tofile(path)
    document, _ = decoded(capsys, path, "--rate", "1.92e6")
    check_all(document)
    assert document["slss"][0]["cfo_hz"] == pytest.approx(cfo_hz, abs=100)
    assert document["sci"][0]["cfo_hz"] == pytest.approx(cfo_hz, abs=100)
    check_all(decoded(capsys, path, "--rate", "1.92e6", "--cfo", cfo_hz)[0])


MISREAD = {
    "i16 as f32": ("ci16_le", "x.iq", [], 2, "--format ci16_le"),
    "i16 of the other order": ("ci16_be", "x.cs16", [], 0, "--format ci16_be"),
    "i8 as f32": ("ci8", "x.bin", [], 2, "--format ci8"),
    "f32 of the other order": ("cf32_be", "x.dat", [], 0, "--format cf32_be"),
    "wrong rate": ("cf32_le", "x.cf32", ["--rate", "3.84e6"], 0, "--rate 1.92e6"),
}


@pytest.mark.parametrize("kind", MISREAD)
def test_misread_recordings_are_named(kind: str, iq: np.ndarray, tmp_path: Path, capsys: Capture) -> None:
    datatype, name, options, code, words = MISREAD[kind]
    path = tmp_path / name
    path.write_bytes(stored(iq, datatype))
    rate = options or ["--rate", "1.92e6"]
    assert words in said(capsys, code, "phy", "decode", path, "--prb", "6", *rate)


def test_swapped_parts_are_named_and_taken(iq: np.ndarray, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "x.cf32"
    (iq.imag + 1j * iq.real).astype(np.complex64).tofile(path)
    assert "--swap-iq" in said(capsys, 0, "phy", "decode", path, "--prb", "6", "--rate", "1.92e6")
    check_all(decoded(capsys, path, "--rate", "1.92e6", "--swap-iq")[0])


@pytest.mark.parametrize("rate", [2e6, 2.5e6, 20e6, 25e6, 2.048e6])
def test_rates_of_radios_are_resampled(rate: float, iq: np.ndarray, tmp_path: Path, capsys: Capture) -> None:
    from scipy.signal import resample

    delayed = np.r_[np.zeros(960, dtype=np.complex64), iq]
    theirs = resample(delayed, round(delayed.size * rate / 1.92e6))
    path = tmp_path / "x.cf32"
    theirs.astype(np.complex64).tofile(path)
    document, told = decoded(capsys, path, "--rate", rate)
    assert {kind: len(items) for kind, items in document.items()} == FOUND
    assert document["slss"][0]["timing_samples"] == pytest.approx(960 * rate / 1.92e6, abs=1.5 * rate / 1.92e6)
    assert ("resampled" in told) == bool(rate % 1.92e6)


def test_another_bandwidth_is_told(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "x.cf32"
    assert run(["phy", "generate", str(path), "--prb", "15", "--snr", "20"]) == 0
    told = said(capsys, 0, "phy", "decode", path, "--rate", "3.84e6", "--prb", "6")
    assert "15 PRB" in told
