"""Integrity of discovery messages: MIC from DUIK over the message and the full UTC-based counter (TS 33.303 A.2)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final

from prose_link.discovery.codec import MIC_OCTETS
from security.kdf import kdf

COUNTER_BITS: Final = 32
COUNTER_LSB_VALUES: Final = 256
NO_MIC: Final = bytes(MIC_OCTETS)
"""What stands in the MIC field without a DUIK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryKdf:
    """Numbers of TS 33.303 that protect discovery; `confirmed` tells whether they were checked against its text."""

    fc_mic: int
    confirmed: bool


FC33303: Final = DiscoveryKdf(fc_mic=0x49, confirmed=False)
"""FC of the MIC from memory; inputs and their order are this lab's reading."""


def utc_counter(utc_s: float) -> int:
    """The UTC-based counter of a time: its seconds, 32 bits (unit and epoch unconfirmed)."""
    return int(utc_s) % (1 << COUNTER_BITS)


def full_counter(counter_lsb: int, utc_s: float) -> int:
    """The counter nearest to the own clock's that has these 8 LSB."""
    own = utc_counter(utc_s)
    ahead = (counter_lsb - own) % COUNTER_LSB_VALUES
    if ahead >= COUNTER_LSB_VALUES // 2:
        ahead -= COUNTER_LSB_VALUES
    return (own + ahead) % (1 << COUNTER_BITS)


def calculate_mic(duik: bytes, content: bytes, counter: int, numbers: DiscoveryKdf = FC33303) -> bytes:
    """MIC, 4 octets, of type and body (24 octets) under the full counter."""
    return kdf(duik, numbers.fc_mic, content, counter.to_bytes(4))[-MIC_OCTETS:]


def mic_matches(duik: bytes, content: bytes, counter: int, mic: bytes) -> bool:
    """Whether a MIC is the one of a message, compared in constant time."""
    return hmac.compare_digest(calculate_mic(duik, content, counter), mic)
