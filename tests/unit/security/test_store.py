"""The UE's key store: whose it is, which keys it holds, and what it refuses."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from security.at_rest.sealing import SealError
from security.device import store as store_module
from security.device.record import (
    WINDOW_S,
)
from security.device.store import KEYS_FILE, KeyStore, StoreError
from security.kms_wire.protocol import encode
from security.kms_wire.tls import TlsIdentity
from tests.benches.key_store_bench import (
    ALICE,
    AUTHORITY,
    EXPIRES,
    NOW,
    PASSPHRASE,
    PRESENT,
    authority,
    create,
    digest,
    periods_held,
    provisioning,
    reopen,
)


def test_two_periods_lie_side_by_side_and_older_ones_go(tmp_path: Path) -> None:
    store = create(tmp_path)
    store.keep(provisioning(PRESENT))
    store.keep(provisioning(PRESENT + 1))
    assert periods_held(reopen(tmp_path)) == [PRESENT, PRESENT + 1]
    store.keep(provisioning(PRESENT + 2))
    again = reopen(tmp_path)
    assert periods_held(again) == [PRESENT + 1, PRESENT + 2]
    assert [key.key_period_no for key in again.discovery_keys()] == [PRESENT + 1, PRESENT + 2]
    assert again.discovery_keys() == tuple(AUTHORITY.discovery_keys("1", PRESENT + 1 + i) for i in range(2))
    assert again.key_ring().keys_for(ALICE, PRESENT + 1) == AUTHORITY.extract(ALICE, PRESENT + 1)


def test_a_store_of_version_1_opens_without_its_discovery_keys_and_gets_them_anew(tmp_path: Path) -> None:
    store = create(tmp_path)
    store.keep(provisioning(PRESENT))
    content = json.loads(encode(store._content)) | {"version": 1}
    for entry in content["kms"]:
        entry["discovery_keys"] = [{"group": "1", "key_period_no": PRESENT, "duik": "12" * 32}]
    sealed = store._seal.seal(json.dumps(content).encode(), purpose=store_module.PURPOSE)
    (tmp_path / KEYS_FILE).write_bytes(sealed)
    again = reopen(tmp_path)
    assert (periods_held(again), again.discovery_keys()) == ([PRESENT], ())
    again.keep(provisioning(PRESENT))
    assert reopen(tmp_path).discovery_keys() == (AUTHORITY.discovery_keys("1", PRESENT),)


@pytest.mark.parametrize(
    "octets", [b"[]", b"null", b'{"version":3}', b'{"version":1,"kms":[1]}', b"\xff", b'{"kms":5}']
)
def test_a_store_of_no_known_version_is_refused(tmp_path: Path, octets: bytes) -> None:
    store = create(tmp_path)
    (tmp_path / KEYS_FILE).write_bytes(store._seal.seal(octets, purpose=store_module.PURPOSE))
    with pytest.raises(StoreError):
        reopen(tmp_path)


def test_files_are_private_and_hold_nothing_readable(tmp_path: Path) -> None:
    store = create(tmp_path / "store")
    store.keep(provisioning(PRESENT))
    store.keep_certificate(TlsIdentity(certificate_pem=b"-" * 64, key_pem=b"private"))
    store.record.remember(digest(1), signer=ALICE, expires_ntp_s=EXPIRES, now_ntp_s=NOW)
    assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700
    for path in (tmp_path / "store").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        content = path.read_bytes()
        discovery = store.discovery_keys()[0]
        secrets = [store.key_ring().users[0].rsk[:16], discovery.duik, discovery.dusk, discovery.duck]
        secrets += [secret.hex().encode() for secret in secrets]
        assert not any(secret in content for secret in (b"private", ALICE.encode(), *secrets))


def test_another_identitys_store_is_refused(tmp_path: Path) -> None:
    create(tmp_path)
    with pytest.raises(StoreError, match=r"of tel:\+447700900001, not of tel:\+447700900002"):
        KeyStore.open(tmp_path, identity="tel:+447700900002", passphrase=PASSPHRASE, now_ntp_s=NOW)


def test_another_identitys_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"tel:\+447700900002"):
        create(tmp_path).keep(provisioning(PRESENT, uri="tel:+447700900002"))


def test_a_kms_that_shows_other_master_keys_is_refused(tmp_path: Path) -> None:
    store = create(tmp_path)
    store.keep(provisioning(PRESENT))
    with pytest.raises(StoreError, match="other parameters"):
        store.keep(provisioning(PRESENT + 1, kms=authority(8)))
    assert periods_held(reopen(tmp_path)) == [PRESENT]


@pytest.mark.parametrize(
    "damage",
    [lambda octets: octets[:-1], lambda octets: b"", lambda octets: octets[:-1] + bytes([octets[-1] ^ 1])],
    ids=["cut", "empty", "flipped"],
)
def test_a_damaged_store_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    create(tmp_path)
    (tmp_path / KEYS_FILE).write_bytes(damage((tmp_path / KEYS_FILE).read_bytes()))
    with pytest.raises(SealError):
        reopen(tmp_path)


def test_wrong_passphrase_missing_and_existing_stores_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no key store"):
        reopen(tmp_path / "nowhere")
    create(tmp_path)
    with pytest.raises(StoreError, match="already"):
        create(tmp_path)
    with pytest.raises(SealError, match="wrong passphrase"):
        KeyStore.open(tmp_path, identity=ALICE, passphrase=b"wrong horse battery", now_ntp_s=NOW)


def test_deny_list_and_peers_are_kept(tmp_path: Path) -> None:
    store = create(tmp_path)
    assert store.peers is None
    store.keep(provisioning(PRESENT, peers=("tel:+1",), deny_list=("tel:+2",)))
    again = reopen(tmp_path)
    assert again.peers == frozenset({"tel:+1"})
    assert again.deny_list == {"tel:+2"}
    assert again.lab_deterministic


def test_keys_of_a_period_that_a_home_contact_shows_to_be_over_leave_the_disk(tmp_path: Path) -> None:
    store = create(tmp_path / "ue")
    store.keep(provisioning(PRESENT))
    over = int(AUTHORITY.domain.period_bounds(PRESENT)[1] + AUTHORITY.domain.overlap_s()) + WINDOW_S
    store.keep(provisioning(PRESENT + 1, time_ntp_s=over - 1))
    assert periods_held(store) == [PRESENT, PRESENT + 1]
    store.keep(provisioning(PRESENT + 1, time_ntp_s=over))
    assert periods_held(reopen(tmp_path / "ue")) == [PRESENT + 1]
    assert {keys.key_period_no for keys in reopen(tmp_path / "ue").discovery_keys()} == {PRESENT + 1}


def test_a_period_is_wiped_from_the_disk_on_demand_and_the_rest_stays(tmp_path: Path) -> None:
    store = create(tmp_path / "ue")
    store.keep(provisioning(PRESENT, PRESENT + 1))
    store.wipe_period("another.example", PRESENT)
    assert periods_held(store) == [PRESENT, PRESENT + 1]
    store.wipe_period(AUTHORITY.domain.uri, PRESENT)
    assert periods_held(store) == periods_held(reopen(tmp_path / "ue")) == [PRESENT + 1]
