"""Rows 28 and 39: requests that policy refuses, and a record that can't be used (PROFILE 13)."""

from dataclasses import replace

import pytest

from prose_link.pc5s.core.events import (
    AcceptRefused,
    CarrierMismatch,
    LinkEstablished,
    LinkFailed,
    LinkProvisional,
    RequestRefused,
)
from prose_link.pc5s.core.policy import LinkPolicy, MutualGive, Policy
from prose_link.pc5s.core.replay import MemoryRecord
from prose_link.pc5s.identity.key_exchange import build_request
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.messages import (
    FIRST_EDITION,
    Cause,
    DirectAccept,
    DirectReject,
    DirectRequest,
    GroupInfo,
    Mutual,
    ProfileAndFlags,
    Purpose,
    SecurityCapabilities,
)
from security.device.record import RecordError
from security.identifiers import KeyRing
from security.mikey import Kind
from tests.benches.attack_bench import (
    assert_genuine_exchange,
    attack,
    refusals,
)
from tests.benches.pc5s_bench import L2, A, Air, B, E, Ue, at, forged_request, make_kms, pair, plain, reencoded


@pytest.fixture
def world():
    return pair()


def test_row_28_signer_not_authorised_or_denied():
    a, b, air = pair(b={"policy": Policy(deny=(E,))})
    e = Ue(E)
    air.ues.append(e)
    air.connect(e, b)
    air.run(9)
    assert refusals(b) == [(8, Cause.NOT_ALLOWED, "not authorised")]
    assert (e.of(LinkFailed)[0].cause, e.holds_nothing()) == (Cause.NOT_ALLOWED, True)
    b.entity.deny([E], air.now)
    b.events.clear()
    air.connect(e, b)
    air.run(9)
    assert refusals(b)[0] == (5, Cause.NOT_ALLOWED, "on the deny list")
    assert_genuine_exchange(a, b, air)


def test_row_28_the_kms_does_not_let_the_two_link():
    """At either end: who may not link with E neither answers it nor asks it; the list may change at any contact."""
    a, b, air = pair()
    e = Ue(E)
    air.ues.append(e)
    b.entity.replace_keys(b.credentials.key_ring, frozenset({A}), air.now)
    air.connect(e, b)
    air.run(9)
    assert refusals(b) == [(8, Cause.NOT_ALLOWED, "not authorised")]
    b.entity.connect(at(E, e.l2_id), air.now)
    air.run(1)
    assert [event.why for event in b.of(LinkFailed)] == ["not authorised"]
    assert_genuine_exchange(a, b, air)
    b.entity.replace_keys(b.credentials.key_ring, None, air.now)
    assert_genuine_exchange(e, b, air)


def test_a_request_of_the_first_edition_is_refused_by_name_to_those_who_have_signed_it():
    a, b, air = pair()
    profile = ProfileAndFlags(mutual=Mutual.WANTED, version=FIRST_EDITION)
    built = forged_request(a, b, air, profile=profile)
    unsigned = built.octets[:-1] + bytes([built.octets[-1] ^ 1])
    attack(air, unsigned)
    assert not air.sent(DirectReject)
    attack(air, built.octets)
    assert refusals(b) == [
        (10, None, "signature does not verify"),
        (8, Cause.PROFILE_VERSION, "first edition of the profile"),
    ]
    (reject,) = air.sent(DirectReject, by=b)
    assert decode(reject.data).cause == Cause.PROFILE_VERSION
    assert b.holds_nothing() and not len(b.record)
    assert_genuine_exchange(a, b, air)


def test_an_accept_of_another_version_is_not_taken():
    a, b, air = pair()
    profile = ProfileAndFlags(mutual=Mutual.WANTED, version=FIRST_EDITION)
    altered = lambda frame: replace(frame, data=reencoded(frame.data, profile=profile))  # noqa: E731
    air.pass_on = lambda frame: [altered(frame)] if frame.data[0] == DirectAccept.TYPE else [frame]
    air.connect(a, b)
    air.run(0.3)
    assert [(event.step, event.why) for event in a.of(AcceptRefused)] == [(2, "profile or flags differ")]
    air.pass_on = lambda frame: [frame]
    air.run(1)
    assert_genuine_exchange(a, b, air)


