from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[2]
TEXT = (TESTS.parent / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`([a-z0-9_/]+\.py)::(\w+)`", TEXT)))


def test_every_attack_names_its_test():
    table = TEXT.partition("## Attacks")[2].partition("## What is not promised")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| attack")]
    assert len(rows) > 35
    assert all("::" in row for row in rows)


def test_every_named_test_exists():
    missing = []
    for path, name in NAMED:
        file = TESTS / path
        if not file.exists() or not re.search(rf"^(async )?def {name}\(|^{name} = ", file.read_text(), re.MULTILINE):
            missing.append(f"{path}::{name}")
    assert not missing
    assert len(NAMED) > 60
