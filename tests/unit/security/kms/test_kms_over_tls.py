"""A real KMS server and real clients over loopback TLS: keys, grants, revocation, and bad requests."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from security.device.kms_client import provision
from security.device.store import KeyStore
from security.identifiers import UidScheme
from security.kms import server as server_module
from security.kms.events import KmsEnrolled, KmsKeysIssued
from security.kms.operator_orders import (
    add_to_discovery_group,
    remove_from_discovery_group,
    revoke_identity,
    revoke_user,
)
from security.kms.service import KmsService
from security.kms_wire.errors import KeySetRejected
from security.kms_wire.protocol import PATH_ENROL, KeysResponse
from tests.benches.kms_bench import ALICE, MID_MONTH, Lab, in_lab, ntp_s, raw, refused

BOB = "tel:+447700900002"
MONTH_END = dt.datetime(2026, 3, 30, 12, tzinfo=dt.UTC)
PASSPHRASE = b"correct horse battery"


@pytest.mark.parametrize("scheme", list(UidScheme))
def test_a_ue_enrols_and_gets_checked_keys(tmp_path: Path, scheme: UidScheme) -> None:
    async def trial(kms: Lab) -> None:
        ticket = kms.ticket(peers=(BOB,), discovery_groups=("1", "77"))
        store = KeyStore.create(
            tmp_path / "ue", identity=ALICE, passphrase=PASSPHRASE, now_ntp_s=ntp_s(MID_MONTH), log2_n=4
        )
        got = await provision(store, url=kms.url, ca_pem=ticket.ca_pem.encode(), token=ticket.token)
        assert [keys.key_period_no for keys in got.key_sets] == [got.domain.period_of(ntp_s(MID_MONTH))]
        assert got.lab_deterministic
        assert got.peers == (BOB,)
        assert {key.group for key in got.discovery_keys} == {"1", "77"}
        again = KeyStore.open(tmp_path / "ue", identity=ALICE, passphrase=PASSPHRASE, now_ntp_s=0)
        assert again.key_ring().keys_at(ALICE, ntp_s(MID_MONTH)) == got.key_sets[0]
        assert again.tls_identity is not None
        await provision(again, url=kms.url, ca_pem=ticket.ca_pem.encode(), token="not needed any more")
        assert [line["action"] for line in kms.audit()] == ["grant", "enrol", "extract", "extract"]
        assert [type(event) for event in kms.events] == [KmsEnrolled, KmsKeysIssued, KmsKeysIssued]

    in_lab(tmp_path, trial, scheme=scheme)


def test_two_periods_side_by_side_near_the_change(tmp_path: Path) -> None:
    async def trial(kms: Lab) -> None:
        got = await (await kms.enrolled(discovery_groups=("chess-club",))).fetch(ALICE)
        march = got.domain.period_of(ntp_s(MONTH_END))
        assert [keys.key_period_no for keys in got.key_sets] == [march, march + 1]
        assert b"2026-04" in got.key_sets[1].uid
        authority = kms.service.authority
        assert got.discovery_keys == tuple(authority.discovery_keys("chess-club", march + i) for i in range(2))

    in_lab(tmp_path, trial, lab_time=MONTH_END)


def test_only_users_of_a_discovery_group_get_its_keys_and_all_get_the_same(tmp_path: Path) -> None:
    async def trial(kms: Lab) -> None:
        alice, bob = await kms.enrolled(discovery_groups=("chess-club",)), await kms.enrolled("bob", BOB)
        assert (await bob.fetch(BOB)).discovery_keys == ()
        add_to_discovery_group(kms.service, "chess-club", ("bob",))
        theirs = (await bob.fetch(BOB)).discovery_keys
        assert theirs == (await alice.fetch(ALICE)).discovery_keys != ()
        remove_from_discovery_group(kms.service, "chess-club", ("bob",))
        assert (await bob.fetch(BOB)).discovery_keys == ()
        assert [line["detail"]["users"] for line in kms.audit() if line["subject"] == "chess-club"] == [["bob"]] * 2

    in_lab(tmp_path, trial)


def test_demo_keys_are_the_same_in_every_run(tmp_path: Path) -> None:
    sets = []

    async def trial(kms: Lab) -> None:
        got = await (await kms.enrolled(discovery_groups=("1",))).fetch(ALICE)
        sets.append((got.domain, got.key_sets, got.discovery_keys))

    in_lab(tmp_path / "a", trial)
    in_lab(tmp_path / "b", trial)
    in_lab(tmp_path / "c", trial, seed=8)
    assert sets[0] == sets[1]
    assert sets[0][1][0].rsk != sets[2][1][0].rsk


def test_another_users_identity_is_refused(tmp_path: Path) -> None:
    async def trial(kms: Lab) -> None:
        kms.ticket("bob", BOB)
        client = await kms.enrolled()
        assert BOB in await refused(client.fetch(BOB), "not-authorised")
        await refused(client.fetch("tel:+447700900009"), "not-authorised")
        assert [line["action"] for line in kms.audit()] == ["grant", "grant", "enrol"]

    in_lab(tmp_path, trial)


def test_a_grant_holds_from_and_to_its_times(tmp_path: Path) -> None:
    async def trial(kms: Lab) -> None:
        early = await kms.enrolled("early", ALICE, not_before_ntp_s=ntp_s(MID_MONTH) + 1)
        late = await kms.enrolled("late", BOB, not_after_ntp_s=ntp_s(MID_MONTH))
        await refused(early.fetch(ALICE), "not-authorised")
        await refused(late.fetch(BOB), "not-authorised")

    in_lab(tmp_path, trial)


def test_a_revoked_identity_gets_no_keys_and_is_denied_to_all(tmp_path: Path) -> None:
    async def trial(kms: Lab) -> None:
        alice, bob = await kms.enrolled(), await kms.enrolled("bob", BOB)
        assert (await bob.fetch(BOB)).deny_list == ()
        await alice.fetch(ALICE)
        revoke_identity(kms.service, ALICE)
        await refused(alice.fetch(ALICE), "identity-revoked")
        assert (await bob.fetch(BOB)).deny_list == (ALICE,)

    in_lab(tmp_path, trial)


def test_a_revoked_user_gets_nothing(tmp_path: Path) -> None:
    async def trial(kms: Lab) -> None:
        alice = await kms.enrolled()
        token = kms.ticket().token
        assert revoke_user(kms.service, "alice") == (ALICE,)
        await refused(alice.fetch(ALICE), "user-revoked")
        await refused(kms.client().enrol(token), "token-invalid")

    in_lab(tmp_path, trial)


@pytest.mark.parametrize("field_name", ["rsk", "ssk", "pvt", "uid", "key_period_no"])
def test_the_client_refuses_a_tampered_key_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field_name: str
) -> None:
    def tampered(message: Any) -> bytes:
        document = message.model_dump(mode="json")
        if isinstance(message, KeysResponse):
            value = document["key_sets"][0][field_name]
            document["key_sets"][0][field_name] = (
                value + 1 if isinstance(value, int) else value[:-1] + f"{int(value[-1], 16) ^ 1:x}"
            )
        return json.dumps(document).encode()

    monkeypatch.setattr(server_module, "encode", tampered)

    async def trial(kms: Lab) -> None:
        client = await kms.enrolled()
        with pytest.raises(KeySetRejected):
            await client.fetch(ALICE)

    in_lab(tmp_path, trial)


def test_the_client_refuses_keys_of_another_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = KmsService.issue

    def swapped(self: KmsService, orders: Any) -> list[KeysResponse]:
        (answer,) = real(self, orders)
        assert isinstance(answer, KeysResponse)
        other = self.authority.extract(BOB, answer.key_sets[0].key_period_no)
        forged = answer.key_sets[0].model_copy(
            update={"rsk": other.rsk.hex(), "ssk": other.ssk.hex(), "pvt": other.pvt.hex(), "uid": other.uid.hex()}
        )
        return [answer.model_copy(update={"key_sets": (forged,)})]

    monkeypatch.setattr(KmsService, "issue", swapped)

    async def trial(kms: Lab) -> None:
        with pytest.raises(KeySetRejected, match="identifier"):
            await (await kms.enrolled()).fetch(ALICE)

    in_lab(tmp_path, trial)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", PATH_ENROL, b"", 400),
        ("POST", PATH_ENROL, b"[" * 5000, 400),
        ("POST", PATH_ENROL, b"x" * 20000, 400),
        ("POST", PATH_ENROL, b'{"token":"a","csr_pem":"b","more":1}', 400),
        ("GET", PATH_ENROL, b"", 400),
        ("GET", "/", b"", 400),
        ("GET", "/../../etc/passwd", b"", 400),
    ],
)
def test_bad_requests_get_a_clear_refusal(tmp_path: Path, method: str, path: str, body: bytes, status: int) -> None:
    async def trial(kms: Lab) -> None:
        got_status, answer = await raw(kms, method, path, body)
        assert (got_status, answer["refusal"]) == (status, "bad-request")
        assert "Traceback" not in answer["message"]

    in_lab(tmp_path, trial)


def test_no_secret_is_in_events_or_the_audit_log(tmp_path: Path) -> None:
    async def trial(kms: Lab) -> None:
        got = await (await kms.enrolled(discovery_groups=("1",))).fetch(ALICE)
        said = json.dumps(kms.audit()) + repr(kms.events) + repr(got) + repr(kms.service)
        (discovery,) = got.discovery_keys
        secrets_held = [got.key_sets[0].rsk, got.key_sets[0].ssk, discovery.duik, discovery.dusk, discovery.duck]
        secrets_held += [kms.service.authority.secrets.ksak, kms.service.authority.secrets.root]
        for secret in secrets_held:
            assert secret.hex() not in said
            assert repr(secret)[2:-1] not in said

    in_lab(tmp_path, trial)
