"""URIs and addresses: RFC 3261 19.1.3's examples are read, 19.1.4's compared."""

from __future__ import annotations

import pytest

from prose_link.sip.errors import MalformedMessage
from prose_link.sip.uri import NameAddr, OtherUri, SipUri, parse_name_addr, parse_sip_uri, parse_uri, same_uri

EXAMPLES = [
    "sip:alice@atlanta.com",
    "sip:alice:secretword@atlanta.com;transport=tcp",
    "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
    "sip:+1-212-555-1212:1234@gateway.com;user=phone",
    "sips:1212@gateway.com",
    "sip:alice@192.0.2.4",
    "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
    "sip:alice;day=tuesday@atlanta.com",
    "sip:term@127.0.0.20:5060;lr;received=sip:127.0.0.1:5070%3Btransport%3Dtls",
    "sip:[2001:db8::9]:5070",
]
SAME = [
    ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
    ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
    (
        "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
        "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
    ),
    (
        "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
    ),
]
OTHER = [
    ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
    ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
    ("sip:carol@chicago.com;security=off", "sip:carol@chicago.com;security=on"),
    ("tel:+447700900001", "tel:+447700900002"),
    ("tel:+447700900001", "sip:+447700900001@ims.test"),
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_a_uri_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_sip_uri(text)) == text


@pytest.mark.parametrize(("one", "other"), SAME)
def test_uris_that_are_equivalent(one: str, other: str) -> None:
    assert same_uri(parse_uri(one), parse_uri(other)) and same_uri(parse_uri(other), parse_uri(one))


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_uris_that_are_not(one: str, other: str) -> None:
    assert not same_uri(parse_uri(one), parse_uri(other)) and not same_uri(parse_uri(other), parse_uri(one))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "alice",
        "sip:alice@",
        "sip:alice@a b",
        "sip:a@b@c",
        "sip:a@host:99999",
        "sip:a@h;p=1;p=2",
        "tel:",
        "sip:a%zz@h",
    ],
)
def test_what_is_no_uri(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_uri(text)


def test_a_tel_uri_is_kept_whole() -> None:
    assert parse_uri("tel:+44-7700;phone-context=x") == OtherUri(scheme="tel", rest="+44-7700;phone-context=x")


@pytest.mark.parametrize(
    ("text", "name", "uri", "tag"),
    [
        ("sip:bob@h;tag=7", "", "sip:bob@h", "7"),
        ("<sip:bob@h;lr>;tag=7", "", "sip:bob@h;lr", "7"),
        ('"A, \\"B\\" <x>" <sip:bob@h> ; tag = 7', 'A, "B" <x>', "sip:bob@h", "7"),
        ("Bob Mueller<tel:+1>", "Bob Mueller", "tel:+1", None),
    ],
)
def test_addresses(text: str, name: str, uri: str, tag: str | None) -> None:
    address = parse_name_addr(text)
    assert (address.name, str(address.uri), address.tag) == (name, uri, tag)
    assert parse_name_addr(str(address)) == address


@pytest.mark.parametrize(
    "text", ['"a <sip:b@c>', "a, b <sip:b@c>", "<sip:b@c", 'x "a" <sip:b@c>', "sip:a@b?x=y", "<>", "<sip:a@b>junk"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_name_addr(text)


def test_a_tag_takes_the_place_of_another() -> None:
    address = NameAddr(uri=SipUri(host="h"), parameters=(("tag", "1"), ("x", None)))
    assert str(address.tagged("2")) == "<sip:h>;x;tag=2"


@pytest.mark.parametrize(
    "text", ["a" * 60_000, " " * 60_000 + "x", '"' * 60_000, "<" * 60_000, "a " * 30_000, ";" * 60_000]
)
def test_long_nonsense_costs_little(text: str) -> None:
    for whole in (text, "sip:" + text, "<sip:" + text + ">", text + "<sip:a@b>" + text):
        try:
            parse_name_addr(whole)
        except MalformedMessage:
            continue
