"""Identities in the IMS: the account that a UE registers, and the names that the core gives for senders.

A UE's one identity is a `tel:` or a `sip:` URI. What is registered is a `sip:` URI; for a number it is that number at
the home domain (RFC 3261 19.1.6). So a `sip:` URI of the home domain whose user is a number names that number, and a
number names whom the UE's identity map says (PROFILE 12, C8): the map, not the core, says that a number is a URI.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from prose_link.carriers.ims.options import ImsOptions
from prose_link.carriers.ims.usim import Usim
from prose_link.sip.account import Account
from prose_link.sip.digest import Credentials
from prose_link.sip.errors import MalformedMessage
from prose_link.sip.headers import Headers
from prose_link.sip.transport import Hop
from prose_link.sip.uri import SipUri, parse_uri
from security.identifiers import IdentityError, canonical_identity

_NUMBER = re.compile(r"\+[0-9]{1,15}")


def account_of(options: ImsOptions, identity: str, port: int, accepts: tuple[str, ...]) -> Account:
    """The account of a UE with this identity that listens at this port."""
    address = options.address_of_record or _at_home(identity, options.domain)
    usim = Usim(bytes.fromhex(options.usim_k), bytes.fromhex(options.usim_opc)) if options.usim_k else None
    credentials = Credentials(
        user_name=options.user_name or address.partition(":")[2], password=options.password, usim=usim
    )
    return Account(
        identity=identity,
        address_of_record=address,
        registrar=f"sip:{options.domain}",
        credentials=credentials,
        proxy=_first_hop(options),
        contact_host=options.host,
        contact_port=port,
        expires_s=options.expires_s,
        accepts=accepts,
        registers=not options.peers,
    )


def asserted_in(headers: Headers) -> tuple[str, ...]:
    """The URIs of P-Asserted-Identity, as they stand (RFC 3325 9.1)."""
    try:
        return tuple(str(one.uri) for one in headers.addresses("P-Asserted-Identity"))
    except MalformedMessage:
        return ()


def named_sender(names: Sequence[str], signed: str, domain: str, by_map: Callable[[str], str]) -> str:
    """The identity that the core gives for a sender, to be compared with the one that has signed; "" for none.

    Args:
        names: the URIs that the core has asserted.
        signed: the identity that the message gives for its sender: where one of the names stands for it, it is named.
        domain: the home domain.
        by_map: whom a number stands for by the UE's identity map, "" where that says nothing.
    """
    named = [meaning for name in names for meaning in _meanings(name, domain, by_map)]
    return signed if signed in named else (named[0] if named else "")


def _meanings(name: str, domain: str, by_map: Callable[[str], str]) -> list[str]:
    """Whom an asserted URI may stand for."""
    number = _number_in(name, domain)
    mapped = by_map(number) if number else ""
    if mapped:
        return [mapped]
    own = f"tel:{number}" if number else name
    try:
        return [canonical_identity(own)]
    except IdentityError:
        return [own]


def _number_in(name: str, domain: str) -> str:
    """The number that a `tel:` URI is, or a `sip:` URI of the home domain; "" where it is none."""
    scheme, _, rest = name.partition(":")
    if scheme.lower() == "tel":
        return rest if _NUMBER.fullmatch(rest) else ""
    try:
        uri = parse_uri(name)
    except MalformedMessage:
        return ""
    is_home = isinstance(uri, SipUri) and uri.host.lower() == domain.lower()
    return uri.user or "" if is_home and isinstance(uri, SipUri) and _NUMBER.fullmatch(uri.user or "") else ""


def _at_home(identity: str, domain: str) -> str:
    scheme, _, rest = identity.partition(":")
    return f"sip:{rest}@{domain}" if scheme == "tel" else identity


def _first_hop(options: ImsOptions) -> Hop:
    return Hop(options.sip_transport, options.proxy, options.proxy_port)
