"""When a process dies, hangs or is interrupted, the demo says which, stops soon, and leaves no orphan."""

import signal
from pathlib import Path

import pytest

from lab_scripts.capture.capture_file import read_packets
from tests.emulated.demo_process import LiveDemo, is_gone, stop

pytestmark = pytest.mark.emulated


@pytest.mark.parametrize(("victim", "name"), [("ue-b.toml", "ue-b"), ("rf serve", "air"), ("kms serve", "kms")])
def test_a_killed_process_is_named(victim: str, name: str, tmp_path: Path) -> None:
    with LiveDemo(tmp_path / "runs") as demo:
        demo.wait_for("ping 2 answered")
        children = demo.children()
        stop(demo.child(victim), signal.SIGKILL)
        assert demo.end() != 0
        assert f"process {name} ended with signal SIGKILL" in demo.talk
        assert "Traceback" not in demo.talk
        assert all(is_gone(pid) for pid in children)


def test_a_hung_process_is_named(tmp_path: Path) -> None:
    with LiveDemo(tmp_path / "runs") as demo:
        demo.wait_for("ping 2 answered")
        children = demo.children()
        stop(demo.child("ue-b.toml"), signal.SIGSTOP)
        assert demo.end() != 0
        assert "ue-b" in demo.talk.splitlines()[-2] + demo.talk.splitlines()[-1]
        assert "Traceback" not in demo.talk
        assert all(is_gone(pid) for pid in children)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_stops_everything(number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with LiveDemo(tmp_path / "runs") as demo:
        demo.wait_for("ping 2 answered")
        children = demo.children()
        demo.process.send_signal(number)
        assert demo.end() == 130
        assert "interrupted" in demo.talk and "Traceback" not in demo.talk
        assert all(is_gone(pid) for pid in children)
    folder = next((tmp_path / "runs").iterdir())
    assert (folder / "events.jsonl").exists()
    assert len(list(read_packets(folder / "capture.pcapng"))) > 10
    assert not list(temporary.iterdir()), "keys and tickets are gone"


def test_a_killed_demo_leaves_neither_children_nor_keys_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with LiveDemo(tmp_path / "runs") as demo:
        demo.wait_for("ping 2 answered")
        children = demo.children()
        demo.process.kill()
        demo.process.wait()
        assert all(is_gone(pid) for pid in children)
    left = list(temporary.glob("pc5lab-*"))
    assert len(left) == 1 and (left[0] / "kms" / "seal.key").exists()
    with LiveDemo(tmp_path / "runs") as demo:
        demo.wait_for("run folder")
        assert not left[0].exists(), "the next start removes what is left"
        demo.process.send_signal(signal.SIGTERM)
        demo.end()
    assert not list(temporary.iterdir())
