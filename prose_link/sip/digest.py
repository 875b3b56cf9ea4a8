"""Digest authentication of a client: MD5 and SHA-256 (RFC 7616, RFC 8760) and AKAv1-MD5 (RFC 3310).

A server sends several challenges, the one that it prefers first; the client answers the topmost whose algorithm it
knows (RFC 8760 2.4). With AKA the nonce holds RAND and AUTN of the network, and the password is RES, which the owner
works out (Milenage is none of this room's business). An AUTN whose sequence number is out of step is answered with AUTS
and an empty password (RFC 3310 3.4); one that is false is not answered at all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from prose_link.sip.errors import MalformedMessage, SipError
from prose_link.sip.grammar import QUOTED, TOKEN, quoted, unquoted

AKA: Final = "AKAv1-MD5"
ALGORITHMS: Final = {"MD5": "md5", "SHA-256": "sha256", AKA: "md5"}
"""Names as they are written, and the hash of each."""
RAND_OCTETS: Final = 16
AUTN_OCTETS: Final = 16

_PAIR: Final = re.compile(rf"[ \t]*(?P<name>{TOKEN})[ \t]*=[ \t]*(?P<value>{QUOTED}|{TOKEN})[ \t]*(?:,|$)", re.DOTALL)


class AuthenticationError(SipError):
    """A challenge that this client can't or must not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AkaAnswer:
    """What a USIM makes of RAND and AUTN: RES, or AUTS where the sequence number is out of step."""

    res: bytes = field(default=b"", repr=False)
    auts: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who answers, and with what: a password, or a USIM."""

    user_name: str
    password: str = field(default="", repr=False)
    usim: Callable[[bytes, bytes], AkaAnswer] | None = field(default=None, repr=False)
    """RAND and AUTN -> its answer; raises AuthenticationError for an AUTN that is not the network's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One challenge of the scheme Digest."""

    realm: str
    nonce: str
    algorithm: str = "MD5"
    qop: tuple[str, ...] = ()
    """What it offers; empty for a server of RFC 2069."""
    opaque: str | None = None
    stale: bool = False


def parse_challenge(text: str) -> Challenge | None:
    """A challenge; None for another scheme than Digest. Raises MalformedMessage."""
    scheme, _, rest = text.strip(" \t").partition(" ")
    if scheme.lower() != "digest":
        return None
    values = _pairs(rest)
    if "realm" not in values or "nonce" not in values:
        raise MalformedMessage("a challenge without realm or nonce")
    return Challenge(
        realm=values["realm"],
        nonce=values["nonce"],
        algorithm=values.get("algorithm", "MD5"),
        qop=tuple(part.strip(" \t") for part in values["qop"].split(",")) if values.get("qop") else (),
        opaque=values.get("opaque"),
        stale=values.get("stale", "").lower() == "true",
    )


def _pairs(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None or match["name"].lower() in values:
            raise MalformedMessage(f"no challenge: {text[at : at + 40]!r}")
        values[match["name"].lower()] = unquoted(match["value"])
        at = match.end()
    return values


def choose(lines: Sequence[str], *, has_usim: bool) -> Challenge:
    """The topmost challenge that can be answered (RFC 8760 2.4). Raises AuthenticationError where there is none.

    Unknown schemes and algorithms are passed over, and so is AKA without a USIM and a password's with one.
    """
    offered = []
    for line in lines:
        try:
            challenge = parse_challenge(line)
        except MalformedMessage:
            continue
        if challenge is None:
            continue
        offered.append(challenge.algorithm)
        known = next((name for name in ALGORITHMS if name.lower() == challenge.algorithm.lower()), None)
        if known is not None and (known == AKA) == has_usim and (not challenge.qop or "auth" in challenge.qop):
            return challenge
    raise AuthenticationError(f"no challenge that can be answered; offered: {', '.join(offered) or 'none'}")


def authorization(
    challenge: Challenge, credentials: Credentials, *, method: str, uri: str, count: int, cnonce: str
) -> str:
    """The value of Authorization or Proxy-Authorization (RFC 7616 3.4). Raises AuthenticationError.

    Args:
        challenge: what is answered.
        credentials: who answers.
        method: of the request.
        uri: the Request-URI.
        count: how often this nonce has been used, this time included (nc).
        cnonce: the client's own nonce.
    """
    password, auts = _password(challenge, credentials)
    name = next(name for name in ALGORITHMS if name.lower() == challenge.algorithm.lower())

    def digest(octets: bytes) -> str:
        return hashlib.new(ALGORITHMS[name], octets, usedforsecurity=False).hexdigest()

    a1 = digest(f"{credentials.user_name}:{challenge.realm}:".encode() + password)
    a2 = digest(f"{method}:{uri}".encode("utf-8", "surrogateescape"))
    protected = f"{count:08x}:{cnonce}:auth:" if challenge.qop else ""
    response = digest(f"{a1}:{challenge.nonce}:{protected}{a2}".encode("utf-8", "surrogateescape"))
    parts = [
        f"username={quoted(credentials.user_name)}",
        f"realm={quoted(challenge.realm)}",
        f"nonce={quoted(challenge.nonce)}",
        f"uri={quoted(uri)}",
        f'response="{response}"',
        f"algorithm={name}",
    ]
    if challenge.qop:
        parts += [f'cnonce="{cnonce}"', "qop=auth", f"nc={count:08x}"]
    if challenge.opaque is not None:
        parts.append(f"opaque={quoted(challenge.opaque)}")
    if auts:
        parts.append(f'auts="{base64.b64encode(auts).decode("ascii")}"')
    return "Digest " + ", ".join(parts)


def _password(challenge: Challenge, credentials: Credentials) -> tuple[bytes, bytes]:
    """The password as octets, and AUTS where the USIM is out of step."""
    if challenge.algorithm.lower() != AKA.lower():
        return credentials.password.encode(), b""
    if credentials.usim is None:
        raise AuthenticationError(f"{AKA} needs a USIM")
    try:
        nonce = base64.b64decode(challenge.nonce, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AuthenticationError(f"{AKA}: the nonce is no base64") from error
    if len(nonce) < RAND_OCTETS + AUTN_OCTETS:
        raise AuthenticationError(f"{AKA}: a nonce of {len(nonce)} octets holds no RAND and AUTN")
    answer = credentials.usim(nonce[:RAND_OCTETS], nonce[RAND_OCTETS : RAND_OCTETS + AUTN_OCTETS])
    return (b"", answer.auts) if answer.auts else (answer.res, b"")
