"""The header fields of a message, in order: names known in every spelling, values as they stand, lists taken apart.

A header field may stand several times, which is the same as once with its values behind commas, for those fields whose
value is a list. Names are compared without case, and a compact form is its long one (RFC 3261 7.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prose_link.sip.errors import MalformedMessage
from prose_link.sip.grammar import split_list
from prose_link.sip.uri import NameAddr, parse_name_addr

COMPACT: Final = {
    "i": "Call-ID",
    "m": "Contact",
    "e": "Content-Encoding",
    "l": "Content-Length",
    "c": "Content-Type",
    "f": "From",
    "s": "Subject",
    "k": "Supported",
    "t": "To",
    "v": "Via",
}
"""RFC 3261 7.3.3."""
LISTS: Final = frozenset(
    {
        "Accept",
        "Allow",
        "Contact",
        "P-Asserted-Identity",
        "P-Associated-URI",
        "Path",
        "Proxy-Require",
        "Record-Route",
        "Require",
        "Route",
        "Service-Route",
        "Supported",
        "Unsupported",
        "Via",
        "Warning",
    }
)
"""Fields whose value is a list behind commas, of those that this user agent reads (RFC 3261, 3325, 3327, 3608)."""
SINGLE: Final = ("Call-ID", "Content-Length", "Content-Type", "CSeq", "Expires", "From", "Max-Forwards", "To")
"""Fields that stand once at most (RFC 3261 7.3.1)."""

_SPELLING: Final = {
    name.lower(): name
    for name in (
        *LISTS,
        *SINGLE,
        "Accept-Encoding",
        "Authorization",
        "Content-Disposition",
        "MIME-Version",
        "Min-Expires",
        "P-Preferred-Identity",
        "Privacy",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Reason",
        "Retry-After",
        "Subject",
        "User-Agent",
        "WWW-Authenticate",
    )
}


def canonical_name(name: str) -> str:
    """The spelling that this room uses for a field; a name that it has no use for stays as it is."""
    lower = name.lower()
    return COMPACT.get(lower) or _SPELLING.get(lower) or name


class Headers:
    """Header fields in order; it never changes. Names are canonical.

    Args:
        fields: pairs of name and value.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: tuple[tuple[str, str], ...] = tuple((canonical_name(name), value) for name, value in fields)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        return f"Headers({[name for name, _ in self._fields]})"

    def lines(self, name: str) -> list[str]:
        """The values of all fields of a name, each as it stands."""
        wanted = canonical_name(name).lower()
        return [value for have, value in self._fields if have.lower() == wanted]

    def first(self, name: str) -> str | None:
        """The value of the first field of a name."""
        return next(iter(self.lines(name)), None)

    def one(self, name: str) -> str:
        """The value of a field that must stand exactly once. Raises MalformedMessage."""
        found = self.lines(name)
        if len(found) != 1:
            raise MalformedMessage(f"{name} stands {len(found)} times")
        return found[0]

    def values(self, name: str) -> list[str]:
        """All values of a field that is a list. Raises MalformedMessage."""
        return [part for line in self.lines(name) if line for part in split_list(line)]

    def addresses(self, name: str) -> list[NameAddr]:
        """All addresses of a field. Raises MalformedMessage."""
        return [parse_name_addr(value) for value in self.values(name)]

    def options(self, name: str) -> frozenset[str]:
        """Option tags or methods, in lower case; none where the field is malformed."""
        try:
            return frozenset(value.lower() for value in self.values(name))
        except MalformedMessage:
            return frozenset()

    def adding(self, *fields: tuple[str, str]) -> Headers:
        """The same with more fields at the end."""
        return Headers((*self._fields, *fields))

    def before(self, *fields: tuple[str, str]) -> Headers:
        """The same with more fields at the beginning."""
        return Headers((*fields, *self._fields))

    def without(self, *names: str) -> Headers:
        """The same with no field of these names."""
        gone = {canonical_name(name).lower() for name in names}
        return Headers(field for field in self._fields if field[0].lower() not in gone)
