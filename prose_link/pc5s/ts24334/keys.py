"""Keys and signatures of the `ts24334` profile: KD in a SAKKE payload, ECCSI signatures over the messages themselves.

The text of the standard for the signed octets, and for the derivation of KD from an SSV, was not available. Both are
this lab's reading, and are in this file only. The ladder below KD has the shape of TS 33.303 6.5.3 with the FC numbers
of `security.link.key_ladder`'s tables.
"""

from __future__ import annotations

from typing import Final

from prose_link.pc5s.core.credentials import Credentials, RandomBytes
from prose_link.pc5s.core.transcript import Agreed
from prose_link.pc5s.ts24334.codec import encode_unsigned
from prose_link.pc5s.ts24334.messages import SecurityModeCommand, SignedRequest
from prose_link.pc5s.wire.messages import ChosenAlgorithms
from security import sakke
from security.eccsi import eccsi
from security.eccsi.eccsi import SignatureError
from security.identifiers import KmsDomain
from security.link.kdf import kdf
from security.link.key_ladder import FC_P, KdfProfile, SessionKeys, derive_pek, derive_pik, length_prefixed

LABEL: Final = b"pc5lab ts24334 v1 "
"""Domain separation of every signature and of KD (P)."""
SIGNING_ENTROPY_OCTETS: Final = 32


def request_to_sign(request: SignedRequest) -> bytes:
    """The octets that UE_1 signs: the Request without its Signature IE (P)."""
    return LABEL + b"request" + encode_unsigned(request)


def command_to_sign(request_octets: bytes, command: SecurityModeCommand) -> bytes:
    """The octets that UE_2 signs: the whole Request that it answers and the Command without its Signature IE (P)."""
    return LABEL + b"command" + length_prefixed(request_octets) + length_prefixed(encode_unsigned(command))


def sign(message: bytes, signer: Credentials, random_bytes: RandomBytes, ntp_s: float) -> bytes:
    """ECCSI signature, 129 octets, under the keys of the period of a time; raises SecurityError."""
    keys = signer.keys_at(signer.uri, ntp_s)
    return eccsi.sign(
        message,
        ssk=keys.ssk,
        pvt=keys.pvt,
        uid=keys.uid,
        kpak=signer.own_domain.kpak,
        entropy=random_bytes(SIGNING_ENTROPY_OCTETS),
    )


def verify(message: bytes, signature: bytes, signer: str, credentials: Credentials, ntp_s: float) -> None:
    """Verify a signature of an identity in a key period that may be used now; the messages hold no time.

    Raises SignatureError, IdentityError.
    """
    domain = credentials.domain_of(signer)
    faults = []
    for period in usable_periods(credentials, domain, ntp_s):
        try:
            return eccsi.verify(message, signature, uid=domain.uid_for_period(signer, period), kpak=domain.kpak)
        except SignatureError as error:
            faults.append(str(error))
    raise SignatureError(f"no key period of now: {', '.join(faults)}")


def usable_periods(credentials: Credentials, domain: KmsDomain, ntp_s: float) -> list[int]:
    """The key periods of a KMS that may be used at a time, the present one first (day rules, RFC 6509 3.3).

    Periods that are over by the time floor are left out.
    """
    overlap_s = domain.overlap_s()
    times = (ntp_s, ntp_s - overlap_s, ntp_s + overlap_s)
    periods = dict.fromkeys(domain.period_of(time) for time in times)
    return [period for period in periods if not credentials.has_ended(domain.uri, period)]


def encapsulate(ssv: bytes, receiver: str, credentials: Credentials, ntp_s: float) -> bytes:
    """Encrypted payload, 273 octets, for an identity in this key period; raises SecurityError."""
    domain = credentials.domain_of(receiver)
    return sakke.encapsulate(ssv, domain.uid(receiver, ntp_s), domain.z)


def decapsulate(payload: bytes, credentials: Credentials, ntp_s: float) -> bytes:
    """The SSV of an Encrypted payload to this identity; raises SecurityError."""
    domain = credentials.own_domain
    fault: sakke.DecapsulationError | None = None
    held = {keys.key_period_no: keys for keys in credentials.key_ring.users if keys.uri == credentials.uri}
    for period in usable_periods(credentials, domain, ntp_s):
        if period in held:
            try:
                return sakke.decapsulate(payload, rsk=held[period].rsk, uid=held[period].uid, z=domain.z)
            except sakke.DecapsulationError as error:
                fault = error
    raise fault or sakke.DecapsulationError("no keys held for this period")


def agree(ssv: bytes, table: KdfProfile, nonce_1: bytes, nonce_2: bytes, chosen: ChosenAlgorithms) -> Agreed:
    """KD (P), KD-sess, PEK and PIK (TS 33.303 A.4 shape) from an SSV of 16 octets; no confirmations, no transcript."""
    kd = kdf(ssv, FC_P, LABEL + b"KD")
    kd_sess = kdf(kd, table.fc_sess, nonce_1, nonce_2)
    keys = SessionKeys(
        kd_sess=kd_sess,
        pek=derive_pek(kd_sess, table, chosen.eea),
        pik=derive_pik(kd_sess, table, chosen.eia),
        conf_r=b"",
        conf_i=b"",
    )
    return Agreed(kd_next=b"", tx=b"", keys=keys)


def new_ssv(credentials: Credentials, receiver: str, ntp_s: float) -> bytes:
    """16 random octets whose encapsulation to the receiver every implementation reads alike."""
    return credentials.draw_ssv((receiver,), ntp_s)
