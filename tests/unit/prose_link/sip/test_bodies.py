"""Session descriptions with keys, and bodies of several parts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prose_link.sip.errors import BodyError
from prose_link.sip.multipart import ContentType, Part, parse_content_type, parse_multipart, write_multipart
from prose_link.sip.sdp import (
    KeyManagementError,
    answer,
    key_management,
    mikey_of,
    offer,
    parse_sdp,
    write_sdp,
)

VECTORS = Path(__file__).parents[3] / "vectors" / "security" / "rfc4567_sdp_mikey.json"
MIKEY = bytes(range(256)) * 3
PLAIN = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"


def test_an_offer_and_its_answer_carry_the_octets() -> None:
    made = offer("127.0.0.1", 7, 1, MIKEY)
    read = parse_sdp(write_sdp(made))
    assert read == made and mikey_of(read) == MIKEY and read.version == 1
    silent = parse_sdp(write_sdp(answer(read, "::1", 8, 1, None)))
    assert mikey_of(silent) is None and silent.origin == "- 8 1 IN IP6 ::1"


def test_an_answer_refuses_each_media_line() -> None:
    offered = parse_sdp(
        (PLAIN + "m=audio 49170/2 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\nm=video 3227 RTP/AVP 31\r\n").encode()
    )
    made = parse_sdp(write_sdp(answer(offered, "192.0.2.2", 1, 1, MIKEY)))
    assert [media.line for media in made.media] == ["audio 0 RTP/AVP 0 8", "video 0 RTP/AVP 31"]


def test_rfc_4567_examples_are_read() -> None:
    cases = json.loads(VECTORS.read_text())["cases"]
    assert cases
    for case in cases:
        description = parse_sdp((PLAIN + f"a=key-mgmt:mikey {case['base64']}\r\n").encode())
        assert mikey_of(description) == bytes.fromhex(case["hex"])


LINE = f"a={key_management(MIKEY)}\r\n"


@pytest.mark.parametrize(
    "attributes",
    [
        LINE + LINE,
        LINE + "m=audio 9 RTP/SAVP 0\r\n" + LINE,
        "m=audio 9 RTP/SAVP 0\r\n" + LINE,
        "a=key-mgmt:MIKEY AQAB\r\n",
        "a=key-mgmt:kerberos AQAB\r\n",
        "a=key-mgmt:mikey A\r\n",
        "a=key-mgmt:mikey AQ*=\r\n",
        "a=key-mgmt:mikey\r\n",
        "a=key-mgmt:mikey AQ==AQ==\r\n",
        "a=key-mgmt:other AQAB\r\n" + LINE,
    ],
)
def test_anything_but_one_mikey_line_is_refused(attributes: str) -> None:
    with pytest.raises(KeyManagementError):
        mikey_of(parse_sdp((PLAIN + attributes).encode()))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=1\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n",
        "v=0\r\ns=-\r\nt=0 0\r\n",
        "v=0\r\no=- x 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n",
        "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\n",
        PLAIN + "m=audio\r\n",
        PLAIN + "nonsense\r\n",
        PLAIN + "m=audio 9 RTP/AVP 0\r\nt=0 0\r\n",
        PLAIN + "a=x\r\n" * 600,
        PLAIN + "q=1\r\n",
    ],
)
def test_what_is_no_description(text: str) -> None:
    with pytest.raises(BodyError):
        parse_sdp(text.encode())


def test_lines_may_end_with_lf_alone() -> None:
    assert mikey_of(parse_sdp((PLAIN + LINE).replace("\r\n", "\n").encode())) == MIKEY


def part(body: bytes, kind: str = "application/vnd.pc5lab.pc5s", **others) -> Part:
    return Part(content_type=ContentType(kind), body=body, **others)


@pytest.mark.parametrize(
    "bodies",
    [
        [b"one", b"two"],
        [b"", b"\r\n", b"\r\n\r\n", b"--", b"\r\n--"],
        [bytes(range(256)) * 4, b"\x00\xff\r\n--pc5lab-00\r\n"],
    ],
)
def test_parts_come_back_octet_for_octet(bodies: list[bytes]) -> None:
    kind, whole = write_multipart([part(one) for one in bodies], bytes)
    assert [one.body for one in parse_multipart(whole, parse_content_type(str(kind)))] == bodies


def test_a_boundary_stands_in_no_part() -> None:
    octets = iter([bytes(8), b"\x01" * 8])
    _, whole = write_multipart([part(b"x pc5lab-0000000000000000 y")], lambda _: next(octets))
    assert whole.startswith(b"--pc5lab-0101010101010101\r\n")


def test_handling_and_disposition() -> None:
    kind, whole = write_multipart([part(b"", disposition="session", required=False), part(b"")], bytes)
    first, second = parse_multipart(whole, kind)
    assert (first.disposition, first.required) == ("session", False) and second.required


def test_preamble_epilogue_and_space_behind_a_boundary_are_left_out() -> None:
    body = b"preamble\r\n--b \t\r\nContent-Type: text/plain\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--\r\nepilogue"
    one, two = parse_multipart(body, ContentType("multipart/mixed", (("boundary", "b"),)))
    assert (one.body, two.body, two.content_type.kind) == (b"x", b"y", "text/plain")


@pytest.mark.parametrize(
    ("body", "boundary"),
    [
        (b"", "b"),
        (b"--b--", "b"),
        (b"--b\r\n\r\nx", "b"),
        (b"--b\r\nno end of fields\r\n--b--", "b"),
        (b"--b\r\nno field\r\n\r\nx\r\n--b--", "b"),
        (b"\r\n".join([b"--b\r\n\r\nx"] * 20) + b"\r\n--b--", "b"),
        (b"--b\r\n\r\nx\r\n--b--", ""),
        (b"--b\r\n\r\nx\r\n--b--", "b" * 71),
    ],
)
def test_what_is_no_multipart(body: bytes, boundary: str) -> None:
    with pytest.raises(BodyError):
        parse_multipart(body, ContentType("multipart/mixed", (("boundary", boundary),)))
