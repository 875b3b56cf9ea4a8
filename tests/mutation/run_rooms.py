"""Mutation testing, room by room: python tests/mutation/run_rooms.py [ROOM ...] [options]; without a room, all of them.

mutmut changes the lines of a room one at a time and runs the room's own unit tests against each change. What is
changed, and by which tests it has to be noticed, is in `rooms.toml`. Each room has its own folder below `mutants/`:
a run that was broken off goes on where it stopped, and a second one tests what is new.

The last line of a room is its score: mutants that a test noticed (a run that never ends counts as noticed), of those
that were run. Mutants that no test reaches count as not noticed.
"""

from __future__ import annotations

import argparse
import configparser
import random
import subprocess
import sys
import tomllib
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PACKAGES = ("security", "prose_link", "radio", "hw_configs", "lab_scripts")
ALSO = ("README.md", "docs", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
PYTEST = ("-p", "no:cacheprovider", "--hypothesis-seed=1", "-m", "not emulated and not interop and not slow")
NOTICED = ("killed", "timeout", "segfault")
MISSED = ("survived", "no tests", "suspicious")
NOT_RUN = "not checked"


def lay_out(room: str, chosen: dict[str, Any], left_out: dict[str, str]) -> Path:
    """The room's folder: links to the tree, and the room's settings for mutmut."""
    folder = ROOT / "mutants" / room
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*PACKAGES, *ALSO, "tests", "pyproject.toml"):
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(ROOT / name)
    deselected = [word for test in chosen.get("deselect", []) for word in ("--deselect", test)]
    settings = configparser.ConfigParser(interpolation=None)
    lists = {
        "source_paths": PACKAGES,
        "also_copy": ALSO,
        "only_mutate": chosen["mutate"],
        "do_not_mutate": chosen.get("except", []),
        "do_not_mutate_patterns": tuple(left_out.values()),
        "pytest_add_cli_args": [*PYTEST, *deselected],
        "pytest_add_cli_args_test_selection": chosen["tests"],
    }
    settings["mutmut"] = {name: "\n".join(values) for name, values in lists.items() if values}
    settings["mutmut"]["track_dependencies"] = "false"
    with (folder / "setup.cfg").open("w") as file:
        settings.write(file)
    return folder


def mutmut(folder: Path, *arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "mutmut", *arguments], cwd=folder, check=False).returncode


def results(folder: Path) -> dict[str, str]:
    """Mutant -> how it ended."""
    command = [sys.executable, "-m", "mutmut", "results", "--all", "true"]
    lines = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.splitlines()
    return dict(line.strip().split(": ", 1) for line in lines if ": " in line)


def score(room: str, found: dict[str, str]) -> str:
    """The room's last line."""
    ends = Counter(found.values())
    noticed, missed = (sum(ends[name] for name in names) for names in (NOTICED, MISSED))
    run = noticed + missed
    share = f"{100 * noticed / run:.1f} %" if run else "no mutant run"
    return (
        f"{room}: {noticed}/{run} killed ({share}); {ends['no tests']} reached by no test; {len(found) - run} not run"
    )


def main() -> int:
    rooms = tomllib.loads((HERE / "rooms.toml").read_text())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"one or more of {', '.join(rooms['rooms'])}")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="mutants whose name fits, like '*context*'")
    parser.add_argument("--survivors", action="store_true", help="run again those that no test noticed, and no other")
    parser.add_argument("--sample", type=int, metavar="N", help="N of those that have not been run, drawn by --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--children", type=int, default=1, help="processes at a time")
    parser.add_argument("--results", action="store_true", help="run nothing: what is known by now")
    asked = parser.parse_args()
    lines = []
    for room in asked.rooms or rooms["rooms"]:
        if room not in rooms["rooms"]:
            parser.error(f"no room {room!r}; there are {', '.join(rooms['rooms'])}")
        folder = lay_out(room, rooms["rooms"][room], rooms["left_out"])
        if not asked.results:
            wanted = _wanted(folder, asked)
            if wanted is not None and not wanted:
                print(f"{room}: nothing to run")
            elif code := mutmut(folder, "run", "--max-children", str(asked.children), *(wanted or ())):
                return code
        found = results(folder)
        print("\n".join(f"{end}: {name}" for name, end in sorted(found.items()) if end in MISSED))
        lines.append(score(room, found))
    print("\n".join(lines))
    return 0


def _wanted(folder: Path, asked: argparse.Namespace) -> list[str] | None:
    """Names of the mutants to run; None: all that have not been run."""
    if asked.only == "*" and not asked.survivors and asked.sample is None:
        return None
    known = results(folder) if (folder / "mutants").exists() else {}
    if not known:
        known = _made(folder)
    ends = MISSED if asked.survivors else (NOT_RUN,)
    wanted = sorted(name for name, end in known.items() if end in ends and fnmatch(name, asked.only))
    if asked.sample is not None and asked.sample < len(wanted):
        wanted = random.Random(asked.seed).sample(wanted, asked.sample)
    return wanted


def _made(folder: Path) -> dict[str, str]:
    """Have mutmut make the mutants, which it does on the way to running those of a name: here of one that none has."""
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "1", "none"]
    made = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    known = results(folder)
    if not known:
        raise SystemExit(f"mutmut made no mutants in {folder}:\n{made.stdout[-2000:]}{made.stderr[-2000:]}")
    return known


if __name__ == "__main__":
    sys.exit(main())
