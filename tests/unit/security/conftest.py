"""Vectors, and a small world of fixed keys: two KMSs and three users."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from security import sakke
from security.eccsi import eccsi
from security.identifiers import KeyRing, KmsDomain, UserKeys

VECTORS = Path(__file__).parents[2] / "vectors" / "security"
NOW_NTP_S = 3_968_437_672.25
"""2025-10-02 23:47:52.25 UTC."""


def counter_source(seed: bytes) -> Callable[[int], bytes]:
    """A repeatable source of octets: SHA-256 in counter mode."""
    state = [0]

    def octets(n: int) -> bytes:
        state[0] += 1
        return hashlib.shake_256(seed + state[0].to_bytes(4, "big")).digest(n)

    return octets


@dataclass(frozen=True)
class World:
    ksak: bytes
    z_secret: bytes
    domain: KmsDomain
    hashed_domain: KmsDomain
    alice: UserKeys
    bob: UserKeys
    carol: UserKeys

    @property
    def ring(self) -> KeyRing:
        return KeyRing([self.domain, self.hashed_domain], [self.alice, self.bob, self.carol])


def make_user(domain: KmsDomain, ksak: bytes, z_secret: bytes, uri: str, ntp_s: float = NOW_NTP_S) -> UserKeys:
    uid = domain.uid(uri, ntp_s)
    v = hashlib.sha256(b"v" + uid).digest()[:31].rjust(32, b"\0")
    ssk, pvt = eccsi.extract_signing_keys(ksak, uid, v)
    return UserKeys(
        uri=uri,
        kms_uri=domain.uri,
        uid=uid,
        key_period_no=domain.period_of(ntp_s),
        rsk=sakke.extract_rsk(z_secret, uid),
        ssk=ssk,
        pvt=pvt,
    )


@pytest.fixture(scope="session")
def world() -> World:
    random = counter_source(b"world")
    ksak, kpak = eccsi.generate_master_keys(random)
    z_secret, z = sakke.generate_master_secret(random)
    domain = KmsDomain(uri="kms.lab.example", z=z, kpak=kpak, uid_scheme=1, namespace=("tel:*",))
    hashed = replace(domain, uri="kms2.lab.example", uid_scheme=2, key_period_s=2_592_000, namespace=("sip:*",))
    return World(
        ksak=ksak,
        z_secret=z_secret,
        domain=domain,
        hashed_domain=hashed,
        alice=make_user(domain, ksak, z_secret, "tel:+447700900001"),
        bob=make_user(domain, ksak, z_secret, "tel:+447700900002"),
        carol=make_user(hashed, ksak, z_secret, "sip:carol@lab.example"),
    )


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Any]:
    return lambda name: json.loads((VECTORS / name).read_text())


@pytest.fixture
def random() -> Callable[[int], bytes]:
    return counter_source(b"test")


@pytest.fixture
def vectors_folder() -> Path:
    return VECTORS
