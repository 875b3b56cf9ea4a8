"""MIKEY messages in the forms that people paste, made by the tools that make them where they are installed."""

from __future__ import annotations

import base64
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from lab_scripts.capture.mikey_text import mikey_message, mikey_messages
from security.mikey import MikeyError

CASES = Path(__file__).parents[2] / "vectors" / "cases"
OCTETS = bytes.fromhex((CASES / "mikey-hex-stream.txt").read_text())
B64 = base64.b64encode(OCTETS).decode()
HEX = OCTETS.hex()


def hexdump_c(octets: bytes) -> str:
    rows = []
    for at in range(0, len(octets), 16):
        row = octets[at : at + 16]
        left, right = row[:8].hex(" "), row[8:].hex(" ")
        shown = "".join(chr(one) if 32 <= one < 127 else "." for one in row)
        rows.append(f"{at:08x}  {left:<23}  {right:<23}  |{shown}|")
    return "\n".join([*rows, f"{len(octets):08x}"]) + "\n"


def xxd(octets: bytes) -> str:
    rows = []
    for at in range(0, len(octets), 16):
        row = octets[at : at + 16]
        words = " ".join(row[i : i + 2].hex() for i in range(0, len(row), 2))
        shown = "".join(chr(one) if 32 <= one < 127 else "." for one in row)
        rows.append(f"{at:08x}: {words:<39}  {shown}")
    return "\n".join(rows) + "\n"


def tshark_x(octets: bytes) -> str:
    rows = []
    for at in range(0, len(octets), 16):
        row = octets[at : at + 16]
        shown = "".join(chr(one) if 32 <= one < 127 else "." for one in row)
        rows.append(f"{at:04x}  {row.hex(' '):<47}   {shown}")
    return "\n".join(rows) + "\n"


def hexdump_words(octets: bytes) -> str:
    padded = octets + bytes(len(octets) % 2)
    words = [f"{padded[i + 1]:02x}{padded[i]:02x}" for i in range(0, len(padded), 2)]
    rows = [f"{2 * i:07x} {' '.join(words[i : i + 8])}" for i in range(0, len(words), 8)]
    return "\n".join([*rows, f"{len(octets):07x}"]) + "\n"


