"""No two identities that are accepted and differ are equal by the rules of SIP or TEL, or name one address.

The comparison is written here from the text of RFC 3261 19.1.4 and RFC 3966 4, apart from the code under test.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import re
import string
from dataclasses import dataclass

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from security.identifiers import IdentityError, canonical_identity
from security.identity_spelling import canonical_spelling, comparison_key

RESERVED = set(";/?:@&=+$,")
"""RFC 2396 2.2. RFC 3261 19.1.4: characters other than these are equivalent to their escapes."""


@dataclass(frozen=True)
class SipUri:
    scheme: str
    userinfo: str
    host: str
    port: str | None
    parameters: str
    headers: str


def parsed(uri: str) -> SipUri:
    """A SIP or SIPS URI by its grammar (RFC 3261 25.1), loosely: what is not a separator belongs to a part."""
    match = re.fullmatch(
        r"(?P<scheme>sips?):(?:(?P<user>[^@]*)@)?(?P<host>\[[^\]]*\]|[^:;?@]*)(?::(?P<port>[^;?]*))?(?P<parameters>;[^?]*)?(?P<headers>\?.*)?",
        uri,
        re.IGNORECASE,
    )
    assert match is not None, uri
    return SipUri(
        scheme=match["scheme"].lower(),
        userinfo=match["user"] if match["user"] is not None else "\0none",
        host=match["host"],
        port=match["port"],
        parameters=match["parameters"] or "",
        headers=match["headers"] or "",
    )


def unescaped(text: str) -> str:
    """Escapes of characters that are not reserved undone; the others with their digits in one case."""

    def one(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return match[0].lower() if character in RESERVED or not character.isprintable() else character

    return re.sub(r"%([0-9A-Fa-f]{2})", one, text)


def sip_equal(one: str, other: str) -> bool:
    """RFC 3261 19.1.4: sip is never sips; userinfo is case-sensitive, all else is not; omitted is not default."""
    left, right = parsed(one), parsed(other)
    return (
        left.scheme == right.scheme
        and unescaped(left.userinfo) == unescaped(right.userinfo)
        and unescaped(left.host).lower() == unescaped(right.host).lower()
        and left.port == right.port
        and unescaped(left.parameters).lower() == unescaped(right.parameters).lower()
        and unescaped(left.headers).lower() == unescaped(right.headers).lower()
    )


def tel_equal(one: str, other: str) -> bool:
    """RFC 3966 4: both global or both local, digits equal without separators, parameters equal without case."""

    def parts(uri: str) -> tuple[str, list[str]]:
        number, *parameters = uri[4:].split(";")
        return re.sub(r"[-.()]", "", number).lower(), sorted(unescaped(one).lower() for one in parameters)

    return parts(one) == parts(other)


def equal(one: str, other: str) -> bool:
    schemes = {one.partition(":")[0].lower(), other.partition(":")[0].lower()}
    if schemes == {"tel"}:
        return tel_equal(one, other)
    if schemes <= {"sip", "sips"}:
        return sip_equal(one, other)
    return one == other


def same_place(one: str, other: str) -> bool:
    """Whether user, address and port are the same, whatever the way they are written."""
    left, right = parsed(one), parsed(other)

    def place(uri: SipUri) -> object:
        host = uri.host.lower().rstrip(".").strip("[]")
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(".".join(part.lstrip("0") or "0" for part in host.split(".")))
            return getattr(address, "ipv4_mapped", None) or address
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(host)
        return host

    port = {"sip": 5060, "sips": 5061}[left.scheme]
    return (
        left.scheme == right.scheme
        and unescaped(left.userinfo) == unescaped(right.userinfo)
        and place(left) == place(right)
        and int(left.port or port) == int(right.port or port)
    )


def accepted(uri: str) -> bool:
    try:
        return canonical_identity(uri) == uri
    except IdentityError:
        return False


USER_CHARACTERS = "abAB019-_.!~*'()&=+$,/"
USER = st.text(USER_CHARACTERS, min_size=1, max_size=5)
LABEL = st.text("abAB01-", min_size=1, max_size=4)
NAME = st.lists(LABEL, min_size=1, max_size=3).map(".".join)
OCTET = st.one_of(st.integers(0, 300).map(str), st.integers(0, 99).map(lambda number: f"{number:03d}"))
IPV4 = st.lists(OCTET, min_size=4, max_size=4).map(".".join)
GROUP = st.sampled_from(["0", "0", "0", "1", "a", "A", "0a", "000f", "ffff", "FFFF", "c000", "201"])
IPV6 = st.one_of(
    st.lists(GROUP, min_size=8, max_size=8).map(":".join),
    st.tuples(st.lists(GROUP, max_size=4), st.lists(GROUP, max_size=3)).map(
        lambda ends: ":".join(ends[0]) + "::" + ":".join(ends[1])
    ),
    st.tuples(st.sampled_from(["::", "::ffff:", "::FFFF:", "64:ff9b::"]), IPV4).map("".join),
).map(lambda text: f"[{text}]")
PORT = st.one_of(
    st.just(""),
    st.sampled_from([":5060", ":5061", ":05060", ":0", ":65535", ":65536", ":99999", ":", ":007"]),
    st.integers(0, 70_000).map(lambda number: f":{number}"),
)
SIP = st.tuples(
    st.sampled_from(["sip:", "sips:", "SIP:", "Sips:"]),
    st.one_of(st.just(""), USER.map(lambda user: user + "@")),
    st.one_of(NAME, NAME.map(lambda name: name + "."), IPV4, IPV6),
    PORT,
).map("".join)
TEL = st.tuples(
    st.sampled_from(["tel:", "TEL:"]),
    st.sampled_from(["+", ""]),
    st.text("0123456789-.()", min_size=1, max_size=18),
    st.sampled_from(["", "", ";ext=1"]),
).map("".join)
URI = st.one_of(SIP, TEL)


def respelled(draw: st.DrawFn, uri: str) -> str:
    """The same URI by the RFCs' rules, written in another way."""
    scheme, _, rest = uri.partition(":")
    scheme = "".join(draw(st.sampled_from([one.lower(), one.upper()])) for one in scheme)
    if scheme.lower() == "tel":
        number, semicolon, parameters = rest.partition(";")
        marked = "".join(one + draw(st.sampled_from(["", "", "-", ".", "(", ")"])) for one in number)
        return f"{scheme}:{marked}{semicolon}{parameters.upper()}"
    user, at, place = rest.rpartition("@")
    letters = [draw(st.sampled_from([one.lower(), one.upper()])) for one in place]
    return f"{scheme}:{''.join(escaped(draw, one) for one in user)}{at}{''.join(letters)}"


