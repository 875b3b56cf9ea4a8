"""The fixed test keys of the MIKEY-SAKKE examples: two KMSs with different master keys, and their users.

Every secret follows from a text that is printed beside the examples: they protect nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass

from gmpy2 import mpz

from security import sakke
from security.eccsi import eccsi, p256
from security.identifiers import NTP_EPOCH, KmsDomain, UidScheme, UserKeys
from security.sakke.parameters import FIELD_OCTETS, Q_ORDER

WHEN = dt.datetime(2026, 3, 15, 12, 0, 0, tzinfo=dt.UTC)
NTP_S = (WHEN - NTP_EPOCH).total_seconds()
PERIOD_S = 2_592_000
OFFSET_S = 0
ALICE, BOB = "tel:+447700900001", "tel:+447700900002"
CAROL, DAVE = "sip:carol@two.example", "sip:dave@two.example"
SERVER, TEAM = "sip:server@two.example", "sip:team@two.example"


def seeded(text: str, length: int) -> bytes:
    """`length` octets of SHAKE-256 over a text: every fixed value of the examples is made with it."""
    return hashlib.shake_256(b"pc5lab mikey example: " + text.encode("ascii")).digest(length)


def seeded_scalar(text: str, order: mpz) -> int:
    """A scalar of 1..order-1 from a text."""
    return int.from_bytes(seeded(text, 160), "big") % int(order - 1) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleKms:
    """A KMS with its master secrets: KSAK 32 octets, z 128 octets."""

    name: str
    ksak: bytes
    z_secret: bytes
    domain: KmsDomain

    def user(self, uri: str) -> UserKeys:
        """A user's keys at the time of the examples; v of RFC 6507 5.1.1 follows from a text, too."""
        uid = self.domain.uid(uri, NTP_S)
        v = seeded_scalar(f"v of {uri}", p256.Q).to_bytes(eccsi.SCALAR_OCTETS, "big")
        ssk, pvt = eccsi.extract_signing_keys(self.ksak, uid, v)
        return UserKeys(
            uri=uri,
            kms_uri=self.domain.uri,
            uid=uid,
            key_period_no=self.domain.period_of(NTP_S),
            rsk=sakke.extract_rsk(self.z_secret, uid),
            ssk=ssk,
            pvt=pvt,
        )


def _kms(name: str, scheme: UidScheme, namespace: str) -> ExampleKms:
    ksak = seeded_scalar(f"KSAK of {name}", p256.Q).to_bytes(eccsi.SCALAR_OCTETS, "big")
    z_secret = seeded_scalar(f"z of {name}", Q_ORDER).to_bytes(FIELD_OCTETS, "big")
    domain = KmsDomain(
        uri=name,
        z=sakke.public_master_key(z_secret),
        kpak=eccsi.public_authentication_key(ksak),
        uid_scheme=scheme,
        key_period_s=PERIOD_S if scheme == UidScheme.HASHED_UID else 0,
        key_period_offset_s=OFFSET_S,
        namespace=(namespace,),
    )
    return ExampleKms(name=name, ksak=ksak, z_secret=z_secret, domain=domain)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleWorld:
    """Both KMSs and the keys of all users."""

    kms: tuple[ExampleKms, ...]
    users: dict[str, UserKeys]

    def domain_of(self, uri: str) -> KmsDomain:
        """The KMS that speaks for a user."""
        return next(kms.domain for kms in self.kms if kms.domain.speaks_for(uri))


def make_world() -> ExampleWorld:
    """Make every key of the examples."""
    one = _kms("kms.one.example", UidScheme.MONTHLY_TEL, "tel:*")
    two = _kms("kms.two.example", UidScheme.HASHED_UID, "sip:*")
    pairs = ((one, (ALICE, BOB)), (two, (CAROL, DAVE, SERVER, TEAM)))
    return ExampleWorld(kms=(one, two), users={uri: kms.user(uri) for kms, uris in pairs for uri in uris})
