"""What goes to a D2D proxy and on from it: relay frames around PC5-S messages, and around PDUs of links (PROFILE 12).

Both kinds name the UE that the PDU is from and the UE that it is for by their layer-2 ids, 0 where the latter is not
known, and say how many hops are left. The PDU inside is never changed. A frame stands where a PC5-S message stands
without protection: after the PDCP header of KD-sess ID 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

from prose_link.errors import ProseLinkError
from prose_link.pc5s.wire.framing import Layout, bind, read_message, write_message
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.messages import MessageType
from prose_link.pc5s.wire.pdus import LCID_UNPROTECTED
from prose_link.pc5s.wire.table import RELAY
from radio.l2.pdcp import OneToOnePdu, PdcpPduError, SduType, decode_one_to_one, encode_one_to_one

MAX_HOPS: Final = 4
UNKNOWN_DESTINATION: Final = 0
FRAME_OCTETS: Final = 16
"""A relay frame around nothing: type, sequence number, hop limit, path id, two layer-2 ids, length (PROFILE 12)."""
DATA_FRAME_OCTETS: Final = FRAME_OCTETS + 1
"""The same with an LCID."""


class RelayFrameError(ProseLinkError):
    """Octets that are no relay frame, or a frame that has no encoding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayFrame:
    """One PC5-S message under way through proxies."""

    TYPE: ClassVar[MessageType] = MessageType.RELAY_FRAME
    sequence_number: int
    hop_limit: int
    path_id: int
    origin_l2: int
    destination_l2: int
    pdu: bytes

    @property
    def lcid(self) -> int:
        """The logical channel of what is inside: that of PC5-S without protection."""
        return LCID_UNPROTECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayedPdcp:
    """One PDCP PDU of a link under way through proxies, as it was sealed; `lcid` is its logical channel."""

    TYPE: ClassVar[MessageType] = MessageType.RELAYED_PDCP
    sequence_number: int
    hop_limit: int
    path_id: int
    origin_l2: int
    destination_l2: int
    lcid: int
    pdu: bytes


AnyFrame: TypeAlias = RelayFrame | RelayedPdcp

_LAYOUTS: Final[Mapping[type[AnyFrame], Layout]] = bind(RELAY, RelayFrame, RelayedPdcp)
_TYPES: Final = (MessageType.RELAY_FRAME, MessageType.RELAYED_PDCP)


def encode(frame: AnyFrame) -> bytes:
    """The octets of a frame; raises RelayFrameError for values that don't fit."""
    _check(frame)
    try:
        return write_message(frame.TYPE, frame, _LAYOUTS[type(frame)])
    except MalformedMessage as error:
        raise RelayFrameError(f"this relay frame has no encoding: {error}") from None


def decode(octets: bytes) -> AnyFrame:
    """The frame these octets are; raises RelayFrameError, and nothing else, for any other octets."""
    try:
        frame = read_message(octets, _LAYOUTS)
    except MalformedMessage as error:
        raise RelayFrameError(f"no relay frame: {error}") from None
    _check(frame)
    return frame


def frame_in(pdcp_pdu: bytes) -> bytes | None:
    """The octets of the frame in a PDCP PDU; None where it holds something else."""
    message = message_in(pdcp_pdu)
    return message if message and message[0] in _TYPES else None


def message_in(pdcp_pdu: bytes) -> bytes | None:
    """The PC5-S message in a PDCP PDU without protection, None where it is none."""
    try:
        pdu = decode_one_to_one(pdcp_pdu)
    except PdcpPduError:
        return None
    return pdu.data if pdu.sdu_type is SduType.PC5_SIGNALLING and not pdu.kd_sess_id else None


def headed(message: bytes) -> bytes:
    """A PC5-S message or frame with the PDCP header that says that nothing protects it."""
    return encode_one_to_one(OneToOnePdu(sdu_type=SduType.PC5_SIGNALLING, kd_sess_id=0, sn=0, data=message))


def _check(frame: AnyFrame) -> None:
    if not 1 <= frame.hop_limit <= MAX_HOPS:
        raise RelayFrameError(f"hop limit {frame.hop_limit}: it must be 1 to {MAX_HOPS}")
    if isinstance(frame, RelayedPdcp) and not 1 <= frame.lcid < 1 << 5:
        raise RelayFrameError(f"LCID {frame.lcid} is no logical channel")
