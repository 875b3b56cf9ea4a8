"""`pc5lab phy play` on a real hub: others decode what is played; Ctrl-C, files and rates that are wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lab_scripts.cli.main import run
from lab_scripts.waveforms.direct import DirectPlan, SampleRecording
from radio.emulator.air import Air
from radio.emulator.client import ZeroMqDevice
from radio.emulator.hub import Hub
from radio.emulator.scenario import Scenario, UeRadio, fully_meshed
from radio.phy.lte.channels.indications import TransportBlockReceived
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.pools.mode2 import SidelinkPools, SyncConfig
from radio.phy.lte.survey.survey import survey_recording
from radio.phy.lte.ue_phy import UePhy

RATE, BLOCK, PRB = 1_920_000, 1920, 6
PAYLOAD = "c0ffee00"


@contextmanager
def hub(tmp_path: Path) -> Iterator[str]:
    """A hub with UEs `player` and `listener`, stopped at the end; gives its endpoint."""
    ues = (UeRadio(name="player", cfo_hz=150.0), UeRadio(name="listener", clock_ppm=0.4))
    links = fully_meshed(ues, path_loss_db=90.0)
    plan = Scenario(name="play", seed=2, sample_rate_hz=RATE, ues=ues, links=links, come_and_go=True)
    stop = threading.Event()
    with Hub(Air(plan), f"ipc://{tmp_path}/air") as served:
        thread = threading.Thread(target=served.serve, args=(stop.is_set,))
        thread.start()
        try:
            yield served.endpoint
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive()


@contextmanager
def playing(endpoint: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "lab_scripts.cli.main", "phy", "play", *options, "--ue", "player"]
    process = subprocess.Popen(
        [*command, "--endpoint", endpoint, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_until_it_plays(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    said = ""
    while "playing" not in said:
        assert process.poll() is None, said
        said = process.stderr.readline()


def blocks_heard(endpoint: str, wanted: int) -> list[TransportBlockReceived]:
    """What a UE on the generator's pools receives, up to `wanted` good blocks in 1,000 ms of air."""
    carrier = Carrier(PRB)
    sample = SampleRecording(n_sl_id=170, dfn=0, destination=1, mcs=5, width=2, block=None, message=None)
    plan = DirectPlan(carrier, sample, np.random.default_rng(0))
    pools = SidelinkPools(
        n_prb=PRB, sync=SyncConfig(offset_indicators=(0,)), comm=(plan.comm_pool,), disc=(plan.disc_pool,)
    )
    ue = UePhy(carrier, pools)
    device = ZeroMqDevice(endpoint, "listener")
    good: list[TransportBlockReceived] = []
    try:
        for _ in range(1000):
            iq, first = device.read(BLOCK)
            found = [i for i in ue.receive(iq, first) if isinstance(i, TransportBlockReceived)]
            good += [block for block in found if block.crc_ok]
            if len(good) >= wanted:
                break
    finally:
        device.close()
    return good


def test_a_ue_hears_the_generator_until_ctrl_c(tmp_path: Path) -> None:
    with (
        hub(tmp_path) as endpoint,
        playing(endpoint, "generator", "--prb", "6", "--payload", PAYLOAD) as process,
    ):
        wait_until_it_plays(process)
        heard = blocks_heard(endpoint, 12)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert len(heard) >= 12
    assert {block.transport_block[:4].hex() for block in heard} == {PAYLOAD}
    assert all(not any(block.transport_block[4:]) for block in heard)
    assert process.returncode == 130, err
    assert json.loads(out)["why_ended"] == "stopped" and json.loads(out)["late_blocks"] == 0
    assert "Traceback" not in err


@pytest.mark.parametrize("extra", [0, 777], ids=["whole subframes", "a part of a subframe"])
def test_a_looped_file_is_decoded_at_every_turn(tmp_path: Path, extra: int) -> None:
    path = tmp_path / "v2x.cf32"
    made = ["phy", "generate", str(path), "--prb", "6", "--mode", "4", "--n-ssf", "subframe", "--payload", PAYLOAD]
    assert run([*made, "--subframes", "8"]) == 0
    iq = np.fromfile(path, dtype=np.complex64)
    np.concatenate((iq, np.zeros(extra, dtype=np.complex64))).tofile(path)
    with hub(tmp_path) as endpoint, playing(endpoint, str(path), "--rate", "1.92e6", "--loop") as process:
        assert process.stderr is not None
        told = process.stderr.readline()
        wait_until_it_plays(process)
        device = ZeroMqDevice(endpoint, "listener")
        try:
            heard = np.concatenate([device.read(BLOCK)[0] for _ in range(120)])
        finally:
            device.close()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert ("not a whole number of subframes" in told) == bool(extra)
    turn = iq.size + extra
    first_burst = iq[np.flatnonzero(np.abs(iq) > 0.1)[0] :][:BLOCK]
    began = int(np.argmax(np.abs(np.correlate(heard[: turn + BLOCK], first_burst))))  # it may have joined mid-turn
    for n in (0, 1, 5):
        first = max(began + n * turn - BLOCK, 0)
        found = survey_recording(heard[first : first + 10 * BLOCK], Carrier(PRB), mode=Mode.TM34)
        assert [block.crc_ok for block in found.transport_blocks] == [True]
        assert found.transport_blocks[0].bits.size and len(found.transport_blocks[0].subframes) == 2


