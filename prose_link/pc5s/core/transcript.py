"""The transcript of a link: the agreed values from which its keys are derived (PROFILE 4, 5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from security.link.key_ladder import (
    SessionKeys,
    binding_hash,
)

_M = TypeVar("_M")
"""The message that asks: a Request of either profile, or a Rekeying Request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Generic[_M]):
    """The request half of a transcript: T1, S(I_A) (b"" without an I_MESSAGE) and HR."""

    message: _M
    t1: bytes
    signed_part: bytes
    request_hash: bytes

    @property
    def t1_hash(self) -> bytes:
        """H(T1), 32 octets."""
        return binding_hash(self.t1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """The result of an exchange at both ends: KD-next (b"" if the profile has none), TX and the session's keys."""

    kd_next: bytes = field(repr=False)
    tx: bytes
    keys: SessionKeys = field(repr=False)


DIRECTION_OF_RESPONDER: Final = 1
"""DIRECTION of PDUs from the UE that sent the DCA or the Command; 0 from the other (PROFILE 5, unconfirmed)."""
