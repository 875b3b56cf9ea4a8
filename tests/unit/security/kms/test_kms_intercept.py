"""Interception: two operators, one warrant, exactly the named messages, and no receiver's key."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from security.errors import SecurityError
from security.identifiers import UidScheme
from security.kms.intercept import Operator, add_operator, approve_intercept, export_intercept, request_intercept
from security.kms.intercept_forms import InterceptProduct
from security.kms.interception_shares import SHARES_FOLDER
from security.kms.operator_orders import trust_domain
from security.kms.tables import intercept_table, operator_table
from security.kms_wire.errors import InterceptError
from security.kms_wire.protocol import encode
from security.mikey import create_i_message, parse_i_message
from security.mikey.i_message import extract_ssv, signed_part, uid_identities

ALICE, BOB, CAROL = "tel:+447700900001", "tel:+447700900002", "tel:+447700900003"
ALICES_SSV, BOBS_SSV, OTHER_SSV = bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48))
MakeKms = Callable[..., Any]


def message(kms: Any, sender: str, receiver: str, ssv: bytes, *, later_s: int = 0, signer_kms: Any = None) -> bytes:
    ntp_s = kms.ntp_s() + later_s
    source, target = (signer_kms or kms).service.authority, kms.service.authority
    keys = source.extract(sender, source.domain.period_of(ntp_s))
    return i_message(keys, source.domain, target.domain, receiver, ssv, ntp_s)


def i_message(keys: Any, source: Any, target: Any, receiver: str, ssv: bytes, ntp_s: int, **more: Any) -> bytes:
    return create_i_message(
        keys=keys,
        initiator_domain=source,
        responder_uri=receiver,
        responder_domain=target,
        ntp_s=ntp_s,
        ssv=ssv,
        csb_id=0xD0000001,
        random=os.urandom,
        **more,
    )


def share_files(kms: Any) -> list[Path]:
    return [kms.home.folder / SHARES_FOLDER / f"share-{number}.json" for number in (1, 2)]


@dataclasses.dataclass
class Office:
    """A KMS with three operators and the messages of a mutual session."""

    kms: Any
    operators: dict[str, Operator]
    alices: bytes
    bobs: bytes

    def request(
        self, *messages: bytes, by: str = "erin", identities: tuple[str, ...] = (ALICE, BOB), **more: Any
    ) -> Any:
        fields = {
            "warrant": "W-17",
            "key_period_no": self.kms.service.authority.domain.period_of(self.kms.ntp_s()),
            "identities": identities,
            "messages": messages or (self.alices, self.bobs),
        }
        return request_intercept(self.kms.service, self.operators[by], **(fields | more))

    def approved(self, **more: Any) -> int:
        number: int = self.request(*more.pop("messages", ()), **more).number
        approve_intercept(self.kms.service, self.operators["frank"], number)
        return number

    def export(self, number: int, by: str = "erin") -> InterceptProduct:
        return export_intercept(self.kms.service, self.operators[by], number)


@pytest.fixture(params=list(UidScheme))
def office(request: pytest.FixtureRequest, make_kms: MakeKms) -> Office:
    kms = make_kms(scheme=request.param)
    kms.service = kms.home.unseal(passphrase_file=None, share_files=share_files(kms), clocks=kms.clocks())
    operators = {name: Operator(name=name, key=Ed25519PrivateKey.generate()) for name in ("erin", "frank", "grace")}
    for name, operator in operators.items():
        add_operator(kms.service, name, operator.key.public_key())
    return Office(
        kms=kms,
        operators=operators,
        alices=message(kms, ALICE, BOB, ALICES_SSV),
        bobs=message(kms, BOB, ALICE, BOBS_SSV),
    )


def test_two_operators_get_the_session_keys_of_the_named_messages(office: Office) -> None:
    product = office.export(office.approved())
    assert [session.ssv for session in product.sessions] == [ALICES_SSV.hex(), BOBS_SSV.hex()]
    assert [(one.initiator, one.responder, one.signature) for one in product.sessions] == [
        (ALICE, BOB, "verified"),
        (BOB, ALICE, "verified"),
    ]
    assert product.sessions[0].signed_part_sha256 == hashlib.sha256(signed_part(office.alices)).hexdigest()
    assert (product.warrant, product.requested_by, product.approved_by) == ("W-17", "erin", "frank")
    assert office.kms.actions()[-3:] == ["intercept-request", "intercept-approve", "intercept-export"]
    office.kms.home.verify_audit()


def test_no_receivers_key_and_no_other_sessions_key_is_in_the_product(office: Office) -> None:
    other = message(office.kms, CAROL, BOB, OTHER_SSV)
    product = encode(office.export(office.approved()))
    authority = office.kms.service.authority
    period = authority.domain.period_of(office.kms.ntp_s())
    for uri in (ALICE, BOB, CAROL):
        keys = authority.extract(uri, period)
        for secret in (keys.rsk, keys.rsk[1:129], keys.ssk):
            assert secret.hex().encode() not in product
    assert OTHER_SSV.hex().encode() not in product
    for session in json.loads(product)["sessions"]:
        with pytest.raises(SecurityError):
            extract_ssv(
                parse_i_message(other),
                rsk=bytes.fromhex(session["ssv"]) * 16 + b"\0",
                uid=authority.domain.uid(BOB, office.kms.ntp_s()),
                z=authority.domain.z,
            )


def test_a_mutual_session_needs_both_identities(office: Office) -> None:
    with pytest.raises(InterceptError, match="message 2 is for none of the order's identities"):
        office.request(identities=(BOB,))
    assert len(office.export(office.approved(messages=(office.alices,), identities=(BOB,))).sessions) == 1


def test_one_operator_is_not_two(office: Office) -> None:
    number = office.request().number
    with pytest.raises(InterceptError, match="not approved"):
        office.export(number)
    with pytest.raises(InterceptError, match="erin's own"):
        approve_intercept(office.kms.service, office.operators["erin"], number)
    with pytest.raises(InterceptError, match="not the key of operator frank"):
        approve_intercept(office.kms.service, Operator(name="frank", key=office.operators["erin"].key), number)
    with pytest.raises(InterceptError, match="that key"):
        add_operator(office.kms.service, "erin2", office.operators["erin"].key.public_key())
    with pytest.raises(InterceptError, match="no operator"):
        approve_intercept(office.kms.service, Operator(name="nobody", key=Ed25519PrivateKey.generate()), number)
    approve_intercept(office.kms.service, office.operators["frank"], number)
    with pytest.raises(InterceptError, match="approved already"):
        approve_intercept(office.kms.service, office.operators["grace"], number)
    assert "intercept-export-refused" in office.kms.actions()
    assert "intercept-export" not in office.kms.actions()


@pytest.mark.parametrize(
    "edit",
    [
        lambda row: {"body": row.body.replace("W-17", "W-18")},
        lambda row: {"body": row.body.replace(ALICE, CAROL)},
        lambda row: {"approved_by": "grace"},
        lambda row: {"requested_by": "grace"},
        lambda row: {"requested_by": "frank", "request_signature": row.approval_signature},
        lambda row: {"approval_signature": row.request_signature},
        lambda row: {"approval_signature": "zz"},
        lambda row: {"number": 2},
    ],
)
def test_an_order_altered_in_the_database_opens_nothing(office: Office, edit: Callable[[Any], dict[str, Any]]) -> None:
    number = office.approved()
    with office.kms.service.database.begin() as records:
        row = records.connection.execute(sa.select(intercept_table)).one()
        values = edit(row)
        records.connection.execute(sa.update(intercept_table).values(**values))
    with pytest.raises(InterceptError):
        office.export(values.get("number", number))
    assert office.kms.actions()[-1] == "intercept-export-refused"


def test_an_operators_key_exchanged_in_the_database_opens_nothing(office: Office) -> None:
    number = office.approved()
    with office.kms.service.database.begin() as records:
        own = office.operators["erin"].key.public_key().public_bytes_raw().hex()
        swap = sa.update(operator_table).where(operator_table.c.name == "erin").values(public_key="0" * 64)
        records.connection.execute(swap)
        forge = sa.update(operator_table).where(operator_table.c.name == "frank").values(public_key=own)
        records.connection.execute(forge)
    with pytest.raises(InterceptError):
        office.export(number, by="grace")


def test_messages_outside_of_the_order_are_refused_at_the_request(office: Office) -> None:
    kms = office.kms
    for messages, why in (
        ((message(kms, ALICE, CAROL, OTHER_SSV),), "none of the order's identities"),
        ((message(kms, ALICE, BOB, OTHER_SSV, later_s=40 * 86_400),), "key period"),
        ((b"",), "messages"),
        ((b"\x00" * 40,), "message 1"),
        ((office.alices[:-1],), "message 1"),
        ((office.alices,) * 300, "messages"),
    ):
        with pytest.raises(InterceptError, match=why):
            office.request(*messages)
    for fields in ({"warrant": ""}, {"warrant": "a\nb"}, {"identities": ()}, {"key_period_no": -1}):
        with pytest.raises(InterceptError):
            office.request(**fields)
    assert "intercept-request" not in kms.actions()


def test_a_message_that_was_not_made_for_its_identity_fails_the_export(office: Office) -> None:
    domain = office.kms.service.authority.domain
    keys = office.kms.service.authority.extract(ALICE, domain.period_of(office.kms.ntp_s()))
    genuine = parse_i_message(message(office.kms, ALICE, CAROL, OTHER_SSV))
    forged = office.alices.replace(parse_i_message(office.alices).sakke.data, genuine.sakke.data)
    with pytest.raises(InterceptError, match="can't be opened"):
        office.export(office.approved(messages=(forged,)))
    assert keys.rsk.hex() not in json.dumps(office.kms.actions())


def test_the_product_says_what_the_signature_proves(office: Office, make_kms: MakeKms) -> None:
    other = make_kms("other", uri="kms.other", namespace=("tel:+49*",), seed=8)
    stranger = message(office.kms, "tel:+491701", BOB, OTHER_SSV, signer_kms=other)
    damaged = bytearray(office.alices)
    damaged[-100] ^= 1
    (one, two) = office.export(office.approved(messages=(stranger, bytes(damaged)))).sessions
    assert (one.signature, two.signature) == ("signer's KMS is not trusted here", "does not verify")
    trust_domain(office.kms.service, other.home.row.parameters.encode())
    (one,) = office.export(office.approved(messages=(stranger,))).sessions
    assert one.signature == "verified"


def test_a_message_that_names_its_ends_by_uid_is_opened(office: Office) -> None:
    authority, ntp_s = office.kms.service.authority, office.kms.ntp_s()
    domain = authority.domain
    names = uid_identities(domain.uid(ALICE, ntp_s), domain.uid(BOB, ntp_s), domain, domain)
    keys = authority.extract(ALICE, domain.period_of(ntp_s))
    hidden = i_message(keys, domain, domain, BOB, OTHER_SSV, ntp_s, identities=names)
    (session,) = office.export(office.approved(messages=(hidden,))).sessions
    assert (session.ssv, session.responder, session.signature) == (OTHER_SSV.hex(), BOB, "verified")
