"""The KMS on a real PostgreSQL: a server of the distribution's package, begun here in a folder of its own."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from security.identifiers import UidScheme
from security.kms.backup import restore_backup, write_backup
from security.kms.home import KmsHome
from security.kms.home_files import PASSPHRASE_FILE
from security.kms.operator_orders import EnrolmentOrder, add_to_group, enrol, revoke_identity
from security.kms.service import KeyOrder
from security.kms_wire.errors import AuditError, KmsConfigError, KmsRefusal, RowsAlteredError

pytestmark = pytest.mark.interop
MakeKms = Callable[..., Any]
USES = "group,one-to-one,out-of-coverage"
TEAM = "tel:+447700909999"


def uri(number: int) -> str:
    return f"tel:+4477009{number:05}"


def programs() -> Path | None:
    """Where initdb and pg_ctl are."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb")
    return versions[-1].parent if versions else Path(found).resolve().parent if found else None


def unprivileged_user() -> str | None:
    """Whom to run the server as: oneself, unless that is root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return getpass.getuser()
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """A running server's socket folder; its superuser is `lab`, and only the socket is listened on."""
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed (extra: postgresql)")
    binaries, user = programs(), unprivileged_user()
    if binaries is None:
        pytest.skip("PostgreSQL's server is not installed (package postgresql)")
    if user is None:
        pytest.skip("there is no unprivileged user to run PostgreSQL as")
    folder = Path(tempfile.mkdtemp(prefix="pc5lab-pg-"))
    as_user: dict[str, Any] = {"cwd": "/", "stdout": subprocess.DEVNULL, "timeout": 60}
    if os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        as_user |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}
    data = folder / "data"
    try:
        initdb = [binaries / "initdb", "-D", data, "-U", "lab", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(initdb, check=True, **as_user)
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c max_connections=40"
        start = [binaries / "pg_ctl", "-D", data, "-o", options, "-w", "-l", folder / "log", "start"]
        subprocess.run(start, check=True, **as_user)
        try:
            yield folder
        finally:
            subprocess.run([binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], check=True, **as_user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database_url(server: Path, request: pytest.FixtureRequest) -> str:
    """A new, empty database."""
    import psycopg

    name = f"kms_{abs(hash(request.node.name)):x}"
    with psycopg.connect(host=str(server), user="lab", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql://lab@/{name}?host={server}"


def test_a_kms_lives_in_postgresql(make_kms: MakeKms, database_url: str) -> None:
    kms = make_kms(database_url=database_url)
    kms.enrol("alice", uri(1), discovery_groups=("1",), peers=(uri(2),))
    kms.enrol("bob", uri(2))
    add_to_group(kms.service, TEAM, (uri(1),))
    got = kms.keys("alice", uri(1))
    assert (got.peers, len(got.group_keys), len(got.discovery_keys)) == ((uri(2),), 1, 1)
    revoke_identity(kms.service, uri(1))
    with pytest.raises(KmsRefusal, match="revoked"):
        kms.keys("alice", uri(1))
    assert kms.keys("bob", uri(2)).deny_list == (uri(1),)
    again = KmsHome.open(kms.home.folder)
    assert again.verify_audit().count == len(kms.actions())
    again.database.close()
    with pytest.raises(KmsConfigError, match="holds a KMS already"):
        make_kms("second", database_url=database_url)


def test_workers_serve_one_database_together(make_kms: MakeKms, database_url: str) -> None:
    kms = make_kms(database_url=database_url, scheme=UidScheme.HASHED_UID)
    kms.enrol("alice", uri(1))
    order = KeyOrder(fingerprint=kms.users["alice"].fingerprint, uri=uri(1))
    services = [
        kms.home.unseal(passphrase_file=None, clocks=kms.clocks(), stream=f"serve-{number}") for number in range(4)
    ]
    failures: list[BaseException] = []

    def work(service: Any) -> None:
        try:
            for _ in range(10):
                service.issue([order] * 2)
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(service,)) for service in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    report = kms.home.verify_audit()
    assert {head.stream: head.count for head in report.heads} == {
        "main": 2 + 4,
        **{f"serve-{number}": 20 for number in range(4)},
    }


def test_orders_of_many_operators_at_once_make_one_chain(make_kms: MakeKms, database_url: str) -> None:
    kms = make_kms(database_url=database_url)
    threads = [
        threading.Thread(target=lambda number=number: kms.enrol(f"user{number}", uri(number))) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kms.home.verify_audit().count == 16


def test_tampering_in_postgresql_is_found(make_kms: MakeKms, database_url: str) -> None:
    kms = make_kms(database_url=database_url)
    kms.enrol("alice", uri(1))
    with kms.service.database.begin() as records:
        records.connection.exec_driver_sql("UPDATE audit SET line = replace(line, 'alice', 'bob') WHERE seq = 1")
    with pytest.raises(AuditError, match="line 1: altered"):
        kms.home.verify_audit()


def administrator(server: Path, database_url: str) -> Any:
    """A connection of the database's administrator, who has not the passphrase."""
    import psycopg

    name = database_url.split("@/")[1].split("?", maxsplit=1)[0]
    return psycopg.connect(host=str(server), user="lab", dbname=name, autocommit=True)


def test_an_administrator_without_the_passphrase_gets_no_users_keys(
    make_kms: MakeKms, database_url: str, server: Path
) -> None:
    kms = make_kms(database_url=database_url)
    kms.enrol("alice", uri(1))
    kms.enrol("mallory", uri(2))
    own = KeyOrder(fingerprint=kms.users["mallory"].fingerprint, uri=uri(1))
    (refused,) = kms.service.issue([own])
    assert isinstance(refused, KmsRefusal)
    for attack in (
        f"UPDATE grants SET \"user\" = 'mallory' WHERE uri = '{uri(1)}'",
        f"UPDATE certificates SET \"user\" = 'alice' WHERE fingerprint = '{own.fingerprint}'",
        f"DELETE FROM grants WHERE uri = '{uri(1)}'; INSERT INTO grants VALUES ('{uri(1)}', 'mallory', 'group')",
    ):
        with administrator(server, database_url) as connection:
            connection.execute("BEGIN")
            for statement in attack.split(";"):
                connection.execute(statement)
            connection.execute("COMMIT")
            with pytest.raises(RowsAlteredError):
                kms.service.issue([own])
            home = KmsHome.open(kms.home.folder)
            with pytest.raises(RowsAlteredError):
                home.unseal(passphrase_file=None, clocks=kms.clocks())
            home.database.close()
            connection.execute(f"UPDATE grants SET \"user\" = 'alice', uses = '{USES}' WHERE uri = '{uri(1)}'")
            connection.execute(f"UPDATE certificates SET \"user\" = 'mallory' WHERE fingerprint = '{own.fingerprint}'")
    KmsHome.open(kms.home.folder).verify_audit(opened=kms.home.opened(None).secrets)


def test_a_revocation_taken_back_with_every_tag_of_before_is_found(
    make_kms: MakeKms, database_url: str, server: Path
) -> None:
    """The administrator keeps a copy of all tables, and puts it back."""
    kms = make_kms(database_url=database_url)
    kms.enrol("alice", uri(1))
    tables = ("denied_identities", "row_tags", "row_buckets", "row_root", "audit", "audit_streams")
    with administrator(server, database_url) as connection:
        for table in tables:
            connection.execute(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")
        revoke_identity(kms.service, uri(1))
        for table in tables:
            connection.execute(f"DELETE FROM {table}")
            connection.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}")
    with pytest.raises(RowsAlteredError, match="rolled back to version"):
        kms.service.issue([KeyOrder(fingerprint=kms.users["alice"].fingerprint, uri=uri(1))])
    home = KmsHome.open(kms.home.folder)
    with pytest.raises(RowsAlteredError, match="rolled back to version"):
        home.unseal(passphrase_file=None, clocks=kms.clocks())
    home.database.close()


def test_orders_and_issuing_at_once_find_the_tags_whole(make_kms: MakeKms, database_url: str) -> None:
    """Two programs order, three serve, each with its own view of the tags; there is no false alarm."""
    kms = make_kms(database_url=database_url)
    kms.enrol("alice", uri(1))
    homes = [KmsHome.open(kms.home.folder) for _ in range(5)]
    services = [
        home.unseal(passphrase_file=None, clocks=kms.clocks(), stream=f"serve-{number}" if number < 3 else "main")
        for number, home in enumerate(homes)
    ]
    order = KeyOrder(fingerprint=kms.users["alice"].fingerprint, uri=uri(1))
    failures: list[BaseException] = []

    def serve(service: Any) -> None:
        for _ in range(15):
            (answer,) = service.issue([order])
            assert not isinstance(answer, KmsRefusal), answer
            service.parameters(order.fingerprint)

    def manage(service: Any, number: int) -> None:
        for turn in range(8):
            enrol(service, EnrolmentOrder(user=f"user{number}", identities=(uri(1000 * number + turn),)))
            revoke_identity(service, uri(1000 * number + turn))

    def guarded(work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=guarded, args=(serve, service)) for service in services[:3]]
    threads += [
        threading.Thread(target=guarded, args=(manage, service, number))
        for number, service in enumerate(services[3:], 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    (answer,) = services[0].issue([order])
    assert len(answer.deny_list) == 16
    report = kms.home.verify_audit(opened=kms.home.opened(None).secrets)
    assert report.rows is not None and report.rows > 40
    for home in homes:
        home.database.close()


def test_a_kms_moves_from_sqlite_to_postgresql_by_backup(make_kms: MakeKms, database_url: str, tmp_path: Path) -> None:
    kms = make_kms()
    kms.enrol("alice", uri(1))
    before = kms.keys("alice", uri(1))
    write_backup(kms.service, tmp_path / "kms.backup")
    passphrase_file = kms.home.folder / PASSPHRASE_FILE
    home, _ = restore_backup(
        tmp_path / "kms.backup",
        tmp_path / "new",
        database_url=database_url,
        passphrase_file=passphrase_file,
        clocks=kms.clocks(),
    )
    service = home.unseal(passphrase_file=passphrase_file, clocks=kms.clocks())
    order = KeyOrder(fingerprint=kms.users["alice"].fingerprint, uri=uri(1))
    assert service.issue([order]) == [before]
    home.verify_audit()
    write_backup(service, tmp_path / "back.backup")
    home.database.close()


def test_an_absent_server_is_named_without_its_password(make_kms: MakeKms, tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed (extra: postgresql)")
    with pytest.raises(KmsConfigError, match="database postgresql") as caught:
        make_kms(database_url=f"postgresql://lab:hush@/none?host={tmp_path}")
    assert "hush" not in str(caught.value)
