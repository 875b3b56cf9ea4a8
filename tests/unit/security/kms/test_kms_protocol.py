"""The message forms take what they say and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from security.kms_wire.errors import KmsProtocolError
from security.kms_wire.protocol import KeysRequest, KeysResponse, Ticket, decode, encode

POINT_1024 = "04" + "ab" * 256
GOOD: dict[str, Any] = {
    "version": 2,
    "uri": "tel:+447700900001",
    "time_ntp_s": 3_982_000_000,
    "key_sets": [
        {"key_period_no": 1, "uid": "00ff", "rsk": POINT_1024, "ssk": "cd" * 32, "pvt": "04" + "ef" * 64},
    ],
    "next_issue_ntp_s": 3_982_000_001,
    "uses": ["one-to-one"],
    "not_after_ntp_s": None,
    "group_keys": [{"group_uri": "tel:+1", "key_period_no": 1, "uid": "00ff", "rsk": POINT_1024}],
    "discovery_keys": [{"group": "1", "key_period_no": 1, "duik": "12" * 32, "dusk": "13" * 32, "duck": "14" * 32}],
    "peers": None,
    "deny_list": [],
}


def edited(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def with_key_set(**changes: Any) -> bytes:
    return edited(key_sets=[GOOD["key_sets"][0] | changes])


def test_a_good_message_survives_the_round_trip() -> None:
    message = decode(KeysResponse, edited())
    assert decode(KeysResponse, encode(message)) == message


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        edited(extra=1),
        edited(version=1),
        edited(version=3),
        edited(version="2"),
        edited(uri="tel:+44 77"),
        edited(uri="tel:\u0000"),
        edited(uri="x" * 253),
        edited(time_ntp_s=-1),
        edited(time_ntp_s=2**80),
        edited(time_ntp_s=1.5),
        edited(time_ntp_s=True),
        edited(key_sets=GOOD["key_sets"] * 4),
        edited(peers=["tel:+1"] * 5000),
        with_key_set(rsk=POINT_1024[:-2]),
        with_key_set(rsk=POINT_1024.upper()),
        with_key_set(ssk="zz" * 32),
        with_key_set(ssk="cd" * 32 + "\n"),
        with_key_set(pvt=None),
        with_key_set(uid="0"),
    ],
)
def test_bad_messages_are_refused(octets: bytes) -> None:
    with pytest.raises(KmsProtocolError):
        decode(KeysResponse, octets)


def test_every_truncation_is_refused() -> None:
    whole = edited()
    for size in range(len(whole)):
        with pytest.raises(KmsProtocolError):
            decode(KeysResponse, whole[:size])


def test_neither_errors_nor_repr_show_a_secret() -> None:
    secret = "5ec2e7" * 11
    with pytest.raises(KmsProtocolError) as caught:
        decode(KeysResponse, with_key_set(ssk=secret))
    assert secret not in str(caught.value)
    shown = repr(decode(KeysResponse, edited()))
    assert POINT_1024 not in shown
    assert "cd" * 32 not in shown
    assert not any(secret * 32 in shown for secret in ("12", "13", "14"))
    ticket = Ticket(user="alice", token="t" * 43, ca_pem="-" * 64, identities=())
    assert "t" * 43 not in repr(ticket)


def test_an_answer_of_a_kms_that_gives_duik_alone_is_refused_by_its_version() -> None:
    before = edited(version=1, discovery_keys=[{"group": "1", "key_period_no": 1, "duik": "12" * 32}])
    with pytest.raises(KmsProtocolError, match=r"KeysResponse: version: .* 2"):
        decode(KeysResponse, before)


def test_the_error_names_the_field() -> None:
    with pytest.raises(KmsProtocolError, match="KeysRequest: uri: "):
        decode(KeysRequest, b'{"uri":5}')
