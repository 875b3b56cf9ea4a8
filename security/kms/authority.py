"""The authority of a KMS, without a network: master secrets, key extraction for one identity and period, grants.

Key sets are a pure function of master secrets, identity and period: the ECCSI v of a key set is a keyed hash of its
UID. So several workers with one set of secrets give the same keys, and no issued key has to be stored.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final, Self

from security import sakke
from security.eccsi import eccsi, p256
from security.errors import SecurityError
from security.held_keys import DiscoveryKeys, Grant, GroupKey
from security.identifiers import (
    DAY_S,
    IdentityError,
    KmsDomain,
    UidScheme,
    UserKeys,
    canonical_identity,
    is_map_signer,
)
from security.identity_map.signature import MapSigningKeys, map_signer_uid
from security.random_source import RandomSource

ROOT_OCTETS: Final = 32
DISCOVERY_KEY_OCTETS: Final = 32
"""DUIK, DUSK and DUCK are whole keys of the KDF that makes MIC, time-hash and keystream: 256 bits (TS 33.220 B.2)."""
TRANSPORT_KEY_OCTETS: Final = 32
ISSUE_AHEAD_S: Final = 10 * DAY_S
"""Longest time before its start in which a month's keys are issued: by RFC 6509 3.3 users fetch them before the last
day but one, and several periods are not issued at once.
"""
_LABEL = b"pc5lab kms v1 "


class NotAuthorisedError(SecurityError):
    """No grant covers the identity at that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterSecrets:
    """The secrets from which every key of a KMS is made: KSAK and z, and the root of v and discovery keys."""

    ksak: bytes = field(repr=False)
    z_secret: bytes = field(repr=False)
    root: bytes = field(repr=False)

    @classmethod
    def generate(cls, random: RandomSource) -> Self:
        """Draw new secrets (RFC 6507 4.2, RFC 6508 2.2)."""
        ksak, _ = eccsi.generate_master_keys(random)
        z_secret, _ = sakke.generate_master_secret(random)
        return cls(ksak=ksak, z_secret=z_secret, root=random(ROOT_OCTETS))

    @classmethod
    def from_demo_seed(cls, seed: int) -> Self:
        """Secrets derived from the seed, which is public: for repeatable lab runs only."""
        return cls.generate(_seeded_random(b"demo seed %d" % seed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """One KMS's ability to make keys."""

    domain: KmsDomain
    secrets: MasterSecrets = field(repr=False)

    @classmethod
    def found(
        cls,
        secrets: MasterSecrets,
        *,
        uri: str,
        uid_scheme: UidScheme,
        key_period_s: int,
        key_period_offset_s: int,
        namespace: tuple[str, ...],
    ) -> Self:
        """Compute the public keys and set up the domain; raises IdentityError for impossible parameters."""
        domain = KmsDomain(
            uri=uri,
            z=sakke.public_master_key(secrets.z_secret),
            kpak=eccsi.public_authentication_key(secrets.ksak),
            uid_scheme=uid_scheme,
            key_period_s=key_period_s,
            key_period_offset_s=key_period_offset_s,
            namespace=namespace,
        )
        return cls(domain=domain, secrets=secrets)

    def extract(self, uri: str, period_no: int) -> UserKeys:
        """One identity's keys for one period (RFC 6507 5.1.1, RFC 6508 6.1.1). Raises IdentityError.

        It never extracts keys of the identity that signs the identity map (PROFILE 12).
        """
        if is_map_signer(uri):
            raise IdentityError(f"{uri} signs the identity map: its keys are never issued")
        uid = self.domain.uid_for_period(canonical_identity(uri), period_no)
        ssk, pvt = eccsi.extract_signing_keys(self.secrets.ksak, uid, self._eccsi_v(uid))
        return UserKeys(
            uri=uri,
            kms_uri=self.domain.uri,
            uid=uid,
            key_period_no=period_no,
            rsk=sakke.extract_rsk(self.secrets.z_secret, uid),
            ssk=ssk,
            pvt=pvt,
        )

    def map_signing_keys(self, period_no: int) -> MapSigningKeys:
        """The keys with which the KMS signs its identity map in a period, for itself only. Raises IdentityError."""
        uid = map_signer_uid(self.domain, period_no)
        ssk, pvt = eccsi.extract_signing_keys(self.secrets.ksak, uid, self._eccsi_v(uid))
        return MapSigningKeys(key_period_no=period_no, uid=uid, ssk=ssk, pvt=pvt)

    def group_key(self, group_uri: str, period_no: int) -> GroupKey:
        """The RSK that a group identity's members hold for a period; raises IdentityError."""
        uid = self.domain.uid_for_period(canonical_identity(group_uri), period_no)
        return GroupKey(
            group_uri=group_uri,
            kms_uri=self.domain.uri,
            uid=uid,
            key_period_no=period_no,
            rsk=sakke.extract_rsk(self.secrets.z_secret, uid),
        )

    def discovery_keys(self, group: str, period_no: int) -> DiscoveryKeys:
        """DUIK, DUSK and DUCK that the members of a discovery group hold for a period."""
        duik, dusk, duck = (
            self._derive(label, group.encode("ascii"), period_no.to_bytes(4))[:DISCOVERY_KEY_OCTETS]
            for label in (b"duik", b"dusk", b"duck")
        )
        return DiscoveryKeys(
            group=group, kms_uri=self.domain.uri, key_period_no=period_no, duik=duik, dusk=dusk, duck=duck
        )

    def transport_keys(self, user: str, number: int) -> tuple[bytes, bytes]:
        """A user's TrK and InK (256 bits each) of the XML face (TS 33.180 D.1)."""
        trk, ink = (self._derive(label, user.encode("ascii"), number.to_bytes(4)) for label in (b"trk", b"ink"))
        return trk[:TRANSPORT_KEY_OCTETS], ink[:TRANSPORT_KEY_OCTETS]

    def _eccsi_v(self, uid: bytes) -> bytes:
        """v of RFC 6507 5.1.1, in 1..q-1: a keyed hash of the identifier, as secret and as unique as a random one."""
        digest = int.from_bytes(self._derive(b"eccsi v", self.domain.kpak, uid))
        return (digest % int(p256.Q - 1) + 1).to_bytes(eccsi.SCALAR_OCTETS)

    def _derive(self, label: bytes, *parts: bytes) -> bytes:
        """64 octets from the root, under a label; every part carries its length."""
        message = _LABEL + b"".join(len(part).to_bytes(4) + part for part in (label, *parts))
        return hmac.digest(self.secrets.root, message, "sha512")


def issue_window(domain: KmsDomain, period_no: int) -> tuple[float, float]:
    """NTP times between which a period's keys are issued: from somewhat ahead until no UE accepts them."""
    start, end = domain.period_bounds(period_no)
    return start - min(ISSUE_AHEAD_S, (end - start) / 3), end + domain.overlap_s()


def periods_open(domain: KmsDomain, now_ntp_s: int) -> tuple[int, ...]:
    """The key periods whose keys are issued now: the present one, at times with the one before or after it."""
    present = domain.period_of(now_ntp_s)
    return tuple(period for period in (present - 1, present, present + 1) if _is_open(domain, period, now_ntp_s))


def next_issue_s(domain: KmsDomain, now_ntp_s: int) -> int:
    """NTP time from which keys of a period not yet issued can be had."""
    opening, _ = issue_window(domain, max(periods_open(domain, now_ntp_s)) + 1)
    return int(-(-opening // 1))


def periods_granted(domain: KmsDomain, grant: Grant, now_ntp_s: int) -> tuple[int, ...]:
    """The open periods for which a grant allows keys. Raises NotAuthorisedError if it doesn't hold now."""
    if not grant.covers(now_ntp_s):
        raise NotAuthorisedError(f"the authorisation for {grant.uri} does not hold at this time")
    present = domain.period_of(now_ntp_s)
    return tuple(
        period
        for period in periods_open(domain, now_ntp_s)
        if period <= present or grant.covers(domain.period_bounds(period)[0])
    )


def last_keys_dead_s(domain: KmsDomain, now_ntp_s: int) -> int:
    """NTP time from which no UE accepts any key issued up to now."""
    _, closing = issue_window(domain, max(periods_open(domain, now_ntp_s)))
    return int(-(-closing // 1))


def _is_open(domain: KmsDomain, period_no: int, now_ntp_s: int) -> bool:
    opening, closing = issue_window(domain, period_no)
    return period_no >= 0 and opening <= now_ntp_s < closing


def _seeded_random(seed: bytes) -> RandomSource:
    """A random source that repeats: HMAC-SHA-512 of a counter under the seed."""
    counter = iter(range(1 << 32))

    def octets(count: int) -> bytes:
        stream = b""
        while len(stream) < count:
            stream += hmac.digest(_LABEL + seed, next(counter).to_bytes(4), "sha512")
        return stream[:count]

    return octets
