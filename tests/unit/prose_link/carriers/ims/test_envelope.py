"""PC5-S messages in SIP bodies: cut, joined, and what is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prose_link.carriers.ims.envelope import (
    PC5S,
    EnvelopeError,
    accept_body,
    cut,
    join,
    open_body,
    request_body,
    sender_of,
)
from prose_link.pc5s.wire import elements as e
from prose_link.pc5s.wire.codec import encode
from prose_link.pc5s.wire.messages import MessageType
from prose_link.pc5s.wire.table import IDENTITY
from prose_link.sip.multipart import Part, parse_multipart, write_multipart
from prose_link.sip.sdp import SDP, mikey_of, offer, parse_sdp, write_sdp
from tests.samples import pc5s_messages as samples

IN_IDENTITY = [one for one in samples.SAMPLES if one.profile == "identity"]
WITH_PLACE = [one for one in IN_IDENTITY if one.message.TYPE in (MessageType.REQUEST, MessageType.ACCEPT)]
REQUEST, ACCEPT = encode(samples.REQUEST), encode(samples.ACCEPT)


@pytest.mark.parametrize("sample", WITH_PLACE, ids=lambda one: one.name)
def test_every_request_and_accept_is_put_together_again_octet_for_octet(sample) -> None:
    rest, i_message = cut(sample.octets)
    assert i_message == getattr(sample.message, "i_message", None)
    assert join(rest, i_message) == sample.octets
    if i_message is not None:
        assert len(rest) == len(sample.octets) - len(i_message) - 3 and i_message not in rest


@given(i_message=st.binary(min_size=1, max_size=3000))
def test_any_i_message_goes_there_and_back(i_message: bytes) -> None:
    for whole, kind in ((REQUEST, MessageType.REQUEST), (ACCEPT, MessageType.ACCEPT)):
        message = join(cut(whole)[0], i_message)
        if kind is MessageType.REQUEST:
            body = request_body(message, "127.0.0.1", 7, bytes)
        else:
            offered = offer("127.0.0.1", 1, 1, b"x")
            body = accept_body(message, offered, "127.0.0.1", 7, bytes)
        assert open_body(body.octets, body.content_type, kind).message == message
        sdp, pc5s = parse_multipart(body.octets, body.content_type)
        assert mikey_of(parse_sdp(sdp.body)) == i_message and sdp.disposition == "session"
        assert pc5s.content_type == PC5S and pc5s.body == cut(whole)[0]


def test_an_accept_without_i_message_has_no_key_mgmt() -> None:
    body = accept_body(cut(ACCEPT)[0], offer("h", 1, 1, b"x"), "h", 7, bytes)
    assert b"key-mgmt" not in body.octets
    assert open_body(body.octets, body.content_type, MessageType.ACCEPT).message == cut(ACCEPT)[0]


def test_a_request_without_i_message_has_no_envelope() -> None:
    with pytest.raises(EnvelopeError):
        request_body(cut(REQUEST)[0], "h", 7, bytes)


NO_PLACE = [one for one in IN_IDENTITY if e.I_MESSAGE.name not in {part.name for part in IDENTITY[one.message.TYPE]}]


@pytest.mark.parametrize("sample", NO_PLACE, ids=lambda one: one.name)
def test_what_has_no_place_for_an_i_message_is_refused(sample) -> None:
    with pytest.raises(EnvelopeError):
        join(sample.octets, b"x")


def test_who_says_to_have_sent_it() -> None:
    assert sender_of(REQUEST) == "tel:+447700900001" and sender_of(ACCEPT) == "tel:+447700900002"
    assert sender_of(REQUEST[:9]) == "" and sender_of(b"") == ""


def part(body: bytes, content_type=PC5S) -> Part:
    return Part(content_type=content_type, body=body)


SDP_PART = part(write_sdp(offer("h", 1, 1, b"I_MESSAGE")), SDP)
REST = cut(REQUEST)[0]


@pytest.mark.parametrize(
    "parts",
    [
        [SDP_PART],
        [part(REST)],
        [SDP_PART, SDP_PART, part(REST)],
        [SDP_PART, part(REST), part(REST)],
        [SDP_PART, part(REQUEST)],
        [SDP_PART, part(REST[:-1])],
        [SDP_PART, part(REST + b"\0")],
        [SDP_PART, part(b"")],
        [SDP_PART, part(cut(ACCEPT)[0])],
        [replace(SDP_PART, body=write_sdp(offer("h", 1, 1, None))), part(REST)],
        [replace(SDP_PART, body=SDP_PART.body + b"a=key-mgmt:mikey AQAB\r\n"), part(REST)],
        [replace(SDP_PART, body=SDP_PART.body + b"m=audio 9 RTP/SAVP 0\r\na=key-mgmt:mikey AQAB\r\n"), part(REST)],
        [replace(SDP_PART, body=SDP_PART.body.replace(b"mikey", b"other")), part(REST)],
        [replace(SDP_PART, body=b"nonsense"), part(REST)],
    ],
    ids=range(14),
)
def test_bodies_that_hold_no_request(parts: list[Part]) -> None:
    content_type, body = write_multipart(parts, bytes)
    with pytest.raises(EnvelopeError):
        open_body(body, content_type, MessageType.REQUEST)


def test_every_cut_and_changed_octet_of_a_body_is_survived() -> None:
    body = request_body(REQUEST, "h", 7, bytes)
    for at in range(len(body.octets)):
        for changed in (body.octets[:at], body.octets[:at] + b"\x00" + body.octets[at + 1 :]):
            try:
                opened = open_body(changed, body.content_type, MessageType.REQUEST)
            except EnvelopeError:
                continue
            assert opened.message[:1] == REQUEST[:1]
