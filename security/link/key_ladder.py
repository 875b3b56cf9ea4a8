"""Keys of a direct connection: transcripts, KD, KD-sess, PEK and PIK of the `identity` profile; pure functions.

The keys form a ladder. The two SSVs and the hashes of both messages give KD. KD, the nonces and the transcript TX give
KD-sess, the key of one session. KD-sess gives PEK (ciphering), PIK (integrity) and the two key confirmations. KD and TX
give KD-next, on which the next rekey builds, so that KD itself can be wiped. A group has a ladder of its own: SSV, PGK,
PTK of a sender, PEK. Every step is the KDF of TS 33.220 with its own FC number. The transcripts bind the keys to all
octets of both messages: any altered octet gives other keys. PROFILE 4 and 5 define the transcripts and keys.

S marks what a standard fixes, P the project's own profile, U a number that could not be confirmed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from security.errors import SecurityError
from security.link.kdf import kdf

FC_P = 0xF0
"""FC of the project's own derivations, which carry a label as P0 (P)."""
FC_PTK = 0x4A
"""TS 33.303 A.3 (S)."""
SSV_OCTETS = 16
NONCE_OCTETS = 16
HASH_OCTETS = 32
KEY_OCTETS = 16
CONFIRMATION_OCTETS = 16
KEY_PROOF_OCTETS = 8
TAG_OCTETS = 8
MODE_ONE_WAY = b"\x00"
MODE_MUTUAL = b"\x01"
CIPHERING_KEY = b"\x00"
INTEGRITY_KEY = b"\x01"


class KeyScheduleError(SecurityError):
    """An input of the key schedule has the wrong length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KdfProfile:
    """One table of FC numbers; `confirmed`: checked against the specification's text."""

    name: str
    fc_sess: int
    fc_alg: int
    confirmed: bool


FC33303 = KdfProfile(name="fc33303", fc_sess=0x5E, fc_alg=0x4B, confirmed=False)
"""TS 33.303 A.4 numbers from memory (U)."""
FC33536 = KdfProfile(name="fc33536", fc_sess=0x7F, fc_alg=0x7E, confirmed=True)
"""TS 33.536 A.3 and A.4 numbers, of the NR successor (S)."""
KDF_PROFILES: Mapping[int, KdfProfile] = MappingProxyType({0: FC33303, 1: FC33536})
"""High nibble of the profile octet -> table."""


def label(name: str) -> bytes:
    """L(s) = "pc5lab identity v1 " || s, octets (PROFILE 1)."""
    return b"pc5lab identity v1 " + name.encode("ascii")


def length_prefixed(octets: bytes) -> bytes:
    """lp(x) = 4-octet length of x || x."""
    return len(octets).to_bytes(4, "big") + octets


def transcript_t1(dcr_prefix: bytes) -> bytes:
    """T1: every octet of the DCR before the 0x78 IEI, under its label."""
    return label("DCR") + dcr_prefix


def transcript_t2(request_hash_octets: bytes, dca_prefix: bytes) -> bytes:
    """T2: HR and every octet of the DCA before the 0x78 IEI, or, without one, before the 0x44 IEI."""
    return label("DCA") + _sized(request_hash_octets, HASH_OCTETS, "HR") + dca_prefix


def rekey_transcript_t1(previous_link_hash: bytes, request_prefix: bytes) -> bytes:
    """T1 of a rekey (PROFILE 4): TX of the context in use and the Rekeying Request's octets before 0x78, or all."""
    return label("RKQ") + _sized(previous_link_hash, HASH_OCTETS, "TX") + request_prefix


def rekey_transcript_t2(request_hash_octets: bytes, response_prefix: bytes) -> bytes:
    """T2 of a rekey (PROFILE 4): HR and the octets of the Rekeying Response before 0x78 or 0x44."""
    return label("RKS") + _sized(request_hash_octets, HASH_OCTETS, "HR") + response_prefix


def binding_hash(transcript: bytes) -> bytes:
    """H(T1) or H(T2), 32 octets: the hash in the I_MESSAGE's general extension."""
    return hashlib.sha256(transcript).digest()


def binding_hash_t1(dcr_prefix: bytes) -> bytes:
    """H(T1) of the octets of a DCR before the 0x78 IEI."""
    return binding_hash(transcript_t1(dcr_prefix))


def binding_hash_t2(request_hash_octets: bytes, dca_prefix: bytes) -> bytes:
    """H(T2) of HR and the octets of a DCA before the 0x78 IEI, or before the 0x44 IEI."""
    return binding_hash(transcript_t2(request_hash_octets, dca_prefix))


def request_hash(t1: bytes, signed_a: bytes) -> bytes:
    """HR = H(L("req") || lp(T1) || lp(S(I_A))) (32 octets): names the request in an answer."""
    return hashlib.sha256(label("req") + length_prefixed(t1) + length_prefixed(signed_a)).digest()


def link_hash(t1: bytes, signed_a: bytes, t2: bytes, signed_b: bytes = b"") -> bytes:
    """TX over both transcripts and both signed parts (32 octets); S(I_B) empty when B sends no I_MESSAGE."""
    parts = (t1, signed_a, t2, signed_b)
    return hashlib.sha256(label("link") + b"".join(length_prefixed(part) for part in parts)).digest()


