"""`pc5lab phy generate`: any length, the counting of instruments, given payloads, parameters that don't fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab_scripts.cli.main import run
from radio.phy.dsp.bitfields import bits_to_bytes
from radio.phy.lte.channels.pssch import receive_pssch
from radio.phy.lte.channels.sl_sch import SlSchSoftBuffer
from radio.phy.lte.grid import scfdma
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.grid.tbs import modulation_order


def generated(capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> dict[str, Any]:
    assert run(["phy", "generate", str(path), *options, "--json"]) == 0
    written: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert path.stat().st_size == 8 * written["n_samples"]
    return written


def decoded(capsys: pytest.CaptureFixture[str], path: Path, written: dict[str, Any], prb: str) -> dict[str, Any]:
    assert run(["phy", "decode", str(path), "--rate", str(written["rate_hz"]), "--prb", prb, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def assert_same(written: dict[str, Any], found: dict[str, Any]) -> None:
    for kind, items in found.items():
        assert [{key: item[key] for key in want} for want, item in zip(written[kind], items, strict=True)] == written[
            kind
        ]


LONG = [
    (["--mode", "1", "--prb", "6", "--subframes", "90"], {"slss": 3, "sci": 6, "transport_blocks": 11, "discovery": 2}),
    (
        ["--mode", "2", "--prb", "15", "--duration", "0.08"],
        {"slss": 2, "sci": 4, "transport_blocks": 10, "discovery": 2},
    ),
    (["--mode", "2", "--prb", "6", "--cp", "extended", "--subframes", "53"], {"slss": 2, "transport_blocks": 6}),
    (["--mode", "3", "--prb", "6", "--subframes", "165"], {"slss": 2, "sci": 34, "transport_blocks": 17}),
    (
        ["--mode", "4", "--prb", "25", "--subframes", "25", "--n-ssf", "subframe", "--dfn", "1023", "--first", "1"],
        {"slss": 1, "sci": 6, "transport_blocks": 3},
    ),
]


@pytest.mark.parametrize(("options", "counts"), LONG, ids=[" ".join(options) for options, _ in LONG])
def test_any_length_comes_back_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], counts: dict[str, int]
) -> None:
    path = tmp_path / "long.cf32"
    written = generated(capsys, path, *options, "--snr", "16", "--cfo", "900", "--delay", "77", "--seed", "4")
    assert {kind: len(written[kind]) for kind in counts} == counts
    found = decoded(capsys, path, written, options[options.index("--prb") + 1])
    assert_same(written, found)
    assert len({block["hex"] for block in found["transport_blocks"]}) == counts["transport_blocks"]


def test_a_recording_is_the_beginning_of_a_longer_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--mode", "4", "--prb", "6", "--cfo", "700", "--snr", "10"]
    short = generated(capsys, tmp_path / "short.cf32", *options)
    generated(capsys, tmp_path / "long.cf32", *options, "--subframes", "30")
    one, other = (np.fromfile(tmp_path / f"{name}.cf32", dtype=np.complex64) for name in ("short", "long"))
    assert np.array_equal(one, other[: short["n_samples"]])


@pytest.mark.parametrize("counting", ["pool", "subframe"])
def test_n_ssf_counts_as_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str], counting: str) -> None:
    """The pool leaves subframe 0 out, which carries SLSS: its counter is one behind the subframe number."""
    path, carrier = tmp_path / "v2x.cf32", Carrier(25)
    written = generated(capsys, path, "--prb", "25", "--mode", "4", "--n-ssf", counting, "--subframes", "8")
    block, codes = written["transport_blocks"][0], [int(sci["crc_hex"], 16) for sci in written["sci"]]
    iq = np.fromfile(path, dtype=np.complex64)
    width = block["n_prb"]
    for subframe, code, rv, sci in zip(block["subframes"], codes, block["rv"], written["sci"], strict=True):
        step = carrier.samples_per_subframe
        grid = scfdma.demodulate(carrier, iq[subframe * step : (subframe + 1) * step])
        prbs = tuple(range(sci["prb"] + 2, sci["prb"] + 2 + width))
        verdicts = {}
        for n_ssf in range(10):
            received = receive_pssch(carrier, grid, prbs, block["mcs"], code, n_ssf, Mode.TM34)
            buffer = SlSchSoftBuffer(block["bits"])
            buffer.combine(received.llrs, modulation_order(block["mcs"]), rv)
            result = buffer.decode()
            verdicts[n_ssf] = result.crc_ok and bits_to_bytes(result.bits).hex() == block["hex"]
        expected = subframe if counting == "subframe" else subframe - 1
        assert [n for n, good in verdicts.items() if good] == [expected]
    assert_same(written, decoded(capsys, path, written, "25"))


@pytest.mark.parametrize("from_file", [False, True])
@pytest.mark.parametrize("mode", ["2", "4"])
def test_a_payload_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str, from_file: bool) -> None:
    payload = bytes(range(1, 8))
    (tmp_path / "packet.bin").write_bytes(payload)
    given = f"@{tmp_path / 'packet.bin'}" if from_file else payload.hex()
    path = tmp_path / "out.cf32"
    options = ["--prb", "15", "--mode", mode, "--mcs", "6", "--payload", given]
    assert run(["phy", "generate", str(path), *options, "--json"]) == 0
    captured = capsys.readouterr()
    written = json.loads(captured.out)
    (block,) = written["transport_blocks"]
    padding = block["bits"] // 8 - len(payload)
    assert padding > 0 and written["padding_octets"] == padding
    assert f"padded with {padding} octets" in captured.err
    (found,) = decoded(capsys, path, written, "15")["transport_blocks"]
    assert found["crc_ok"] and bytes.fromhex(found["hex"]) == payload + bytes(padding)


def test_a_payload_that_fills_its_block_is_not_padded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--prb", "6", "--mcs", "5", "--width", "2", "--payload", "ab" * 18]
    assert run(["phy", "generate", str(tmp_path / "out.cf32"), *options, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["padding_octets"] == 0 and "padded" not in captured.err


WRONG = [
    (
        ["--payload", "ab" * 19, "--mcs", "5"],
        "19 octets does not fit: MCS 5 over 2 PRBs carries 18 octets",
    ),
    (["--mode", "4", "--payload", "ab" * 500], "a payload of 500 octets does not fit"),
    (["--message", "ab" * 30], "a discovery message has 29 octets"),
    (["--payload", "@absent.bin"], "can't read absent.bin"),
    (["--payload", "@"], "can't read"),
    (["--payload", "abc"], "whole number of octets"),
    (["--subframes", "4", "--duration", "1"], "give one of them"),
    (["--duration", "nan"], "'--duration': nan is not a finite number"),
    (["--duration", "-1"], "--duration -1"),
    (["--duration", "1e300"], "more than"),
    (["--rate", "nan"], "'--rate': nan is not a finite number"),
    (["--rate", "inf"], "'--rate': inf is not a finite number"),
    (["--cfo", "nan"], "'--cfo': nan is not a finite number"),
    (["--cfo", "1e12"], "half the sample rate"),
    (["--snr", "nan"], "'--snr': nan is not a finite number"),
    (["--mode", "2", "--n-ssf", "subframe"], "--n-ssf belongs to transmission modes 3 and 4"),
    (["--mode", "2", "--subchannels", "3"], "--subchannels belongs"),
    (["--mode", "4", "--message", "00"], "--message belongs to transmission modes 1 and 2"),
    (["--mode", "4", "--destination", "3"], "--destination belongs"),
    (["--mode", "2", "--timing-advance", "3"], "--timing-advance belongs to transmission mode 1"),
    (["--prb", "6", "--first", "5", "--width", "2"], "leave the PSSCH pool"),
    (["--prb", "6", "--width", "9"], "9 PRBs from 0"),
    (["--mode", "4", "--first", "4", "--width", "2"], "sub-channels from 4"),
    (["--mode", "4", "--subchannel-size", "10", "--subchannels", "8"], "leave the carrier"),
    (["--mode", "4", "--subchannel-size", "10", "--subchannels", "4"], "numSubchannel 4"),
    (["--prb", "7"], "not one of"),
    (["--prb", "50", "--rate", "1.92e6"], "does not fit 50 PRB"),
]


@pytest.mark.parametrize(("options", "says"), WRONG, ids=[" ".join(options)[:50] for options, _ in WRONG])
def test_what_does_not_fit_is_said_and_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    assert run(["phy", "generate", str(tmp_path / "out.cf32"), *options]) == 2
    err = capsys.readouterr().err
    assert says in err and "bug" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dir.cf32").mkdir()
    assert run(["phy", "generate", str(tmp_path / "dir.cf32"), "--prb", "6"]) == 2
    assert run(["phy", "generate", str(tmp_path / "no" / "out.cf32"), "--prb", "6"]) == 2
    assert "can't write" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["dir.cf32"]
