"""Attacks on the answer to a request, by the numbers of the profile's test matrix (PROFILE 13)."""

from dataclasses import replace

import pytest

from prose_link.pc5s.core.credentials import Credentials
from prose_link.pc5s.core.events import LinkEstablished, LinkFailed, LinkProvisional, RejectReceived
from prose_link.pc5s.core.policy import LinkPolicy, MutualGive
from prose_link.pc5s.identity.key_exchange import asked, build_accept, build_request
from prose_link.pc5s.wire.codec import decode, encode
from prose_link.pc5s.wire.messages import Cause, ChosenAlgorithms, DirectAccept, DirectReject, DirectRequest, Mutual
from security.errors import SecurityError
from security.identifiers import KeyRing
from security.mikey import parse_profile_i_message
from tests.benches.attack_bench import (
    accept_refusals,
    assert_genuine_exchange,
    assert_none,
    assert_request_fails,
    assert_works,
    each,
    refusals,
    resigned,
)
from tests.benches.pc5s_bench import (
    L2,
    A,
    Air,
    B,
    C,
    E,
    Ue,
    draft_accept,
    forged_request,
    linked,
    make_kms,
    pair,
    plain,
    reencoded,
)


def open_request(ask=Mutual.WANTED, **options):
    """A has asked; B hears nothing, the test answers in its place."""
    a, b, air = pair(a={"policy": LinkPolicy(mutual_ask=ask)}, **options)
    air.pass_on = lambda frame: []
    air.connect(a, b)
    air.run(0.01)
    request = decode(air.sent(DirectRequest)[0].data)
    i_message = parse_profile_i_message(request.i_message)
    return a, b, air, asked(request, i_message.signed_part), b.credentials.open(i_message)


def answer(b, air, half, ssv, *, signer=None, **altered):
    """A DCA by a holder of the SSV."""
    draft = draft_accept(half.message, half.request_hash, b, **altered)
    return build_accept(draft, half, ssv_a=ssv, signer=signer, ntp_s=air.now.ntp_s)


def deliver(air, octets, src=B, dst=A):
    air.inject(plain(octets, L2[src], L2[dst]))
    air.run(0.1)


def test_row_07_sed_copied_into_a_request_of_ones_own():
    a, b, air = pair()
    e = Ue(E)
    air.ues.append(e)
    air.connect(a, b)
    air.pass_on = lambda frame: []
    air.run(0.01)
    genuine = decode(air.sent(DirectRequest)[0].data)
    stolen = stolen_request(e, b, air, genuine)
    air.pass_on = lambda frame: [] if frame.src_l2 == L2[A] else [frame, replace(frame, dst_l2=L2[A])]
    air.inject(plain(stolen, L2[E], L2[B]))
    air.run(0.1)
    assert b.of(LinkProvisional)[0].peer == E
    assert accept_refusals(a) == [(2, "no open request")]
    assert not a.entity.links[0].keys.contexts and not a.user_data and not b.user_data
    air.run(7)
    assert b.of(LinkFailed)[0].why == "T4111"
    assert b.holds_nothing() and not b.of(LinkEstablished) and a.holds_nothing()
    assert_genuine_exchange(a, b, air)


def stolen_request(thief, target, air, genuine):
    """A DCR of the attacker with the SED and nonce of another request."""
    from security.mikey.codec import decode as decode_mikey
    from security.mikey.payloads import Sakke

    built = forged_request(thief, target, air, nonce_1=genuine.nonce_1)
    sed = next(one.data for one in decode_mikey(genuine.i_message).payloads if isinstance(one, Sakke))
    return resigned(thief, built, air, each(Sakke, data=lambda _: sed))


def test_row_09_accept_reflected_to_its_sender():
    a, b, air = pair()
    air.connect(a, b)
    air.run(0.5)
    deliver(air, air.sent(DirectAccept)[0].data, src=B, dst=B)
    assert accept_refusals(b) == [(2, "no open request")]
    assert b.states() == ["established"]
    assert_works(a, b, air)


def test_row_09_pdus_reflected_to_their_sender():
    """User data and signalling of B, as they went out: DIRECTION in MAC-I tells them from A's."""
    a, b, air = linked()
    air.send_user_data(b, a, b"data")
    b.entity.trigger_rekey(A, air.now)
    air.run(0.5)
    b.pdcp_drops.clear()
    own = [frame for frame in air.log if frame.src_l2 == L2[B] and frame.kd_sess_id]
    for frame in own:
        air.inject(replace(frame, src_l2=L2[A], dst_l2=L2[B]))
    air.run(0.1)
    assert {frame.lcid for frame in own} == {4, 30}
    assert b.pdcp_drops == ["IntegrityFailure"] * len(own) and not b.user_data
    assert_works(a, b, air)


