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
from security.kms.errors import AuditError, KmsConfigError, KmsRefusal
from security.kms.home import PASSPHRASE_FILE, KmsHome
from security.kms.operator_orders import add_to_group, revoke_identity
from security.kms.service import KeyOrder

pytestmark = pytest.mark.interop
MakeKms = Callable[..., Any]
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
    as_user: dict[str, Any] = {"cwd": "/", "check": True, "stdout": subprocess.DEVNULL, "timeout": 60}
    if os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        as_user |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}
    data = folder / "data"
    try:
        initdb = [binaries / "initdb", "-D", data, "-U", "lab", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(initdb, **as_user)
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c max_connections=40"
        start = [binaries / "pg_ctl", "-D", data, "-o", options, "-w", "-l", folder / "log", "start"]
        subprocess.run(start, **as_user)
        try:
            yield folder
        finally:
            subprocess.run([binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], **as_user)
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
