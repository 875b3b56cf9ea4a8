"""Clients of others at the XML face: keys under transport keys, signed messages, key sets of groups."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from signxml.exceptions import InvalidSignature

from security import sakke
from security.eccsi import eccsi
from security.errors import SecurityError
from security.kms.access_tokens import AccessTokenPlan
from security.kms.annex_d_keys import KeyWrap, cipher_octets, transport_keys, unwrap_key, wrap_key
from security.kms.annex_d_responses import AnnexDOptions, GroupSigning, ResponseSigning
from security.kms.operator_orders import add_to_group
from security.kms_wire.errors import KmsProtocolError
from tests.benches.annex_d_client import ALICE, NS, ROOT, TEAM, TOKEN, XSI_TYPE, client, serving, token_file


def held(kms: Any, number: int = 1) -> dict[str, Any]:
    keys = transport_keys(kms.service.authority, "alice", number)
    return {"trk": (keys.trk_id, keys.trk), "ink": (keys.ink_id, keys.ink)}


@pytest.mark.parametrize("body", [True, False], ids=["KmsRequest", "empty body"])
@pytest.mark.parametrize("signing", list(ResponseSigning))
@pytest.mark.parametrize("reading", [KeyWrap.WITHOUT_04, KeyWrap.PADDED])
def test_with_keys_under_the_transport_key(kms: Any, reading: KeyWrap, signing: ResponseSigning, body: bool) -> None:
    keys = held(kms)
    integrity = {ResponseSigning.INK: keys["ink"], ResponseSigning.TRK: keys["trk"]}.get(signing)
    with serving(kms, annex_d=AnnexDOptions(key_wrap=reading, signing=signing)) as url:
        mine = client(kms, url, identity=kms.users["alice"], trk=keys["trk"], integrity=integrity, body=body)
        mine.reading = reading.value
        (own,) = mine.all_keys(kms)
        assert own.find("k:UserDecryptKey", NS).get(XSI_TYPE) == "EncKeyContentType"
        assert mine.newer == {}


def test_with_signed_requests_and_answers_in_clear(kms: Any, tmp_path: Path) -> None:
    keys = held(kms)
    options = AnnexDOptions(signing=ResponseSigning.INK, require_signed_requests=True)
    plan = AccessTokenPlan(token_file=token_file(tmp_path, (TOKEN, "alice")))
    with serving(kms, annex_d=options, tokens=plan) as url:
        for name in ("ink", "trk"):
            client(kms, url, token=TOKEN, sign_with=keys[name], integrity=keys["ink"]).all_keys(kms)
        unsigned = client(kms, url, token=TOKEN)
        assert unsigned.post(f"{ROOT}/init")[0] == 403
        assert client(kms, url, token=TOKEN, body=False).post(f"{ROOT}/init")[0] == 403
        forger = client(kms, url, token=TOKEN, sign_with=(keys["ink"][0], bytes(32)))
        assert forger.post(f"{ROOT}/init")[0] == 403
        good = client(kms, url, token=TOKEN, sign_with=keys["ink"]).request(f"{ROOT}/init")
        assert unsigned.post(f"{ROOT}/init", good.replace(b"phone", b"other"))[0] == 403
        moved = good.replace(b'Id="r1"', b'Id="r2"')
        assert unsigned.post(f"{ROOT}/init", moved)[0] == 403
        twice = good.replace(b"</SignedKmsRequest>", b'<x xmlns="urn:x" Id="r1"/></SignedKmsRequest>')
        assert unsigned.post(f"{ROOT}/init", twice)[0] == 403


def test_an_altered_answer_does_not_verify(kms: Any) -> None:
    keys = held(kms)
    with serving(kms, annex_d=AnnexDOptions(signing=ResponseSigning.INK)) as url:
        mine = client(kms, url, identity=kms.users["alice"], integrity=keys["ink"])
        mine.post(f"{ROOT}/init")
        mine.integrity = (keys["ink"][0], bytes(32))
        with pytest.raises(InvalidSignature):
            mine.post(f"{ROOT}/init")


@pytest.mark.parametrize("reading", [KeyWrap.WITHOUT_04, KeyWrap.PADDED])
def test_a_new_transport_key_comes_under_the_old_one(kms: Any, reading: KeyWrap) -> None:
    old, new = held(kms, 6), held(kms, 7)
    with serving(kms, annex_d=AnnexDOptions(key_wrap=reading, transport_key_number=7)) as url:
        mine = client(kms, url, identity=kms.users["alice"], trk=old["trk"], reading=reading.value)
        mine.all_keys(kms)
        assert mine.newer == dict([new["trk"], new["ink"]])
        renewed = client(kms, url, identity=kms.users["alice"], trk=new["trk"], reading=reading.value)
        renewed.all_keys(kms)
        assert renewed.newer == {}
        for other in ("tk.5.alice", "tk.8.alice", "tk.7.bob", "tk.07.alice", "alice"):
            stranger = client(kms, url, identity=kms.users["alice"], trk=(other, bytes(32)))
            assert stranger.post(f"{ROOT}/keyprov")[0] == 400
    assert kms.actions().count("extract") == 2


@pytest.mark.parametrize("reading", list(KeyWrap))
@pytest.mark.parametrize("signing", list(GroupSigning))
def test_key_sets_of_groups_hold_what_the_schema_asks_and_nobody_can_sign_as_the_group(
    kms: Any, reading: KeyWrap, signing: GroupSigning
) -> None:
    add_to_group(kms.service, TEAM, (ALICE,))
    keys, domain = held(kms), kms.service.authority.domain
    with serving(kms, annex_d=AnnexDOptions(key_wrap=reading, group_signing=signing)) as url:
        mine = client(kms, url, identity=kms.users["alice"], trk=keys["trk"], reading=reading.value)
        own, group = mine.all_keys(kms)
    assert group.findtext("k:UserUri", namespaces=NS) == TEAM
    uid = base64.b64decode(group.findtext("k:UserID", namespaces=NS))
    sakke.validate_rsk(mine.key(group.find("k:UserDecryptKey", NS)), uid, domain.z)
    ssk, pvt = (mine.key(group.find(f"k:{name}", NS)) for name in ("UserSigningKeySSK", "UserPubTokenPVT"))
    if signing is GroupSigning.EMPTY:
        assert (ssk, pvt) == (b"", b"")
    else:
        assert ssk == mine.key(own.find("k:UserSigningKeySSK", NS))
        assert pvt == mine.key(own.find("k:UserPubTokenPVT", NS))
        with pytest.raises(SecurityError):
            eccsi.validate_signing_keys(ssk=ssk, pvt=pvt, uid=uid, kpak=domain.kpak)


def test_both_readings_are_told_apart_on_receipt() -> None:
    kek = bytes(range(32))
    for octets in (32, 65, 257):
        key = b"\x04" + bytes(range(1, 256)) + b"\x01" if octets == 257 else bytes([4, *range(1, octets)])
        wrapped = {reading: wrap_key(key, kek, reading) for reading in (KeyWrap.WITHOUT_04, KeyWrap.PADDED)}
        assert len(set(wrapped.values())) == 2
        for value in wrapped.values():
            assert unwrap_key(value, kek) == key
            for text in (base64.b64encode(value).decode(), value.hex(), value.hex().upper(), f"\n {value.hex()}\n"):
                assert cipher_octets(text) == value
            with pytest.raises(KmsProtocolError):
                unwrap_key(value[:-1] + bytes([value[-1] ^ 1]), kek)
    assert [len(wrap_key(bytes(octets), kek, KeyWrap.WITHOUT_04)) for octets in (32, 65, 257)] == [40, 72, 264]
    assert [len(wrap_key(bytes(octets), kek, KeyWrap.PADDED)) for octets in (32, 65, 257)] == [40, 80, 272]
    for bad in ("", "!", "AAAA", "00" * 7):
        with pytest.raises(KmsProtocolError):
            unwrap_key(cipher_octets(bad), kek)
