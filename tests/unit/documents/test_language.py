"""Docstrings, comments, messages and pages use plain technical English; public functions name shapes, units, clauses.

`WORDS` lists expressions that are not used, each with the words to write instead. `EXCEPTIONS` lists the files that
need one of them. The texts are those of all Python files of the packages, and the pages in Markdown.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[3]
PACKAGES = ("radio", "security", "prose_link", "lab_scripts", "hw_configs")
SOURCES = sorted(path for package in PACKAGES for path in (TOP / package).rglob("*.py"))
PAGES = [*sorted(TOP.glob("*.md")), *sorted((TOP / "docs").rglob("*.md"))]

WORDS = {
    r"he|his|him|she|her|hers": "a UE, a process and a file are 'it'; a person is 'they' or has a role",
    r"whoever|whomever": "name the party: 'any UE that', 'a holder of', 'an attacker that'",
    r"nobody|somebody|anybody|everybody|someone|everyone": "name the party: 'no UE', 'another UE', 'any sender', 'all'",
    r"those who|who is out|who (?:stays|comes|asks|gives|lacks|leaves|hears|joins)": "a UE or a member is 'that'",
    r"desks?": "the parts that the roles of an entity share: 'the shared parts'",
    r"sightings?|bury|buries|buried|tellers?": "private words: 'observation', 'end', 'the room that emits an event'",
    r"wish|wishes": "what the owner of an entity asks for is a 'request of the owner'",
    r"thief|thieves": "an attacker that holds a stolen key; 'thief' is a party of the attacker model alone",
    r"(?:the|this|one|whole) house|storeys?": "the project, and its layers",
    r"go by|goes by|went by|gone by": "'uses', 'follows', 'is sent by': say which",
    r"dearer|dearest": "work costs more: 'costlier'",
    r"(?:comes?|came|coming) to nothing": "'fails'",
    r"one's own|of one's": "name the owner: 'the UE's own'",
    r"of before|by and by|ere|ever so": "say the time: 'earlier', 'the one before'",
    r"is told of|are told of|its owner is told": "what an entity reports is an 'event'; a callback is 'called with'",
}
"""Expressions that are not used in texts, and what to write in their place."""

EXCEPTIONS = {
    "SECURITY.md": {"thief"},
    "docs/profile.md": {"thief"},
    "docs/formal/README.md": {"thief", "nobody"},
}
"""Words that a file needs: the attacker model has a thief, and a case of the model has "nobody" in its name."""

ANY_WORD = re.compile(rf"\b(?:{'|'.join(WORDS)})\b", re.IGNORECASE)
ARRAYS = re.compile(
    r"\b(?:NDArray|Iq|Grid|Bits|Llrs|Complexes|DoubleComplexes|Floats|Doubles|Octets|Int16s|Int32s|Words64|Flags"
    r"|Places)\b"
)
SHAPE_OR_TYPE = re.compile(
    r"\((?:[^()]*,\s*)*[\w*+/. -]+,?\)|\b(?:u?int(?:8|16|32|64)|float(?:32|64)|complex(?:64|128)|bool)\b"
)
SIGNAL_ROOMS = ("radio/phy/dsp", "radio/phy/fec", "radio/phy/lte")
CRYPTO_ROOMS = ("security/eccsi", "security/sakke", "security/mikey", "security/ciphers", "security/link")
UNIT_OR_CLAUSE = re.compile(
    r"\b(?:octets?|bits?|scalar|point|RFC|TS|PROFILE|FIPS|SP 800|seconds|hash|document \d)\b", re.IGNORECASE
)


def texts_of(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every comment and of every string that says something: docstrings, messages."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def faults_in(text: str) -> list[str]:
    """Each listed expression in a text; a symbol in capitals, such as HE of RFC 6507, is none."""
    flat = " ".join(re.sub(r"`[^`]*`", "`code`", text).split())
    return [match.group(0) for match in ANY_WORD.finditer(flat) if not match.group(0).isupper()]


def allowed_in(path: Path) -> set[str]:
    return EXCEPTIONS.get(str(path.relative_to(TOP)), set())


def prose_of(page: str) -> str:
    """A page without its code blocks."""
    return re.sub(r"^(```|~~~).*?^\1", "", page, flags=re.MULTILINE | re.DOTALL)


def public_functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods of a file without an underscore, each with its name."""

    def visit(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
        for node in body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield prefix + node.name, node
            elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield from visit(node.body, f"{node.name}.")

    yield from visit(ast.parse(path.read_text(encoding="utf-8")).body, "")


def types_of(function: ast.FunctionDef) -> str:
    """The annotations of a function's arguments and of its result."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    hints = [argument.annotation for argument in arguments if argument.annotation] + [function.returns]
    return " ".join(ast.unparse(hint) for hint in hints if hint is not None)


def files_of(rooms: tuple[str, ...]) -> list[Path]:
    return sorted(path for room in rooms for path in (TOP / room).rglob("*.py"))


def docstrings_and_comments_of(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every comment, and of the docstrings of a file, its classes and its functions."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield getattr(node, "lineno", 1), ast.get_docstring(node) or ""


def test_docstrings_of_the_tests_use_no_listed_word() -> None:
    found = []
    for path in sorted((TOP / "tests").rglob("*.py")):
        for line, text in docstrings_and_comments_of(path.read_text(encoding="utf-8")):
            found += [f"{path.relative_to(TOP)}:{line}: {word}" for word in faults_in(text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("package", PACKAGES)
def test_texts_of_the_code_use_no_listed_word(package: str) -> None:
    found = []
    for path in sorted((TOP / package).rglob("*.py")):
        allowed = allowed_in(path)
        for line, text in texts_of(path.read_text(encoding="utf-8")):
            words = [word for word in faults_in(text) if word.lower() not in allowed]
            found += [f"{path.relative_to(TOP)}:{line}: {word}" for word in words]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_pages_use_no_listed_word(page: Path) -> None:
    words = faults_in(prose_of(page.read_text(encoding="utf-8")))
    assert [word for word in words if word.lower() not in allowed_in(page)] == []


@pytest.mark.parametrize("path", files_of(SIGNAL_ROOMS), ids=lambda path: str(path.relative_to(TOP)))
def test_functions_of_arrays_say_shape_or_type(path: Path) -> None:
    bare = [
        name
        for name, function in public_functions(path)
        if ARRAYS.search(types_of(function)) and not SHAPE_OR_TYPE.search(ast.get_docstring(function) or "")
    ]
    assert bare == []


@pytest.mark.parametrize("path", files_of(CRYPTO_ROOMS), ids=lambda path: str(path.relative_to(TOP)))
def test_functions_of_octets_say_unit_or_clause(path: Path) -> None:
    bare = [
        name
        for name, function in public_functions(path)
        if re.search(r"\bbytes\b", types_of(function)) and not UNIT_OR_CLAUSE.search(ast.get_docstring(function) or "")
    ]
    assert bare == []


def test_every_file_opens_with_a_docstring() -> None:
    assert [str(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))] == []


def test_listed_words_are_found_and_quoted_code_is_not() -> None:
    assert faults_in("The UE and\n  his keys go by the carrier.") == ["his", "go by"]
    assert faults_in("`somebody` is a name of the code, and HE a symbol.") == []
    assert "nobody" in prose_of("nobody\n") and "nobody" not in prose_of("```\nnobody\n```\n")


def test_shapes_and_types_are_recognised() -> None:
    for text in ("complex64 of any shape", "samples, (n,)", "rows (n_rows, 12 * n_prb)"):
        assert SHAPE_OR_TYPE.search(text)
    assert not SHAPE_OR_TYPE.search("Soft bits of a codeword")
