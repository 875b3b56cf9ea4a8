"""MAC PDU of SL-SCH: SL-SCH subheader, MAC subheaders, SDUs and padding (TS 36.321 6.1.6, 6.2.4).

Octets in order: the SL-SCH subheader (V, SRC, DST), one subheader for each SDU (LCID, and a length for all but the
last), one or two octets of padding as subheaders in front where just so much is left, the SDUs, and padding. The 8
lowest bits of a 24-bit destination are not in it: they travel in the SCI. Encoding is exact; decoding ignores reserved
bits and padding, and refuses what runs past the end.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from radio.errors import RadioError
from radio.l2.logical_channels import LCID_PADDING, MAX_L2_ID

_LONG_LENGTH_FROM = 128
_MAX_LENGTH = 0x7FFF
_EXTENSION_BIT = 0x20
_FORMAT_BIT = 0x80
_DST_OCTETS = {1: 2, 2: 2, 3: 3}
MAX_SHORT_PADDING = 2
"""One or two octets of padding are subheaders in front (TS 36.321 6.1.6)."""


class MacPduError(RadioError):
    """Octets that are no SL-SCH MAC PDU, or contents that fit none."""


class MacVersion(enum.IntEnum):
    """V: what DST holds (TS 36.321 6.2.4)."""

    GROUP = 1
    UNICAST = 2
    DST_24_BITS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MacSdu:
    """An RLC PDU and the logical channel it belongs to."""

    lcid: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MacPdu:
    """`src` 24 bits; `dst` the 16 most significant bits of the destination, all 24 with V = 0011."""

    version: MacVersion
    src: int
    dst: int
    sdus: tuple[MacSdu, ...]


def sl_sch_subheader_octets(version: MacVersion) -> int:
    """Octets of the SL-SCH subheader: 6, or 7 with V = 0011."""
    return 4 + _DST_OCTETS[version]


def subheader_octets(sdu_octets: int) -> int:
    """Octets of the R/R/E/LCID/F/L subheader in front of an SDU that is not the last."""
    return 2 if sdu_octets < _LONG_LENGTH_FROM else 3


def encode_mac_pdu(pdu: MacPdu, size: int) -> bytes:
    """The PDU's octets, padded to a transport block of `size` octets.

    Raises MacPduError: fields out of range, no SDU, an empty one, or more than fits.
    """
    _check_fields(pdu)
    lengths = [len(sdu.data) for sdu in pdu.sdus]
    least = sl_sch_subheader_octets(pdu.version) + sum(map(subheader_octets, lengths[:-1])) + 1 + sum(lengths)
    padding = size - least
    if padding < 0:
        raise MacPduError(f"a MAC PDU of {least} octets does not fit in {size}")
    if padding <= MAX_SHORT_PADDING:
        subheaders = bytes((_EXTENSION_BIT | LCID_PADDING,)) * padding
        subheaders += b"".join(map(_sdu_subheader, pdu.sdus[:-1])) + bytes((pdu.sdus[-1].lcid,))
    else:
        subheaders = b"".join(map(_sdu_subheader, pdu.sdus)) + bytes((LCID_PADDING,))
    dst = pdu.dst.to_bytes(_DST_OCTETS[pdu.version], "big")
    header = bytes((pdu.version << 4,)) + pdu.src.to_bytes(3, "big") + dst + subheaders
    return (header + b"".join(sdu.data for sdu in pdu.sdus)).ljust(size, b"\0")


def decode_mac_pdu(octets: bytes) -> MacPdu:
    """The MAC PDU in a transport block; reserved bits and padding are ignored.

    SDUs of every LCID but padding are handed on, reserved ones too. Raises MacPduError.
    """
    if not octets or octets[0] >> 4 not in _DST_OCTETS:
        raise MacPduError("no SL-SCH subheader of a known version")
    version = MacVersion(octets[0] >> 4)
    offset = sl_sch_subheader_octets(version)
    if len(octets) <= offset:
        raise MacPduError(f"{len(octets)} octets end inside the SL-SCH subheader")
    subheaders, offset = _decode_subheaders(octets, offset)
    return MacPdu(
        version=version,
        src=int.from_bytes(octets[1:4], "big"),
        dst=int.from_bytes(octets[4 : sl_sch_subheader_octets(version)], "big"),
        sdus=_cut_sdus(octets, offset, subheaders),
    )


def _check_fields(pdu: MacPdu) -> None:
    if not 0 <= pdu.src <= MAX_L2_ID or pdu.dst < 0 or pdu.dst >> 8 * _DST_OCTETS[pdu.version]:
        raise MacPduError(f"SRC {pdu.src:x} or DST {pdu.dst:x} does not fit its field")
    if not pdu.sdus:
        raise MacPduError("a MAC PDU carries at least one SDU")
    for sdu in pdu.sdus:
        if not 0 < sdu.lcid < LCID_PADDING or not 0 < len(sdu.data) <= _MAX_LENGTH:
            raise MacPduError(f"no subheader for an SDU of {len(sdu.data)} octets on LCID {sdu.lcid}")


def _sdu_subheader(sdu: MacSdu) -> bytes:
    first = bytes((_EXTENSION_BIT | sdu.lcid,))
    if len(sdu.data) < _LONG_LENGTH_FROM:
        return first + bytes((len(sdu.data),))
    return first + (_FORMAT_BIT << 8 | len(sdu.data)).to_bytes(2, "big")


def _decode_subheaders(octets: bytes, offset: int) -> tuple[list[tuple[int, int | None]], int]:
    """([(LCID, length or None for the last one), ...], where the SDUs begin)."""
    subheaders: list[tuple[int, int | None]] = []
    while True:
        if offset >= len(octets):
            raise MacPduError("the MAC subheaders run past the end")
        first = octets[offset]
        lcid, offset = first & 0x1F, offset + 1
        if not first & _EXTENSION_BIT:
            subheaders.append((lcid, None))
            return subheaders, offset
        length = 0
        if lcid != LCID_PADDING:
            n_octets = 2 if offset < len(octets) and octets[offset] & _FORMAT_BIT else 1
            length = int.from_bytes(octets[offset : offset + n_octets], "big") & (
                0x7F if n_octets == 1 else _MAX_LENGTH
            )
            offset += n_octets
        subheaders.append((lcid, length))


def _cut_sdus(octets: bytes, offset: int, subheaders: Sequence[tuple[int, int | None]]) -> tuple[MacSdu, ...]:
    sdus = []
    for lcid, length in subheaders:
        end = len(octets) if length is None else offset + length
        if end > len(octets):
            raise MacPduError(f"an SDU of {length} octets runs past the end")
        if lcid != LCID_PADDING:
            if end == offset:
                raise MacPduError(f"an empty SDU on LCID {lcid}")
            sdus.append(MacSdu(lcid=lcid, data=octets[offset:end]))
        offset = end
    return tuple(sdus)
