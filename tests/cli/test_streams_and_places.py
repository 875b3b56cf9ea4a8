"""Standard streams, disks, users and Python paths as people have them: a clear end, never a bug."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab_scripts.cli.main import run

COMMAND = (sys.executable, "-m", "lab_scripts.cli.main")
TOP = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording, a capture and a KMS."""
    from lab_scripts.capture.sink import write_capture
    from prose_link.event_stream import PduSeen, TimedEvent

    folder = tmp_path_factory.mktemp("files")
    assert run(["phy", "generate", str(folder / "air.cf32"), "--prb", "6"]) == 0
    assert run(["kms", "init", str(folder / "kms"), "--demo-seed", "1"]) == 0
    pdu = PduSeen(layer="pc5s", direction="tx", subframe=1, data=b"\x06\0\x01\x01", src_l2=1, dst_l2=2, lcid=1)
    seen = TimedEvent(utc_ns=1, source="ue-a", seq=0, event=pdu)
    write_capture(folder / "capture.pcapng", [seen] * 2000)
    return folder


def talkers(files: Path) -> list[list[str]]:
    """Commands that print a lot or a little, by every library that prints."""
    decode = ["phy", "decode", str(files / "air.cf32"), "--prb", "6", "--rate", "1.92e6"]
    return [
        ["--help"],
        ["kms", "init", "--help"],
        decode,
        [*decode, "--json"],
        ["capture", "show", str(files / "capture.pcapng")],
        ["kms", "audit", "show", str(files / "kms")],
    ]


@pytest.mark.parametrize("buffering", ["", "1"])
def test_a_reader_that_leaves(files: Path, buffering: str) -> None:
    """As `| head -0`: the pipe is closed before the command prints."""
    environment = {**os.environ, "PYTHONUNBUFFERED": buffering}
    for arguments in talkers(files):
        read_end, write_end = os.pipe()
        os.close(read_end)
        done = subprocess.run(
            [*COMMAND, *arguments], stdout=write_end, stderr=subprocess.PIPE, text=True, env=environment, check=False
        )
        os.close(write_end)
        assert done.returncode in (0, 141), (arguments, done)
        assert "Error" not in done.stderr and "Traceback" not in done.stderr, (arguments, done.stderr)


@pytest.mark.parametrize("buffering", ["", "1"])
def test_a_full_standard_output(files: Path, buffering: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": buffering}
    for arguments in talkers(files):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False
            )
        assert done.returncode == 1, (arguments, done)
        assert done.stderr.splitlines()[-1] == "pc5lab: no space left on device: standard output", (arguments, done)


def test_a_full_standard_error_hides_no_exit_code() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, "capture", "show", "absent"], stderr=full, check=False)
    assert done.returncode == 2


def test_closed_streams(files: Path, tmp_path: Path) -> None:
    """A file that the command opens must not become its standard output."""
    out = tmp_path / "out.cf32"
    script = f"exec {sys.executable} -m lab_scripts.cli.main phy generate {out} --prb 6 <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", script], check=False).returncode == 0
    assert out.read_bytes() == (files / "air.cf32").read_bytes()


