"""Every row of the profile's test matrix (PROFILE 13) has a test that bears its number, or a reason why it has none."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROWS = set(range(1, 60))
"""All of them; rows 47 to 59 came with the second edition of the profile."""
WITHOUT_A_TEST = {44: "SIP and NAS: the profile's PDUs have no such carriers here yet, so there is nothing to attack"}


def rows_with_tests():
    """The row numbers in the names of all test functions."""
    names = re.compile(r"^\s*def test_row_(\d+)_", re.MULTILINE)
    return {int(number) for file in TESTS.rglob("test_*.py") for number in names.findall(file.read_text())}


def test_every_row_has_a_test_or_a_reason():
    found = rows_with_tests()
    assert found <= ROWS
    assert ROWS - found == WITHOUT_A_TEST.keys()