def derive_kd(ssv_a: bytes, ssv_b: bytes | None, hash_t1: bytes, hash_t2: bytes, kd_previous: bytes = b"") -> bytes:
    """KD (32 octets) from both SSVs of 16 octets, H(T1), H(T2), and at a rekey KD-next of the context in use.

    Raises KeyScheduleError.
    """
    mode = MODE_ONE_WAY if ssv_b is None else MODE_MUTUAL
    second = bytes(SSV_OCTETS) if ssv_b is None else ssv_b
    contributions = _sized(ssv_a, SSV_OCTETS, "SSV_A") + _sized(second, SSV_OCTETS, "SSV_B")
    return kdf(contributions, FC_P, label("KD"), mode, hash_t1, hash_t2, kd_previous)


def derive_kd_next(kd: bytes, tx: bytes) -> bytes:
    """KD-next (32 octets), from which the next rekey derives its KD. Raises KeyScheduleError (PROFILE 5).

    It opens no context that was made from KD: a KDF can't be inverted.
    """
    return kdf(kd, FC_P, label("KD-next"), _sized(tx, HASH_OCTETS, "TX"))


def derive_kd_sess(kd: bytes, profile: KdfProfile, nonce_1: bytes, nonce_2: bytes, tx: bytes) -> bytes:
    """KD-sess (32 octets) from KD, two nonces of 16 octets and TX; raises KeyScheduleError."""
    nonces = (_sized(nonce_1, NONCE_OCTETS, "Nonce_1"), _sized(nonce_2, NONCE_OCTETS, "Nonce_2"))
    return kdf(kd, profile.fc_sess, *nonces, _sized(tx, HASH_OCTETS, "TX"))


def derive_pek(kd_sess: bytes, profile: KdfProfile, eea: int) -> bytes:
    """PEK (16 octets) for a ciphering algorithm 0..7; the one-to-many PEK comes the same way from a PTK."""
    return kdf(kd_sess, profile.fc_alg, CIPHERING_KEY, bytes([eea]))[-KEY_OCTETS:]


def derive_pik(kd_sess: bytes, profile: KdfProfile, eia: int) -> bytes:
    """PIK (16 octets) for an integrity algorithm 0..7."""
    return kdf(kd_sess, profile.fc_alg, INTEGRITY_KEY, bytes([eia]))[-KEY_OCTETS:]


def key_proof(ssv_a: bytes, request_hash_octets: bytes, hash_t2: bytes, hash_signed_b: bytes) -> bytes:
    """The Key proof, 8 octets, which only the holder of RSK_B can compute; raises KeyScheduleError (PROFILE 6).

    `hash_t2` is H(T2), `hash_signed_b` H(S(I_B)), 32 octets each.
    """
    hashes = (request_hash_octets, hash_t2, hash_signed_b)
    return kdf(
        _sized(ssv_a, SSV_OCTETS, "SSV_A"), FC_P, label("pre"), *(_sized(one, HASH_OCTETS, "hash") for one in hashes)
    )[:KEY_PROOF_OCTETS]


def conf_r(kd_sess: bytes, tx: bytes) -> bytes:
    """B's key confirmation (16 octets)."""
    return kdf(kd_sess, FC_P, label("conf-R"), tx)[:CONFIRMATION_OCTETS]


def conf_i(kd_sess: bytes, tx: bytes) -> bytes:
    """A's key confirmation (16 octets)."""
    return kdf(kd_sess, FC_P, label("conf-I"), tx)[:CONFIRMATION_OCTETS]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKeys:
    """The keys of one KD-sess: 32 octets of it, 16 each of PEK, PIK, conf_R, conf_I. Its repr shows none."""

    kd_sess: bytes = field(repr=False)
    pek: bytes = field(repr=False)
    pik: bytes = field(repr=False)
    conf_r: bytes = field(repr=False)
    conf_i: bytes = field(repr=False)


def derive_session_keys(
    kd: bytes, *, profile: KdfProfile, nonce_1: bytes, nonce_2: bytes, tx: bytes, eea: int, eia: int
) -> SessionKeys:
    """All keys of a session from KD of 32 octets; raises KeyScheduleError (PROFILE 5)."""
    kd_sess = derive_kd_sess(kd, profile, nonce_1, nonce_2, tx)
    return SessionKeys(
        kd_sess=kd_sess,
        pek=derive_pek(kd_sess, profile, eea),
        pik=derive_pik(kd_sess, profile, eia),
        conf_r=conf_r(kd_sess, tx),
        conf_i=conf_i(kd_sess, tx),
    )


def derive_pgk(ssv: bytes, *, keyer: str, group_info: bytes) -> bytes:
    """PGK (32 octets) from the SSV of a keying message, its keyer and its Group info; raises KeyScheduleError (P)."""
    return kdf(_sized(ssv, SSV_OCTETS, "SSV"), FC_P, label("PGK"), keyer.encode("ascii"), group_info)


def derive_pgk_tag(ssv: bytes, *, keyer: str, group_info: bytes) -> bytes:
    """The tag (8 octets) that binds a Group info, given with its tag zero, to its SSV; raises KeyScheduleError (P)."""
    return kdf(_sized(ssv, SSV_OCTETS, "SSV"), FC_P, label("PGK-tag"), keyer.encode("ascii"), group_info)[:TAG_OCTETS]


def derive_ptk(pgk: bytes, *, sender_l2: bytes, ptk_id: int, group_l2: bytes) -> bytes:
    """PTK (32 octets) of a sender in a group (TS 33.303 A.3, S); raises KeyScheduleError."""
    sender, group = _sized(sender_l2, 3, "sender L2 ID"), _sized(group_l2, 3, "group L2 ID")
    return kdf(pgk, FC_PTK, sender, ptk_id.to_bytes(2, "big"), group)


def _sized(octets: bytes, length: int, name: str) -> bytes:
    if len(octets) != length:
        raise KeyScheduleError(f"{name} has {length} octets, got {len(octets)}")
    return octets
