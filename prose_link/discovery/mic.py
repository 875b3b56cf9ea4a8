"""The UTC-based counter and the MIC: from DUIK, over type, body and the full counter (TS 33.303 A.2).

A discovery message has room for the 8 lowest bits of a counter of UTC. The receiver completes it to the value nearest
to its own clock's, and the MIC covers the whole counter: a message that is sent again later completes to another
counter and does not verify. Counters are compared modulo 32 bits.
"""

from __future__ import annotations

from typing import Final

from prose_link.discovery.codec import MIC_OCTETS
from prose_link.discovery.numbers import NUMBERS
from security.link.kdf import kdf

COUNTER_BITS: Final = 32
COUNTER_LSB_VALUES: Final = 256
NO_MIC: Final = bytes(MIC_OCTETS)
"""Value of the MIC field without a DUIK."""


def utc_counter(utc_s: float) -> int:
    """The UTC-based counter of a time (Unix seconds), 32 bits."""
    return int(utc_s // NUMBERS.counter_unit_s) % (1 << COUNTER_BITS)


def full_counter(counter_lsb: int, utc_s: float) -> int:
    """The counter nearest to the own clock's that has these 8 LSB."""
    own = utc_counter(utc_s)
    ahead = (counter_lsb - own) % COUNTER_LSB_VALUES
    if ahead >= COUNTER_LSB_VALUES // 2:
        ahead -= COUNTER_LSB_VALUES
    return (own + ahead) % (1 << COUNTER_BITS)


def counters_ahead(counter: int, other: int) -> int:
    """How far a counter is ahead of another, modulo its 32 bits."""
    half = 1 << (COUNTER_BITS - 1)
    return (counter - other + half) % (1 << COUNTER_BITS) - half


def calculate_mic(duik: bytes | None, content: bytes, counter: int) -> bytes:
    """MIC, 4 octets, of type and body (24 octets) under the full counter; zeros without a key."""
    if duik is None:
        return NO_MIC
    return kdf(duik, NUMBERS.fc_mic, content, counter.to_bytes(4))[-MIC_OCTETS:]
