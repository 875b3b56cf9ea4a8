"""A database of the program before rows had tags is brought up to date when it is unsealed, once and for good."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from lab_scripts.cli.main import run
from security.at_rest.sealing import SealError
from security.kms.home import KmsHome
from security.kms.workers import ServingPlan
from security.kms_wire.errors import AuditError, RowsAlteredError

VECTORS = Path(__file__).parents[4] / "tests" / "vectors" / "kms"
ALICE, BOB = "tel:+447700900001", "tel:+447700900002"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A home folder as the earlier program left it."""
    folder = tmp_path / "kms"
    folder.mkdir()
    with sqlite3.connect(folder / "kms.sqlite") as connection:
        connection.executescript((VECTORS / "schema-2.sql").read_text())
        (ca_pem,) = connection.execute("SELECT ca_pem FROM kms").fetchone()
    connection.close()
    (folder / "ca.pem").write_text(ca_pem)
    shutil.copy(VECTORS / "schema-2.passphrase", folder / "seal.key")
    (folder / "seal.key").chmod(0o600)
    (folder / "kms.json").write_text(json.dumps({"version": 1, "database": f"sqlite:///{folder / 'kms.sqlite'}"}))
    return folder


def dump(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "kms.sqlite") as connection:
        lines = list(connection.iterdump())
    connection.close()
    return lines


def unseal(folder: Path) -> Any:
    return KmsHome.open(folder).unseal(
        passphrase_file=None, clocks=ServingPlan(folder=folder, host="", port=0, name="x").clocks()
    )


def test_rows_get_tags_once_and_everything_is_still_there(old: Path) -> None:
    service = unseal(old)
    with service.database.read() as records:
        assert [grant.uri for grant in records.grants("alice")] == [ALICE]
        assert records.is_denied(BOB)
        assert list(records.operators()) == ["carol"]
        assert records.groups_of((ALICE,)) == {ALICE: ("tel:+447700909999",)}
        last = list(records.audit_lines("main"))[-1].fields
    assert (last["action"], last["detail"]) == ("tag-rows", {"rows": 13, "schema": 3})
    service.database.close()
    again = unseal(old)
    with again.database.read() as records:
        assert list(records.audit_lines("main"))[-1].fields == last
    home = KmsHome.open(old, read_only=True)
    report = home.verify_audit(opened=home.opened(None).secrets)
    assert (report.count, report.rows) == (6, 13)
    assert home.pinned_audit_key == home.row.audit_key_hex
    again.database.close()


def test_what_needs_no_secrets_works_before(old: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["kms", "audit", "verify", str(old), "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert (said["lines"], said["rows"]) == (5, None)
    assert "no tags yet" in said["rows_not_checked"]
    assert "not pinned" in said["key_from"]
    assert run(["kms", "audit", "show", str(old)]) == 0
    assert run(["kms", "parameters", str(old)]) == 0
    assert sorted(path.name for path in old.iterdir()) == ["ca.pem", "kms.json", "kms.sqlite", "seal.key"]


def test_nobody_makes_the_program_tag_edited_rows_by_calling_them_old(old: Path) -> None:
    """Any writer of the database can change the version in it; that rows have tags is sealed."""
    unseal(old).database.close()
    with sqlite3.connect(old / "kms.sqlite") as connection:
        connection.execute("UPDATE kms SET schema_version = 2")
        connection.execute("DELETE FROM denied_identities")
        for table in ("row_tags", "row_buckets", "row_root"):
            connection.execute(f"DROP TABLE {table}")
    connection.close()
    with pytest.raises(RowsAlteredError, match="rolled back to a state before its rows had tags"):
        unseal(old)


def test_a_sealed_part_of_before_is_not_taken_for_an_old_database(old: Path) -> None:
    with sqlite3.connect(old / "kms.sqlite") as connection:
        (sealed,) = connection.execute("SELECT sealed_secrets FROM kms").fetchone()
    connection.close()
    unseal(old).database.close()
    with sqlite3.connect(old / "kms.sqlite") as connection:
        connection.execute("UPDATE kms SET sealed_secrets = ?", (sealed,))
    connection.close()
    with pytest.raises(RowsAlteredError, match="older than the database"):
        unseal(old)


def test_two_programs_that_come_at_once_make_one_set_of_tags(old: Path) -> None:
    """The second waits for the first, and takes over what it made."""
    first, second = KmsHome.open(old), KmsHome.open(old)
    clocks = ServingPlan(folder=old, host="", port=0, name="x").clocks()
    first.unseal(passphrase_file=None, clocks=clocks)
    service = second.unseal(passphrase_file=None, clocks=clocks)
    with service.database.read() as records:
        assert [line.fields["action"] for line in records.audit_lines("main")].count("tag-rows") == 1
    first.database.close()
    second.database.close()


def test_shares_for_interception_are_made_by_the_holder_of_the_passphrase_once(old: Path, tmp_path: Path) -> None:
    made = ["kms", "intercept", "shares", str(old), str(tmp_path / "shares")]
    assert run(made) == 0
    assert run([*made[:-1], str(tmp_path / "again")]) == 5
    assert not (tmp_path / "again").exists()


def test_a_wrong_passphrase_changes_nothing(old: Path) -> None:
    before = dump(old)
    (old / "seal.key").write_text("another passphrase")
    with pytest.raises(SealError):
        unseal(old)
    assert dump(old) == before


def test_a_log_that_is_not_whole_is_found_in_an_old_database_too(old: Path) -> None:
    with sqlite3.connect(old / "kms.sqlite") as connection:
        connection.execute("DELETE FROM audit WHERE seq = 2")
    connection.close()
    with pytest.raises(AuditError):
        KmsHome.open(old, read_only=True).verify_audit()
