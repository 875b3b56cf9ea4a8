"""Opening of messages from implementations that depart from RFC 6508, only if the user names the deviation."""

from __future__ import annotations

import hmac

from security.sakke.curve import SakkePointError, decode_point, encode_point
from security.sakke.hashing import hash_to_integer_range
from security.sakke.kem import DecapsulationError, EncapsulationError, own_lines, receiver_multiple, sender_scalar
from security.sakke.parameters import POINT_OCTETS, SED_OCTETS, SSV_BITS, SSV_OCTETS


def decapsulate_short_values(sed: bytes, *, rsk: bytes, uid: bytes, z: bytes) -> bytes:
    """Open encapsulated data whose maker hashes g^r and writes H without leading zero octets.

    R is checked as `decapsulate` checks it. Raises DecapsulationError, ReceiverKeyError.
    """
    if not POINT_OCTETS < len(sed) <= SED_OCTETS:
        raise DecapsulationError(f"encapsulated data has at most {SED_OCTETS} octets, got {len(sed)}")
    lines = own_lines(rsk)
    try:
        value = int(lines.pairing(decode_point(sed[:POINT_OCTETS])))
        mask = hash_to_integer_range(value.to_bytes((value.bit_length() + 7) // 8, "big"), 1 << SSV_BITS)
        ssv = (int.from_bytes(sed[POINT_OCTETS:], "big") ^ mask).to_bytes(SSV_OCTETS, "big")
        again = encode_point(receiver_multiple(sender_scalar(ssv, uid), uid, z))
    except (SakkePointError, EncapsulationError) as exc:
        raise DecapsulationError(f"encapsulated data rejected: {exc}") from exc
    if not hmac.compare_digest(again, sed[:POINT_OCTETS]):
        raise DecapsulationError("encapsulated data was not made for this identity, or is damaged")
    return ssv
