"""Bounds of the work that a UE does for messages of other parties (PROFILE 2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from prose_link.pc5s.core.buckets import PAIR_ALL, PAIR_PER_SIGNER, Buckets
from prose_link.pc5s.core.passed_over import PassedOver
from prose_link.pc5s.core.replay import RefusedRing
from prose_link.pc5s.core.verify_budget import VerifyBudget


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of all examinations of one UE."""

    verify: VerifyBudget
    pair: Buckets = field(default_factory=lambda: Buckets(PAIR_ALL, PAIR_PER_SIGNER))
    refused: RefusedRing = field(default_factory=RefusedRing)
    passed_over: PassedOver = field(default_factory=PassedOver)
