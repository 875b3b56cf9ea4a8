"""SSVs whose encapsulation every implementation reads alike.

RFC 6508 hashes and sends values of fixed length (clause 4). Some deployed implementations hash w = g^r, and write H,
without leading zero octets: they misread 2 encapsulations of 256. Both values depend on the SSV and the identifier
only. So a sender draws an SSV again until neither value begins with a zero octet, for each identifier to which the SSV
is sent. The loss of the SSV's randomness is 0.012 bit for one receiver, and n times that for n.

All members of a group get one SSV. It is drawn until it suits all of them, which takes e^(n/128) draws on average. The
work is bounded: after `MAX_CHECKS` values of w the draw that suited the most receivers in a row is used. That happens
from some 250 members on. Such an SSV is right by the RFC, and only faulty implementations of some members can't read
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from security.random_source import RandomSource
from security.sakke.curve import encode_field
from security.sakke.kem import mask_with, powers_of_g, sender_scalar
from security.sakke.parameters import SSV_OCTETS

MAX_CHECKS: Final = 2048
"""Most computed values of w; each takes some 0.6 ms."""


def is_readable(ssv: bytes, uid: bytes) -> bool:
    """Whether neither w nor H of this SSV for this identifier begins with a zero octet; raises EncapsulationError."""
    w = powers_of_g().power(sender_scalar(ssv, uid))
    return encode_field(w)[0] != 0 and mask_with(ssv, w)[0] != 0


def draw_ssv(random: RandomSource, uids: Sequence[bytes]) -> bytes:
    """A fresh 16-octet SSV that is readable for all these identifiers; for very many of them see above."""
    best, most, checks = b"", -1, 0
    while checks < MAX_CHECKS or not best:
        ssv = random(SSV_OCTETS)
        suited = _suited_in_a_row(ssv, uids)
        checks += min(suited + 1, len(uids))
        if suited == len(uids):
            return ssv
        if suited > most:
            best, most = ssv, suited
    return best


def _suited_in_a_row(ssv: bytes, uids: Iterable[bytes]) -> int:
    count = 0
    for uid in uids:
        if not is_readable(ssv, uid):
            break
        count += 1
    return count