def escaped(draw: st.DrawFn, character: str) -> str:
    """A character that is not reserved, or its escape, the digits of it in either case."""
    if character in RESERVED:
        return character
    return draw(st.sampled_from([character, f"%{ord(character):02x}", f"%{ord(character):02X}"]))


@st.composite
def spelled_twice(draw: st.DrawFn) -> tuple[str, str]:
    uri = draw(URI)
    return uri, respelled(draw, uri)


@settings(max_examples=400, deadline=None)
@given(pair=spelled_twice())
@example(pair=("sip:alice@example.org", "sip:%61lice@example.org"))
@example(pair=("tel:+44", "tel:+4-4"))
def test_a_uri_and_another_spelling_of_it_are_never_both_accepted(pair: tuple[str, str]) -> None:
    one, other = pair
    assume(one != other)
    assert equal(one, other), "the test's own respelling is not one"
    assert not (accepted(one) and accepted(other))
    if accepted(one):
        assert canonical_spelling(other) == one == comparison_key(other)


@settings(max_examples=300, deadline=None)
@given(uris=st.lists(URI, min_size=2, max_size=12, unique=True))
def test_no_two_that_are_accepted_are_equal_or_name_one_place(uris: list[str]) -> None:
    for one, other in itertools.combinations(filter(accepted, uris), 2):
        assert not equal(one, other)
        if not {one[:4], other[:4]} & {"tel:"}:
            assert not same_place(one, other)


@settings(max_examples=300, deadline=None)
@given(uri=URI)
def test_what_a_refusal_calls_canonical_is_accepted_and_names_the_same(uri: str) -> None:
    try:
        canonical = canonical_spelling(uri)
    except IdentityError:
        assert not accepted(uri)
        return
    assert canonical_identity(canonical) == canonical
    assert accepted(uri) is (canonical == uri)
    if not canonical.startswith("tel:"):
        assert same_place(uri, canonical)
    else:
        assert tel_equal(uri, canonical)


@settings(max_examples=200, deadline=None)
@given(groups=st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF, 0xA, 0xDB8]), min_size=8, max_size=8), port=PORT)
def test_each_ipv6_address_has_one_accepted_form(groups: list[int], port: str) -> None:
    address = ipaddress.IPv6Address(b"".join(group.to_bytes(2) for group in groups))
    forms = {address.exploded, address.compressed, address.exploded.upper(), ":".join(f"{group:x}" for group in groups)}
    for start, end in itertools.combinations(range(9), 2):
        if not any(groups[start:end]):
            head, tail = (":".join(f"{group:x}" for group in part) for part in (groups[:start], groups[end:]))
            forms.add(f"{head}::{tail}")
    taken = [form for form in forms if accepted(f"sip:a@[{form}]")]
    assert len(taken) == (0 if address.ipv4_mapped is not None else 1)
    assert all(re.fullmatch(rf"[{string.hexdigits.lower()}:]+", form) for form in taken)
