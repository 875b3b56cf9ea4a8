"""Temporary folders of runs: what a killed run leaves is removed, what lives or is another's stays."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab_scripts.exit_codes import LabError
from lab_scripts.runs.scratch_folder import LOCK_FILE, leftovers, remove_leftovers, scratch_folder

HOLD = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from lab_scripts.runs.scratch_folder import scratch_folder
with scratch_folder() as folder:
    (folder / "kms").mkdir()
    (folder / "kms" / "seal.key").write_text("secret")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


class Run:
    """A process that holds a scratch folder."""

    def __init__(self, root: Path) -> None:
        command = [sys.executable, "-c", HOLD, str(root)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.folder = Path(self.process.stdout.readline().strip())

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


def test_a_folder_is_private_and_goes(temporary: Path) -> None:
    with scratch_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / LOCK_FILE).read_text() == f"{os.getpid()}\n"
        (folder / "key").write_text("secret")
        assert leftovers() == []
    assert list(temporary.iterdir()) == []


def test_a_killed_run_is_cleared_away_and_a_living_one_not(temporary: Path) -> None:
    killed, living = Run(temporary), Run(temporary)
    killed.kill()
    assert leftovers() == [killed.folder]
    with scratch_folder():
        assert not killed.folder.exists()
        assert (living.folder / "kms" / "seal.key").exists()
    living.process.communicate("")
    assert list(temporary.iterdir()) == []


def test_what_is_not_a_runs_folder_stays(temporary: Path) -> None:
    (temporary / "pc5lab-notes").mkdir()
    (temporary / "pc5lab-file").write_text("mine")
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / LOCK_FILE).touch()
    (temporary / "pc5lab-link").symlink_to(elsewhere)
    (temporary / "pc5lab-pipe").mkdir()
    os.mkfifo(temporary / "pc5lab-pipe" / LOCK_FILE)
    assert remove_leftovers() == []
    assert len(list(temporary.iterdir())) == 5


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_another_users_folder_stays(temporary: Path) -> None:
    for owner_of_folder, owner_of_lock in ((65534, 65534), (65534, 0), (0, 65534)):
        folder = temporary / f"pc5lab-{owner_of_folder}-{owner_of_lock}"
        folder.mkdir()
        (folder / LOCK_FILE).touch()
        os.chown(folder / LOCK_FILE, owner_of_lock, -1)
        os.chown(folder, owner_of_folder, -1)
    assert remove_leftovers() == []


def test_nowhere_to_write(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(temporary / "absent"))
    with pytest.raises(LabError, match="absent") as caught, scratch_folder():
        pass
    assert "TMPDIR" in caught.value.hint
