"""Links of the `ts24334` profile: set-up, loss, attacks, and no way from one profile to the other."""

from dataclasses import replace

import pytest

from prose_link.instant import Instant
from prose_link.pc5s.core.events import (
    AcceptRefused,
    Dropped,
    LinkEstablished,
    LinkFailed,
    RejectReceived,
    RequestRefused,
)
from prose_link.pc5s.core.policy import LinkPolicy, Policy, Profile
from prose_link.pc5s.core.verify_budget import SAME_OCTETS
from prose_link.pc5s.ts24334 import keys
from prose_link.pc5s.ts24334.codec import decode, encode
from prose_link.pc5s.ts24334.initiator import signed_asked
from prose_link.pc5s.ts24334.messages import (
    PlainReject,
    SecurityModeCommand,
    SecurityModeComplete,
    SecurityModeReject,
    SignedRequest,
)
from prose_link.pc5s.wire.messages import ChosenAlgorithms, DirectAccept, Kdf, SecurityCapabilities
from security.link.context import SecurityContext
from tests.benches.pc5s_bench import L2, A, Air, B, C, E, Ue, linked, make_kms, pair, plain

MODE = LinkPolicy(profile=Profile.TS24334)


def mode_pair(**options):
    return pair(policy=options.pop("policy", MODE), **options)


def mode_linked(**options):
    return linked(policy=options.pop("policy", MODE), **options)


def works(a, b, air):
    heard = len(a.user_data), len(b.user_data)
    sent = air.send_user_data(a, b, b"ping") and air.send_user_data(b, a, b"pong")
    air.run(0.1)
    return sent and (len(a.user_data), len(b.user_data)) == (heard[0] + 1, heard[1] + 1)


def refusals(ue, kind=RequestRefused):
    return [(event.step, event.why) for event in ue.of(kind)]


@pytest.mark.parametrize("kdf", list(Kdf))
def test_link_comes_up_by_four_messages(kdf):
    a, b, air = mode_linked(policy=replace(MODE, kdfs=(kdf,)))
    (at_a,), (at_b,) = a.of(LinkEstablished), b.of(LinkEstablished)
    assert (at_a.peer, at_b.peer, at_a.kd_sess_id) == (B, A, at_b.kd_sess_id)
    assert at_a.mutual and at_b.mutual and at_a.initiator and not at_b.initiator
    assert [(frame.lcid, bool(frame.kd_sess_id)) for frame in air.log] == [
        (28, False),
        (29, True),
        (29, True),
        (30, True),
    ]
    assert not b.entity.links[0].keys.kd_next, "a rekey of this profile brings its own key"
    assert works(a, b, air)


def test_command_is_not_ciphered_and_the_complete_is():
    a, _b, air = mode_linked()
    command, complete = (frame for frame in air.log if frame.lcid == 29)
    assert isinstance(decode(command.data), SecurityModeCommand)
    assert complete.data != a.entity.links[0].setup.confirm_octets
    assert isinstance(decode(a.entity.links[0].setup.confirm_octets), SecurityModeComplete)
    assert len(decode(command.data).encrypted_payload) == 273


def test_release_keepalives_and_silence():
    a, b, air = mode_linked()
    air.run(60)
    assert a.states() == b.states() == ["established"]
    a.entity.release(B, air.now)
    air.run(5)
    assert a.holds_nothing() and b.holds_nothing()


@pytest.mark.parametrize("lost", range(10))
@pytest.mark.parametrize("how_many", [1, 2])
def test_loss_of_each_pdu_in_turn(lost, how_many):
    a, b, air = mode_pair()
    count = iter(range(1000))
    air.pass_on = lambda frame: [] if lost <= next(count) < lost + how_many else [frame]
    air.connect(a, b)
    air.run(12)
    air.pass_on = lambda frame: [frame]
    assert a.states() == b.states() == ["established"]
    assert works(a, b, air)


@pytest.mark.parametrize("lcid", [28, 29, 30])
def test_one_kind_of_message_never_arrives(lcid):
    a, b, air = mode_pair()
    air.pass_on = lambda frame: [] if frame.lcid == lcid else [frame]
    air.connect(a, b)
    air.run(80)
    assert a.holds_nothing() and b.holds_nothing()
    assert not a.of(LinkEstablished)
    assert a.of(LinkFailed)


