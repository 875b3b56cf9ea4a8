"""The model of the connection profile ends as it must: what is written holds, and no rule can be taken away."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.formal.__main__ import main, row
from docs.formal.case import Case, Kind
from docs.formal.cases import CASES
from docs.formal.search import SearchTooLarge, Step, search
from docs.formal.terms import derives, digest, encapsulated, learn, message, public, rsk, sealed, secret, signed, ssk

TOP = Path(__file__).parents[2]
PAGE = (TOP / "docs/formal/README.md").read_text(encoding="utf-8")
ROWS = {line.split(" | ")[0].lstrip("| "): line for line in PAGE.splitlines() if re.match(r"\| [a-z-]+/", line)}
FAST = [case for case in CASES if not case.slow]
SLOW = [case for case in CASES if case.slow]


def run(case: Case) -> None:
    result = case.run()
    assert case.is_as_expected(result), "\n".join((result.broken, *result.trace))
    assert row(case, result) == ROWS[case.name]


@pytest.mark.parametrize("case", FAST, ids=lambda case: case.name)
def test_case_ends_as_it_must(case: Case) -> None:
    run(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW, ids=lambda case: case.name)
def test_long_case_ends_as_it_must(case: Case) -> None:
    run(case)


def test_page_lists_these_cases_and_no_others() -> None:
    assert [*ROWS] == [case.name for case in CASES]


def test_each_change_of_the_profile_that_was_searched_has_a_case_that_falls_without_it() -> None:
    searched = {"R1", "R2", "R3", "R4", "R5", "C1", "C2", "C4", "C5", "C6", "C7", "C8"}
    searched |= {"G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8", "G9", "G10", "G11"}
    searched |= {"T1", "T2", "T3", "T4", "T5"}
    fall = {label.strip() for case in CASES if case.kind is Kind.FALLS for label in case.label.split(",")}
    assert searched <= fall


def test_command_runs_what_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--trace", "map/"]) == 0
    printed = capsys.readouterr().out
    assert "map/old-serial (falls): breaks: A calls C" in printed
    assert "rekey/" not in printed


class TestAttacker:
    """What can be made of what is known."""

    def test_sealed_and_encapsulated_terms_open_with_their_keys_alone(self) -> None:
        key, inside = secret("key"), secret("inside")
        for shut, opener in ((sealed(key, inside), key), (encapsulated("B", inside), rsk("B"))):
            assert not derives(learn(frozenset(), [shut]), inside)
            assert derives(learn(frozenset(), [shut, opener]), inside)

    def test_what_opens_late_opens_all_that_was_heard_before(self) -> None:
        key, inner = secret("key"), secret("inner key")
        heard = learn(frozenset(), [sealed(inner, secret("data")), encapsulated("B", message(key, inner))])
        assert derives(learn(heard, [rsk("B")]), secret("data"))

    def test_hashes_are_made_of_their_parts_and_give_none_away(self) -> None:
        value = digest("KDF", secret("key"), public("label"))
        assert not derives(learn(frozenset(), [value]), secret("key"))
        assert derives(learn(frozenset(), [secret("key")]), value)

    def test_signatures_need_the_signers_key_and_hide_nothing(self) -> None:
        body = message(public("kind"), secret("nonce"))
        known = learn(frozenset(), [signed("A", body), ssk("E")])
        assert derives(known, secret("nonce"))
        assert derives(known, signed("E", body))
        assert not derives(known, signed("A", message(public("other"), secret("nonce"))))


class Steps:
    """0 to 9; at 5 one may be caught in a place that leads nowhere."""

    def start(self) -> int:
        return 0

    def steps(self, state: int) -> list[Step[int]]:
        onward = [Step("on", state + 1)] if 0 <= state < 9 else []
        return [*onward, Step("caught", -1, honest=False)] if state == 5 else onward


class TestSearch:
    """A search that can't fail would show nothing."""

    def test_shortest_way_to_a_bad_state(self) -> None:
        result = search(Steps(), bad=lambda state: "three" if state == 3 else "")
        assert (result.broken, result.trace) == ("three", ("on", "on", "on"))

    def test_goal_that_honest_steps_no_longer_reach(self) -> None:
        result = search(Steps(), goal=lambda state: state == 9)
        assert result.trace == ("on",) * 5 + ("caught",)
        assert search(Steps(), goal=lambda state: state == 9, within=lambda state: state >= 0).holds

    def test_too_large_a_model_says_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("docs.formal.search.LIMIT", 4)
        with pytest.raises(SearchTooLarge):
            search(Steps(), bad=lambda _: "")


def test_security_md_names_cases_that_exist() -> None:
    text = (TOP / "SECURITY.md").read_text(encoding="utf-8")
    table = text.partition("## Attacks")[2].partition("## What is not promised")[0]
    cells = [line.split(" | ")[-1].rstrip(" |") for line in table.splitlines() if line.startswith("| ")]
    named = {name for cell in cells for name in cell.split(", ") if re.match(r"[a-z-]+/", name) and "`" not in name}
    assert len(named) > 40
    assert named <= {case.name for case in CASES}
