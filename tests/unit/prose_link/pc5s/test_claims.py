"""Whose a PDU is: one taker at most is sure of it, asking changes nothing, and a link reads by its own codec alone."""

import copy
from dataclasses import replace

import pytest

from prose_link.pc5s.core.events import Dropped
from prose_link.pc5s.core.policy import LinkPolicy, Profile
from prose_link.pc5s.core.profile import Claim
from prose_link.pc5s.ts24334.codec import decode as decode_mode
from prose_link.pc5s.wire.codec import encode
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.messages import Keepalive, RekeyingTrigger
from tests.benches.pc5s_bench import linked, pair


def heard(policy):
    """Every PDU of a set-up, a keepalive and a release, as they came."""
    a, b, air = pair(policy=policy)
    pdus = []
    receive = b.entity.receive
    b.entity.receive = lambda pdu, now: (pdus.append(pdu), receive(pdu, now))
    air.connect(a, b)
    air.run(1)
    a.entity.release("tel:+447700900002", air.now)
    air.run(3)
    return a, b, pdus


@pytest.mark.parametrize("profile", Profile)
def test_one_taker_at_most_claims_a_pdu_by_its_form_and_asking_changes_nothing(profile):
    _a, b, pdus = heard(LinkPolicy(profile=profile))
    assert len(pdus) >= 3
    for pdu in pdus:
        before = copy.copy(b.entity.counters), len(b.entity.links)
        for octets in (pdu.data, pdu.data[:-1], pdu.data[:1], b""):
            altered = replace(pdu, data=octets)
            claims = [taker.claims(altered) for taker in b.entity._takers]
            assert claims.count(Claim.BY_FORM) <= 1
            assert claims == [taker.claims(altered) for taker in b.entity._takers]
        assert (b.entity.counters, len(b.entity.links)) == before and b.entity.next_event() is None


def test_requests_go_to_the_profile_that_wrote_them():
    for profile in Profile:
        _a, b, pdus = heard(LinkPolicy(profile=profile))
        request = next(pdu for pdu in pdus if pdu.kd_sess_id == 0)
        assert b.entity._surest(request, b.entity._takers).name is profile


@pytest.mark.parametrize(
    "message",
    [RekeyingTrigger(sequence_number=1), Keepalive(sequence_number=1, counter=0, confirmation=bytes(16))],
    ids=["trigger", "confirm"],
)
def test_a_ts24334_link_reads_nothing_of_the_other_profile(message):
    """Both are messages of the `identity` profile; under the keys of a `ts24334` link they are malformed."""
    octets = encode(message)
    with pytest.raises(MalformedMessage):
        decode_mode(octets)
    a, b, air = linked(policy=LinkPolicy(profile=Profile.TS24334))
    air.inject(a.protect(b.l2_id, 30, a.entity.links[0].keys.current_id, octets))
    air.run(1)
    assert [drop.why for drop in b.of(Dropped)] == ["malformed"]
    assert a.states() == b.states() == ["established"]
    before = b.entity.links[0].number
    air.run(1)
    assert b.entity.links[0].number == before