def test_new_keys_come_by_a_new_link():
    a, b, air = mode_linked()
    before = a.entity.links[0].keys.current_id
    a.entity.rekey(B, air.now)
    air.run(1)
    assert a.states() == b.states() == ["established"]
    assert a.entity.links[0].keys.current_id == b.entity.links[0].keys.current_id != before
    b.entity.trigger_rekey(A, air.now)
    air.run(1)
    assert len(a.of(LinkEstablished)) == 3
    assert works(a, b, air)


@pytest.mark.parametrize(("at_a", "at_b"), [(Profile.TS24334, Profile.IDENTITY), (Profile.IDENTITY, Profile.TS24334)])
def test_profiles_never_stand_in_for_each_other(at_a, at_b):
    a, b, air = pair(a={"policy": LinkPolicy(profile=at_a)}, b={"policy": LinkPolicy(profile=at_b)})
    air.connect(a, b)
    air.run(20)
    assert refusals(b)[0] == (1 if at_a is Profile.TS24334 else 8, "profile not accepted")
    assert a.holds_nothing() and b.holds_nothing() and len(a.of(LinkFailed)) == 1
    assert {len(frame.data) for frame in air.log if frame.src_l2 == a.l2_id} == {len(air.log[0].data)}


def test_profile_by_peer():
    by_peer = Policy(rules=((A, MODE),))
    b = Ue(B, policy=by_peer)
    a, c = Ue(A, policy=MODE), Ue(C)
    air = Air(a, b, c)
    air.connect(a, b)
    air.connect(c, b)
    air.run(1)
    assert {link.profile for link in b.entity.links} == set(Profile)
    assert works(a, b, air) and works(c, b, air)


# Attacks


def asked(a, b, air):
    """A has asked; no other UE hears it."""
    air.pass_on = lambda frame: []
    air.connect(a, b)
    air.run(0.01)
    return decode(air.log[-1].data)


def command_frame(sender, request, air, *, to=A, table=Kdf.FC33303, signer=None, **altered):
    """A Security Mode Command on the air, as `sender` makes it; the fields are altered before it is signed."""
    ssv = bytes(16)
    draft = SecurityModeCommand(
        **{
            "sequence_number": 1,
            "capabilities": request.capabilities,
            "nonce_2": bytes(16),
            "algorithms": ChosenAlgorithms(eea=2, eia=2),
            "kd_sess_id_lsb": 7,
            "user_info": sender.uri,
            "encrypted_payload": keys.encapsulate(ssv, to, sender.credentials, air.now.ntp_s),
            **altered,
        }
    )
    signer = (signer or sender).credentials
    signature = keys.sign(keys.command_to_sign(encode(request), draft), signer, sender.random, air.now.ntp_s)
    command = encode(replace(draft, signature=signature))
    return sealed(command, sender, request, draft, ssv, table)


def sealed(command, sender, request, draft, ssv, table):
    from security.link.key_ladder import KDF_PROFILES

    agreed = keys.agree(ssv, KDF_PROFILES[table], request.nonce_1, draft.nonce_2, draft.algorithms)
    kd_sess_id = request.kd_sess_id_msb << 8 | draft.kd_sess_id_lsb
    context = SecurityContext(
        kd_sess_id=kd_sess_id, pek=agreed.keys.pek, pik=agreed.keys.pik, eea=0, eia=draft.algorithms.eia, direction=1
    )
    frame = replace(plain(command, L2[B], L2[A]), lcid=29, kd_sess_id=kd_sess_id, sn=context.next_sn(29))
    _, mac_i = context.seal(29, frame.sn, frame.header, command)
    return replace(frame, mac_i=mac_i)


def take_command(a, air, frame):
    air.inject(frame)
    air.run(0.1)


