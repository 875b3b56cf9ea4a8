"""The comment on each packet of a capture: where it was seen, on which subframe, between which UEs.

A PDCP PDU does not say on which logical channel it came, a MIKEY message not on which link; the comment does, for
people without the plug-in and for `capture decrypt`. One form, written and read here:

    ue-a tx pdcp, subframe 1234, 5c1a01 > 5c1b02, LCID 28, a note
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(
    r"(?P<source>\S+) (?P<direction>tx|rx) (?P<layer>[\w-]+), subframe (?P<subframe>\d+)"
    r"(?:, (?P<src>[0-9a-f]{6}) > (?P<dst>[0-9a-f]{6}))?(?:, LCID (?P<lcid>\d+))?(?:, (?P<note>.+))?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketComment:
    """Data about a packet besides its octets. Layer-2 ids are 24-bit integers; they and `lcid` are 0 if unknown.

    `direction` is tx or rx, as `source` (a UE's name) saw it; `subframe` counts on past 10240.
    """

    source: str
    direction: str
    layer: str
    subframe: int
    src_l2: int = 0
    dst_l2: int = 0
    lcid: int = 0
    note: str = ""

    def text(self) -> str:
        """The comment's text in a capture."""
        parts = [f"{self.source} {self.direction} {self.layer}", f"subframe {self.subframe}"]
        if self.src_l2 or self.dst_l2:
            parts.append(f"{self.src_l2:06x} > {self.dst_l2:06x}")
        if self.lcid:
            parts.append(f"LCID {self.lcid}")
        if self.note:
            parts.append(self.note)
        return ", ".join(parts)


def read_comment(text: str) -> PacketComment | None:
    """The values in a comment; None for a comment of another form, such as a user's own."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    return PacketComment(
        source=match["source"],
        direction=match["direction"],
        layer=match["layer"],
        subframe=int(match["subframe"]),
        src_l2=int(match["src"] or "0", 16),
        dst_l2=int(match["dst"] or "0", 16),
        lcid=int(match["lcid"] or 0),
        note=match["note"] or "",
    )
