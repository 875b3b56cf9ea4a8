"""The identity map at a KMS: orders, statements over both faces, and what a UE's key store makes of them."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from lab_scripts.cli.main import run
from security.device.kms_client import KmsClient, keep_all, numbers_of_interest
from security.device.store import KeyStore
from security.held_keys import ALL_USES
from security.identifiers import UidScheme
from security.identity_map.checks import IdentityMap, NumberNotResolved
from security.identity_map.signature import split_signed, verify_statement
from security.identity_map.statement import ALL_MAP_USES, MapState, MapUse
from security.kms.annex_d_responses import MAP_NAMESPACE
from security.kms.home import KmsHome
from security.kms.number_map import map_number, signed_statement, statement_of, statements_for, unmap_number
from security.kms.operator_orders import EnrolmentOrder, add_to_group, enrol, revoke_identity, revoke_user
from security.kms_wire.errors import KmsConfigError, KmsRefusal, RowsAlteredError
from security.kms_wire.protocol import encode
from tests.unit.security.kms.test_kms_annex_d import NAMESPACES, ROOT, post, request_xml, served

ALICE, BOB, CAROL = "sip:alice@example.org", "sip:bob@example.org", "sip:carol@example.org"
NUMBER, OTHER, UNKNOWN = "+447700900077", "+447700900078", "+447700900079"
MakeKms = Callable[..., Any]
_DOCS = next(parent for parent in Path(__file__).parents if parent.name == "tests").parent / "docs"
MAP_SCHEMA = etree.XMLSchema(etree.parse(str(_DOCS / "identity-map.xsd")))
"""The published schema of the map's XML form."""


@pytest.fixture
def kms(make_kms: MakeKms) -> Any:
    made = make_kms(scheme=UidScheme.HASHED_UID, namespace=("sip:*@example.org", "tel:+44*"))
    for user, uri in (("alice", ALICE), ("bob", BOB), ("carol", CAROL)):
        made.enrol(user, uri)
    return made


def told(kms: Any, *numbers: str, user: str = "alice") -> dict[str, Any]:
    """The statements about numbers that a user gets, verified."""
    _, statements = statements_for(kms.service, kms.users[user].fingerprint, numbers)
    found = {}
    for signed in statements:
        statement, signature = split_signed(signed)
        verify_statement(statement, signature, kms.service.authority.domain)
        found[statement.number] = statement
    return found


def last_line(kms: Any) -> dict[str, Any]:
    with kms.service.database.read() as records:
        return list(records.audit_lines())[-1].fields


def test_orders_rise_serials_and_are_audited(kms: Any) -> None:
    map_number(kms.service, NUMBER, BOB, MapUse.CALL)
    assert (last_line(kms)["action"], last_line(kms)["subject"]) == ("map-number", NUMBER)
    assert last_line(kms)["detail"] == {"identity": BOB, "uses": ["call"], "change": 1}
    first = told(kms, NUMBER, UNKNOWN)
    assert set(first) == {NUMBER}
    assert (first[NUMBER].identity, first[NUMBER].uses, first[NUMBER].state) == (BOB, MapUse.CALL, MapState.VALID)
    map_number(kms.service, NUMBER, CAROL)
    second = told(kms, NUMBER)[NUMBER]
    assert (second.identity, second.uses) == (CAROL, ALL_MAP_USES) and second.serial > first[NUMBER].serial
    unmap_number(kms.service, NUMBER)
    assert last_line(kms)["action"] == "unmap-number"
    third = told(kms, NUMBER)[NUMBER]
    assert third.state is MapState.NOBODY and third.serial > second.serial
    with kms.service.database.read() as records:
        (row,) = records.every_number()
    assert (row.number, row.change) == (NUMBER, 3)


@pytest.mark.parametrize(
    ("number", "identity", "uses", "why"),
    [
        ("0044", BOB, ALL_MAP_USES, "no telephone number"),
        ("+4930123456", BOB, ALL_MAP_USES, "outside this KMS's namespace"),
        (NUMBER, "sip:bob@other.example", ALL_MAP_USES, "outside this KMS's namespace"),
        (NUMBER, "sip:Bob@Example.org", ALL_MAP_USES, "canonical"),
        (NUMBER, "sip:identity-map@example.org", ALL_MAP_USES, "reserved"),
        (NUMBER, BOB, MapUse(0), "at least one use"),
    ],
)
def test_impossible_orders_leave_nothing(kms: Any, number: str, identity: str, uses: MapUse, why: str) -> None:
    with pytest.raises(KmsConfigError, match=why):
        map_number(kms.service, number, identity, uses)
    with pytest.raises(KmsConfigError, match="has no holder"):
        unmap_number(kms.service, NUMBER)
    assert told(kms, NUMBER) == {} and last_line(kms)["action"] == "enrol"


def test_the_signers_identity_is_issued_to_nobody(kms: Any) -> None:
    reserved = "sip:identity-map@example.org"
    with pytest.raises(KmsConfigError, match="reserved"):
        enrol(kms.service, EnrolmentOrder(user="eve", identities=(reserved,), uses=ALL_USES))
    with pytest.raises(KmsConfigError, match="reserved"):
        add_to_group(kms.service, reserved, (ALICE,))


