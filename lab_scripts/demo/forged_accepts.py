"""Accepts that answer a Request in its target's name, made by an attacker that heard it and has no key of the target.

A UE that hears a Request has everything for an Accept except three things: the target's signature, the secret in the
Request, and so the key confirmation. The forger makes these up. Each Accept has a nonce of its own, hence a transcript
of its own, so that no two are alike and none is known from the one before. The kinds differ in the work that they cost
the requesting UE: a hash, the comparison of a Key proof, or the verification of a signature.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import count
from typing import Final

from prose_link.pc5s.core.credentials import Credentials
from prose_link.pc5s.core.transcript import Asked
from prose_link.pc5s.identity.key_exchange import NO_CONFIRMATION, accept_t2, asked, build_accept
from prose_link.pc5s.wire.codec import decode, encode
from prose_link.pc5s.wire.messages import ChosenAlgorithms, DirectAccept, DirectRequest, IpAddressConfig, Mutual
from security.link.key_ladder import binding_hash
from security.mikey import parse_profile_i_message

KINDS: Final = ("no I_MESSAGE", "bad signature", "bad key proof")
"""The kinds that an attacker without keys can make."""
OTHER_CHOICE: Final = "other choice"
"""Without an I_MESSAGE, and with another word about mutual authentication than the Request's."""
ANOTHER_SIGNER: Final = "another signer"
"""With an I_MESSAGE of a provisioned user who is not the target, who must be at hand."""
_OTHER: Final = {
    Mutual.NOT_WANTED: Mutual.WANTED,
    Mutual.WANTED: Mutual.NOT_WANTED,
    Mutual.REQUIRED: Mutual.NOT_WANTED,
}
_NONCE_OCTETS: Final = 16
_KEY_PROOF_OCTETS: Final = 8


def half_heard(request_octets: bytes) -> Asked[DirectRequest]:
    """What a listener knows of an exchange after its Request; raises as `AcceptForger` does."""
    request = decode(request_octets)
    if not isinstance(request, DirectRequest):
        raise TypeError(f"{type(request).__name__} is no Request")
    return asked(request, parse_profile_i_message(request.i_message).signed_part)


class AcceptForger:
    """Makes Accepts for one Request.

    Args:
        request_octets: the Request as it was heard.
        link_l2_id: the layer-2 id that the Accepts name and come from.
        signer: signs as the target, with keys that no KMS issued.
        ntp_s: the time that the I_MESSAGEs bear, NTP seconds.
        insider: another user of the target's KMS, for Accepts of the kind `ANOTHER_SIGNER`.

    Raises:
        prose_link.pc5s.wire.ies.MalformedMessage: these octets are no message.
        security.errors.SecurityError: the Request's I_MESSAGE can't be read.
    """

    def __init__(
        self,
        request_octets: bytes,
        *,
        link_l2_id: int,
        signer: Credentials,
        ntp_s: float,
        insider: Credentials | None = None,
    ) -> None:
        self.half = half_heard(request_octets)
        self._draft = _draft(self.half, link_l2_id)
        self._template = self._signed_by(signer, ntp_s)
        self._of_insider = None if insider is None else self._signed_by(insider, ntp_s)
        self._numbers = count()

    def forge(self, kind: str = "") -> bytes:
        """Make another Accept, of a kind, or of `KINDS` in turn.

        Raises ValueError if there is no insider to sign it.
        """
        number = next(self._numbers)
        noise = hashlib.sha256(b"forged accept %d" % number).digest()
        nonce, confirmation = noise[:_NONCE_OCTETS], noise[_NONCE_OCTETS:]
        kind = kind or KINDS[number % len(KINDS)]
        if kind in ("no I_MESSAGE", OTHER_CHOICE):
            profile = self._draft.profile
            if kind == OTHER_CHOICE:
                profile = replace(profile, mutual=_OTHER[profile.mutual])
            return encode(replace(self._draft, profile=profile, nonce_2=nonce, confirmation=confirmation))
        template = self._of_insider if kind == ANOTHER_SIGNER else self._template
        if template is None:
            raise ValueError(f"an Accept of the kind {kind!r} takes an insider")
        message = replace(template, nonce_2=nonce, confirmation=confirmation, key_proof=None)
        assert message.i_message is not None
        bound = message.i_message.replace(self._bound_to(template), self._bound_to(message))
        proof = noise[:_KEY_PROOF_OCTETS] if kind == "bad key proof" else None
        return encode(replace(message, i_message=bound, key_proof=proof))

    def _signed_by(self, signer: Credentials, ntp_s: float) -> DirectAccept:
        built = build_accept(self._draft, self.half, ssv_a=bytes(_NONCE_OCTETS), signer=signer, ntp_s=ntp_s)
        template = decode(built.octets)
        assert isinstance(template, DirectAccept)
        return template

    def _bound_to(self, accept: DirectAccept) -> bytes:
        return binding_hash(accept_t2(self.half, accept))


def _draft(half: Asked[DirectRequest], link_l2_id: int) -> DirectAccept:
    """An Accept as the target would make it, without proofs."""
    request = half.message
    return DirectAccept(
        sequence_number=1,
        ip_address_config=IpAddressConfig.NOT_SUPPORTED,
        user_info=request.target_user_info,
        link_l2_id=link_l2_id,
        profile=request.profile,
        request_hash=half.request_hash,
        nonce_2=bytes(_NONCE_OCTETS),
        algorithms=ChosenAlgorithms(eea=2, eia=2),
        kd_sess_id_lsb=7,
        confirmation=NO_CONFIRMATION,
    )