@pytest.mark.parametrize("ask", [Mutual.WANTED, Mutual.REQUIRED])
def test_row_14_i_message_cut_out_of_the_accept(ask):
    a, b, air = pair(a={"policy": LinkPolicy(mutual_ask=ask)})
    air.pass_on = lambda frame: [
        replace(frame, data=reencoded(frame.data, i_message=None, key_proof=None)) if frame.data[0] == 2 else frame
    ]
    air.connect(a, b)
    air.run(0.5)
    step = (6, "key confirmation differs") if ask is Mutual.WANTED else (4, "required I_MESSAGE is missing")
    assert accept_refusals(a)[0] == step
    assert_request_fails(a, air)
    assert not b.of(LinkEstablished)
    assert_genuine_exchange(a, b, air)


def test_row_14_key_proof_without_the_i_message():
    a, b, air, half, ssv = open_request()
    octets = answer(b, air, half, ssv).octets
    deliver(air, octets[:-18] + b"\x45\x08" + bytes(8) + octets[-18:])
    assert accept_refusals(a) == [(1, "malformed")]
    assert_request_fails(a, air)
    assert_genuine_exchange(a, b, air)


def test_row_14_each_octet_of_the_accept_flipped():
    a, b, air, half, ssv = open_request()
    octets = answer(b, air, half, ssv).octets
    for position in range(len(octets)):
        flipped = bytearray(octets)
        flipped[position] ^= 0x01
        air.inject(plain(bytes(flipped), L2[B], L2[A]))
    air.run(0.1)
    assert a.states() == ["wait for accept"]
    assert {step for step, _ in accept_refusals(a)} <= {1, 2, 3, 4, 6}
    assert not a.entity.links[0].keys.contexts and not a.entity.links[0].keys.kd_next
    assert_request_fails(a, air)
    assert_genuine_exchange(a, b, air)


@pytest.mark.parametrize("algorithms", [(0, 0), (2, 0), (0, 2), (7, 7)])
def test_row_15_algorithms_that_were_not_offered(algorithms):
    a, b, air, half, ssv = open_request()
    chosen = ChosenAlgorithms(eea=algorithms[0], eia=algorithms[1])
    deliver(air, answer(b, air, half, ssv, algorithms=chosen).octets)
    assert accept_refusals(a) == [(3, "algorithms were not offered")]
    assert_request_fails(a, air)
    assert_genuine_exchange(a, b, air)


@pytest.mark.parametrize("bad", ["one-way", "bad signature", "other session"])
def test_row_16_required_and_not_given(bad):
    a, b, air, half, ssv = open_request(Mutual.REQUIRED)
    octets = answer(b, air, half, ssv, signer=None if bad == "one-way" else b.credentials).octets
    if bad == "bad signature":
        i_message: bytes = decode(octets).i_message
        octets = reencoded(octets, i_message=i_message[:-70] + bytes([i_message[-70] ^ 1]) + i_message[-69:])
    if bad == "other session":
        other = answer(b, air, half, ssv, signer=b.credentials).octets
        octets = reencoded(octets, i_message=decode(other).i_message, key_proof=None)
    deliver(air, octets)
    step, why = accept_refusals(a)[0]
    assert (step, why) == {
        "one-way": (4, "required I_MESSAGE is missing"),
        "bad signature": (5, "I_MESSAGE does not verify"),
        "other session": (5, "I_MESSAGE form: binding-hash"),
    }[bad]
    assert_request_fails(a, air)
    assert_genuine_exchange(a, b, air)


def test_row_17_wanted_and_a_bad_one_is_not_taken_as_absent():
    a, b, air, half, ssv = open_request()
    e = Ue(E)
    octets = answer(b, air, half, ssv, signer=e.credentials).octets
    deliver(air, octets)
    assert accept_refusals(a) == [(5, "I_MESSAGE form: identities")]
    assert_request_fails(a, air)
    assert_genuine_exchange(a, b, air)


def test_row_18_forged_accepts_without_the_receivers_key():
    """Each costs hashes, none counts: the good one still wins after any number."""
    a, b, air, half, ssv = open_request()
    for number in range(40):
        forged = answer(b, air, half, number.to_bytes(16), kd_sess_id_lsb=number).octets
        air.inject(plain(forged, L2[B], L2[A]))
    air.run(0.1)
    assert accept_refusals(a) == [(6, "key confirmation differs")] * 40
    deliver(air, answer(b, air, half, ssv).octets)
    assert a.states() == ["confirming"]


def test_row_18_forged_accepts_alone_make_no_link():
    a, b, air, half, _ = open_request()
    for number in range(40):
        forged = answer(b, air, half, number.to_bytes(16), kd_sess_id_lsb=number).octets
        air.inject(plain(forged, L2[B], L2[A]), after_s=0.1 * number)
    assert_request_fails(a, air)
    assert_genuine_exchange(a, b, air)


def test_row_18_good_accept_wins_among_forged_ones():
    """X has heard the DCR and is faster than B; B's own DCA ends the contest."""
    a, b, air = pair()
    air.connect(a, b)
    air.run(0.001)
    request = decode(air.sent(DirectRequest)[0].data)
    half = asked(request, parse_profile_i_message(request.i_message).signed_part)
    for number in range(15):
        forged = answer(Ue(B, seed="x"), air, half, number.to_bytes(16), kd_sess_id_lsb=number).octets
        air.inject(plain(forged, L2[B], L2[A]), after_s=0.001)
    air.run(0.5)
    assert accept_refusals(a) == [(6, "key confirmation differs")] * 15
    assert a.of(LinkEstablished) and b.of(LinkEstablished)
    assert_works(a, b, air)


