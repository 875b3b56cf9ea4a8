"""A key store of one UE and what a KMS gives to it; shared by the tests of the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from security.device.provisioning import Provisioning
from security.device.store import KeyStore
from security.identifiers import UidScheme
from security.kms.authority import Authority, MasterSecrets

ALICE = "tel:+447700900001"
PASSPHRASE = b"correct horse battery"
NOW = 3_982_000_000
EXPIRES = NOW + 300


def authority(seed: int = 7) -> Authority:
    return Authority.found(
        MasterSecrets.from_demo_seed(seed),
        uri="kms.example",
        uid_scheme=UidScheme.MONTHLY_TEL,
        key_period_s=0,
        key_period_offset_s=0,
        namespace=("tel:*",),
    )


AUTHORITY = authority()
PRESENT = AUTHORITY.domain.period_of(NOW)


def provisioning(*periods: int, kms: Authority = AUTHORITY, uri: str = ALICE, **more: Any) -> Provisioning:
    fields: dict[str, Any] = {
        "uri": uri,
        "domain": kms.domain,
        "lab_deterministic": True,
        "time_ntp_s": NOW,
        "next_issue_ntp_s": NOW + 1,
        "key_sets": tuple(kms.extract(uri, period) for period in periods),
        "discovery_keys": tuple(kms.discovery_keys("1", period) for period in periods),
        "peers": None,
        "deny_list": (),
    }
    return Provisioning(**(fields | more))


def create(folder: Path) -> KeyStore:
    return KeyStore.create(folder, identity=ALICE, passphrase=PASSPHRASE, now_ntp_s=NOW, log2_n=4)


def reopen(folder: Path, now_ntp_s: int = NOW) -> KeyStore:
    return KeyStore.open(folder, identity=ALICE, passphrase=PASSPHRASE, now_ntp_s=now_ntp_s)


def periods_held(store: KeyStore) -> list[int]:
    return [keys.key_period_no for keys in store.key_ring().users]


def digest(number: int) -> bytes:
    return number.to_bytes(32)