@pytest.mark.parametrize(
    ("altered", "step", "cause"),
    [
        ({"signer": E}, 5, None),
        ({"user_info": E}, 2, None),
        ({"to": E}, 7, 9),
        ({"algorithms": ChosenAlgorithms(eea=2, eia=0)}, 3, None),
        ({"algorithms": ChosenAlgorithms(eea=0, eia=2)}, 3, None),
        ({"capabilities": SecurityCapabilities.of((1,), (1,))}, 6, 7),
        ({"encrypted_payload": None}, 4, None),
        ({"encrypted_payload": bytes(273)}, 7, 9),
    ],
)
def test_dishonest_commands(altered, step, cause):
    a, b, air = mode_pair()
    request = asked(a, b, air)
    signer = Ue(altered.pop("signer")) if "signer" in altered else None
    take_command(a, air, command_frame(b, request, air, signer=signer, **altered))
    assert [event.step for event in a.of(AcceptRefused)] == [step]
    answers = [frame for frame in air.log if frame.src_l2 == L2[A] and frame.data[0] == 14]
    assert [decode(frame.data).cause for frame in answers] == ([cause] if cause else [])
    assert a.states() == ["wait for accept"] and not a.entity.links[0].keys.contexts
    take_command(a, air, command_frame(b, request, air))
    assert a.states() == ["confirming"]


def test_command_of_another_request_and_for_another_id():
    a, b, air = mode_pair()
    request = asked(a, b, air)
    other = replace(request, nonce_1=bytes(16))
    take_command(a, air, command_frame(b, other, air))
    frame = command_frame(b, request, air)
    take_command(a, air, replace(frame, kd_sess_id=frame.kd_sess_id ^ 1))
    assert refusals(a, AcceptRefused) == [(5, "signature does not verify"), (1, "not a command for this context")]
    take_command(a, air, replace(frame, src_l2=L2[C]))
    assert a.of(Dropped)[-1].why == "no open request"
    assert a.states() == ["wait for accept"]


def test_command_altered_under_way_fails_its_mac_or_its_signature():
    a, b, air = mode_pair()
    request = asked(a, b, air)
    frame = command_frame(b, request, air)
    take_command(a, air, replace(frame, mac_i=bytes(4)))
    assert a.pdcp_drops == ["IntegrityFailure"] and a.states() == ["wait for accept"]
    for position in range(0, len(frame.data), 7):
        flipped = bytearray(frame.data)
        flipped[position] ^= 1
        air.inject(replace(frame, data=bytes(flipped), sn=2))
    air.run(0.1)
    assert a.states() == ["wait for accept"]
    take_command(a, air, frame)
    assert a.states() == ["confirming"]


def test_the_same_bad_command_costs_one_verification():
    a, b, air = mode_pair()
    request = asked(a, b, air)
    frame = command_frame(b, request, air, signer=Ue(E))
    for _ in range(40):
        take_command(a, air, frame)
    refused = a.of(AcceptRefused)
    assert {event.step for event in refused} == {5} and len(refused) == 40
    assert {event.detail for event in refused[1:]} == {SAME_OCTETS} and refused[0].detail != SAME_OCTETS
    take_command(a, air, command_frame(b, request, air))
    assert a.states() == ["confirming"]


def test_a_good_command_with_a_bad_mac_is_opened_once(monkeypatch):
    a, b, air = mode_pair()
    opened = []
    genuine = keys.decapsulate
    monkeypatch.setattr(keys, "decapsulate", lambda *args: opened.append(1) or genuine(*args))
    request = asked(a, b, air)
    frame = command_frame(b, request, air)
    for number in range(40):
        take_command(a, air, replace(frame, mac_i=number.to_bytes(4)))
    take_command(a, air, frame)
    assert a.states() == ["confirming"] and len(opened) == 1


@pytest.mark.parametrize("altered", [{"capabilities": SecurityCapabilities.of((1,), (1,))}, {"nonce_1": bytes(16)}])
def test_request_altered_under_way(altered):
    a, b, air = mode_pair()
    request = asked(a, b, air)
    air.inject(plain(encode(replace(request, **altered)), L2[A], L2[B]))
    air.run(0.1)
    assert refusals(b) == [(8, "signature does not verify")]
    assert b.holds_nothing() and len(b.record) == 0


