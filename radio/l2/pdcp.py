"""PDCP PDUs of sidelink radio bearers, and PDCP's port to the owner of the keys (TS 36.323 6.2.10, 5.6, 5.7).

PDCP has no algorithm: numbers, ciphering and integrity come from a `Protector` (one-to-one) or a `GroupProtector`
(one-to-many).
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Protocol

from radio.errors import RadioError

HEADER_OCTETS = 5
MAC_I_OCTETS = 4
"""TS 36.323 6.3.4."""
MAX_SDU_OCTETS = 8188
"""TS 36.323 4.3.1."""
MAX_OVERHEAD_OCTETS = HEADER_OCTETS + MAC_I_OCTETS
MAX_PDU_OCTETS = MAX_SDU_OCTETS + MAX_OVERHEAD_OCTETS
_HEADER = struct.Struct("!BHH")


class SduType(enum.IntEnum):
    """SDU type (TS 36.323 6.3.14); 4 to 7 are reserved."""

    IP = 0
    ARP = 1
    PC5_SIGNALLING = 2
    NON_IP = 3


class PdcpPduError(RadioError):
    """Octets that are no PDCP PDU of a sidelink radio bearer, or fields that fit none."""


class ProtectionError(RadioError):
    """A PDU that can't be protected, or that doesn't verify: no context, no numbers left, bad MAC-I, a repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PdcpSdu:
    """One SDU for a destination: `kd_sess_id` names the security context, 0 sends it plain (LCID 28 only)."""

    dst_l2: int
    lcid: int
    sdu_type: SduType
    data: bytes
    kd_sess_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OneToOnePdu:
    """SDU type, 5 reserved bits, KD-sess ID, PDCP SN, data as on the air; MAC-I of 4 octets iff KD-sess ID is not 0."""

    sdu_type: SduType
    kd_sess_id: int
    sn: int
    data: bytes
    mac_i: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneToManyPdu:
    """SDU type, PGK index, PTK identity, PDCP SN, data as on the air; all three 0 where nothing is ciphered."""

    sdu_type: SduType
    pgk_index: int
    ptk_id: int
    sn: int
    data: bytes


def one_to_one_header(sdu_type: SduType, kd_sess_id: int, sn: int) -> bytes:
    """The 5 octets before the data of a one-to-one PDU. Raises PdcpPduError."""
    return _pack_header(sdu_type, 0, kd_sess_id, sn)


def encode_one_to_one(pdu: OneToOnePdu) -> bytes:
    """Octets of a one-to-one PDU (TS 36.323 6.2.10). Raises PdcpPduError."""
    expected = MAC_I_OCTETS if pdu.kd_sess_id else 0
    if len(pdu.mac_i) != expected:
        raise PdcpPduError(f"KD-sess ID {pdu.kd_sess_id:04x} goes with a MAC-I of {expected}, not {len(pdu.mac_i)}")
    return one_to_one_header(pdu.sdu_type, pdu.kd_sess_id, pdu.sn) + pdu.data + pdu.mac_i


def decode_one_to_one(octets: bytes) -> OneToOnePdu:
    """The one-to-one PDU in `octets`; reserved bits are ignored (TS 36.323 6.2.10, 6.1.3).

    Raises PdcpPduError: cut short, reserved SDU type, or an unprotected PDU with a sequence number.
    """
    sdu_type, _, kd_sess_id, sn = _unpack_header(octets)
    if kd_sess_id == 0:
        if sn:
            raise PdcpPduError(f"PDCP SN {sn} in a PDU without KD-sess ID")
        return OneToOnePdu(sdu_type=sdu_type, kd_sess_id=0, sn=0, data=octets[HEADER_OCTETS:])
    if len(octets) < HEADER_OCTETS + MAC_I_OCTETS:
        raise PdcpPduError(f"{len(octets)} octets hold no header and MAC-I")
    return OneToOnePdu(
        sdu_type=sdu_type,
        kd_sess_id=kd_sess_id,
        sn=sn,
        data=octets[HEADER_OCTETS:-MAC_I_OCTETS],
        mac_i=octets[-MAC_I_OCTETS:],
    )


