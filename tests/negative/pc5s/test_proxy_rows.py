"""A proxy that alters, repeats, loops, swaps and answers for others: row 43 of the profile's test matrix."""

from dataclasses import replace

import pytest

from lab_scripts.dissectors.pc5s import Pc5S
from lab_scripts.dissectors.pc5s import RelayFrame as RelayLayer
from prose_link.carriers.proxy.end import ProxyEnd
from prose_link.carriers.proxy.forwarding import Proxy
from prose_link.carriers.proxy.frames import RelayFrame, RelayFrameError, decode, encode
from prose_link.instant import Instant
from prose_link.pc5s.core.events import LinkEstablished, RequestRefused
from prose_link.pc5s.identity.key_exchange import asked, build_accept
from prose_link.pc5s.wire.codec import decode as read
from prose_link.pc5s.wire.messages import DirectRequest
from security.mikey import parse_profile_i_message
from tests.benches.attack_bench import accept_refusals, assert_genuine_exchange, refusals
from tests.benches.pc5s_bench import L2, A, B, C, draft_accept, pair

PROXY_L2 = 0x0F000F
GIVEN_UP_S = 50.0
"""A Request through a proxy is given up after N4100 times T4100 and its spread: 4 x 12.5 s at the longest."""
FRAME = RelayFrame(
    sequence_number=7, hop_limit=4, path_id=0xA1B2C3D4, origin_l2=L2[A], destination_l2=L2[B], pdu=b"\x07\x00\x01"
)
NOW = Instant(10.0, 1_790_000_000.0)


def relayed(a, b, air, tamper=lambda octets: [octets]):
    """Put a proxy between two UEs for everything unprotected."""
    proxy = Proxy(PROXY_L2)
    ends = {ue.l2_id: ProxyEnd(ue.l2_id, ue.random) for ue in (a, b)}

    def pass_on(frame):
        if frame.kd_sess_id:
            return [frame]
        wrapped = ends[frame.src_l2].wrap(frame.data, frame.dst_l2)
        arriving = []
        for octets in tamper(wrapped):
            for onward in proxy.forward(octets, frame.src_l2, air.now):
                came = ends[onward.to_l2].unwrap(encode(onward.frame)) if onward.to_l2 in ends else None
                if came is not None:
                    arriving.append(replace(frame, data=came.pdu, src_l2=came.origin_l2, dst_l2=came.destination_l2))
        return arriving

    air.pass_on = pass_on
    return proxy


def test_frame_is_the_one_the_dissector_reads():
    octets = encode(FRAME)
    assert octets.hex() == "f0" + "0007" + "04" + "a1b2c3d4" + "0a0001" + "0b0002" + "0003" + "070001"
    layer = Pc5S(octets)[RelayLayer]
    assert (layer.hop_limit, layer.path_id, layer.origin_l2, layer.destination_l2) == (4, 0xA1B2C3D4, L2[A], L2[B])
    assert bytes(layer.pdu) == FRAME.pdu and decode(octets) == FRAME


@pytest.mark.parametrize("octets", [b"", encode(FRAME)[:-1], encode(FRAME) + b"\0", b"\x01" + encode(FRAME)[1:]])
def test_other_octets_are_no_frame(octets):
    with pytest.raises(RelayFrameError):
        decode(octets)
    with pytest.raises(RelayFrameError):
        encode(replace(FRAME, hop_limit=5))


def test_link_comes_up_through_a_proxy():
    a, b, air = pair()
    proxy = relayed(a, b, air)
    air.connect(a, b, carrier="proxy")
    air.run(0.5)
    assert a.of(LinkEstablished) and b.of(LinkEstablished)
    assert proxy.counters == {"handed on": 2}


@pytest.mark.parametrize("octet", [20, 60, 90, 200, 400, 600, 650])
def test_row_43_altered_under_way(octet):
    a, b, air = pair()
    relayed(a, b, air, lambda octets: [octets[:octet] + bytes([octets[octet] ^ 1]) + octets[octet + 1 :]])
    air.connect(a, b, carrier="proxy")
    air.run(3)
    assert not a.of(LinkEstablished) and not b.of(LinkEstablished)
    assert b.holds_nothing() and len(b.record) == 0
    assert {step for step, _, _ in refusals(b)} <= {1, 2, 4, 10}
    air.run(GIVEN_UP_S)
    assert a.holds_nothing()
    assert_genuine_exchange(a, b, air)


def test_row_43_repeats_and_loops():
    a, b, air = pair()
    proxy = relayed(a, b, air, lambda octets: [octets, octets, octets])
    air.connect(a, b, carrier="proxy")
    air.run(0.5)
    assert a.of(LinkEstablished) and proxy.counters == {"handed on": 2, "repeat": 4}
    loop, frame, hops = [Proxy(n) for n in (1, 2)] * 3, encode(FRAME), 0
    for one in loop:
        onward = one.forward(frame, hops, NOW)
        if not onward:
            break
        frame, hops = encode(onward[0].frame), hops + 1
    assert hops < 4
    fresh = [Proxy(n).forward(encode(replace(FRAME, hop_limit=1)), L2[A], NOW) for n in (1, 2)]
    assert fresh == [(), ()]


@pytest.mark.parametrize("field", ["origin_l2", "destination_l2"])
def test_row_43_swapped_layer_2_ids(field):
    a, b, air = pair()
    relayed(a, b, air, lambda octets: [encode(replace(decode(octets), **{field: L2[C]}))])
    air.connect(a, b, carrier="proxy")
    air.run(3)
    assert not a.of(LinkEstablished) and not b.of(LinkEstablished)
    if field == "origin_l2":
        assert {event.why for event in b.of(RequestRefused)} == {"layer-2 id is not the source address"}
    assert b.holds_nothing()
    air.run(GIVEN_UP_S)
    assert_genuine_exchange(a, b, air)


def test_row_43_proxy_answers_itself():
    """It knows the DCR and everything in it but the SSV; conf_R tells."""
    a, b, air = pair()
    relayed(a, b, air)
    through = air.pass_on

    def pass_on(frame):
        if frame.kd_sess_id or frame.data[0] != DirectRequest.TYPE:
            return through(frame)
        request = read(frame.data)
        half = asked(request, parse_profile_i_message(request.i_message).signed_part)
        draft = draft_accept(half.message, half.request_hash, b)
        forged = build_accept(draft, half, ssv_a=bytes(16), signer=None, ntp_s=air.now.ntp_s)
        return [replace(frame, data=forged.octets, src_l2=b.l2_id, dst_l2=a.l2_id)]

    air.pass_on = pass_on
    air.connect(a, b, carrier="proxy")
    air.run(3)
    assert set(accept_refusals(a)) == {(6, "key confirmation differs")}
    assert not a.of(LinkEstablished) and b.holds_nothing()
    air.run(GIVEN_UP_S)
    assert_genuine_exchange(a, b, air)


def test_each_origin_is_limited_and_memory_ends():
    proxy = Proxy(PROXY_L2)

    def forward(number, origin=L2[A], at_s=0.0):
        frame = replace(FRAME, path_id=number, origin_l2=origin)
        now = Instant(NOW.mono_s + at_s, NOW.utc_s)
        return bool(proxy.forward(encode(frame), origin, now))

    assert sum(forward(number) for number in range(100)) == 10
    assert forward(1000, origin=L2[C])
    assert not forward(1000, origin=L2[C])
    assert forward(1000, origin=L2[C], at_s=11)
    assert not proxy.forward(encode(FRAME)[:-1], L2[A], NOW) and proxy.counters["no relay frame"] == 1
