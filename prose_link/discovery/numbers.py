"""The numbers of discovery whose text was not available: this table is the only place to correct them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryNumbers:
    """FC values of TS 33.303 A.2, A.5 and A.6, the UTC-based counter, and MAX_OFFSET (TS 24.334 6.2).

    `confirmed` tells whether they were checked against the text. The counter counts Unix seconds.
    """

    fc_mic: int
    fc_scrambling: int
    fc_confidentiality: int
    counter_unit_s: int
    max_offset_s: int
    confirmed: bool


NUMBERS: Final = DiscoveryNumbers(
    fc_mic=0x49, fc_scrambling=0x4C, fc_confidentiality=0x4D, counter_unit_s=1, max_offset_s=60, confirmed=False
)
"""The MIC's FC is from memory; the rest, and the order of the KDF's inputs, are this lab's choice.

MAX_OFFSET stays below half of what the counter's 8 LSB span.
"""
