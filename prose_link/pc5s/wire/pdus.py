"""PC5-S PDUs between entity and carriers: octets with their addresses and their way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prose_link.pc5s.wire.party import UNKNOWN_L2, Party, Via

LCID_UNPROTECTED: Final = 28
"""PC5-S that is not protected: DCR, DCA, Reject (TS 36.321 6.2.4)."""
LCID_SECURITY_MODE: Final = 29
"""Security Mode Command and Complete of the `ts24334` profile (TS 36.321 6.2.4)."""
LCID_PROTECTED: Final = 30
"""PC5-S under a context (TS 36.321 6.2.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedPdu:
    """One PC5-S PDU that arrived, and the way by which it came.

    `kd_sess_id` 0 means: it came without protection. Any other value means: PDCP verified and deciphered it under that
    context. `sn` is PDCP's number under it. Layer-2 ids are those of MAC, of the relay frame, or of the carrier's
    envelope, 0 if it brings none. `named_sender` is the sender's identity in the envelope, in canonical form, "" if
    there is none; nothing proves it.
    """

    data: bytes
    src_l2: int
    dst_l2: int
    lcid: int
    kd_sess_id: int = 0
    sn: int = 0
    via: Via
    named_sender: str = ""

    @property
    def addresses_count(self) -> bool:
        """Whether the source layer-2 id is that of the sender's radio and must agree with the message."""
        return self.via.traits.addresses_count

    @property
    def sender(self) -> Party:
        """Where an answer to it goes."""
        l2_id = self.src_l2 if self.addresses_count and self.src_l2 != UNKNOWN_L2 else None
        return Party(identity="", l2_id=l2_id, via=self.via)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingPdu:
    """One PC5-S PDU to send; PDCP protects it under the context of (`dst_l2`, `kd_sess_id`), 0 for none."""

    data: bytes
    to: Party
    lcid: int
    kd_sess_id: int = 0

    @property
    def dst_l2(self) -> int:
        """The layer-2 id of its receiver; 0 if that is not known."""
        return UNKNOWN_L2 if self.to.l2_id is None else self.to.l2_id
