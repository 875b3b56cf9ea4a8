"""The identity that a KMS signs its identity map as: no message is taken from it (PROFILE 12)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prose_link.pc5s.core.events import LinkFailed
from prose_link.pc5s.wire.messages import DirectAccept
from security import identifiers
from security.identifiers import UidScheme
from security.identity_map.signature import map_signer
from tests.benches.attack_bench import assert_genuine_exchange
from tests.benches.pc5s_bench import Air, Kms, Ue, at, forged_request, make_kms, plain

BOB, CAROL = "sip:bob@lab.example", "sip:carol@lab.example"
L2_SIGNER = 0x0E0005


@pytest.fixture
def kms() -> Kms:
    made = make_kms("map")
    domain = replace(
        made.domain,
        uid_scheme=UidScheme.HASHED_UID,
        key_period_s=2_592_000,
        namespace=("sip:*@lab.example", "sip:identity-map@*"),
    )
    return Kms(domain=domain, ksak=made.ksak, z_secret=made.z_secret)


@pytest.fixture
def thief(kms: Kms, monkeypatch: pytest.MonkeyPatch) -> Ue:
    """An attacker with the signer's keys, which builds messages with them as if it were an identity like another."""
    with monkeypatch.context() as patch:
        patch.setattr(identifiers, "is_map_signer", lambda _uri: False)
        return Ue(map_signer(kms.domain.uri), kms=kms, l2_id=L2_SIGNER)


def world(kms: Kms) -> tuple[Ue, Ue, Air]:
    bob, carol = Ue(BOB, kms=kms, l2_id=0x0B0002), Ue(CAROL, kms=kms, l2_id=0x0C0003)
    return carol, bob, Air(carol, bob)


def test_no_request_is_taken_from_it(kms, thief, monkeypatch):
    carol, bob, air = world(kms)
    with monkeypatch.context() as patch:
        patch.setattr(identifiers, "is_map_signer", lambda _uri: False)
        request = forged_request(thief, bob, air).octets
    air.inject(plain(request, L2_SIGNER, bob.l2_id))
    air.run(0.2)
    (refusal,) = [(one.step, one.cause, one.why) for one in bob.events if hasattr(one, "step")]
    assert refusal == (5, None, "no trusted KMS")
    assert bob.holds_nothing() and not air.sent(DirectAccept, by=bob)
    assert_genuine_exchange(carol, bob, air)


def test_it_is_not_called(kms, thief):
    carol, bob, air = world(kms)
    carol.entity.connect(at(thief.uri, L2_SIGNER), air.now)
    air.run(0.1)
    (failed,) = carol.of(LinkFailed)
    assert "request can't be made" in failed.why and "no trusted KMS" in failed.why
    assert_genuine_exchange(carol, bob, air)
