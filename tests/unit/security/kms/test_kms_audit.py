"""The audit log finds every kind of tampering."""

from __future__ import annotations

import dataclasses
import datetime as dt
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from security.kms.audit import AuditEntry, AuditHead, AuditLine, next_line, verify_stream
from security.kms.home import KmsHome, KmsPlan
from security.kms.operator_orders import EnrolmentOrder, enrol
from security.kms.service import Clocks
from security.kms_wire.errors import AuditError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ENTRY = AuditEntry(at="x", actor="a", action="b", subject="c", detail={})


def chain(count: int = 5, key: Ed25519PrivateKey = KEY, stream: str = "main") -> list[AuditLine]:
    lines, head = [], AuditHead(stream=stream)
    for number in range(count):
        entry = AuditEntry(
            at="2026-03-11T12:00:00+00:00",
            actor="ue:alice",
            action="extract",
            subject=f"tel:+{number}",
            detail={"periods": [number]},
        )
        line, head = next_line(head, entry, key=key)
        lines.append(line)
    return lines


def altered(line: AuditLine) -> AuditLine:
    return dataclasses.replace(line, text=line.text.replace("alice", "mallory"))


def test_a_whole_log_verifies() -> None:
    lines = chain()
    head, _ = verify_stream(lines, key=KEY.public_key(), kept_count=5)
    assert head == AuditHead(count=5, hash_hex=lines[-1].hash_hex)


@pytest.mark.parametrize(
    ("tamper", "place"),
    [
        (lambda lines: lines[1:], "line 1"),
        (lambda lines: lines[:2] + lines[3:], "line 3"),
        (lambda lines: lines[:-1], "cut"),
        (lambda lines: [], "cut"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "line 1"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "line 4"),
        (lambda lines: [*lines[:2], altered(lines[2]), *lines[3:]], "line 3"),
        (lambda lines: [*lines[:4], *chain(5, Ed25519PrivateKey.generate())[4:]], "line 5"),
        (lambda lines: [*lines, AuditLine(text="{", signature_hex="zz")], "line 6"),
    ],
    ids=["first", "middle", "last", "all", "swapped", "doubled", "altered", "forged", "garbage"],
)
def test_tampering_is_found_and_placed(tamper: Callable[[list[AuditLine]], list[AuditLine]], place: str) -> None:
    with pytest.raises(AuditError, match=place):
        verify_stream(tamper(chain()), key=KEY.public_key(), kept_count=5)


def test_a_line_spliced_in_with_the_right_key_breaks_the_chain() -> None:
    lines = chain()
    spliced = [*chain(3)[:2], next_line(AuditHead(count=2), ENTRY, key=KEY)[0], *lines[3:]]
    with pytest.raises(AuditError, match="line 3: does not follow"):
        verify_stream(spliced, key=KEY.public_key())


def test_a_line_of_another_stream_is_found() -> None:
    with pytest.raises(AuditError, match="belongs to stream west"):
        verify_stream(chain(stream="west"), key=KEY.public_key())


def test_a_checkpoint_finds_an_end_that_was_cut_with_its_count() -> None:
    lines = chain(stream="west")
    checkpoints = {4: lines[3].hash_hex}
    verify_stream(lines, key=KEY.public_key(), stream="west", kept_count=5, checkpoints=checkpoints)
    with pytest.raises(AuditError, match="cut"):
        verify_stream(lines[:3], key=KEY.public_key(), stream="west", kept_count=3, checkpoints=checkpoints)
    with pytest.raises(AuditError, match="line 4: is not the line its checkpoint names"):
        verify_stream(lines, key=KEY.public_key(), stream="west", checkpoints={4: lines[2].hash_hex})


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 3",
        "UPDATE audit SET line = replace(line, 'alice', 'bob') WHERE seq = 1",
        "UPDATE audit SET seq = CASE seq WHEN 1 THEN -1 WHEN 2 THEN -2 ELSE seq END",
    ],
)
def test_a_database_edited_by_hand_is_found_out(tmp_path: Path, statement: str) -> None:
    now = dt.datetime.now(dt.UTC)
    plan = KmsPlan(uri="kms.example", namespace=("tel:*",), demo_seed=1)
    home = KmsHome.found(tmp_path, plan, passphrase_file=None, database_url=None, now=now)
    service = home.unseal(passphrase_file=None, clocks=Clocks(wall=lambda: now, lab_ntp_s=lambda: 3_982_000_000))
    for number in range(3):
        enrol(service, EnrolmentOrder(user="alice", identities=(f"tel:+44770090000{number}",)))
    noted = home.verify_audit()
    assert noted.count == 3
    assert home.verify_audit(noted_hash=noted.hash_hex) == noted
    home.database.close()
    with sqlite3.connect(tmp_path / "kms.sqlite") as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(AuditError):
        KmsHome.open(tmp_path).verify_audit()
