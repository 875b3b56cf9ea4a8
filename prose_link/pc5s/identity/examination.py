"""What an examination of a request knows so far, and how it may end: data of the steps of `responder_checks`.

Each step reads what earlier ones have found and adds its own, so that nothing is parsed, hashed or verified twice. An
I_MESSAGE is examined alike wherever it stands: `ProofExamination` has what those steps need, and three questions that
its owner answers (kind, target, and the request to which it must be bound). `Examination` answers them for a DCR.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Final

from prose_link.instant import Instant
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.link import Link
from prose_link.pc5s.core.policy import LinkPolicy
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.transcript import Asked
from prose_link.pc5s.wire.messages import Cause, ChosenAlgorithms, DirectRequest, Purpose
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.link.key_ladder import binding_hash
from security.mikey import Kind, ProfileIMessage

_KINDS: Final = {
    Purpose.ONE_TO_ONE: Kind.REQUEST,
    Purpose.GROUP: Kind.GROUP,
    Purpose.GROUP_ASK: Kind.GROUP_ASK,
}
"""The kind of I_MESSAGE that goes with each purpose of a DCR (PROFILE 3)."""
_DEFERRING: Final = range(5, 9)
"""Steps whose cause waits for the signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A DCR is refused: the step, the reason, and the cause for the sender; None for no answer."""

    step: int
    why: str
    cause: Cause | None = None
    detail: str = ""

    @property
    def waits_for_signature(self) -> bool:
        """Whether the sender gets the cause, but only after its signature has verified."""
        return self.step in _DEFERRING and self.cause is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Step 3: this very request has come before."""

    link: Link | None = None
    reject: bytes | None = None
    passed_over: bool = False


@dataclass(slots=True, kw_only=True)
class ProofExamination(ABC):
    """The results of the examination of a request's I_MESSAGE so far; each step may use earlier results."""

    desk: Desk
    limits: Limits
    pdu: ReceivedPdu
    now: Instant
    i_message: ProfileIMessage = field(init=False)
    ssv: bytes = field(init=False, repr=False)
    peer: str = ""

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """The purpose that the I_MESSAGE must have."""

    @property
    @abstractmethod
    def target(self) -> str:
        """The identity to which it must be encapsulated: this one, or one of its groups."""

    @property
    @abstractmethod
    def bound_to(self) -> bytes:
        """H(T1) of the request to which it must belong."""

    @property
    def replay_digest(self) -> bytes:
        """H(S(I_A)), the key of the replay cache."""
        return binding_hash(self.i_message.signed_part)

    @property
    def now_ntp_s(self) -> int:
        """The time of the examination in whole NTP seconds."""
        return int(self.now.ntp_s)


@dataclass(slots=True, kw_only=True)
class Examination(ProofExamination):
    """The results of the examination of a DCR so far."""

    request: DirectRequest = field(init=False)
    asked: Asked[DirectRequest] = field(init=False)
    policy: LinkPolicy = field(init=False)
    algorithms: ChosenAlgorithms = field(init=False)
    request_hash: bytes = b""
    deferred: Refusal | None = None
    own: Link | None = None
    """An own request of this UE to the sender, which continues beside the answer."""

    @property
    def kind(self) -> Kind:
        """The kind of I_MESSAGE that belongs to the purpose of the DCR."""
        return _KINDS[self.request.profile.purpose]

    @property
    def target(self) -> str:
        """The identity that the DCR names as target."""
        return self.request.target_user_info

    @property
    def bound_to(self) -> bytes:
        """H(T1) of the DCR."""
        return self.asked.t1_hash
