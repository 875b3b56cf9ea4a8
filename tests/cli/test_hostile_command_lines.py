"""No value of any option or argument, and no file, is a bug to the lab: exit 70 is kept for those.

A fixed share of the calls of `hostile_commands.py` here; all of them with PC5LAB_HOSTILE_SHARE=1 (an hour).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).parent / "hostile_commands.py"
SHARE = os.environ.get("PC5LAB_HOSTILE_SHARE", "64")
AT_LEAST = {"phy": 5, "mikey": 10, "capture": 8, "kms": 60, "rf": 5, "ue": 5, "demo": 2, "bench": 5}


@pytest.mark.parametrize("command", AT_LEAST)
def test_hostile_values_are_told_not_bugs(command: str) -> None:
    done = subprocess.run(
        [sys.executable, str(DRIVER), "--share", SHARE, "--only", command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["calls"] >= AT_LEAST[command]
    assert not report["failures"], "\n".join(f"{it['call']}\n  {it['wrong']}" for it in report["failures"])
