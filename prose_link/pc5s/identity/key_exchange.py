"""The messages that carry I_MESSAGEs, and the keys derived from them (PROFILE 4, 5, 9).

The order of the steps follows from what covers what. A message is encoded without its proofs; these octets are T1 or
T2. Their hash goes into the general extension of the I_MESSAGE, which is signed. The signed part S(I) and T1 give HR,
both halves together give TX, and all keys depend on TX. The key confirmation comes last, because it is computed with
the session key over TX. So no octet of either message can change without changing the keys.

The `build_*` functions take a draft of the message without its proofs, and add I_MESSAGE and key confirmation. Tests of
dishonest peers pass other drafts, kinds, hashes, times or keys to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Generic, TypeVar

from prose_link.pc5s.core.credentials import Credentials, IssuedIMessage
from prose_link.pc5s.core.transcript import _M, Agreed, Asked
from prose_link.pc5s.wire.codec import encode, encode_head
from prose_link.pc5s.wire.messages import DirectAccept, DirectRequest, Kdf, RekeyingRequest, RekeyingResponse
from security.link.key_ladder import (
    KDF_PROFILES,
    binding_hash,
    derive_kd,
    derive_kd_next,
    derive_session_keys,
    key_proof,
    link_hash,
    rekey_transcript_t1,
    rekey_transcript_t2,
    request_hash,
    transcript_t1,
    transcript_t2,
)
from security.mikey import Kind

NO_CONFIRMATION: Final = bytes(16)
"""The value of conf_R in a draft."""

_Bound = TypeVar("_Bound", DirectRequest, RekeyingRequest)
_Answer = TypeVar("_Answer", DirectAccept, RekeyingResponse)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltRequest(Generic[_M]):
    """A request ready to be sent, with the SSV inside its I_MESSAGE (b"" where it has none)."""

    octets: bytes
    asked: Asked[_M]
    ssv: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltAnswer:
    """An Accept or Rekeying Response ready to be sent, and the keys that follow from it."""

    octets: bytes
    mutual: bool
    agreed: Agreed = field(repr=False)


def asked(message: DirectRequest, signed_part: bytes) -> Asked[DirectRequest]:
    """The transcript half of a DCR; `signed_part` is S of its I_MESSAGE."""
    t1 = transcript_t1(encode_head(message))
    return Asked(message=message, t1=t1, signed_part=signed_part, request_hash=request_hash(t1, signed_part))


def rekey_asked(message: RekeyingRequest, previous_tx: bytes, signed_part: bytes) -> Asked[RekeyingRequest]:
    """The transcript half of a Rekeying Request; `previous_tx` is TX of the context in use."""
    t1 = rekey_transcript_t1(previous_tx, encode_head(message))
    return Asked(message=message, t1=t1, signed_part=signed_part, request_hash=request_hash(t1, signed_part))


def build_request(
    draft: DirectRequest,
    signer: Credentials,
    *,
    ntp_s: float,
    to: str | None = None,
    kind: int = Kind.REQUEST,
    bound_to: bytes | None = None,
    ssv: bytes | None = None,
) -> BuiltRequest[DirectRequest]:
    """A DCR from a draft without I_MESSAGE. Raises MalformedMessage, SecurityError.

    `to`: the identity to which the SSV is encapsulated, by default the target; `bound_to`: 32 octets in place of H(T1);
    `ssv`: the 16 octets to carry, by default random.
    """
    own_hash = binding_hash(transcript_t1(encode_head(draft)))
    issued = signer.issue(kind, bound_to or own_hash, to=to or draft.target_user_info, ntp_s=ntp_s, ssv=ssv)
    message = replace(draft, i_message=issued.octets)
    return BuiltRequest(octets=encode(message), asked=asked(message, issued.signed_part), ssv=issued.ssv)


def build_rekey_request(
    draft: RekeyingRequest, previous_tx: bytes, signer: Credentials | None, *, to: str, ntp_s: float
) -> BuiltRequest[RekeyingRequest]:
    """A Rekeying Request from a draft; with a signer it carries an I_MESSAGE.

    Raises MalformedMessage, SecurityError.
    """
    t1_hash = binding_hash(rekey_transcript_t1(previous_tx, encode_head(draft)))
    issued = _issued(signer, Kind.REKEY_REQUEST, t1_hash, to=to, ntp_s=ntp_s)
    message = replace(draft, i_message=issued.octets or None)
    half = rekey_asked(message, previous_tx, issued.signed_part)
    return BuiltRequest(octets=encode(message), asked=half, ssv=issued.ssv)


def build_accept(
    draft: DirectAccept, half: Asked[DirectRequest], *, ssv_a: bytes, signer: Credentials | None, ntp_s: float
) -> BuiltAnswer:
    """A DCA from a draft without proofs; with a signer it carries that identity's I_MESSAGE.

    Raises MalformedMessage, SecurityError.
    """
    t2 = accept_t2(half, draft)
    issued = _issued(signer, Kind.ACCEPT, binding_hash(t2), to=half.message.user_info, ntp_s=ntp_s)
    kd = contributed_kd(half, t2, ssv_a=ssv_a, ssv_b=issued.ssv or None)
    agreed = agree(half, t2, draft, kd=kd, kdf=half.message.profile.kdf, signed_b=issued.signed_part)
    proof = accept_key_proof(half, t2, issued.signed_part, ssv_a=ssv_a) if issued.octets else None
    return _answered(replace(draft, key_proof=proof), issued, agreed)


def build_rekey_response(
    draft: RekeyingResponse,
    half: Asked[RekeyingRequest],
    *,
    ssv_a: bytes,
    kd_previous: bytes,
    kdf: Kdf,
    signer: Credentials | None,
    to: str,
    ntp_s: float,
) -> BuiltAnswer:
    """A Rekeying Response from a draft without proofs; `ssv_a` is b"" if the Request brought none.

    `kd_previous`: KD-next of the context in use. Raises MalformedMessage, SecurityError.
    """
    t2 = response_t2(half, draft)
    issued = _issued(signer, Kind.REKEY_RESPONSE, binding_hash(t2), to=to, ntp_s=ntp_s)
    kd = rekeyed_kd(half, t2, ssv_a=ssv_a, ssv_b=issued.ssv or None, kd_previous=kd_previous)
    agreed = agree(half, t2, draft, kd=kd, kdf=kdf, signed_b=issued.signed_part)
    return _answered(draft, issued, agreed)


def accept_t2(half: Asked[DirectRequest], accept: DirectAccept) -> bytes:
    """T2 of a DCA that answers a request."""
    return transcript_t2(half.request_hash, encode_head(accept))


def accept_key_proof(half: Asked[DirectRequest], t2: bytes, signed_b: bytes, *, ssv_a: bytes) -> bytes:
    """The Key proof of a DCA with an I_MESSAGE whose signed part is `signed_b`."""
    return key_proof(ssv_a, half.request_hash, binding_hash(t2), binding_hash(signed_b))


def response_t2(half: Asked[RekeyingRequest], response: RekeyingResponse) -> bytes:
    """T2 of a Rekeying Response that answers a request."""
    return rekey_transcript_t2(half.request_hash, encode_head(response))


def contributed_kd(
    half: Asked[_Bound], t2: bytes, *, ssv_a: bytes, ssv_b: bytes | None, kd_previous: bytes = b""
) -> bytes:
    """KD, 32 octets, from the SSVs and the transcripts; at a rekey also from KD-next."""
    return derive_kd(ssv_a, ssv_b, half.t1_hash, binding_hash(t2), kd_previous)


def rekeyed_kd(
    half: Asked[RekeyingRequest], t2: bytes, *, ssv_a: bytes, ssv_b: bytes | None, kd_previous: bytes
) -> bytes:
    """KD of a rekey: KD-next of the context in use, unless the Request brought an SSV."""
    if not ssv_a:
        return kd_previous
    return contributed_kd(half, t2, ssv_a=ssv_a, ssv_b=ssv_b, kd_previous=kd_previous)


def agree(
    half: Asked[_Bound], t2: bytes, answer: DirectAccept | RekeyingResponse, *, kd: bytes, kdf: Kdf, signed_b: bytes
) -> Agreed:
    """TX, KD-next and session keys from KD and both halves of the transcript; `signed_b` is S(I_B), b"" without one."""
    tx = link_hash(half.t1, half.signed_part, t2, signed_b)
    keys = derive_session_keys(
        kd,
        profile=KDF_PROFILES[kdf],
        nonce_1=half.message.nonce_1,
        nonce_2=answer.nonce_2,
        tx=tx,
        eea=answer.algorithms.eea,
        eia=answer.algorithms.eia,
    )
    return Agreed(kd_next=derive_kd_next(kd, tx), tx=tx, keys=keys)


_NOTHING_ISSUED: Final = IssuedIMessage(octets=b"", signed_part=b"", ssv=b"")


def _issued(signer: Credentials | None, kind: Kind, bound_to: bytes, *, to: str, ntp_s: float) -> IssuedIMessage:
    return signer.issue(kind, bound_to, to=to, ntp_s=ntp_s) if signer else _NOTHING_ISSUED


def _answered(draft: _Answer, issued: IssuedIMessage, agreed: Agreed) -> BuiltAnswer:
    message = replace(draft, i_message=issued.octets or None, confirmation=agreed.keys.conf_r)
    return BuiltAnswer(octets=encode(message), mutual=bool(issued.octets), agreed=agreed)
