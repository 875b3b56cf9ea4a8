"""Logical channels of SL-SCH and layer-2 identities (TS 36.321 Table 6.2.4-1, TS 23.303 4.6.4)."""

from __future__ import annotations

from radio.errors import RadioError

FIRST_USER_LCID, LAST_USER_LCID = 1, 10
LCID_PC5_S_UNPROTECTED = 28
"""PC5-S that is not protected: a request, an answer to one, a reject (TS 36.321 Table 6.2.4-1)."""
LCID_PC5_S_SECURITY_MODE = 29
LCID_PC5_S_PROTECTED = 30
LCID_PADDING = 31

SIGNALLING_LCIDS = (LCID_PC5_S_UNPROTECTED, LCID_PC5_S_SECURITY_MODE, LCID_PC5_S_PROTECTED)
USER_LCIDS = tuple(range(FIRST_USER_LCID, LAST_USER_LCID + 1))
SDU_LCIDS = SIGNALLING_LCIDS + USER_LCIDS
"""The logical channels that carry SDUs."""
HIGHEST_PPPP, LOWEST_PPPP = 1, 8
"""ProSe per-packet priority: eight values, of which the lowest is the most urgent (TS 36.300 23.10.3)."""

MAX_L2_ID = 0xFFFFFF


class AddressError(RadioError):
    """A layer-2 identity or LCID that can't be used."""


def check_l2_id(l2_id: int) -> None:
    """Raise AddressError unless `l2_id` is a usable 24-bit identity: not 0, not all ones."""
    if not 0 < l2_id < MAX_L2_ID:
        raise AddressError(f"layer-2 id {l2_id:#x} is outside 0x000001..0xfffffe")


def check_lcid(lcid: int) -> None:
    """Raise AddressError unless `lcid` names a logical channel that carries SDUs."""
    if lcid not in SDU_LCIDS:
        raise AddressError(f"LCID {lcid} is none of 1..10, 28, 29, 30")


def group_destination_id(dst_l2: int) -> int:
    """The 8 least significant bits of a destination: what SCI format 0 carries (TS 36.213 14.1.1)."""
    return dst_l2 & 0xFF
