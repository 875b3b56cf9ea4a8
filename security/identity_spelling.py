"""One spelling for each identity: tel, sip and sips URIs in the only form that is accepted.

SIP and TEL compare URIs by rules of their own (RFC 3261 19.1.4, RFC 3966 4): case, escapes and separators may differ
and the URIs still be equal. Keys, deny lists and policies here compare octets. So of all spellings that those rules
call equal, one is canonical and the others are refused, with the canonical one as a hint. Spellings that the rules
call different but that lead to the same place (a default port, a trailing dot, two ways to write an address) are
refused too.

* Scheme in lower case. A sip and a sips URI are never equal, so both are accepted, as two identities.
* tel: `+` and 1 to 15 digits (E.164), the first of them not 0; no separators, no parameters.
* User part: as it is, case counts. No escapes (an unreserved character is equal to its escape), no password.
* Host: a name of labels in lower case, the last of which begins with a letter; or four decimal numbers without leading
  zeros; or an IPv6 address as RFC 5952 writes it, without zone, and none that stands for an IPv4 address.
* Port: 1 to 65535 without leading zeros, and not the scheme's default one.
"""

from __future__ import annotations

import ipaddress
import re
from typing import ClassVar, Final

from security.errors import USAGE, SecurityError

MIN_IDENTITY_OCTETS: Final = 3
MAX_IDENTITY_OCTETS: Final = 252
DEFAULT_PORTS: Final = {"sip": 5060, "sips": 5061}
"""RFC 3261 19.1.2."""
MAX_PORT: Final = 65_535
MAX_HOST_OCTETS: Final = 253
"""A domain name's greatest length as text (RFC 1035 2.3.4)."""

VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_TEL: Final = re.compile(r"\+[1-9][0-9]{0,14}")
_USER: Final = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,/]+")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_IPV4_LIKE: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9\-_.!~*'()]")
"""RFC 2396 2.3: equal to its own escape."""
_TEL_SEPARATORS: Final = str.maketrans("", "", "-.()")
"""RFC 3966 5.1.1: visual separators."""


class IdentityError(SecurityError):
    """A URI is no identity in canonical form, or no KMS speaks for it."""

    exit_code: ClassVar[int] = USAGE


def canonical_identity(uri: str) -> str:
    """Return the URI if it is an identity in canonical form. Raises IdentityError, which names the fault."""
    if not MIN_IDENTITY_OCTETS <= len(uri) <= MAX_IDENTITY_OCTETS:
        raise IdentityError(f"an identity has {MIN_IDENTITY_OCTETS}..{MAX_IDENTITY_OCTETS} octets, this one {len(uri)}")
    if not VISIBLE.fullmatch(uri):
        raise IdentityError("an identity is made of visible ASCII characters only")
    spelling = canonical_spelling(uri)
    if spelling != uri:
        raise IdentityError(f"{uri} is not in canonical form: write it as {spelling}")
    return uri


def canonical_spelling(uri: str) -> str:
    """The canonical form of an identity that may be spelled otherwise; raises IdentityError where there is none."""
    scheme, colon, rest = uri.partition(":")
    scheme = scheme.lower()
    if colon and scheme == "tel":
        return f"tel:{_tel(rest, uri)}"
    if colon and scheme in DEFAULT_PORTS:
        return _sip(scheme, rest, uri)
    raise IdentityError(f"{uri} is neither a tel nor a sip or sips URI (tel:+<digits>, sip:<user>@<host>)")


def comparison_key(uri: str) -> str:
    """A text that is equal for two spellings of one identity; a URI of another kind is its own key."""
    try:
        return canonical_spelling(uri)
    except IdentityError:
        return uri


def _tel(number: str, uri: str) -> str:
    plain = number.translate(_TEL_SEPARATORS)
    if not _TEL.fullmatch(plain):
        raise IdentityError(
            f"{uri} is not in canonical form: a tel identity is + and 1 to 15 digits, the first not 0; no parameters"
        )
    return plain


