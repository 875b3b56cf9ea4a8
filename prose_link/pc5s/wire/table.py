"""The one table of PC5-S messages: which information elements each has, in each profile (PROFILE 3, 12).

It is data. The codecs of both profiles and of the relay frame write and read by it; the Scapy layers, the Wireshark
plug-in, the one-line summaries and docs/pc5s-messages.md are made from it. So a message is added in two files: its
type and its dataclass in `messages` (or in its profile's folder), and its row here; a new element stands in `elements`.

A message is its type (1 octet), its sequence number (2 octets), and its elements in the order of the wire. First come
those that every profile's form of the type has and that have no identifier (`Format.V`, `LV`, `LV_E`); after them those
with an identifier. A dissector, which doesn't know the profile, reads the first by the type and the others by their
identifier; `check` holds the table to that. Numbers of TS 24.334 are as third-party code has them (unconfirmed).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, TypeAlias

from prose_link.errors import ProseLinkError
from prose_link.pc5s.wire import elements as e
from prose_link.pc5s.wire.elements import Element, Format
from prose_link.pc5s.wire.messages import MessageType

HEADER_OCTETS: Final = 3
"""Message type and sequence number, in every message (TS 24.334 12.5.1)."""
CONFIRM: Final = "Confirm (Keepalive with key confirmation)"
"""What a Keepalive with the Key confirmation IE is called."""

IN_SUMMARY: Final = (e.CAUSE, e.REASON, e.COUNTER)
"""Elements that a message's one line names by title; a number without a name in words only where it isn't 0."""

Form: TypeAlias = tuple[Element, ...]
"""The elements of a message in the order of the wire, after type and sequence number."""
Forms: TypeAlias = Mapping[MessageType, Form]


class TableError(ProseLinkError):
    """The table of messages contradicts itself, or a message's dataclass."""


def _optional(element: Element) -> Element:
    return replace(element, optional=True)


_ACCEPTED: Final[Form] = (e.NONCE_2_IE, e.ALGORITHMS_IE, e.KD_SESS_ID_LSB_IE, _optional(e.I_MESSAGE), e.CONFIRMATION)

IDENTITY: Final[Forms] = MappingProxyType(
    {
        MessageType.REQUEST: (
            e.USER_INFO,
            e.IP_ADDRESS_CONFIG,
            e.INACTIVITY_PERIOD,
            e.NONCE_1,
            e.CAPABILITIES,
            e.KD_SESS_ID_MSB,
            _optional(e.LINK_LOCAL),
            e.TARGET_USER_INFO,
            e.LINK_L2_ID,
            e.PROFILE,
            _optional(e.REQUEST_HASH),
            _optional(e.GROUP_INFO),
            _optional(e.MEMBERS_OUT),
            e.I_MESSAGE,
        ),
        MessageType.ACCEPT: (
            e.IP_ADDRESS_CONFIG,
            _optional(e.LINK_LOCAL),
            e.USER_INFO_IE,
            e.LINK_L2_ID,
            e.PROFILE,
            e.REQUEST_HASH,
            *_ACCEPTED[:-1],
            _optional(e.KEY_PROOF),
            e.CONFIRMATION,
        ),
        MessageType.REJECT: (e.CAUSE, e.SHORT_REQUEST_HASH),
        MessageType.KEEPALIVE: (e.COUNTER, _optional(e.CONFIRMATION)),
        MessageType.KEEPALIVE_ACK: (e.COUNTER,),
        MessageType.RELEASE: (e.REASON,),
        MessageType.RELEASE_ACCEPT: (),
        MessageType.REKEYING_REQUEST: (e.CAPABILITIES, e.NONCE_1, e.KD_SESS_ID_MSB, _optional(e.I_MESSAGE)),
        MessageType.REKEYING_RESPONSE: (e.REQUEST_HASH, *_ACCEPTED),
        MessageType.REKEYING_TRIGGER: (),
    }
)
"""The messages of the `identity` profile (PROFILE 3)."""

