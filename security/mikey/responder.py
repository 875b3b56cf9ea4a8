"""The receiving end of plain MIKEY-SAKKE, RFC 6509: from octets to a TGK, or to the number of the error."""

from __future__ import annotations

from dataclasses import dataclass, field

from security.errors import SecurityError
from security.identifiers import IdentityError, KeyRing, KmsDomain
from security.mikey.error_message import error_number
from security.mikey.errors import ErrorNumber, MikeyError
from security.mikey.freshness import Freshness, ReplayCache
from security.mikey.i_message import IMessage, extract_ssv, parse_i_message, verify_i_message
from security.mikey.key_derivation import KeyConstant, derive_key
from security.mikey.numbers import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedKey:
    """The key of a good I_MESSAGE. The repr does not show the TGK (16 octets)."""

    initiator: str
    responder: str
    i_message: IMessage = field(repr=False)
    tgk: bytes = field(repr=False)

    def derive(self, constant: KeyConstant, *, cs_id: int, length: int) -> bytes:
        """TEK, authentication key, encryption key or salt of a crypto session (RFC 3830 4.1.3, 4.1.4)."""
        header = self.i_message.message.header
        return derive_key(
            self.tgk,
            constant=constant,
            cs_id=cs_id,
            csb_id=header.csb_id,
            rand=self.i_message.rand,
            length=length,
            function=header.prf,
        )


class Responder:
    """Receives I_MESSAGEs for the identities of a key ring, whose ends may belong to different KMSs."""

    def __init__(self, ring: KeyRing, cache: ReplayCache) -> None:
        self._ring = ring
        self._cache = cache

    def receive(self, octets: bytes, *, now_ntp_s: float) -> ReceivedKey:
        """Check form, identities, time and signature, then open the key. Raises MikeyError with the RFC's number."""
        try:
            return self._receive(octets, now_ntp_s)
        except MikeyError:
            raise
        except SecurityError as exc:
            raise MikeyError(str(exc), error_number(exc)) from exc

    def _receive(self, octets: bytes, now_ntp_s: float) -> ReceivedKey:
        i_message = parse_i_message(octets)
        t = i_message.timestamp.ntp_s
        initiator, signer = self._end(i_message, Role.INITIATOR, Role.INITIATOR_KMS)
        responder, receiver = self._end(i_message, Role.RESPONDER, Role.RESPONDER_KMS)
        if i_message.sakke.scheme != receiver.uid_scheme:
            raise IdentityError(f"identifier scheme {i_message.sakke.scheme} is not the receiver's KMS's")
        keys = self._ring.keys_for(responder, receiver.period_of(t))
        verdict = self._cache.judge(i_message, domains=(signer, receiver), now_ntp_s=now_ntp_s)
        if verdict != Freshness.FRESH:
            raise MikeyError(f"the I_MESSAGE's time: {verdict}", ErrorNumber.INVALID_TIMESTAMP)
        verify_i_message(i_message, uid=signer.uid(initiator, t), kpak=signer.kpak)
        self._cache.remember(i_message, domains=(signer, receiver))
        tgk = extract_ssv(i_message, rsk=keys.rsk, uid=keys.uid, z=receiver.z)
        return ReceivedKey(initiator=initiator, responder=responder, i_message=i_message, tgk=tgk)

    def _end(self, i_message: IMessage, role: Role, kms_role: Role) -> tuple[str, KmsDomain]:
        """The identity of an end, and the one trusted KMS that speaks for it; the message may name no other KMS."""
        uri = i_message.role_uri(role)
        if uri is None:
            raise MikeyError(f"no {role.name.lower()} is named", ErrorNumber.INVALID_ID)
        domain = self._ring.domain_of(uri)
        for stated in i_message.role_uris(kms_role) or i_message.role_uris(Role.KMS):
            if stated != domain.uri:
                raise IdentityError(f"{stated} does not speak for {uri}")
        return uri, domain