def test_text_that_the_terminal_can_not_show(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    out = tmp_path / "fünf-\udcff.cf32"
    done = subprocess.run(
        [*COMMAND, "phy", "generate", str(out), "--prb", "6"], capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert out.exists()


def foreign(folder: Path, *names: str) -> dict[str, str]:
    for name in names:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('somebody else lives here')\n")
    return {**os.environ, "PYTHONPATH": str(folder)}


@pytest.mark.parametrize("names", [("radio", "security"), ("hw_configs",)])
def test_doctor_speaks_among_foreign_packages(names: tuple[str, ...], tmp_path: Path) -> None:
    environment = foreign(tmp_path, *names)
    command = [shutil.which("pc5lab", path=str(Path(sys.executable).parent)) or "pc5lab", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", check=False)
    assert done.returncode == 1, done.stderr
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert findings["package names"]["verdict"] == "bad"
    assert all(str(tmp_path / name) in findings["package names"]["detail"] for name in names)
    assert "PYTHONPATH" in findings["package names"]["hint"]
    for arguments in (["phy", "decode", "x", "--prb", "6"], ["kms", "init", "x"], ["demo"]):
        other = subprocess.run(
            [command[0], *arguments], capture_output=True, text=True, env=environment, cwd="/", check=False
        )
        assert other.returncode == 2
        assert str(tmp_path / names[0]) in other.stderr and "bug" not in other.stderr


@pytest.mark.parametrize("library", ["typer", "numba"])
def test_doctor_speaks_without_a_library(library: str, tmp_path: Path) -> None:
    """Also without the library that reads the command line."""
    environment = foreign(tmp_path, library)
    done = subprocess.run([*COMMAND, "doctor", "--json"], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1, done.stderr
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert findings[f"library {library}"]["verdict"] == "bad"
    assert findings["package names"]["verdict"] == "ok"


def as_nobody(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command as a user who may read everything, and write only its own files."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv(1) to become another user")
    capabilities = "-all,+dac_read_search"
    become = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    become += [f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}", f"--bounding-set={capabilities}"]
    return subprocess.run([*become, *command], capture_output=True, text=True, env=environment, cwd="/", check=False)


def test_a_user_who_may_write_nowhere() -> None:
    """No home, no temporary files: kernels are compiled in memory, and doctor says which folder and what to set."""
    setting = {"HOME": "/nonexistent", "NUMBA_CACHE_DIR": "/proc/no/such"}
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(TOP), "TMPDIR": "/proc", **setting}
    script = "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/proc']\n"
    script += "from lab_scripts.cli.main import main; main()"
    command = [sys.executable, "-c", script]
    done = as_nobody([*command, "doctor", "--json"], environment)
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert done.returncode == 0, done
    kernels = findings["kernel cache"]
    assert kernels["verdict"] == "missing" and "NUMBA_CACHE_DIR" in kernels["hint"]
    assert all(word in kernels["detail"] for word in (*setting.values(), "compile at every start"))
    assert findings["temporary files"]["verdict"] == "missing"
    assert findings["self-test"]["verdict"] == "ok"


def test_a_home_that_is_not_ones_own_leaves_the_temporary_folder(tmp_path: Path, files: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    private = tmp_path / "tmp"
    private.mkdir()
    private.chmod(0o777)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(TOP), "TMPDIR": str(private), "HOME": "/nonexistent"}
    done = as_nobody([*COMMAND, "doctor", "--json"], environment)
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert str(private / "pc5lab-kernels-65534") in findings["kernel cache"]["detail"]
    assert list(private.glob("pc5lab-kernels-65534/*/*")), "kernels were kept"


def on_small_disk(folder: Path, size: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script with a small file system mounted at `folder`, which no other process sees."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0:
        pytest.skip("needs root to mount a small file system in a mount namespace")
    folder.mkdir(exist_ok=True)
    mount = f"mount -t tmpfs -o size={size} none {folder} && {script}"
    return subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "arguments",
    [
        "phy generate {disk}/x.cf32 --prb 6",
        "phy decode {files}/air.cf32 --prb 6 --rate 1.92e6 --plot {disk}/plots",
        "kms init {disk}/kms",
        "capture decrypt {files}/capture.pcapng --keylog /dev/null --out {disk}/x.pcapng",
        "demo --runs {disk}/runs",
    ],
)
def test_a_full_disk(arguments: str, files: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    command = f"{sys.executable} -m lab_scripts.cli.main {arguments.format(disk=disk, files=files)}"
    done = on_small_disk(disk, "16k", f"head -c 8192 /dev/zero > {disk}/filler; {command}")
    assert done.returncode in (1, 2), done
    last = [line for line in done.stderr.splitlines() if line.startswith("pc5lab: ")][-1]
    assert "no space left on device" in last and str(disk) in last, done.stderr
    assert "Traceback" not in done.stderr