def _sip(scheme: str, rest: str, uri: str) -> str:
    user, at, place = rest.rpartition("@")
    host, port = _host_and_port(place, uri)
    canonical_host = _ipv6(host, uri) if host.startswith("[") else _name_or_ipv4(host, uri)
    canonical_port = _port(port, DEFAULT_PORTS[scheme], uri)
    return f"{scheme}:{_user(user, uri) + '@' if at else ''}{canonical_host}{canonical_port}"


def _user(user: str, uri: str) -> str:
    plain = _ESCAPE.sub(_unescaped, user)
    if not _USER.fullmatch(plain):
        raise IdentityError(
            f"{uri} is not in canonical form: a user part has letters, digits and -_.!~*'()&=+$,/ without escapes"
        )
    return plain


def _unescaped(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()


def _host_and_port(place: str, uri: str) -> tuple[str, str | None]:
    if any(mark in place for mark in ";?"):
        raise IdentityError(f"{uri} is not in canonical form: an identity has no parameters and no headers")
    if place.startswith("["):
        host, bracket, behind = place.partition("]")
        if not bracket or (behind and not behind.startswith(":")):
            raise IdentityError(
                f"{uri} is not in canonical form: an IPv6 address stands in brackets, and only a port follows it"
            )
        return host + "]", behind[1:] if behind else None
    host, colon, port = place.partition(":")
    return host, port if colon else None


def _port(port: str | None, default: int, uri: str) -> str:
    if port is None:
        return ""
    if not (port.isascii() and port.isdigit()) or len(port.lstrip("0")) > 5 or not 1 <= int(port) <= MAX_PORT:
        raise IdentityError(f"{uri} is not in canonical form: a port is a number of 1..{MAX_PORT}, not {port!r}")
    return "" if int(port) == default else f":{int(port)}"


def _name_or_ipv4(host: str, uri: str) -> str:
    name = host.lower().removesuffix(".")
    if _IPV4_LIKE.fullmatch(name):
        return _ipv4(name, uri)
    labels = name.split(".")
    if len(name) > MAX_HOST_OCTETS or not all(_LABEL.fullmatch(label) for label in labels):
        raise IdentityError(
            f"{uri} is not in canonical form: {host!r} is no host: labels of 1..63 letters, digits and inner hyphens"
        )
    if not labels[-1][0].isalpha():
        raise IdentityError(
            f"{uri} is not in canonical form: {host!r} is no host: its last label begins with a letter (RFC 3261 25.1)"
        )
    return name


def _ipv4(text: str, uri: str) -> str:
    numbers = text.split(".")
    if len(numbers) != 4 or any(len(number) > 3 or int(number) > 255 for number in numbers):
        raise IdentityError(f"{uri} is not in canonical form: {text!r} is no IPv4 address")
    return ".".join(str(int(number)) for number in numbers)


def _ipv6(bracketed: str, uri: str) -> str:
    text = bracketed[1:-1]
    try:
        address = ipaddress.IPv6Address(text if "%" not in text else "zone")
    except ValueError as exc:
        raise IdentityError(
            f"{uri} is not in canonical form: {bracketed} is no IPv6 address (a zone is not part of an identity)"
        ) from exc
    if address.ipv4_mapped is not None:
        raise IdentityError(
            f"{uri} is not in canonical form: {bracketed} stands for the IPv4 address {address.ipv4_mapped}: write that"
        )
    return f"[{_rfc5952(address)}]"


def _rfc5952(address: ipaddress.IPv6Address) -> str:
    """Lower-case groups without leading zeros, the first longest run of two or more zero groups as `::` (clause 4)."""
    groups = [f"{int.from_bytes(address.packed[place : place + 2]):x}" for place in range(0, 16, 2)]
    runs = [
        (end - start, -start) for start in range(8) for end in range(start + 2, 9) if set(groups[start:end]) == {"0"}
    ]
    if not runs:
        return ":".join(groups)
    length, negative_start = max(runs)
    start = -negative_start
    return f"{':'.join(groups[:start])}::{':'.join(groups[start + length :])}"