def test_ctrl_c_is_heard_while_the_air_stands_still(tmp_path: Path) -> None:
    """No hub serves the endpoint: the player waits for a hub, and Ctrl-C ends the wait at once."""
    with playing(f"ipc://{tmp_path}/nobody", "generator", "--prb", "6") as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "waiting" in line
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=8)
    assert process.returncode == 130, err


WRONG = [
    (["absent.cf32", "--rate", "1.92e6"], "No such file"),
    (["empty.cf32", "--rate", "1.92e6"], "empty"),
    (["odd.cf32", "--rate", "1.92e6"], "whole number"),
    (["notes.txt", "--rate", "1.92e6"], "IQ files end in"),
    (["good.cf32"], "sample rate"),
    (["good.cf32", "--rate", "nan"], "'--rate': nan is not a finite number"),
    (["good.cf32", "--rate", "1.92e6", "--gain", "inf"], "'--gain': inf is not a finite number"),
    (["good.cf32", "--rate", "1.92e6", "--cfo", "2e6"], "half the sample rate"),
    (["good.cf32", "--rate", "1.92e6", "--mcs", "3"], "--mcs"),
    (["good.cf32", "--rate", "3.84e6"], "3840000"),
    (["nan.cf32", "--rate", "1.92e6"], "not a finite number"),
    (["generator", "--prb", "6", "--payload", "00" * 400], "does not fit"),
    (["generator", "--prb", "6", "--width", "7"], "7 PRBs"),
    (["generator", "--prb", "6", "--subframes", "3", "--duration", "1"], "give one"),
    (["generator", "--prb", "15"], "3840000"),
]


@pytest.mark.parametrize(("options", "says"), WRONG, ids=[" ".join(options)[:40] for options, _ in WRONG])
def test_what_is_wrong_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    (tmp_path / "empty.cf32").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "odd.cf32").write_bytes(bytes(17))
    np.ones(4000, dtype=np.complex64).tofile(tmp_path / "good.cf32")
    np.full(4000, np.nan, dtype=np.complex64).tofile(tmp_path / "nan.cf32")
    source = str(tmp_path / options[0]) if "." in options[0] else options[0]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with hub(tmp_path) as endpoint:
            code = run(["phy", "play", source, *options[1:], "--ue", "player", "--endpoint", endpoint, "--json"])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    captured = capsys.readouterr()
    assert code == 2, captured.err
    assert says in captured.err and not captured.out
    assert "Traceback" not in captured.err and "bug" not in captured.err


def test_one_place_to_play_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["phy", "play", "generator"]) == 2
    assert run(["phy", "play", "generator", "--ue", "a", "--device", "uhd"]) == 2
    assert run(["phy", "play", "generator", "--device", "uhd"]) == 2
    assert run(["phy", "play", "generator", "--device", "zeromq"]) == 2
    assert run(["phy", "play", "generator", "--ue", str(tmp_path / "no.toml")]) == 2
    err = capsys.readouterr().err
    assert "give one" in err and "--carrier-hz" in err and "no such file" in err


def test_a_ue_configuration_names_the_radio(tmp_path: Path) -> None:
    """The emulator's UE of a configuration file, played on to its end."""
    with hub(tmp_path) as endpoint:
        shipped = Path(__file__).parents[2] / "hw_configs" / "ue_emulated_a.toml"
        text = (
            shipped.read_text()
            .replace("tcp://127.0.0.1:5505", endpoint)
            .replace('"ue-a"\nidentity', '"player"\nidentity')
        )
        (tmp_path / "ue.toml").write_text(text)
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            code = run(
                ["phy", "play", "generator", "--prb", "6", "--subframes", "12", "--ue", str(tmp_path / "ue.toml")]
            )
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    assert code == 0