TS24334: Final[Forms] = MappingProxyType(
    {
        MessageType.REQUEST: (
            e.USER_INFO,
            e.IP_ADDRESS_CONFIG,
            e.INACTIVITY_PERIOD,
            e.NONCE_1,
            e.CAPABILITIES,
            e.KD_SESS_ID_MSB,
            *map(_optional, (e.KD_ID, e.RELAY_SERVICE_CODE, e.SIGNATURE, e.LINK_LOCAL)),
        ),
        MessageType.ACCEPT: (e.IP_ADDRESS_CONFIG, _optional(e.LINK_LOCAL)),
        MessageType.REJECT: (e.CAUSE,),
        MessageType.KEEPALIVE: (e.COUNTER,),
        **{
            kind: IDENTITY[kind]
            for kind in (
                MessageType.KEEPALIVE_ACK,
                MessageType.RELEASE,
                MessageType.RELEASE_ACCEPT,
            )
        },
        MessageType.SECURITY_MODE_COMMAND: (
            e.CAPABILITIES,
            e.NONCE_2,
            e.ALGORITHMS,
            e.KD_SESS_ID_LSB,
            *map(_optional, (e.KD_ID_MSB, e.KD_FRESHNESS, e.GPI, e.USER_INFO_IE, e.SIGNATURE, e.ENCRYPTED_PAYLOAD)),
        ),
        MessageType.SECURITY_MODE_COMPLETE: (_optional(e.KD_ID_LSB),),
        MessageType.SECURITY_MODE_REJECT: (e.CAUSE, _optional(e.RAND), _optional(e.AUTS)),
    }
)
"""The messages of the `ts24334` profile (TS 24.334 11.4)."""

RELAY: Final[Forms] = MappingProxyType(
    {
        MessageType.RELAY_FRAME: (e.HOP_LIMIT, e.PATH_ID, e.ORIGIN_L2, e.DESTINATION_L2, e.RELAYED_PDU),
        MessageType.RELAYED_PDCP: (
            e.HOP_LIMIT,
            e.PATH_ID,
            e.ORIGIN_L2,
            e.DESTINATION_L2,
            e.RELAYED_LCID,
            e.RELAYED_PDCP_PDU,
        ),
    }
)
"""What a D2D proxy hands on (PROFILE 12)."""

PROFILES: Final[Mapping[str, Forms]] = MappingProxyType({"identity": IDENTITY, "ts24334": TS24334, "relay": RELAY})
"""The messages of each profile, and those of a relay."""


def name_of(message_type: int) -> str:
    """The name of a message type in words."""
    return _NAMES.get(message_type) or f"PC5-S message type {message_type}"


def heading_of(message_type: MessageType) -> Form:
    """The elements without identifier; they come first and are the same in every profile."""
    return next(_heading(forms[message_type]) for forms in PROFILES.values() if message_type in forms)


def elements_by_iei() -> dict[int, Element]:
    """Every element with an identifier; `lengths` spans those of all messages that have it."""
    found: dict[int, Element] = {}
    for element in _identified_elements():
        known = found.get(element.iei, element)
        least = min(known.lengths.start, element.lengths.start)
        found[element.iei] = replace(
            known, lengths=range(least, max(known.lengths.stop, element.lengths.stop)), optional=False
        )
    return dict(sorted(found.items()))


def lengths_by_iei() -> dict[int, tuple[range, ...]]:
    """The lengths of the value of every element with an identifier, in octets: the ranges that messages allow."""
    found: dict[int, set[range]] = {}
    for element in _identified_elements():
        found.setdefault(element.iei, set()).add(element.lengths)
    return {iei: tuple(sorted(ranges, key=lambda one: (one.start, one.stop))) for iei, ranges in found.items()}


def check() -> None:
    """Raise TableError if a dissector could not decode the table's messages without knowing their profile."""
    for kind in MessageType:
        headings = {_heading(forms[kind]) for forms in PROFILES.values() if kind in forms}
        if len(headings) != 1:
            raise TableError(f"{kind.words}: {len(headings)} different beginnings in the profiles' forms")
    for forms in PROFILES.values():
        for kind, form in forms.items():
            if any(not element.format.has_identifier for element in form[len(_heading(form)) :]):
                raise TableError(f"{kind.words}: an element without identifier comes after one that has it")
    _check_identifiers()


def _check_identifiers() -> None:
    by_iei: dict[int, Element] = {}
    for element in _identified_elements():
        known = by_iei.setdefault(element.iei, element)
        if replace(element, lengths=known.lengths, optional=known.optional) != known:
            raise TableError(f"IEI {element.iei:#04x} stands for {known.title} and for {element.title}")
        if element.format is Format.TV and element.lengths != known.lengths:
            raise TableError(f"IEI {element.iei:#04x} has no length octet, but several lengths")


def _identified_elements() -> Iterator[Element]:
    for forms in PROFILES.values():
        for form in forms.values():
            yield from (element for element in form if element.format.has_identifier)
    yield from e.FOREIGN_ELEMENTS


def _heading(form: Form) -> Form:
    return tuple(element for element in form if not element.format.has_identifier)


_NAMES: Final = MessageType.words_by_number()
check()
