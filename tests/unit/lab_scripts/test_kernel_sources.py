"""Which files a compiled kernel depends on, and which folders of kernels are kept."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab_scripts import kernel_cache
from lab_scripts.kernel_sources import PACKAGES_WITH_KERNELS, kernel_sources

TOP = Path(__file__).parents[3]
LOADED = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sorted(m.__file__ for n, m in sys.modules.items() if n.split(".")[0] in ("radio", "security") and m.__file__))
"""


def test_nothing_that_python_loads_with_a_kernel_is_missed() -> None:
    """Python's own importer is the judge: what it loads for one file of kernels is all in the answer."""
    found = kernel_sources(TOP)
    kernels = [
        "phy.fec.turbo_decoder",
        "phy.lte.sync.psss_search",
        "emulator.channel.fading",
        "phy.lte.survey.dmrs_search",
    ]
    command = [sys.executable, "-c", LOADED, *(f"radio.{name}" for name in kernels)]
    loaded = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True)
    paths = {Path(name).relative_to(TOP) for name in loaded.stdout.split()}
    packages = {path for path in paths if path.name == "__init__.py"}  # they hold docstrings, imports and no kernels
    assert len(paths - packages) > 15
    assert paths - packages <= set(found)


def test_each_file_with_a_kernel_is_there_and_most_others_are_not() -> None:
    found = kernel_sources(TOP)
    everything = [path for package in PACKAGES_WITH_KERNELS for path in (TOP / package).rglob("*.py")]
    assert all(path.relative_to(TOP) in found for path in everything if "@njit" in path.read_text())
    assert Path("radio/l2/mac.py") not in found and Path("security/kms/server.py") not in found
    assert len(found) < len(everything) / 2


IMPORTS = (
    "from radio.b import f",
    "from radio import b",
    "import radio.b",
    "from radio.b import (\n    f as g,\n    h,\n)",
)


@pytest.mark.parametrize("line", IMPORTS)
def test_every_spelling_of_an_import_is_followed(tmp_path: Path, line: str) -> None:
    for package in PACKAGES_WITH_KERNELS:
        (tmp_path / package).mkdir()
    (tmp_path / "radio" / "a.py").write_text(f"from numba import njit\n{line}\n")
    (tmp_path / "radio" / "b.py").write_text("from security.c import LIMIT\n")
    (tmp_path / "radio" / "unconcerned.py").write_text("import radio.a\n")
    (tmp_path / "security" / "c.py").write_text("LIMIT = 3\n")
    assert [path.as_posix() for path in kernel_sources(tmp_path)] == ["radio/a.py", "radio/b.py", "security/c.py"]


def test_a_folder_in_use_outlives_many_others(tmp_path: Path) -> None:
    now_s = time.time()
    for number in range(9):
        ready = tmp_path / f"kernels-{number}" / "ready"
        ready.parent.mkdir()
        ready.touch()
        day = 24 * 3600
        os.utime(ready, (now_s - number * 2 * day,) * 2)
    kernel_cache._forget_old_folders(tmp_path / "kernels-8")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"kernels-{number}" for number in (0, 1, 2, 3, 8)}, "those of the last week, and the current one"
    assert kernel_cache._KEPT_FOLDERS == 4
