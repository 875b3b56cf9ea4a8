"""The torture messages of RFC 4475: each one with the verdict that its section asks for."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from prose_link.sip.errors import MalformedMessage
from prose_link.sip.framing import StreamFramer
from prose_link.sip.message import Request, Response, cseq_of, from_of, parse, parse_via, to_octets, to_of
from prose_link.sip.multipart import content_type_of, parse_multipart
from prose_link.sip.uri import OtherUri, SipUri, parse_uri
from prose_link.sip.validity import fault_of

FOLDER = Path(__file__).parents[3] / "vectors" / "sip" / "rfc4475"
NAMES = sorted(path.stem for path in FOLDER.glob("*.dat"))

GOOD = {
    "wsinv", "intmeth", "esc01", "escnull", "esc02", "lwsdisp", "longreq", "dblreq", "semiuri", "transports", "mpart01",
    "unreason", "noreason", "unkscm", "novelsc", "unksm2", "bext01", "invut", "regaut01", "bcast", "zeromf", "cparam01",
    "cparam02", "regescrt", "sdp01", "inv2543",
    "trws",  # liberal: the spaces are ignored
    "baddate",  # liberal: Date is no field that this user agent uses
}  # fmt: skip
"""Sections 3.1.1, 3.3 and 3.4: well-formed. What the application has to say of them is the user agent's test."""
FAULTS = {
    "badinv01": 400, "clerr": 400, "ncl": 400, "scalar02": 400, "quotbal": 400, "ltgtruri": 400, "lwsruri": 400,
    "lwsstart": 400, "escruri": 400, "regbadct": 400, "badaspec": 400, "baddn": 400, "badvers": 505, "mismatch01": 400,
    "mismatch02": 501, "badbranch": 400, "insuf": 400, "multi01": 400, "mcl01": 400,
}  # fmt: skip
"""Sections 3.1.2, 3.2 and 3.3: requests that are refused, and by which status."""
DROPPED = {"scalarlg", "bigcode"}
"""Responses that are dropped."""


def octets(name: str) -> bytes:
    whole = (FOLDER / f"{name}.dat").read_bytes()
    return whole + b"\r\n" if name == "baddn" else whole  # the archive's file lacks the empty line that the text has


def good(name: str):
    message = parse(octets(name))
    assert fault_of(message) is None
    return message


def test_all_of_the_rfc_are_here_and_judged() -> None:
    assert len(NAMES) == 49
    assert GOOD | set(FAULTS) | DROPPED == set(NAMES)


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_well_formed_message_is_taken_and_written_again_with_the_same_meaning(name: str) -> None:
    message = good(name)
    again = parse(to_octets(message))
    assert fault_of(again) is None
    assert again.headers.without("Content-Length") == message.headers.without("Content-Length")
    assert again.body == message.body


@pytest.mark.parametrize(("name", "status"), sorted(FAULTS.items()))
def test_a_request_with_a_fault_is_refused_by_its_status(name: str, status: int) -> None:
    message = parse(octets(name))
    fault = fault_of(message)
    assert isinstance(message, Request) and fault is not None
    assert fault.status == status, fault


@pytest.mark.parametrize("name", sorted(DROPPED))
def test_a_response_with_a_fault_is_dropped(name: str) -> None:
    message = parse(octets(name))
    assert isinstance(message, Response) and fault_of(message) is not None


@pytest.mark.parametrize("name", NAMES)
def test_every_cut_and_every_changed_octet_is_survived(name: str) -> None:
    whole = octets(name)
    for at in range(0, len(whole), 7):
        for changed in (whole[:at], whole[:at] + b"\xff" + whole[at + 1 :], whole[:at] + b'"' + whole[at + 1 :]):
            with contextlib.suppress(MalformedMessage):
                fault_of(parse(changed))


# What the sections point at.