def test_request_signed_by_another():
    a, b, air = mode_pair()
    e = Ue(E)
    request = asked(a, b, air)
    signature = keys.sign(signed_asked(request).t1, e.credentials, e.random, air.now.ntp_s)
    for octets in (encode(replace(request, signature=signature)), encode(replace(request, signature=None))):
        air.inject(plain(octets, L2[A], L2[B]))
    air.run(0.1)
    assert refusals(b) == [(8, "signature does not verify"), (2, "signature is missing")]
    assert b.holds_nothing()


def test_downgrade_to_null_integrity_is_impossible():
    lax = replace(MODE, allow_null_integrity=True, allow_null_ciphering=True, integrity=(2,))
    a, b, air = mode_pair(policy=lax)
    request = asked(a, b, air)
    assert 0 not in request.capabilities.eia
    draft = replace(request, capabilities=SecurityCapabilities.of((0, 2), (0,)), signature=None)
    signature = keys.sign(keys.request_to_sign(draft), a.credentials, a.random, air.now.ntp_s)
    air.inject(plain(encode(replace(draft, signature=signature)), L2[A], L2[B]))
    air.run(0.1)
    assert refusals(b) == [(6, "no algorithms in common")]


def test_replayed_request_costs_one_provisional_link_at_most():
    a, b, air = mode_linked()
    request = next(frame for frame in air.log if frame.lcid == 28)
    a.entity.release(B, air.now)
    air.run(5)
    air.inject(request)
    air.run(0.1)
    assert refusals(b) == [(5, "replay")] and b.holds_nothing()
    forgetful = Ue(B, policy=MODE)
    air.ues[1] = forgetful
    air.inject(request)
    air.run(20)
    assert not forgetful.of(LinkEstablished) and forgetful.holds_nothing()
    air.connect(a, forgetful)
    air.run(1)
    assert works(a, forgetful, air)


def test_replayed_command_and_complete():
    a, b, air = mode_linked()
    for frame in [frame for frame in air.log if frame.lcid == 29]:
        air.inject(frame)
    air.run(0.1)
    assert (a.pdcp_drops, b.pdcp_drops) == (["ReplayedPdu"], ["ReplayedPdu"])
    assert works(a, b, air)


@pytest.mark.parametrize("cause", range(1, 10))
def test_forged_rejects_end_nothing(cause):
    a, b, air = mode_pair()
    air.connect(a, b)
    air.inject(plain(encode(PlainReject(sequence_number=1, cause=cause)), L2[B], L2[A]), after_s=0)
    air.inject(plain(encode(SecurityModeReject(sequence_number=1, cause=cause)), L2[A], L2[B]), after_s=0.025)
    air.run(1)
    assert a.states() == b.states() == ["established"]
    assert [event.cause for event in a.of(RejectReceived)] == [cause]
    assert [event.cause for event in b.of(RejectReceived)] == [cause]


@pytest.mark.parametrize(
    ("policy", "cause"),
    [(Policy(default=MODE, deny=(A,)), 1), (Policy(default=replace(MODE, ciphering=(3,))), 6)],
)
def test_refusals_tell_their_cause_once_the_signature_verified(policy, cause):
    a, b, air = mode_pair(a={"policy": replace(MODE, ciphering=(1,))}, b={"policy": policy})
    air.connect(a, b)
    air.run(20)
    assert a.of(LinkFailed)[0].cause == cause
    assert len(refusals(b)) == 1 and b.holds_nothing()


def test_key_period_changes_between_request_and_command():
    kms = make_kms()
    utc_s = 1_790_812_800.0 - 1.0
    a, b = (Ue(uri, ring=kms.ring(uri, utc_s, months=(0, 1)), policy=MODE) for uri in (A, B))
    air = Air(a, b, utc_s=utc_s)
    lost = iter(range(9))
    air.pass_on = lambda frame: [] if next(lost, 9) == 0 else [frame]
    air.connect(a, b)
    air.run(3)
    assert works(a, b, air)


def test_request_hash_leaves_the_signature_out():
    a, b, air = mode_pair()
    request = asked(a, b, air)
    assert isinstance(request, SignedRequest)
    assert signed_asked(request).request_hash == signed_asked(replace(request, signature=bytes(129))).request_hash
    assert isinstance(air.now, Instant) and not air.sent(DirectAccept)