def encode_one_to_many(pdu: OneToManyPdu) -> bytes:
    """Octets of a one-to-many PDU (TS 36.323 6.2.10). Raises PdcpPduError."""
    return _pack_header(pdu.sdu_type, pdu.pgk_index, pdu.ptk_id, pdu.sn) + pdu.data


def decode_one_to_many(octets: bytes) -> OneToManyPdu:
    """The one-to-many PDU in `octets` (TS 36.323 6.2.10). Raises PdcpPduError: cut short or reserved SDU type."""
    sdu_type, pgk_index, ptk_id, sn = _unpack_header(octets)
    return OneToManyPdu(sdu_type=sdu_type, pgk_index=pgk_index, ptk_id=ptk_id, sn=sn, data=octets[HEADER_OCTETS:])


def _pack_header(sdu_type: int, low_bits: int, key_id: int, sn: int) -> bytes:
    if sdu_type not in set(SduType) or not 0 <= low_bits < 32 or not 0 <= key_id <= 0xFFFF or not 0 <= sn <= 0xFFFF:
        raise PdcpPduError(f"no PDCP header holds SDU type {sdu_type}, PGK index {low_bits}, key {key_id}, SN {sn}")
    return _HEADER.pack(sdu_type << 5 | low_bits, key_id, sn)


def _unpack_header(octets: bytes) -> tuple[SduType, int, int, int]:
    if len(octets) < HEADER_OCTETS:
        raise PdcpPduError(f"{len(octets)} octets hold no PDCP header")
    first, key_id, sn = _HEADER.unpack_from(octets)
    if first >> 5 not in set(SduType):
        raise PdcpPduError(f"SDU type {first >> 5} is reserved")
    return SduType(first >> 5), first & 0x1F, key_id, sn


class Protector(Protocol):
    """Keys and numbers of one-to-one links, found by peer and KD-sess ID. Every method raises ProtectionError."""

    def next_sn(self, dst_l2: int, kd_sess_id: int, lcid: int) -> int:
        """The next PDCP SN of a bearer; no SN comes twice under one key."""

    def seal(self, dst_l2: int, kd_sess_id: int, sn: int, lcid: int, header: bytes, data: bytes) -> tuple[bytes, bytes]:
        """(ciphered data, MAC-I of 4 octets) of a PDU with this `header` of 5 octets and plain `data`."""

    def open(
        self, src_l2: int, dst_l2: int, kd_sess_id: int, sn: int, lcid: int, header: bytes, data: bytes, mac_i: bytes
    ) -> bytes:
        """The plain data of a peer's PDU, once MAC-I and freshness hold."""


class GroupProtector(Protocol):
    """Keys and numbers of one-to-many traffic, found by group. Methods but `give_up_sender` raise ProtectionError."""

    @property
    def sender_l2(self) -> int:
        """The layer-2 id from which the next PDU to a group is sent: keys depend on it."""

    def give_up_sender(self, src_l2: int) -> bool:
        """Called with each layer-2 id that another UE uses. Returns True if it was `sender_l2`, which then changes."""

    def next_key(self, group_l2: int, lcid: int) -> tuple[int, int, int]:
        """(PGK index, PTK identity, PDCP SN) for the next PDU to a group; none is used twice under one key."""

    def seal(self, group_l2: int, pgk_index: int, ptk_id: int, sn: int, lcid: int, data: bytes) -> bytes:
        """The ciphered data of a PDU."""

    def open(self, src_l2: int, group_l2: int, pgk_index: int, ptk_id: int, sn: int, lcid: int, data: bytes) -> bytes:
        """The plain data of a member's PDU, once it is no repeat."""
