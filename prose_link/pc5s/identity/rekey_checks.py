"""The checks of a rekey: is a Request acceptable and what answers it, is a Response good (PROFILE 9)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import ClassVar, Final

from prose_link.errors import SECURITY, ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.fsm import RekeyState
from prose_link.pc5s.core.link import Link
from prose_link.pc5s.core.policy import RekeyContribution
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.transcript import Agreed, Asked
from prose_link.pc5s.identity.key_exchange import (
    NO_CONFIRMATION,
    BuiltAnswer,
    agree,
    build_rekey_response,
    rekey_asked,
    rekeyed_kd,
    response_t2,
)
from prose_link.pc5s.wire.messages import ChosenAlgorithms, RekeyingRequest, RekeyingResponse
from security.eccsi.eccsi import SIGNATURE_OCTETS
from security.link.key_ladder import binding_hash
from security.mikey import Kind

MAX_NONCE_ONLY_REKEYS: Final = 16
"""Rekeys by nonces alone under one KD (PROFILE 2)."""


class RekeyFault(ProseLinkError):
    """A Rekeying Request or Response is not acceptable."""

    exit_code: ClassVar[int] = SECURITY


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedResponse:
    """An acceptable Request of the peer's, with all that the Response takes."""

    half: Asked[RekeyingRequest]
    request_octets: bytes
    kd_sess_id: int
    algorithms: ChosenAlgorithms
    kd_born_ntp_s: float
    answer: BuiltAnswer = field(repr=False)


def needs_new_kd(desk: Desk, link: Link, now: Instant) -> bool:
    """Whether nonces alone will no longer do."""
    period_end, _ = desk.credentials.key_times(link.peer, link.keys.born_ntp_s)
    due_ntp_s = min(period_end, link.keys.born_ntp_s + desk.config.kd_age_s)
    return now.ntp_s >= due_ntp_s or link.keys.nonce_only_rekeys >= MAX_NONCE_ONLY_REKEYS


def prepare_response(desk: Desk, link: Link, octets: bytes, message: RekeyingRequest, now: Instant) -> PreparedResponse:
    """Check a Request and make the Response to it; raises SecurityError, ProseLinkError."""
    if not link.initiator and message.capabilities != link.capabilities:
        raise RekeyFault("capabilities differ from the set-up")
    algorithms = link.policy.choose(message.capabilities & link.capabilities)
    if algorithms is None:
        raise RekeyFault("no algorithms in common")
    if message.i_message is None and needs_new_kd(desk, link, now):
        raise RekeyFault("an I_MESSAGE is needed")
    half, ssv_a, born_ntp_s = _open_request(desk, link, message, now)
    lsb = desk.links.draw_lsb(message.kd_sess_id_msb, link.peer_l2, link.keys.used_ids, desk.random_bytes)
    if lsb is None:
        raise RekeyFault("no KD-sess ID is free")
    draft = RekeyingResponse(
        sequence_number=desk.outbox.next_sequence_number(),
        request_hash=half.request_hash,
        nonce_2=desk.random_bytes(16),
        algorithms=algorithms,
        kd_sess_id_lsb=lsb,
        confirmation=NO_CONFIRMATION,
    )
    gives = bool(ssv_a) and (link.terms.mutual or link.policy.rekey_contribution is RekeyContribution.ALWAYS)
    answer = build_rekey_response(
        draft,
        half,
        ssv_a=ssv_a,
        kd_previous=bytes(link.keys.kd_next),
        kdf=link.kdf,
        signer=desk.credentials if gives else None,
        to=link.peer,
        ntp_s=now.ntp_s,
    )
    return PreparedResponse(
        half=half,
        request_octets=octets,
        kd_sess_id=message.kd_sess_id_msb << 8 | lsb,
        algorithms=algorithms,
        kd_born_ntp_s=born_ntp_s,
        answer=answer,
    )


def _open_request(
    desk: Desk, link: Link, message: RekeyingRequest, now: Instant
) -> tuple[Asked[RekeyingRequest], bytes, float]:
    """The Request's half of the transcript, its SSV (b"" without I_MESSAGE) and when the KD will have been born."""
    if message.i_message is None:
        return rekey_asked(message, link.keys.tx, b""), b"", link.keys.born_ntp_s
    signed_part = message.i_message[:-SIGNATURE_OCTETS]
    half = rekey_asked(message, link.keys.tx, signed_part)
    ssv, born_ntp_s = _open(desk, link, message.i_message, Kind.REKEY_REQUEST, half.t1_hash, now)
    return half, ssv, born_ntp_s


def _open(desk: Desk, link: Link, octets: bytes, kind: Kind, bound_to: bytes, now: Instant) -> tuple[bytes, float]:
    """SSV and T of the peer's I_MESSAGE; raises SecurityError, RekeyFault."""
    credentials = desk.credentials
    i_message = credentials.check(octets, kind, bound_to, sender=link.peer)
    if not credentials.accepts_period(i_message, now.ntp_s):
        raise RekeyFault("key period not acceptable now")
    credentials.verify(i_message)
    return credentials.open(i_message), i_message.ntp_s


def check_response(desk: Desk, link: Link, message: RekeyingResponse, now: Instant) -> Agreed:
    """The keys a Response leads to; raises SecurityError, RekeyFault."""
    half = link.rekey.asked
    if link.rekey.state is not RekeyState.WAIT_RESPONSE or half is None:
        raise RekeyFault("no open rekeying request")
    if message.request_hash != half.request_hash:
        raise RekeyFault("answers another request")
    chosen, offered = message.algorithms, half.message.capabilities & link.capabilities
    if chosen.eea not in offered.eea or chosen.eia not in offered.eia or not link.policy.allows(chosen):
        raise RekeyFault("algorithms were not offered")
    if half.message.kd_sess_id_msb << 8 | message.kd_sess_id_lsb in link.keys.used_ids:
        raise RekeyFault("KD-sess ID was used before")
    asked_new, given_new = half.message.i_message is not None, message.i_message is not None
    if (given_new and not asked_new) or (asked_new and link.terms.mutual and not given_new):
        raise RekeyFault("I_MESSAGE missing, or not asked for")
    t2, ssv_b, signed_b = response_t2(half, message), b"", b""
    if message.i_message is not None:
        ssv_b, _ = _open(desk, link, message.i_message, Kind.REKEY_RESPONSE, binding_hash(t2), now)
        signed_b = message.i_message[:-SIGNATURE_OCTETS]
    kd = rekeyed_kd(half, t2, ssv_a=bytes(link.rekey.ssv), ssv_b=ssv_b or None, kd_previous=bytes(link.keys.kd_next))
    agreed = agree(half, t2, message, kd=kd, kdf=link.kdf, signed_b=signed_b)
    if not hmac.compare_digest(agreed.keys.conf_r, message.confirmation):
        raise RekeyFault("key confirmation differs")
    return agreed
