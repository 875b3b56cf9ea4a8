"""Forged Accepts: each gets as far as its kind should, no two are alike, and none is worth more than those before."""

import pytest

from lab_scripts.demo.forged_accepts import KINDS, AcceptForger
from prose_link.pc5s.core.events import LinkEstablished
from prose_link.pc5s.wire.messages import DirectRequest
from tests.benches.attack_bench import accept_refusals
from tests.benches.pc5s_bench import L2, A, B, Ue, pair, plain

REFUSALS = {
    "no I_MESSAGE": (6, "key confirmation differs"),
    "bad signature": (5, "I_MESSAGE does not verify"),
    "bad key proof": (5, "key proof differs"),
}


def test_each_kind_is_refused_at_its_check_and_the_genuine_accept_still_comes_through() -> None:
    a, b, air = pair()
    air.pass_on = lambda frame: [frame] if frame.src_l2 == L2[A] else []
    air.connect(a, b)
    air.run(0.1)
    request = air.sent(DirectRequest)[0].data
    signer = Ue(B, seed="an answer heard long ago").credentials
    forger = AcceptForger(request, link_l2_id=L2[B], signer=signer, ntp_s=air.now.ntp_s)
    forged = [forger.forge() for _ in range(8 * len(KINDS))]
    assert len(set(forged)) == len(forged)
    for number, octets in enumerate(forged):
        air.inject(plain(octets, L2[B], L2[A]), after_s=0.001 * number)
    air.run(0.1)
    assert accept_refusals(a) == [REFUSALS[kind] for kind in KINDS] * 8
    assert not a.of(LinkEstablished)
    air.pass_on = lambda frame: [frame]
    air.run(2.0)
    assert a.of(LinkEstablished) and b.of(LinkEstablished)


def test_only_a_request_can_be_answered() -> None:
    a, b, air = pair()
    air.connect(a, b)
    air.run(0.1)
    accept = next(frame.data for frame in air.log if frame.src_l2 == L2[B])
    with pytest.raises(TypeError, match="is no Request"):
        AcceptForger(accept, link_l2_id=L2[B], signer=b.credentials, ntp_s=air.now.ntp_s)
