"""PC5-S PDUs as carriers bring and take them: octets with their addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LCID_UNPROTECTED: Final = 28
"""PC5-S that is not protected: DCR, DCA, Reject (TS 36.321 6.2.4)."""
LCID_SECURITY_MODE: Final = 29
"""Security Mode Command and Complete of the `ts24334` profile (TS 36.321 6.2.4)."""
LCID_PROTECTED: Final = 30
"""PC5-S under a context (TS 36.321 6.2.4)."""
DIRECT: Final = "direct"
"""The carrier that is the sidelink itself."""
PROXY: Final = "proxy"
"""A relay of the direct carrier; `src_l2` is then the origin field of the relay frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedPdu:
    """One PC5-S PDU that arrived.

    `kd_sess_id` 0 came without protection; any other means that PDCP verified and deciphered it under that context.
    `sn` is PDCP's number under it. Layer-2 ids are those of MAC, or of the relay frame; `carrier` is direct, proxy, ims
    or eps.
    """

    data: bytes
    src_l2: int
    dst_l2: int
    lcid: int
    kd_sess_id: int = 0
    sn: int = 0
    carrier: str = DIRECT

    @property
    def addresses_count(self) -> bool:
        """Whether the source layer-2 id is that of the sender's radio and must fit what the message says."""
        return self.carrier in (DIRECT, PROXY)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingPdu:
    """One PC5-S PDU to send; PDCP protects it under the context of (`dst_l2`, `kd_sess_id`), 0 for none."""

    data: bytes
    dst_l2: int
    lcid: int
    kd_sess_id: int = 0
    carrier: str = DIRECT