def holder_of_rsk_b(**policy):
    """A UE that poses as B: B's RSK is known to it, B's SSK is not."""
    stolen = replace(Ue(B).credentials._key_ring.users[0], ssk=bytes(31) + b"\1")
    return Ue(B, ring=KeyRing([make_kms().domain], [stolen]), policy=LinkPolicy(**policy), seed="thief")


def test_row_19_holder_of_the_receivers_key_comes_up_as_b_where_one_way_will_do():
    """A known limit of one-way links: a holder of RSK_B can be B, to the last Ack and for all user data."""
    a = Ue(A, policy=LinkPolicy(mutual_ask=Mutual.NOT_WANTED))
    thief = holder_of_rsk_b()
    air = Air(a, thief)
    air.connect(a, thief)
    air.run(0.5)
    (at_a,) = a.of(LinkEstablished)
    assert (at_a.peer, at_a.mutual) == (B, False)
    assert_works(a, thief, air)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"mutual_give": MutualGive.ON_REQUEST}, (5, "I_MESSAGE does not verify")),
        ({"mutual_give": MutualGive.NEVER}, None),
    ],
)
def test_row_19_holder_of_the_receivers_key_fails_where_both_must_sign(policy, reason):
    a = Ue(A, policy=LinkPolicy(mutual_ask=Mutual.REQUIRED))
    thief, b = holder_of_rsk_b(**policy), Ue(B)
    air = Air(a, thief)
    air.connect(a, thief)
    air.run(0.5)
    assert set(accept_refusals(a)) == ({reason} if reason else set())
    assert not a.entity.links[0].keys.contexts and not a.entity.links[0].keys.kd_next
    assert_request_fails(a, air, None if reason else Cause.MUTUAL_AUTHENTICATION_POLICY)
    air.ues = [a, b]
    assert_genuine_exchange(a, b, air)


def test_row_19_one_way_answer_to_a_mutual_request():
    a, b, air, half, ssv = open_request(Mutual.REQUIRED)
    deliver(air, answer(b, air, half, ssv).octets)
    assert accept_refusals(a) == [(4, "required I_MESSAGE is missing")]
    assert_request_fails(a, air)
    assert_genuine_exchange(a, b, air)


def test_row_20_holder_of_the_initiators_decapsulation_key_can_be_nobody_else():
    a, b, air, half, _ = open_request(Mutual.REQUIRED)
    rsk_a_only = replace(a.credentials._key_ring.users[0], ssk=bytes(31) + b"\1")
    thief = Credentials(uri=A, key_ring=KeyRing([make_kms().domain], [rsk_a_only]), random_bytes=b.random)
    with pytest.raises(SecurityError):
        thief.open(parse_profile_i_message(half.message.i_message))
    forged = answer(b, air, half, bytes(16)).octets
    deliver(air, forged)
    assert accept_refusals(a)[0][0] == 4
    posing = forged_request(a, b, air).asked.message
    signed_badly = build_request(replace(posing, i_message=b""), thief, ntp_s=air.now.ntp_s).octets
    deliver(air, signed_badly, src=A, dst=B)
    assert refusals(b) == [(10, None, "signature does not verify")]
    assert_none(b, air)
    assert_request_fails(a, air)
    assert_genuine_exchange(a, b, air)


@pytest.mark.parametrize("cause", [*Cause, 99])
@pytest.mark.parametrize("moment", ["before", "with", "after"])
def test_row_21_forged_reject_ends_nothing(cause, moment):
    a, b, air = pair()
    air.connect(a, b)
    air.run({"before": 0.001, "with": 0.03, "after": 0.5}[moment])
    request = decode(air.sent(DirectRequest)[0].data)
    half = asked(request, parse_profile_i_message(request.i_message).signed_part)
    reject = encode(DirectReject(sequence_number=1, cause=cause, request_hash=half.request_hash[:8]))
    air.inject(plain(reject, L2[B], L2[A]), after_s=0)
    air.run(1)
    assert a.states() == b.states() == ["established"]
    assert [event.cause for event in a.of(RejectReceived)] == [cause] * (moment != "after")
    assert_works(a, b, air)


def test_reject_is_remembered_as_the_cause_of_the_failure():
    a, _b, air, half, _ = open_request()
    reject = DirectReject(sequence_number=1, cause=Cause.L2_ID_CONFLICT, request_hash=half.request_hash[:8])
    deliver(air, encode(reject))
    assert_request_fails(a, air, Cause.L2_ID_CONFLICT)


def test_accept_of_a_third_party():
    a, b, air, half, ssv = open_request()
    c = Ue(C)
    deliver(air, answer(c, air, half, ssv, user_info=C).octets, src=C)
    deliver(air, answer(c, air, half, ssv).octets, src=B)
    deliver(air, answer(b, air, half, ssv, link_l2_id=L2[A]).octets, src=A)
    assert [step for step, _ in accept_refusals(a)] == [2, 2, 2]
    assert a.states() == ["wait for accept"]
