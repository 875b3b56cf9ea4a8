"""Every edit by an attacker with the database, but not its passphrase: it is found, and gives no user keys."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from security.at_rest.sealing import Seal
from security.errors import SecurityError
from security.identifiers import UidScheme
from security.kms.home import KmsHome, KmsPlan
from security.kms.intercept import Operator, add_operator, approve_intercept, request_intercept
from security.kms.operator_orders import (
    EnrolmentOrder,
    add_to_group,
    enrol,
    remove_from_group,
    revoke_identity,
    revoke_user,
    trust_domain,
)
from security.kms.row_tags import RULES
from security.kms.service import Clocks, KmsService
from security.kms_wire.errors import AuditError, KmsRefusal, RowsAlteredError
from security.kms_wire.protocol import EnrolRequest, KeysRequest
from security.kms_wire.tls import ClientRequest
from security.mikey import create_i_message

TEAM = "tel:+447700909999"
NTP_S = 3_982_219_200
TABLES = [name for name in RULES if name != "kms"]
TAG_TABLES = ["row_tags", "row_buckets", "row_root"]
Content = dict[str, list[tuple[Any, ...]]]
CLOCKS = Clocks(wall=lambda: dt.datetime(2026, 3, 11, 12, tzinfo=dt.UTC), lab_ntp_s=lambda: NTP_S)


def uri(number: int) -> str:
    return f"tel:+44770090000{number}"


@dataclasses.dataclass(repr=False)
class Lab:
    """A KMS's folder, its users' certificates, and what its tables held after each of its orders."""

    folder: Path
    users: dict[str, str]
    history: list[Content]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Seal.create.__func__.__kwdefaults__, "log2_n", 4)  # type: ignore[attr-defined]
        yield furnished(tmp_path_factory.mktemp("lab"))


def furnished(root: Path) -> Lab:
    folder = root / "kms"
    plan = KmsPlan(uri="kms.example", namespace=("tel:+44*",), uid_scheme=UidScheme.MONTHLY_TEL, demo_seed=7)
    home = KmsHome.found(folder, plan, passphrase_file=None, database_url=None, now=CLOCKS.wall())
    other = KmsPlan(uri="kms.other", namespace=("tel:+49*",), demo_seed=8)
    others = KmsHome.found(root / "other", other, passphrase_file=None, database_url=None, now=CLOCKS.wall())
    service = home.unseal(passphrase_file=None, clocks=CLOCKS)
    users: dict[str, str] = {}
    erin, frank = (Operator(name=name, key=key_of(number)) for number, name in enumerate(("erin", "frank")))
    message = i_message(service)
    period = service.authority.domain.period_of(NTP_S)
    orders: list[Callable[[], object]] = [
        lambda: join(service, users, "alice", uri(1), peers=(uri(2),), discovery_groups=("1",)),
        lambda: join(service, users, "bob", uri(2)),
        lambda: join(service, users, "carol", uri(3)),
        lambda: add_to_group(service, TEAM, (uri(1), uri(3))),
        lambda: revoke_identity(service, uri(3)),
        lambda: join(service, users, "dan", uri(4)),
        lambda: revoke_user(service, "dan"),
        lambda: remove_from_group(service, TEAM, (uri(3),)),
        lambda: trust_domain(service, others.row.parameters.encode()),
        lambda: enrol(service, EnrolmentOrder(user="late", identities=(uri(5),))),
        lambda: add_operator(service, "erin", erin.key.public_key()),
        lambda: add_operator(service, "frank", frank.key.public_key()),
        lambda: request_intercept(
            service, erin, warrant="W", identities=(uri(2),), key_period_no=period, messages=(message,)
        ),
        lambda: approve_intercept(service, frank, 1),
    ]
    history = []
    for order in orders:
        order()
        history.append(content(folder))
    home.database.close()
    others.database.close()
    return Lab(folder=folder, users=users, history=history)


def key_of(number: int) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def i_message(service: KmsService) -> bytes:
    domain = service.authority.domain
    return create_i_message(
        keys=service.authority.extract(uri(1), domain.period_of(NTP_S)),
        initiator_domain=domain,
        responder_uri=uri(2),
        responder_domain=domain,
        ntp_s=NTP_S,
        ssv=bytes(16),
        csb_id=1,
        random=bytes,
    )


def join(service: KmsService, users: dict[str, str], user: str, identity: str, **more: Any) -> None:
    ticket = enrol(service, EnrolmentOrder(user=user, identities=(identity,), **more))
    request = ClientRequest.create(user)
    answer = service.enrol(EnrolRequest(token=ticket.token, csr_pem=request.csr_pem.decode()))
    users[user] = request.complete(answer.certificate_pem.encode()).fingerprint


def content(folder: Path) -> Content:
    """Every row of the tagged tables and of the tags."""
    with sqlite3.connect(folder / "kms.sqlite") as connection:
        found = {
            name: sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr)
            for name in (*TABLES, *TAG_TABLES)
        }
    connection.close()
    return found


def meant(rows: Content) -> Content:
    """Rows as they are read: SQLite keeps a truth value as anything, and what is not 0 means true."""
    truths = {"users": 1, "enrolment_tokens": 3}
    return rows | {
        table: [(*row[:at], bool(row[at]), *row[at + 1 :]) for row in rows[table]] for table, at in truths.items()
    }


def put(connection: sqlite3.Connection, table: str, rows: list[tuple[Any, ...]]) -> None:
    """Give a table other rows."""
    connection.execute(f'DELETE FROM "{table}"')
    if rows:
        marks = ",".join("?" * len(rows[0]))
        connection.executemany(f'INSERT OR REPLACE INTO "{table}" VALUES ({marks})', rows)


Edit = Callable[[sqlite3.Connection, Content, Any], None]


def update(connection: sqlite3.Connection, now: Content, draw: Any) -> None:
    """One value of one row becomes another: one of the same column, or anything."""
    table = draw(st.sampled_from([name for name in (*TABLES, *TAG_TABLES) if now[name]]))
    rows = list(now[table])
    at = draw(st.integers(0, len(rows) - 1))
    column = draw(st.integers(0, len(rows[at]) - 1))
    values = st.sampled_from([row[column] for row in rows])
    value = draw(values | st.sampled_from([None, 0, 1, -1, 2**62, "", "tel:+447700900001", "alice", b"\xff", "f" * 64]))
    rows[at] = (*rows[at][:column], value, *rows[at][column + 1 :])
    put(connection, table, rows)


def delete(connection: sqlite3.Connection, now: Content, draw: Any) -> None:
    table = draw(st.sampled_from([name for name in (*TABLES, *TAG_TABLES) if now[name]]))
    rows = list(now[table])
    rows.pop(draw(st.integers(0, len(rows) - 1)))
    put(connection, table, rows)


def copy_row(connection: sqlite3.Connection, now: Content, draw: Any) -> None:
    """A row once more, with another first value; between tables of as many columns too."""
    source = draw(st.sampled_from([name for name in TABLES if now[name]]))
    row = draw(st.sampled_from(now[source]))
    same_shape = [name for name in TABLES if now[name] and len(now[name][0]) == len(row)]
    target = draw(st.sampled_from(same_shape))
    first = draw(st.sampled_from([row[0], uri(6), "mallory", *(other[0] for other in now[target])]))
    put(connection, target, [*now[target], (first, *row[1:])])


def swap(connection: sqlite3.Connection, now: Content, draw: Any) -> None:
    """Two rows of a table exchange what is not their first value."""
    table = draw(st.sampled_from([name for name in (*TABLES, *TAG_TABLES) if len(now[name]) > 1]))
    rows = list(now[table])
    one, other = draw(st.permutations(range(len(rows))))[:2]
    rows[one], rows[other] = (rows[one][0], *rows[other][1:]), (rows[other][0], *rows[one][1:])
    put(connection, table, rows)


def edits(lab: Lab) -> st.SearchStrategy[Edit]:
    def roll_back(connection: sqlite3.Connection, now: Content, draw: Any) -> None:
        """Some tables, or all, as they were earlier; with the tags of that time, or of now."""
        then = draw(st.sampled_from(lab.history))
        tables = draw(st.sets(st.sampled_from((*TABLES, *TAG_TABLES)), min_size=1) | st.just({*TABLES, *TAG_TABLES}))
        for table in tables:
            put(connection, table, then[table])

    return st.sampled_from([update, delete, copy_row, swap, roll_back])


def answers(service: KmsService, users: dict[str, str]) -> list[object]:
    """The answers that all users get; a refusal or a finding is an answer as well."""

    def ask(user: str, number: int) -> object:
        return answer(lambda: service.keys(users[user], KeysRequest(uri=uri(number))))

    asked = (("alice", 1), ("bob", 2), ("carol", 3), ("dan", 4), ("bob", 1), ("alice", 5))
    keys = [ask(user, number) for user, number in asked]
    public = [answer(lambda: service.parameters(users["alice"])), answer(lambda: service.trusted_domains(users["bob"]))]
    return keys + public


def answer(ask: Callable[[], object]) -> object:
    try:
        return ask()
    except KmsRefusal as refusal:
        return refusal.code, str(refusal)
    except RowsAlteredError:
        return FOUND


FOUND = "found"


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_an_edit_is_found_at_each_use_at_unseal_and_at_verify(lab: Lab, tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(lab.folder, folder)
    (folder / "kms.json").write_text((folder / "kms.json").read_text().replace(str(lab.folder), str(folder)))
    serving = KmsHome.open(folder)
    service = serving.unseal(passphrase_file=None, clocks=CLOCKS)
    try:
        before = answers(service, lab.users)
        now = content(folder)
        connection = sqlite3.connect(folder / "kms.sqlite")
        for edit in data.draw(st.lists(edits(lab), min_size=1, max_size=3)):
            try:
                edit(connection, content(folder), data.draw)
                connection.commit()
            except sqlite3.Error:
                connection.rollback()
        connection.close()
        assume(meant(content(folder)) != meant(now))
        after = answers(service, lab.users)
        for old, new in zip(before, after, strict=True):
            assert new in (old, FOUND)
        with pytest.raises((RowsAlteredError, AuditError)):
            serving.verify_audit(opened=serving.opened(None).secrets)
    finally:
        serving.database.close()
    opening = KmsHome.open(folder)
    try:
        with pytest.raises(RowsAlteredError):
            opening.unseal(passphrase_file=None, clocks=CLOCKS)
        with pytest.raises(SecurityError):
            KmsHome.open(folder, read_only=True).verify_audit(opened=opening.opened(None).secrets)
    finally:
        opening.database.close()