def test_a_revoked_identity_loses_its_numbers(kms: Any) -> None:
    for number, identity in ((NUMBER, BOB), (OTHER, CAROL)):
        map_number(kms.service, number, identity)
    revoke_identity(kms.service, BOB)
    revoke_user(kms.service, "carol")
    found = told(kms, NUMBER, OTHER)
    assert {one.state for one in found.values()} == {MapState.NOBODY}
    assert all(one.serial >> 32 == 2 for one in found.values())
    assert kms.actions().count("unmap-number") == 2
    with pytest.raises(KmsConfigError, match="revoked"):
        map_number(kms.service, NUMBER, BOB)
    with pytest.raises(KmsRefusal):
        told(kms, NUMBER, user="carol")


def test_all_statements_of_a_cell_are_alike_and_one_cell_follows_the_other_in_time(kms: Any) -> None:
    domain = kms.service.authority.domain
    row = map_number(kms.service, NUMBER, BOB)
    now = kms.ntp_s()
    day = [statement_of(row, domain, now // 86_400 * 86_400 + at) for at in range(0, 86_400, 3600)]
    assert len(set(day)) == 1
    (today,) = set(day)
    tomorrow = statement_of(row, domain, now + 86_400)
    assert tomorrow.serial == today.serial + 1
    for one, at in ((today, now), (tomorrow, now + 86_400)):
        assert one.not_before_ntp_s <= at - 86_400 and one.not_after_ntp_s >= at + 28 * 86_400
    assert today.not_after_ntp_s - today.not_before_ntp_s == 2_592_000 + 2 * 86_400
    assert split_signed(signed_statement(kms.service.authority, row, now))[0] == statement_of(row, domain, now)


def test_a_ue_gets_keeps_and_renews_statements_and_takes_no_older_one(kms: Any, tmp_path: Path) -> None:
    map_number(kms.service, NUMBER, BOB)
    ca_pem = kms.service.ca.certificate_pem
    store = KeyStore.create(tmp_path / "ue", identity=ALICE, passphrase=b"x" * 16, now_ntp_s=kms.ntp_s(), log2_n=4)

    def contact(url: str, *numbers: str) -> Any:
        client = KmsClient(url=url, ca_pem=ca_pem, identity=kms.users["alice"])
        got = asyncio.run(client.fetch(ALICE, numbers_of_interest(store, numbers)))
        keep_all(store, got)
        return got

    def leads_to(number: str = NUMBER) -> str:
        again = KeyStore.open(tmp_path / "ue", identity=ALICE, passphrase=b"x" * 16, now_ntp_s=kms.ntp_s())
        known = IdentityMap(own={}, held=again.numbers(), ring=again.key_ring())
        return known.resolve(number, MapUse.CALL, kms.ntp_s()).identity

    with served(kms) as url:
        first = contact(url, NUMBER, UNKNOWN)
        assert leads_to() == BOB and not store.refused_statements
        with pytest.raises(NumberNotResolved, match="no KMS has said"):
            leads_to(UNKNOWN)
        map_number(kms.service, NUMBER, CAROL)
        contact(url)
        assert leads_to() == CAROL, "what is held is renewed without being asked for"
        store.keep_statements(first.numbers.statements, asked=(NUMBER,), now_ntp_s=kms.ntp_s())
        assert [one.why.partition(":")[0] for one in store.refused_statements] == ["serial"] and leads_to() == CAROL
        kms.at += dt.timedelta(days=1)
        contact(url)
        assert leads_to() == CAROL and not store.refused_statements
        unmap_number(kms.service, NUMBER)
        contact(url)
        with pytest.raises(NumberNotResolved, match="it has no holder"):
            leads_to()
    store.keep_statements(first.numbers.statements, asked=(), now_ntp_s=kms.ntp_s())
    assert "not asked for" in store.refused_statements[0].why


def test_keys_come_from_a_kms_that_gives_no_map(kms: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("security.device.kms_client.PATH_MAP", "/pc5lab/v1/nothing-here")
    with served(kms) as url:
        client = KmsClient(url=url, ca_pem=kms.service.ca.certificate_pem, identity=kms.users["alice"])
        got = asyncio.run(client.fetch(ALICE, (NUMBER,)))
    assert got.key_sets and got.numbers is not None
    assert (got.numbers.asked, got.numbers.statements) == ((NUMBER,), ()) and "refuses" in got.numbers.why


def test_the_xml_face_gives_the_same_statements(kms: Any) -> None:
    map_number(kms.service, NUMBER, BOB)
    path = f"{ROOT}/map/{NUMBER},{UNKNOWN}"
    with served(kms) as url:
        status, root = post(kms, url, path, request_xml(path))
        empty, _ = post(kms, url, path, b"")
        bad, refusal = post(kms, url, f"{ROOT}/map/077009", b"")
        strange, _ = post(kms, url, path, request_xml(path, user=BOB))
    assert (status, empty, bad, strange) == (200, 200, 400, 403)
    assert "no telephone number" in etree.tostring(refusal).decode()
    (numbers,) = root.findall(f"k:KmsMessage/{{{MAP_NAMESPACE}}}IdentityMap", NAMESPACES)
    assert MAP_SCHEMA.validate(etree.fromstring(etree.tostring(numbers))), MAP_SCHEMA.error_log
    (statement,) = numbers
    assert etree.QName(statement).localname == "Statement"
    assert split_signed(bytes.fromhex(statement.text))[0] == told(kms, NUMBER)[NUMBER]


@pytest.mark.parametrize(
    "inside",
    [
        f'<IdentityMap xmlns="{MAP_NAMESPACE}"/>',
        f'<IdentityMap xmlns="{MAP_NAMESPACE}" Version="2.0.0"/>',
        f'<IdentityMap xmlns="{MAP_NAMESPACE}" Version="1.0.0"><Statement>no hex</Statement></IdentityMap>',
        f'<IdentityMap xmlns="{MAP_NAMESPACE}" Version="1.0.0"><Statement>{"00" * 129}</Statement></IdentityMap>',
        f'<IdentityMap xmlns="{MAP_NAMESPACE}" Version="1.0.0"><Number>+44</Number></IdentityMap>',
    ],
)
def test_the_schema_of_the_map_refuses_what_is_none(inside: str) -> None:
    assert MAP_SCHEMA.validate(etree.fromstring(f'<IdentityMap xmlns="{MAP_NAMESPACE}" Version="1.0.0"/>')), (
        "no statement is a map too"
    )
    assert not MAP_SCHEMA.validate(etree.fromstring(inside))


@pytest.mark.parametrize(
    "edit",
    [
        f"UPDATE numbers SET identity = '{CAROL}'",
        "UPDATE numbers SET change = 99",
        "DELETE FROM numbers",
        "DROP TABLE numbers",
        f"INSERT INTO numbers VALUES ('{OTHER}', '{CAROL}', 1, 0, 1)",
    ],
)
def test_an_edited_map_is_found(kms: Any, edit: str) -> None:
    map_number(kms.service, NUMBER, BOB)
    with sqlite3.connect(kms.home.folder / "kms.sqlite") as connection:
        connection.execute(edit)
    connection.close()
    with pytest.raises((RowsAlteredError, KmsConfigError), match="numbers"):
        told(kms, NUMBER, OTHER)
    home = KmsHome.open(kms.home.folder)
    with pytest.raises(RowsAlteredError, match="numbers"):
        home.unseal(passphrase_file=None, clocks=kms.clocks())
    home.database.close()


def test_a_database_of_the_program_before_gets_the_table_when_it_is_unsealed(kms: Any) -> None:
    kms.close()
    with sqlite3.connect(kms.home.folder / "kms.sqlite") as connection:
        connection.execute("DROP TABLE numbers")
    connection.close()
    sealed = KmsHome.open(kms.home.folder, read_only=True)
    assert sealed.verify_audit(opened=sealed.opened(None).secrets).rows
    home = KmsHome.open(kms.home.folder)
    service = home.unseal(passphrase_file=None, clocks=kms.clocks())
    assert map_number(service, NUMBER, BOB).change == 1
    home.database.close()


def test_a_ue_shows_and_fetches_numbers_on_request(kms: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    map_number(kms.service, NUMBER, BOB)
    ticket = enrol(kms.service, EnrolmentOrder(user="dave", identities=("sip:dave@example.org",)))
    (tmp_path / "ue.ticket").write_bytes(encode(ticket))
    moment = kms.at.isoformat()

    def said(*numbers: str) -> list[dict[str, str]]:
        capfd.readouterr()
        assert run(["ue", "numbers", str(tmp_path / "ue.toml"), *numbers, "--utc", moment[:19], "--json"]) == 0
        return json.loads(capfd.readouterr().out)["numbers"]

    with served(kms) as url:
        (tmp_path / "ue.toml").write_text(
            f"""
            name = "dave"
            identity = "sip:dave@example.org"
            l2_id = 77
            utc_at_power_on = {moment}
            numbers = [{{ number = "{OTHER}", identity = "{CAROL}" }}]
            [kms]
            url = "{url}"
            ticket = "{tmp_path / "ue.ticket"}"
            store = "{tmp_path / "store"}"
            [[link.peers]]
            number = "{UNKNOWN}"
            l2_id = 5
            """
        )
        assert run(["ue", "provision", str(tmp_path / "ue.toml")]) == 0
        own = {"number": OTHER, "identity": CAROL, "by": "own", "why": ""}
        unknown = {"number": UNKNOWN, "identity": "", "by": "", "why": f"{UNKNOWN}: no KMS has said whose it is"}
        assert said() == [own, unknown]
        told_now = {"number": NUMBER, "identity": BOB, "by": "kms.example", "why": ""}
        assert said(NUMBER) == [told_now, own, unknown]
    assert said() == [own, unknown, told_now], "it is kept"
