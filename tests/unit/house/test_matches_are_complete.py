"""A match over timers, messages and indications names every case, so that mypy finds the one that is forgotten.

It ends in `assert_never`, or with a `case _` that says what happens with the others, or each of its cases returns (mypy
then finds the missing return). The few that pass over the rest on purpose are listed.
"""

import ast
from pathlib import Path

import pytest

import prose_link
import radio

ROOMS = [
    *(Path(prose_link.__file__).parent / name for name in ("pc5s", "sync")),
    *(Path(radio.__file__).parent / name for name in ("access", "l2")),
]
PASSED_OVER = {
    ("groups.py", "self._decoded(pdu)"): "what is not for a group is for nobody here",
    ("member.py", "examine(exam, GROUP_STEPS)"): "a request already answered without a Reject gets nothing",
    ("responder.py", "verdict"): "a request that waits, or is known and needs no answer, gets nothing",
    ("codec.py", "message"): "most messages have no rule between their fields",
    ("entity.py", "indication"): "what has nothing to do with synchronisation is passed over",
}


def matches():
    for room in ROOMS:
        for path in sorted(room.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Match):
                    yield pytest.param(path, node, id=f"{path.parent.name}/{path.name}:{node.lineno}")


def is_wildcard(case):
    """`case _`, or `case _ as name`."""
    pattern = case.pattern
    inner = pattern.pattern if isinstance(pattern, ast.MatchAs) and pattern.pattern is not None else pattern
    return isinstance(inner, ast.MatchAs) and inner.pattern is None and case.guard is None


@pytest.mark.parametrize(("path", "match"), list(matches()))
def test_a_match_names_every_case(path, match):
    complete = is_wildcard(match.cases[-1])
    returning = all(isinstance(case.body[-1], ast.Return | ast.Raise) for case in match.cases)
    listed = (path.name, ast.unparse(match.subject)) in PASSED_OVER
    assert complete or returning or listed, "end it with `case _: assert_never(...)`"


def test_the_list_names_matches_that_there_are():
    subjects = {(found.values[0].name, ast.unparse(found.values[1].subject)) for found in matches()}
    assert set(PASSED_OVER) <= subjects
