"""Text and TOML as people's editors and hostile hands write them."""

import codecs
import tracemalloc

import pytest

from radio.text_file import TextError, decode_text, read_text
from radio.toml_file import MAX_DEPTH, MAX_KEY_PARTS, MAX_OCTETS, TomlError, parse_toml

TEXT = 'name = "ü"\n# a comment\nn = 5\n'
MARKS = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", MARKS)
def test_text_is_read_as_it_is_meant(encoding, end, tmp_path):
    octets = MARKS[encoding] + TEXT.replace("\n", end).encode(encoding)
    assert decode_text(octets) == TEXT
    (tmp_path / "x").write_bytes(octets)
    assert read_text(tmp_path / "x") == TEXT
    assert parse_toml(read_text(tmp_path / "x")) == {"name": "ü", "n": 5}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_seen(encoding):
    assert decode_text("plain text\n".encode(encoding)) == "plain text\n"


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"caf\xe9", "octet e9 at offset 3"),
        (b"\xef\xbb\xbfab\xff", "octet ff at offset 5"),
        (b"a\0b\xc3\xa4", "NUL character at character 1"),
        (codecs.BOM_UTF16_LE + b"a\0b", "UTF-16"),
    ],
)
def test_what_is_no_text_is_named(octets, words):
    with pytest.raises(TextError, match=words):
        decode_text(octets)


def test_a_text_beyond_its_bound_is_refused(tmp_path):
    (tmp_path / "long").write_bytes(b"#" * 101)
    assert read_text(tmp_path / "long", max_octets=101)
    with pytest.raises(TextError, match="more than 100 octets"):
        read_text(tmp_path / "long", max_octets=100)


HOSTILE = {
    "dotted key": ("a." * 20_000 + "a = 1", "dotted key"),
    "dotted table": ("[" + "a." * 20_000 + "a]", "dotted key"),
    "quoted dotted key": ('"a".' * 20_000 + "a = 1", "dotted key"),
    "key a part too long": ("a." * MAX_KEY_PARTS + "a = 1", "dotted key"),
    "lists": ("a = " + "[" * 20_000, "nest more than"),
    "closed lists": ("a = " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nest more than"),
    "inline tables": ("a = {b = " * 20_000, "nest more than"),
    "decimal": ("a = " + "9" * 5_000, "64 bits"),
    "decimal with underscores": ("a = " + "1_" * 10_000 + "1", "64 bits"),
    "hexadecimal": ("a = 0x" + "f" * 50_000, "64 bits"),
    "just beyond": ("[t]\nx = [1, 9223372036854775808]", r"t\.x\[1\]"),
    "open string": ('a = """' + "x" * 100_000, "not TOML"),
    "escapes": ('a = "' + "\\" * 100_000, "not TOML"),
    "length": ("#" * (MAX_OCTETS + 1), "characters are more"),
    "date": ("a = 2026-02-30", "not TOML"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_toml_is_an_error_at_little_cost(kind):
    text, words = HOSTILE[kind]
    tracemalloc.start()
    try:
        with pytest.raises(TomlError, match=words):
            parse_toml(text)
        assert tracemalloc.get_traced_memory()[1] < 300 * len(text) + 5_000_000
    finally:
        tracemalloc.stop()


def test_strings_and_comments_count_for_nothing():
    brackets, dots = "[" * 200, "a." * 200
    text = f"""
s = "{brackets}{dots}"  # {brackets} {dots} {"9" * 100}
l = '{brackets}'
m = \"\"\"
{brackets} "{dots}"
{"9" * 100}\"\"\"
n = '''{dots}'''
x = {{ y = [1, [2, 3]] }}
i = [9223372036854775807, -9223372036854775808]
"""
    document = parse_toml(text)
    assert document["s"] == brackets + dots
    assert document["x"] == {"y": [1, [2, 3]]}
    assert document["i"] == [2**63 - 1, -(2**63)]