def test_wsinv() -> None:
    message = good("wsinv")
    assert isinstance(message, Request) and message.method == "INVITE"
    assert message.uri == "sip:vivekg@chair-dnrc.example.com;unknownparam"
    assert to_of(message).tag == "1918181833n"
    assert from_of(message).name == 'J Rosenberg \\"' and from_of(message).tag == "98asjd8"
    assert cseq_of(message).number == 9
    assert message.headers.first("Subject") == "" and message.headers.first("Max-Forwards") == "0068"
    vias = [parse_via(value) for value in message.headers.values("Via")]
    assert [via.transport for via in vias] == ["UDP", "TCP", "UDP"]
    assert [via.branch for via in vias] == ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]
    (route,) = message.headers.addresses("Route")
    assert str(route.uri) == "sip:services.example.com;lr;unknownwith=value;unknown-no-value"
    assert len(message.body) == 150
    assert message.headers.first("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    (contact,) = message.headers.addresses("Contact")
    assert contact.name == 'Quoted string ""' and dict(contact.parameters)["secondparam"] is None


def test_intmeth() -> None:
    message = good("intmeth")
    assert isinstance(message, Request) and message.method == "!interesting-Method0123456789_*+`.%indeed'~"
    uri = parse_uri(message.uri)
    assert isinstance(uri, SipUri) and uri.host == "example.com"
    assert uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert to_of(message).name == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert from_of(message).name == "token1~` token2'+_ token3*%!.-"
    assert from_of(message).tag == "_token~1'+`*%!-."
    assert dict(from_of(message).parameters)["fromparam''~+*_!.-%"] == "работающий"


def test_esc01_unescapes_once() -> None:
    message = good("esc01")
    assert isinstance(message, Request)
    uri = parse_uri(message.uri)
    assert isinstance(uri, SipUri) and uri.user == "sips%3Auser%40example.com" and uri.host == "example.net"
    (contact,) = message.headers.addresses("Contact")
    assert isinstance(contact.uri, SipUri)
    assert contact.uri.parameter("lr") == "" and contact.uri.parameter("name") == "value%41"


def test_escnull_has_two_contacts() -> None:
    assert len(good("escnull").headers.addresses("Contact")) == 2


def test_esc02_has_two_contacts_and_an_unknown_method() -> None:
    message = good("esc02")
    assert isinstance(message, Request) and message.method == "RE%47IST%45R"
    assert to_of(message).name == "%Z%45"
    assert [str(one.uri) for one in message.headers.addresses("Contact")] == [
        "sip:alias1@host1.example.com", "sip:alias3@host3.example.com"
    ]  # fmt: skip
    assert message.headers.first("C%6Fntact") == "<sip:alias2@host2.example.com>"


def test_dblreq_ends_where_its_length_says() -> None:
    message = good("dblreq")
    assert isinstance(message, Request) and message.method == "REGISTER" and message.body == b""
    assert b"INVITE" not in to_octets(message)


def test_dblreq_is_two_messages_on_a_stream() -> None:
    register, invite = StreamFramer().feed(octets("dblreq"))
    assert register.startswith(b"REGISTER") and invite.startswith(b"INVITE") and len(parse(invite).body) == 150


def test_semiuri_keeps_its_user() -> None:
    uri = parse_uri(good("semiuri").uri)
    assert isinstance(uri, SipUri) and uri.user == "user;par=u%40example.net" and uri.host == "example.com"


def test_transports() -> None:
    vias = [parse_via(value).transport for value in good("transports").headers.values("Via")]
    assert vias == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


def test_mpart01_has_a_binary_part() -> None:
    message = good("mpart01")
    text, binary = parse_multipart(message.body, content_type_of(message.headers))
    assert text.body.startswith(b"Hello")
    assert b"\x00" in binary.body


def test_cparam01_and_cparam02_tell_whose_parameter_it_is() -> None:
    (of_contact,) = good("cparam01").headers.addresses("Contact")
    (of_uri,) = good("cparam02").headers.addresses("Contact")
    assert of_contact.parameters == (("unknownparam", None),) and isinstance(of_contact.uri, SipUri)
    assert of_contact.uri.parameters == ()
    assert isinstance(of_uri.uri, SipUri) and of_uri.uri.parameters == (("unknownparam", None),)
    assert of_uri.parameters == ()


def test_regescrt_keeps_the_escaped_header() -> None:
    (contact,) = good("regescrt").headers.addresses("Contact")
    assert isinstance(contact.uri, SipUri) and contact.uri.headers == "Route=%3Csip:sip.example.com%3E"


def test_unknown_schemes_are_kept() -> None:
    assert isinstance(parse_uri(good("unkscm").uri), OtherUri) and isinstance(parse_uri(good("novelsc").uri), OtherUri)


def test_unreason_and_noreason() -> None:
    assert good("unreason").reason == "= 2**3 * 5**2 но сто девяносто девять - простое"
    assert good("noreason").reason == ""


def test_inv2543_takes_the_rest_of_the_datagram_as_body() -> None:
    message = good("inv2543")
    assert message.body.startswith(b"v=0") and from_of(message).tag is None


@pytest.mark.parametrize("name", ["ncl", "mcl01", "inv2543"])
def test_on_a_stream_a_length_that_is_none_ends_the_connection(name: str) -> None:
    framer = StreamFramer()
    assert framer.feed(octets(name)) == [] and framer.fault is not None
    assert framer.feed(octets("zeromf")) == [] and framer.held_octets == 0


def test_on_a_stream_a_length_that_is_too_large_waits() -> None:
    framer = StreamFramer()
    assert framer.feed(octets("clerr")) == [] and framer.held_octets == len(octets("clerr"))
