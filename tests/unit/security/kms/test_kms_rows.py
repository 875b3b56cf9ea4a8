"""Edits by an attacker with the database alone, and where each is found."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from security.kms.home import KmsHome
from security.kms.operator_orders import EnrolmentOrder, add_to_group, enrol, revoke_identity, trust_domain
from security.kms.row_guard import RootLock
from security.kms.row_tags import BUCKETS_TO_A_GROUP, RULES, Heads, RowKey
from security.kms.seen_state import SEEN_FILE
from security.kms.service import KeyOrder
from security.kms.tables import metadata
from security.kms_wire.errors import AuditError, KmsConfigError, KmsRefusal, RowsAlteredError
from security.kms_wire.protocol import EnrolRequest
from security.kms_wire.tls import ClientRequest

ALICE, BOB, CAROL, TEAM = "tel:+447700900001", "tel:+447700900002", "tel:+447700900003", "tel:+447700909999"
MakeKms = Callable[..., Any]


def furnished(make_kms: MakeKms) -> Any:
    kms = make_kms()
    kms.enrol("alice", ALICE, discovery_groups=("1",), peers=(BOB,))
    kms.enrol("bob", BOB)
    kms.enrol("carol", CAROL)
    add_to_group(kms.service, TEAM, (ALICE,))
    revoke_identity(kms.service, CAROL)
    return kms


def edit(kms: Any, *statements: str) -> None:
    """As an administrator of the database would, beside the program."""
    with sqlite3.connect(kms.home.folder / "kms.sqlite") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def opened_again(kms: Any) -> Any:
    home = KmsHome.open(kms.home.folder)
    try:
        return home.unseal(passphrase_file=None, clocks=kms.clocks())
    finally:
        home.database.close()


def verify(kms: Any) -> Any:
    home = KmsHome.open(kms.home.folder, read_only=True)
    return home.verify_audit(opened=home.opened(None).secrets)


@pytest.mark.parametrize(
    ("statement", "user", "identity", "why"),
    [
        (f"UPDATE grants SET user = 'bob' WHERE uri = '{ALICE}'", "bob", ALICE, "grants, row uri=.*altered"),
        (f"UPDATE grants SET uses = 'group' WHERE uri = '{ALICE}'", "alice", ALICE, "grants, row uri=.*altered"),
        (f"UPDATE grants SET not_after_ntp_s = 1 WHERE uri = '{ALICE}'", "alice", ALICE, "grants, row uri=.*altered"),
        (f"DELETE FROM denied_identities WHERE uri = '{CAROL}'", "carol", CAROL, "denied_identities.*deleted"),
        (f"UPDATE denied_identities SET uri = '{ALICE}'", "alice", ALICE, "denied_identities"),
        ("UPDATE denied_identities SET listed_until_ntp_s = 0", "alice", ALICE, "denied_identities"),
        (f"DELETE FROM pairs WHERE uri = '{ALICE}'", "alice", ALICE, "pairs, row .*deleted"),
        (f"INSERT INTO pairs VALUES ('{BOB}', '{CAROL}')", "bob", BOB, "pairs, row .*added"),
        (f"INSERT INTO group_members VALUES ('{BOB}', '{TEAM}')", "bob", BOB, "group_members, row .*added"),
        ("INSERT INTO discovery_members VALUES ('bob', '1')", "bob", BOB, "discovery_members, row .*added"),
        ("DELETE FROM discovery_members", "alice", ALICE, "discovery_members, row .*deleted"),
        ("UPDATE users SET revoked = 1 WHERE name = 'alice'", "alice", ALICE, "users, row name=alice.*altered"),
        ("UPDATE certificates SET user = 'alice'", "bob", ALICE, "certificates, row .*altered"),
        ("UPDATE grants SET uses = x'ff'", "alice", ALICE, "grants"),
        ("UPDATE row_tags SET tag = 'x'", "alice", ALICE, "row_tags"),
        ("UPDATE row_tags SET version = 'x'", "alice", ALICE, "row_tags"),
        ("DELETE FROM row_tags", "alice", ALICE, "row_tags"),
        ("UPDATE row_root SET version = version + 1", "alice", ALICE, "row_root"),
        ("UPDATE row_root SET tag = 'é'", "alice", ALICE, "version .* is not the one"),
        ("DELETE FROM row_root", "alice", ALICE, "row_root"),
    ],
)
def test_an_edited_row_brings_nobody_keys_and_is_named(
    make_kms: MakeKms, statement: str, user: str, identity: str, why: str
) -> None:
    kms = furnished(make_kms)
    service = kms.home.unseal(passphrase_file=None, clocks=kms.clocks())
    fresh = KmsHome.open(kms.home.folder)
    edit(kms, statement)
    order = KeyOrder(fingerprint=kms.users[user].fingerprint, uri=identity)
    if "row_tags" not in why:  # this process holds the tags that it checked before
        with pytest.raises(RowsAlteredError, match=why):
            service.issue([order])
    with pytest.raises(RowsAlteredError):
        fresh.unseal(passphrase_file=None, clocks=kms.clocks())
    with pytest.raises(RowsAlteredError):
        verify(kms)
    fresh.database.close()


def test_an_administrator_of_the_database_can_not_make_the_kms_issue_others_keys(make_kms: MakeKms) -> None:
    kms = furnished(make_kms)
    token = "T" * 43
    digest = hashlib.sha256(token.encode()).hexdigest()
    edit(kms, f"INSERT INTO enrolment_tokens VALUES ('{digest}', 'alice', 99999999999, 0)")
    csr = ClientRequest.create("alice").csr_pem.decode()
    with pytest.raises(RowsAlteredError, match=r"enrolment_tokens, row digest=.*added"):
        kms.service.enrol(EnrolRequest(token=token, csr_pem=csr))
    edit(kms, "DELETE FROM enrolment_tokens WHERE used = 0")
    bobs = kms.users["bob"].fingerprint
    edit(kms, f"UPDATE certificates SET user = 'alice' WHERE fingerprint = '{bobs}'")
    with pytest.raises(RowsAlteredError, match=r"certificates, row fingerprint=.*altered"):
        kms.service.issue([KeyOrder(fingerprint=bobs, uri=ALICE)])
    assert "extract" not in kms.actions()


def test_a_used_token_made_good_again_is_found(make_kms: MakeKms) -> None:
    kms = make_kms()
    ticket = enrol(kms.service, EnrolmentOrder(user="alice", identities=(ALICE,)))
    request = EnrolRequest(token=ticket.token, csr_pem=ClientRequest.create("alice").csr_pem.decode())
    kms.service.enrol(request)
    with pytest.raises(KmsRefusal, match="token"):
        kms.service.enrol(request)
    edit(kms, "UPDATE enrolment_tokens SET used = 0")
    with pytest.raises(RowsAlteredError, match="enrolment_tokens"):
        kms.service.enrol(request)


def test_trusted_kmss_are_those_that_were_ordered(make_kms: MakeKms) -> None:
    kms, other = furnished(make_kms), make_kms("other", uri="kms.other", namespace=("tel:+49*",), seed=8)
    trust_domain(kms.service, other.home.row.parameters.encode())
    fingerprint = kms.users["alice"].fingerprint
    assert len(kms.service.trusted_domains(fingerprint)) == 2
    edit(kms, "UPDATE trusted_domains SET uri = 'kms.evil'")
    with pytest.raises(RowsAlteredError, match="trusted_domains"):
        kms.service.trusted_domains(fingerprint)
    edit(kms, "DELETE FROM trusted_domains")
    with pytest.raises(RowsAlteredError, match=r"trusted_domains.*deleted"):
        kms.service.trusted_domains(fingerprint)


def test_public_keys_exchanged_in_the_database_are_found(make_kms: MakeKms) -> None:
    kms, other = furnished(make_kms), make_kms("other", uri="kms.other", seed=8)
    edit(kms, f"UPDATE kms SET parameters = '{other.home.row.parameters}'")
    with pytest.raises(RowsAlteredError, match="table kms"):
        opened_again(kms)
    with pytest.raises(RowsAlteredError, match="table kms"):
        verify(kms)


@pytest.mark.parametrize("whole", [False, True])
def test_an_old_copy_is_found_while_serving_and_at_the_next_start(
    make_kms: MakeKms, tmp_path: Path, whole: bool
) -> None:
    """A table, or the whole database file, from before a revocation: every tag in the file is good."""
    kms = furnished(make_kms)
    kms.home.database.close()
    shutil.copy(kms.home.folder / "kms.sqlite", tmp_path / "old.sqlite")
    revoke_identity(kms.service, BOB)
    order = KeyOrder(fingerprint=kms.users["bob"].fingerprint, uri=BOB)
    (refused,) = kms.service.issue([order])
    assert isinstance(refused, KmsRefusal)
    kms.home.database.close()
    if whole:
        shutil.copy(tmp_path / "old.sqlite", kms.home.folder / "kms.sqlite")
    else:
        edit(
            kms,
            f"ATTACH '{tmp_path / 'old.sqlite'}' AS old",
            *(
                statement
                for table in ("denied_identities", "row_tags", "row_buckets", "row_root")
                for statement in (f"DELETE FROM main.{table}", f"INSERT INTO main.{table} SELECT * FROM old.{table}")
            ),
        )
    with pytest.raises(RowsAlteredError, match="rolled back to version"):
        kms.service.issue([order])
    with pytest.raises((RowsAlteredError, AuditError), match=r"rolled back|cut"):
        opened_again(kms)
    with pytest.raises((RowsAlteredError, AuditError), match=r"rolled back|cut"):
        verify(kms)


def test_a_log_cut_at_its_end_is_found_while_serving_and_at_the_next_start(make_kms: MakeKms) -> None:
    """Lines and count go together, and nothing else says that they were there."""
    kms = furnished(make_kms)
    with kms.service.database.read() as records:
        *_, before, last = records.audit_lines("main")
    edit(
        kms,
        f"DELETE FROM audit WHERE seq = {last.fields['seq']} AND stream = 'main'",
        f"UPDATE audit_streams SET lines = lines - 1, hash = '{before.hash_hex}' WHERE stream = 'main'",
    )
    with pytest.raises(AuditError, match="this program has seen it end at line"):
        revoke_identity(kms.service, BOB)
    with pytest.raises(AuditError, match="is not the one seen before"):
        opened_again(kms)
    with pytest.raises(AuditError, match="is not the one seen before"):
        verify(kms)


def test_the_memory_of_the_folder_only_rises_and_is_not_made_by_hand(make_kms: MakeKms, tmp_path: Path) -> None:
    kms = furnished(make_kms)
    seen = kms.home.folder / SEEN_FILE
    assert seen.stat().st_mode & 0o077 == 0
    text = seen.read_text()
    stranger = make_kms("stranger", uri="kms.other", seed=8)
    for forged in (
        text.replace('"root_version":', '"root_version":1'),
        text[:-2],
        "",
        (stranger.home.folder / SEEN_FILE).read_text(),
    ):
        seen.write_text(forged)
        with pytest.raises(RowsAlteredError, match=r"kms\.seen"):
            opened_again(kms)
    seen.write_text(text)
    opened_again(kms)
    second = tmp_path / "second"
    second.mkdir()
    for name in ("kms.json", "seal.key"):
        shutil.copy(kms.home.folder / name, second / name)
    home = KmsHome.open(second)
    revoke_identity(home.unseal(passphrase_file=None, clocks=kms.clocks()), BOB)
    home.database.close()
    assert (second / SEEN_FILE).exists()
    opened_again(kms)


def test_a_folder_that_can_not_be_written_costs_its_memory_and_says_so(
    make_kms: MakeKms, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kms = make_kms()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("security.kms.seen_state.replace_file", full)
    revoke_identity(kms.service, BOB)
    assert "kms.seen: No space left on device" in caplog.text
    with kms.service.database.read() as records:
        assert records.is_denied(BOB)


def test_services_of_one_database_see_each_others_changes_and_nothing_false(make_kms: MakeKms) -> None:
    """Threads and separate programs revoke, enrol and issue at once; each finds the tree whole."""
    kms = furnished(make_kms)
    homes = [KmsHome.open(kms.home.folder) for _ in range(3)]
    services = [
        home.unseal(passphrase_file=None, clocks=kms.clocks(), stream=f"serve-{number}")
        for number, home in enumerate(homes)
    ]
    failures: list[BaseException] = []
    order = KeyOrder(fingerprint=kms.users["alice"].fingerprint, uri=ALICE)

    def serve(service: Any) -> None:
        try:
            for _ in range(8):
                (answer,) = service.issue([order])
                assert not isinstance(answer, KmsRefusal)
        except BaseException as exc:
            failures.append(exc)

    def manage(number: int) -> None:
        try:
            for turn in range(4):
                identity = f"tel:+4477119{number}{turn:04}"
                enrol(kms.service, EnrolmentOrder(user=f"user{number}", identities=(identity,)))
                revoke_identity(kms.service, identity)
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=serve, args=(service,)) for service in services]
    threads += [threading.Thread(target=manage, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    (answer,) = services[0].issue([order])
    assert len(answer.deny_list) == 1 + 8
    assert verify(kms).rows > 20
    for home in homes:
        home.database.close()


def test_a_change_that_fails_halfway_changes_no_tag(make_kms: MakeKms) -> None:
    kms = furnished(make_kms)
    before = verify(kms).rows
    with pytest.raises(KmsConfigError, match="belongs to user alice"):
        enrol(kms.service, EnrolmentOrder(user="dan", identities=("tel:+447700900008", ALICE)))
    assert verify(kms).rows == before
    revoke_identity(kms.service, BOB)
    assert verify(kms).rows == before + 1


def test_rows_are_written_by_who_opened_the_secrets_and_owns_the_root(make_kms: MakeKms) -> None:
    kms = furnished(make_kms)
    sealed = KmsHome.open(kms.home.folder)
    with sealed.database.begin() as records, pytest.raises(KmsConfigError, match="sealed"):
        records.deny(BOB, listed_until_ntp_s=1)
    sealed.database.close()
    with kms.service.database.begin(RootLock.SHARED) as records, pytest.raises(RuntimeError, match="own the root"):
        records.deny(BOB, listed_until_ntp_s=1)


def test_every_table_is_tagged_or_known_not_to_be() -> None:
    """A new table must say how its rows are guarded."""
    guarded_otherwise = {"audit", "audit_streams", "sealed_parts", "row_tags", "row_buckets", "row_root"}
    assert set(RULES) | guarded_otherwise == set(metadata.tables)
    for rule in RULES.values():
        open_columns = {column.name for column in rule.table.columns} - set(rule.columns)
        assert open_columns == ({"sealed_secrets"} if rule.name == "kms" else set())


def test_the_tree_depends_on_every_bucket_version_and_key() -> None:
    key, other = RowKey(octets=bytes(32)), RowKey(octets=bytes(31) + b"\1")
    buckets = {number: (1, f"{number:064x}") for number in (0, 1, BUCKETS_TO_A_GROUP, 65535)}
    tree = Heads().advanced(key, 1, buckets)
    roots = {tree.root(key).tag, tree.root(other).tag, Heads().advanced(key, 2, buckets).root(key).tag}
    for number in buckets:
        for head in ((2, buckets[number][1]), (1, "f" * 64)):
            roots.add(tree.advanced(key, 1, {number: head}).root(key).tag)
    assert len(roots) == 3 + 2 * len(buckets)
    step_by_step = Heads()
    for number, head in buckets.items():
        step_by_step = step_by_step.advanced(key, 1, {number: head})
    assert step_by_step == tree
