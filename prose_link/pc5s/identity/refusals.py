"""The report of a refused DCR, and the Reject to its sender if there is one (PROFILE 6)."""

from __future__ import annotations

from typing import Final

from prose_link.pc5s.core.events import RequestRefused
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.identity.examination import Examination, Refusal
from prose_link.pc5s.wire.codec import encode
from prose_link.pc5s.wire.messages import Cause, DirectReject

REJECT_HASH_OCTETS: Final = 8
"""Octets of HR that a Reject carries (PROFILE 3)."""
_UNVERIFIED_STEPS: Final = frozenset({4, 5, 10})
"""Steps for which the lab switch `reject_unverified` sends cause 2 instead of nothing."""


def refuse(exam: Examination, refusal: Refusal) -> None:
    """Report a refusal, and send a Reject if it has a cause.

    The Reject is remembered only if the sender was verified.
    """
    desk = exam.desk
    unverified = refusal.cause is None and refusal.step in _UNVERIFIED_STEPS and desk.config.reject_unverified
    cause = Cause.AUTHENTICATION_FAILURE if unverified else refusal.cause
    desk.outbox.counters[refusal.why] += 1
    desk.outbox.emit(
        RequestRefused(
            step=refusal.step,
            cause=cause,
            why=refusal.why,
            detail=refusal.detail,
            peer=exam.peer,
            peer_l2=exam.pdu.src_l2,
        )
    )
    if cause is None or not exam.request_hash:
        return
    reject = _reject(desk, exam.request_hash, cause)
    desk.send_plain(reject, exam.pdu.sender)
    if not unverified:
        exam.limits.refused.add(exam.request_hash, reject)


def _reject(desk: Desk, request_hash: bytes, cause: Cause) -> bytes:
    sequence_number = desk.outbox.next_sequence_number()
    shortened = request_hash[:REJECT_HASH_OCTETS]
    return encode(DirectReject(sequence_number=sequence_number, cause=cause, request_hash=shortened))