SDP = f"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\na=key-mgmt:mikey {B64}\r\nm=audio 9000 RTP/SAVP 0\r\n"
SIP = f"INVITE sip:b@example.org SIP/2.0\r\nContent-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n\r\n{SDP}"
MIME = f"--x\r\nContent-Type: application/mikey\r\nContent-Transfer-Encoding: base64\r\n\r\n{B64}\r\n--x--\r\n"
WRAPPED = "\n".join(textwrap.wrap(B64, 64))
SHAPES = {
    "hex": HEX,
    "hex in capitals": HEX.upper(),
    "hex with blanks": OCTETS.hex(" "),
    "hex with colons": OCTETS.hex(":"),
    "hex with dashes": OCTETS.hex("-"),
    "hex with 0x": "0x" + HEX,
    "a C array": "{ " + ", ".join(f"0x{octet:02x}" for octet in OCTETS) + " };",
    "an escaped string": '"' + "".join(f"\\x{octet:02x}" for octet in OCTETS) + '"',
    "bytes of Python": "b'" + "".join(f"\\x{octet:02x}" for octet in OCTETS) + "'",
    "wrapped hex": "\n".join(textwrap.wrap(OCTETS.hex(" "), 47)),
    "hexdump -C": hexdump_c(OCTETS),
    "hexdump": hexdump_words(OCTETS),
    "xxd": xxd(OCTETS),
    "tshark -x": tshark_x(OCTETS),
    "base64": B64,
    "without padding": B64.rstrip("="),
    "url-safe": base64.urlsafe_b64encode(OCTETS).decode(),
    "url-safe without padding": base64.urlsafe_b64encode(OCTETS).decode().rstrip("="),
    "wrapped": WRAPPED,
    "quoted": f'"{B64}"',
    "single-quoted": f"'{B64}'\n",
    "mikey": f"mikey {B64}\n",
    "an attribute": f"a=key-mgmt:mikey {B64}",
    "a wrapped attribute": f"a=key-mgmt:mikey {WRAPPED}\nm=audio 9 RTP/SAVP 0\n",
    "a quoted attribute value": f'key-mgmt:mikey "{B64}"',
    "SDP": SDP,
    "SIP": SIP,
    "MIME": MIME,
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-16-le"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_the_message(shape: str, encoding: str) -> None:
    for text in (SHAPES[shape], SHAPES[shape].replace("\r\n", "\n").replace("\n", "\r\n"), "\n " + SHAPES[shape]):
        if text.startswith("\n ") and "dump" in shape:
            continue
        assert mikey_message(text.encode(encoding)) == OCTETS


def test_octets_are_taken_as_they_are() -> None:
    assert mikey_message(OCTETS) == OCTETS


TOOLS = [
    ["xxd"],
    ["xxd", "-p"],
    ["xxd", "-i"],
    ["xxd", "-g1"],
    ["hexdump", "-C"],
    ["hexdump"],
    ["od", "-A", "x", "-t", "x1"],
    ["od", "-A", "x", "-t", "x1z"],
    ["od", "-t", "x1"],
    ["base64"],
    ["base64", "-w0"],
]


@pytest.mark.parametrize("tool", TOOLS, ids=" ".join)
@pytest.mark.parametrize("octets", [OCTETS, OCTETS[:300] + bytes(200) + OCTETS[300:]], ids=["message", "with repeats"])
def test_what_tools_print_is_the_message(tool: list[str], octets: bytes, tmp_path: Path) -> None:
    if shutil.which(tool[0]) is None:
        pytest.skip(f"{tool[0]} is not installed")
    path = tmp_path / "message.bin"
    path.write_bytes(octets)
    printed = subprocess.run([*tool, str(path)], capture_output=True, check=True).stdout
    if tool == ["xxd", "-i"]:
        printed = printed[printed.index(b"{") : printed.index(b"}") + 1]
    assert mikey_message(printed) == octets


@pytest.mark.interop
@pytest.mark.parametrize("name", ["eth-mikey.pcapng", "sip-mikey.pcapng"])
def test_a_dumped_frame_is_looked_through(name: str) -> None:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    printed = subprocess.run(["tshark", "-x", "-r", str(CASES / name)], capture_output=True, check=True).stdout
    assert mikey_message(printed) == OCTETS


def test_several_messages_of_a_file() -> None:
    other = OCTETS[:-1] + bytes([OCTETS[-1] ^ 1])
    second = base64.b64encode(other).decode()
    for text in (f"mikey {B64}\nmikey {second}\n", f"{B64}\n{second}\n", f"{SDP}a=key-mgmt:mikey {second}\r\n"):
        assert mikey_messages(text.encode()) == [OCTETS, other]
    with pytest.raises(MikeyError, match="2 MIKEY messages"):
        mikey_message(f"{B64}\n{second}\n".encode())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (HEX[:-1].encode(), "odd number"),
        (B64.rstrip("=")[:-1].encode() + b"AAA"[: (1 - len(B64.rstrip("=")) + 1) % 4], "cut short"),
        (f"{B64}{B64}".replace("==", "=", 1).encode() if "==" in B64 else f"{B64[:-1]}={B64}".encode(), "middle"),
        (b"mikey not base64!", "'!'"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "not UTF-8|UTF-8"),
        (b"a=key-mgmt:sdes abcd\r\n", "another protocol"),
        (b"02" * 20, "begins with 01"),
        (xxd(OCTETS).replace("00000010:", "00000030:").encode(), "gap"),
        ("\n".join([*xxd(OCTETS).splitlines()[:3], "and so on"]).encode(), "line that is none"),
    ],
)
def test_what_is_wrong_is_named(content: bytes, words: str) -> None:
    with pytest.raises(MikeyError, match=words):
        mikey_message(content)


HOSTILE = [
    b"key-mgmt:mikey\n" * 60_000,
    b"0000 " + b"aa " * 300_000 + b"!",
    b"0000  01" * 100_000,
    b"*\n" * 500_000,
    b"content-type: application/mikey\r\n" * 30_000,
    b"content-type: application/mikey\r\n\r\n" * 25_000,
    b"AR" * 500_000,
    b"AR\n" * 300_000,
    b" " * 1_000_000 + b"?",
    b"0x" * 500_000,
    b"- " * 500_000,
    b"(1 bytes):" * 90_000,
    b"0000 01\n*\nffffffffffffffff 01\n",
]


@pytest.mark.parametrize("content", HOSTILE, ids=lambda content: repr(content[:16]))
def test_hostile_texts_end_soon(content: bytes) -> None:
    """There is no clock here: what is not linear does not end within a test run's patience, nor its memory."""
    try:
        mikey_messages(content)
    except MikeyError as error:
        assert str(error)
