"""docs/one-packet.md: the packet really goes that way, and every function it names is in the file it names."""

import ast
from pathlib import Path

import pytest

from lab_scripts.doc_makers import one_packet


@pytest.fixture(scope="module")
def page() -> str:
    return one_packet.page()


def test_page_is_what_a_run_shows(page: str) -> None:
    assert one_packet.FILE.read_text(encoding="utf-8") == page


def test_every_function_named_is_there() -> None:
    for step in one_packet.steps():
        tree = ast.parse(Path(step.file).read_text(encoding="utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert step.function in names, step


def test_the_packet_comes_out_as_it_went_in() -> None:
    steps = one_packet.steps()
    packets = [step.octets for step in steps if step.octets[:1] == b"\x60"]
    assert len(packets) == 2 and packets[0] == packets[1]