@pytest.mark.parametrize("message", [DirectRequest, DirectAccept])
@pytest.mark.parametrize("refuses", [True, False])
def test_the_carrier_names_another_sender(message, refuses):
    """Its copy is dropped or told of; another carrier's copy of the same octets is judged on its own."""
    a, b, air = pair(refuses_mismatch=refuses)
    receiver, sender = (b, a) if message is DirectRequest else (a, b)

    def name_another(frame):
        is_named = frame.data[0] == message.TYPE and not frame.kd_sess_id
        return [replace(frame, named_sender=E)] if is_named else [frame]

    air.pass_on = name_another
    air.connect(a, b)
    air.run(0.3)
    told = receiver.of(CarrierMismatch)
    assert {(event.peer, event.named, event.refused) for event in told} == {(sender.uri, E, refuses)}
    if refuses:
        events = b.of(RequestRefused) if message is DirectRequest else a.of(AcceptRefused)
        assert {(event.step, event.why) for event in events} == {(2, "the carrier names another sender")}
        assert len(b.record) == (message is DirectAccept) and not a.of(LinkEstablished)
        air.pass_on = lambda frame: [replace(frame, named_sender=A if frame.src_l2 == L2[A] else B)]
        air.run(1)
    assert [event.peer for event in b.of(LinkEstablished)] == [A]
    assert_genuine_exchange(a, b, air)


def test_row_28_responder_not_provisioned():
    kms = make_kms()
    a, b = Ue(A), Ue(B, ring=KeyRing([kms.domain], []))
    air = Air(a, b)
    air.connect(a, b)
    air.run(9)
    assert {why for _, _, why in refusals(b)} == {"no keys held for this period"}
    assert a.holds_nothing() and b.holds_nothing() and not air.sent(DirectReject)


class BrokenRecord(MemoryRecord):
    """A record whose disk has gone."""

    def raise_floor(self, ntp_s):
        raise RecordError("no disk")

    def remember(self, digest, **entry):
        raise RecordError("no disk")


def test_nothing_is_worked_on_without_a_record():
    a, b, air = pair(b={"record": BrokenRecord()})
    air.connect(a, b)
    air.run(9)
    assert set(refusals(b)) == {(7, None, "record can't be used")}
    assert b.holds_nothing() and not air.sent(DirectAccept)


def test_row_39_group_keying_by_somebody_who_is_no_keyer(world):
    a, b, air = world
    e = Ue(E)
    info = GroupInfo(
        group_l2_id=9, pgk_id=1, epoch=1, expiry_ntp_s=1, eea=2, mode=1, group_identity="tel:+447700900099"
    )
    profile = ProfileAndFlags(mutual=Mutual.NOT_WANTED, purpose=Purpose.GROUP)
    draft = forged_request(e, b, air, group_info=info, profile=profile).asked.message
    built = build_request(replace(draft, i_message=b""), e.credentials, ntp_s=air.now.ntp_s, kind=Kind.GROUP)
    attack(air, built.octets, src=E)
    assert refusals(b) == [(8, Cause.NOT_ALLOWED, "not a keyer of the group")]
    assert b.holds_nothing()
    assert_genuine_exchange(a, b, air)


@pytest.mark.parametrize(
    ("policy", "altered", "cause"),
    [
        (LinkPolicy(ciphering=(3,)), {"capabilities": SecurityCapabilities.of((1, 2), (2,))}, 7),
        (LinkPolicy(), {"capabilities": SecurityCapabilities.of((0,), (0,))}, 7),
        (LinkPolicy(mutual_give=MutualGive.NEVER), {"profile": ProfileAndFlags(mutual=Mutual.REQUIRED)}, 0x81),
    ],
)
def test_policy_refusals_tell_their_cause(policy, altered, cause):
    a, b, air = pair(b={"policy": policy})
    air.inject(plain(forged_request(a, b, air, **altered).octets, L2[A], L2[B]))
    air.run(0.1)
    assert [(step, told) for step, told, _ in refusals(b)] == [(8, cause)]
    assert len(b.of(LinkProvisional)) == 0 and b.holds_nothing()
