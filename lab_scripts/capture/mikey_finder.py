"""Finds MIKEY messages in IP traffic: UDP and TCP port 2269, and `a=key-mgmt:mikey` in SDP, hence in SIP.

Sources: RFC 3830 (port 2269), RFC 4567 3.1 (key-mgmt attribute), TS 33.180 (MIME type application/mikey). A SIP message
is not parsed: the attribute means the same in any place, and a message's text is searched for it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from lab_scripts.capture.exported_pdu import exported_parts
from lab_scripts.capture.ip_payloads import TCP, IpPayloads, Payload
from lab_scripts.capture.link_layers import ip_packet

MIKEY_PORT = 2269
_TLS_PORTS = {443, 5061}
_ATTRIBUTE = re.compile(rb"key-mgmt:[ \t]*mikey[ \t]+\"?([A-Za-z0-9+/_-]+={0,2})", re.IGNORECASE)
_MIME_HEADERS = re.compile(
    rb"content-type:[ \t]*application/mikey[^\r\n]{0,1000}+(?:\r?\n[^\r\n]{1,1000}+){0,32}+\r?\n\r?\n", re.IGNORECASE
)
"""From the type to the blank line that ends a part's headers."""
_MAX_MESSAGES = 256
"""In one text; SDP has one or two."""
_MAX_BODY_OCTETS = 100_000
_MIKEY_VERSION = 1
_TEXT_DISSECTORS = ("sip", "sdp", "media_type", "http")


class MikeyFinder:
    """Takes the frames of a capture in order; returns the octets of each MIKEY message when it is found."""

    def __init__(self) -> None:
        self._payloads = IpPayloads()
        self._seen: Counter[str] = Counter()

    def take(self, link_type: int, frame: bytes) -> Iterator[bytes]:
        """The MIKEY messages that a frame completes."""
        packet = ip_packet(link_type, frame)
        if packet is not None:
            self._seen["IP packets"] += 1
            for payload in self._payloads.take(packet):
                yield from self._in_payload(payload)
        elif link_type == 252:
            dissector, pdu = exported_parts(frame)
            if dissector in _TEXT_DISSECTORS:
                yield from in_text(pdu)

    def finish(self) -> Iterator[bytes]:
        """The MIKEY messages in TCP streams."""
        for payload in self._payloads.finish():
            yield from self._in_payload(payload)

    def what_was_seen(self) -> str:
        """A description of the searched traffic, for a message that nothing was found; empty if there was no IP."""
        if self._payloads.n_incomplete:
            self._seen["datagrams with fragments missing"] = self._payloads.n_incomplete
        return ", ".join(f"{count} {what}" for what, count in self._seen.items() if count)

    def _in_payload(self, payload: Payload) -> Iterator[bytes]:
        ports = {payload.src_port, payload.dst_port}
        self._seen["TCP streams" if payload.protocol == TCP else "UDP datagrams"] += 1
        if ports & _TLS_PORTS:
            self._seen["TLS connections, which hide what they carry"] += payload.protocol == TCP
        if MIKEY_PORT in ports and payload.data[:1] == bytes([_MIKEY_VERSION]):
            yield payload.data
        else:
            yield from in_text(payload.data)


def in_text(text: bytes) -> Iterator[bytes]:
    """The MIKEY messages in SDP, SIP or MIME text, in order."""
    for match in islice(_ATTRIBUTE.finditer(text), _MAX_MESSAGES):
        octets = _base64(match[1])
        if octets:
            yield octets
    for match in islice(_MIME_HEADERS.finditer(text), _MAX_MESSAGES):
        body = text[match.end() : match.end() + _MAX_BODY_OCTETS]
        end = re.search(rb"\r?\n--", body)
        body = body[: end.start()] if end else body
        yield body if body[:1] == bytes([_MIKEY_VERSION]) else _base64(b"".join(body.split())) or body


def _base64(text: bytes) -> bytes:
    """The octets of base64, of either alphabet and with or without padding; b"" where it is none."""
    bare = text.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    try:
        return base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        return b""
