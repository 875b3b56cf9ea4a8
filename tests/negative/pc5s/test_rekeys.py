"""Attacks on rekeys, and accidents of their hand-over, by the numbers of the profile's test matrix (PROFILE 13)."""

from dataclasses import replace
from itertools import cycle, pairwise

import pytest

from prose_link.pc5s.core.events import Dropped, LinkEstablished, LinkReleased, Rekeyed, RekeyFailed, RekeyStarted
from prose_link.pc5s.core.fsm import RekeyState
from prose_link.pc5s.core.policy import LinkPolicy, MutualGive, RekeyContribution
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.identity.key_exchange import NO_CONFIRMATION, build_rekey_request, build_rekey_response
from prose_link.pc5s.identity.rekey_checks import request_half
from prose_link.pc5s.wire.codec import encode
from prose_link.pc5s.wire.messages import (
    ChosenAlgorithms,
    Keepalive,
    Mutual,
    RekeyingRequest,
    RekeyingResponse,
    RekeyingTrigger,
    Release,
    ReleaseReason,
    SecurityCapabilities,
)
from security.mikey import parse_profile_i_message
from tests.benches.attack_bench import assert_genuine_exchange, assert_works
from tests.benches.pc5s_bench import A, B, linked

NONCES = LinkPolicy(rekey_contribution=RekeyContribution.NONCE_ONLY)
SAME = LinkPolicy()
ONE_WAY = LinkPolicy(mutual_ask=Mutual.NOT_WANTED, mutual_give=MutualGive.ON_REQUEST)
MSBS = cycle(range(1, 256))
"""Requests that are made up here take one after the other."""
BEFORE = "the context before takes user data only"


def link_of(ue):
    (link,) = ue.entity.links
    return link


def current(*ues):
    """The KD-sess IDs that these UEs send on."""
    return [link_of(ue).keys.current_id for ue in ues]


def drops(ue, message):
    """Why this UE has dropped messages of a type."""
    return [event.why for event in ue.of(Dropped) if event.message == message]


def under(air, sender, receiver, octets, kd_sess_id=None):
    """Deliver a protected message that `sender`, or an attacker with its keys, has made up."""
    kd_sess_id = kd_sess_id or link_of(sender).keys.current_id
    air.inject(sender.protect(receiver.l2_id, 30, kd_sess_id, octets))
    air.run(0.1)


def draft(ue, **altered):
    """A Rekeying Request without I_MESSAGE as this UE would make it."""
    link = link_of(ue)
    fields = {
        "sequence_number": 99,
        "capabilities": link.capabilities,
        "nonce_1": ue.random(16),
        "kd_sess_id_msb": next(MSBS),
        **altered,
    }
    return RekeyingRequest(**fields)


def request(ue, peer, air, *, signer=None, ntp_s=None, previous_tx=None, **altered):
    """Octets of such a Request, signed by `signer`."""
    built = build_rekey_request(
        draft(ue, **altered),
        previous_tx or link_of(ue).keys.tx,
        signer,
        to=peer.uri,
        ntp_s=air.now.ntp_s if ntp_s is None else ntp_s,
    )
    return built.octets


def assert_rekeys(ue, peer, air):
    """A genuine rekey comes through, and user data after it."""
    air.pass_on = lambda frame: [frame]
    for one in (ue, peer):
        one.events.clear()
    ue.entity.rekey(peer.uri, air.now)
    air.run(0.5)
    (at_one,), (at_other,) = ue.of(Rekeyed), peer.of(Rekeyed)
    assert at_one.kd_sess_id == at_other.kd_sess_id and at_one.new_kd is at_other.new_kd
    assert_works(ue, peer, air)


# Row 47: the hand-over ----------------------------------------------------------------------------------------------

ASKING = {"initiator asks": (0,), "responder asks": (1,), "both ask": (0, 1)}


def assert_one_context_or_none(a, b, air):
    """Both ends send on one context, or the link has ended at both, with a reason, and a new one comes up."""
    if a.states() and b.states():
        assert len(set(current(a, b))) == 1
        assert_works(a, b, air)
        assert_rekeys(a, b, air)
    else:
        assert a.holds_nothing() and b.holds_nothing()
        assert a.of(LinkReleased) and b.of(LinkReleased)
        assert_genuine_exchange(a, b, air)


@pytest.mark.parametrize("policy", [NONCES, SAME])
@pytest.mark.parametrize("asking", ASKING)
@pytest.mark.parametrize("lost", ["to the initiator", "to the responder", "both ways"])
@pytest.mark.parametrize("for_s", [6.0, 60.0])
def test_row_47_confirms_and_acks_lost(policy, asking, lost, for_s):
    """Whichever end asks: what is lost on the new context is the Confirm one way, the Ack the other."""
    a, b, air = linked(policy=policy)
    old = set(current(a, b))
    losing = {"to the initiator": (b.l2_id,), "to the responder": (a.l2_id,), "both ways": (a.l2_id, b.l2_id)}[lost]
    air.pass_on = lambda frame: [] if frame.kd_sess_id not in old and frame.src_l2 in losing else [frame]
    for which in ASKING[asking]:
        air.ues[which].entity.rekey(air.ues[1 - which].uri, air.now)
    air.run(for_s)
    air.pass_on = lambda frame: [frame]
    air.run(35)
    assert_one_context_or_none(a, b, air)


@pytest.mark.parametrize("asker", [0, 1])
def test_row_47_user_data_passes_while_the_confirm_does_not(asker):
    """Neither end sends on a context that the other one doesn't hold."""
    a, b, air = linked(policy=NONCES)
    ue, peer = air.ues[asker], air.ues[1 - asker]
    old = set(current(a, b))
    air.pass_on = lambda frame: [] if frame.kd_sess_id not in old else [frame]
    ue.entity.rekey(peer.uri, air.now)
    for _ in range(60):
        assert_works(a, b, air)
    assert set(current(a, b)) == old and not a.of(Rekeyed) and not b.of(Rekeyed)
    air.pass_on = lambda frame: [frame]
    air.run(2.5)
    assert len(set(current(a, b)) - old) == 1 and len(a.of(Rekeyed)) == len(b.of(Rekeyed)) == 1
    assert_works(a, b, air)


def test_row_47_the_confirm_comes_at_doubled_intervals():
    a, b, air = linked(policy=NONCES)
    old = set(current(a, b))
    sent_at = []

    def lose(frame):
        if frame.kd_sess_id in old:
            return [frame]
        sent_at.append(air.mono_s)
        return []

    air.pass_on = lose
    a.entity.rekey(B, air.now)
    air.run(9)
    gaps = [round(later - earlier, 3) for earlier, later in pairwise(sent_at)]
    assert gaps == [0.3, 0.6, 1.2, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("asker", [0, 1])
def test_row_47_an_end_that_keeps_a_context_asks_itself(asker):
    """Its own good Response shows that the peer has not gone over: the context that it kept is dropped."""
    _a, _b, air = linked(policy=NONCES)
    ue, peer = air.ues[asker], air.ues[1 - asker]
    responses = lambda frame: frame.lcid == 30 and frame.src_l2 == peer.l2_id  # noqa: E731
    air.pass_on = lambda frame: [] if responses(frame) else [frame]
    ue.entity.rekey(peer.uri, air.now)
    while not ue.of(RekeyFailed):
        air.run(0.1)
    assert [event.why for event in ue.of(RekeyFailed)] == ["T4100, none left"]
    kept = link_of(peer).rekey.kept.made.kd_sess_id
    assert link_of(peer).rekey.state is RekeyState.AWAIT_CONFIRM and kept in link_of(peer).keys.contexts
    assert_rekeys(peer, ue, air)
    assert kept not in link_of(peer).keys.contexts and link_of(peer).rekey.state is RekeyState.NONE


def test_row_47_a_late_confirm_closes_the_own_request():
    a, b, air = linked(policy=NONCES)
    old = set(current(a, b))
    air.pass_on = lambda frame: [] if frame.kd_sess_id not in old else [frame]
    a.entity.rekey(B, air.now)
    air.run(1.0)
    b.entity.rekey(A, air.now)
    air.run(0.1)
    assert link_of(b).rekey.state is RekeyState.ASK_WHILE_AWAITING
    assert drops(a, "rekeying request") == ["own Confirm has no Ack yet"]
    air.pass_on = lambda frame: [frame]
    air.run(2.5)
    assert len(a.of(Rekeyed)) == len(b.of(Rekeyed)) == 1
    assert link_of(b).rekey.state is RekeyState.NONE and not link_of(b).rekey.own.request_octets
    assert_rekeys(b, a, air)


def test_row_47_a_delayed_request_takes_nothing_back():
    """The peer has asked again since: a late copy of its first Request must not strand the second one's context."""
    a, b, air = linked(policy=NONCES)
    held = []

    def hold(frame):
        if frame.lcid == 30 and frame.src_l2 == a.l2_id:
            held.append(frame)
        return [] if frame.lcid == 30 else [frame]

    air.pass_on = hold
    a.entity.rekey(B, air.now)
    air.run(0.1)
    (first,) = held
    while not a.of(RekeyFailed):
        air.run(0.1)
    old = set(current(a, b))
    air.pass_on = lambda frame: [] if frame.kd_sess_id not in old else [frame]
    a.entity.rekey(B, air.now, new_kd=True)
    air.run(0.1)
    kept = link_of(b).rekey.kept.made.kd_sess_id
    assert kept
    air.inject(first)
    air.run(0.1)
    assert drops(b, "rekeying request") == ["older than the request answered"]
    assert link_of(b).rekey.kept.made.kd_sess_id == kept
    air.pass_on = lambda frame: [frame]
    air.run(3)
    assert current(a, b) == [kept, kept]
    assert_works(a, b, air)


@pytest.mark.parametrize("releaser", [0, 1])
@pytest.mark.parametrize("lost", ["confirms", "acks"])
def test_row_47_a_release_finds_the_peer_on_either_context(releaser, lost):
    a, b, air = linked(policy=NONCES)
    old = set(current(a, b))
    src = a.l2_id if lost == "confirms" else b.l2_id
    air.pass_on = lambda frame: [] if frame.kd_sess_id not in old and frame.src_l2 == src else [frame]
    a.entity.rekey(B, air.now)
    air.run(1)
    assert link_of(a).rekey.state is RekeyState.CONFIRMING
    air.pass_on = lambda frame: [frame]
    ue, peer = air.ues[releaser], air.ues[1 - releaser]
    ue.entity.release(peer.uri, air.now)
    air.run(2)
    assert a.holds_nothing() and b.holds_nothing()
    assert [event.agreed for one in (a, b) for event in one.of(LinkReleased)] == [True, True]
    assert_genuine_exchange(a, b, air)


# Row 48: the old context --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thief", [0, 1])
@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (encode(Release(sequence_number=9, reason=ReleaseReason.NO_LONGER_NEEDED)), "release"),
        (encode(Keepalive(sequence_number=9, counter=1)), "keepalive"),
        (encode(RekeyingTrigger(sequence_number=9)), "rekeying trigger"),
        (None, "rekeying request"),
    ],
)
def test_row_48_commands_under_the_old_context(thief, octets, name):
    a, b, air = linked(policy=NONCES)
    sender, receiver = air.ues[thief], air.ues[1 - thief]
    old_id, old_tx = link_of(a).keys.current_id, link_of(a).keys.tx
    a.entity.rekey(B, air.now)
    air.run(0.3)
    octets = octets or request(sender, receiver, air, previous_tx=old_tx)
    under(air, sender, receiver, octets, old_id)
    assert drops(receiver, name) == [BEFORE]
    assert receiver.states() == ["established"] and link_of(receiver).rekey.state is RekeyState.NONE
    air.inject(sender.protect(receiver.l2_id, 4, old_id, b"still under way"))
    air.run(0.1)
    assert receiver.user_data == [b"still under way"]
    assert_rekeys(a, b, air)


@pytest.mark.parametrize("asker", [0, 1])
def test_row_48_nothing_but_the_confirm_on_the_new_context(asker):
    """At the end that answers: neither commands nor user data before it."""
    a, b, air = linked(policy=NONCES)
    ue, peer = air.ues[asker], air.ues[1 - asker]
    old = set(current(a, b))
    air.pass_on = lambda frame: [] if frame.kd_sess_id not in old else [frame]
    ue.entity.rekey(peer.uri, air.now)
    air.run(0.1)
    new_id = link_of(ue).rekey.own.made.kd_sess_id
    under(air, ue, peer, encode(Release(sequence_number=9, reason=ReleaseReason.NO_LONGER_NEEDED)), new_id)
    under(air, ue, peer, encode(Keepalive(sequence_number=9, counter=0, confirmation=bytes(16))), new_id)
    air.inject(ue.protect(peer.l2_id, 4, new_id, b"too early"))
    air.run(0.1)
    assert drops(peer, "release") == ["the context waits for its Confirm"]
    assert drops(peer, "keepalive") == []
    assert drops(peer, "confirm") == ["key confirmation differs"]
    assert peer.user_data == [] and peer.pdcp_drops == ["user data not admitted"]
    air.pass_on = lambda frame: [frame]
    air.run(2.5)
    assert current(a, b) == [new_id, new_id]
    assert_works(a, b, air)


# Row 49: what an attacker with the keys in use can't do
# -------------------------------------------------------------------


def response(thief, link, octets_of_request, air, *, signer=None, ssv=None, **altered):
    """A Response to a Request by an attacker that holds the keys in use and perhaps RSKs."""
    half = request_half(link, octets_of_request)
    message = RekeyingResponse(
        sequence_number=99,
        request_hash=half.request_hash,
        nonce_2=bytes(16),
        algorithms=ChosenAlgorithms(eea=2, eia=2),
        kd_sess_id_lsb=0x77,
        confirmation=NO_CONFIRMATION,
    )
    return build_rekey_response(
        replace(message, **altered),
        half,
        ssv_a=ssv or b"",
        kd_previous=bytes(link.keys.kd_next),
        kdf=link.kdf,
        signer=signer,
        to=A,
        ntp_s=air.now.ntp_s,
    ).octets


def asked_by_a(air, a, b):
    """A has asked for a rekey that B has not heard; what the Request's I_MESSAGE holds, opened with B's RSK."""
    air.pass_on = lambda frame: [] if frame.src_l2 == a.l2_id and frame.lcid == 30 else [frame]
    a.entity.rekey(B, air.now)
    air.run(0.05)
    message = link_of(a).rekey.own.asked.message
    ssv = b.credentials.open(parse_profile_i_message(message.i_message)) if message.i_message else b""
    return message, ssv


def test_row_49_one_way_response_on_a_mutual_link():
    """The attacker holds KD-next and RSK_B: it can open A's I_MESSAGE, but not sign as B."""
    a, b, air = linked()
    message, ssv = asked_by_a(air, a, b)
    under(air, b, a, response(b, link_of(b), message, air, ssv=ssv))
    assert drops(a, "rekeying response") == ["an I_MESSAGE is due"]
    assert link_of(a).rekey.state is RekeyState.WAIT_RESPONSE
    air.pass_on = lambda frame: [frame]
    air.run(1)
    assert len(a.of(Rekeyed)) == len(b.of(Rekeyed)) == 1
    assert_rekeys(a, b, air)


@pytest.mark.parametrize("signed_by", ["another user", "nobody: a signature altered"])
def test_row_49_response_with_a_bad_i_message_on_a_mutual_link(signed_by):
    a, b, air = linked()
    message, ssv = asked_by_a(air, a, b)
    signer = a.credentials if signed_by == "another user" else b.credentials
    octets = response(b, link_of(b), message, air, ssv=ssv, signer=signer)
    if signer is b.credentials:
        at = len(octets) - 100
        octets = octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]
    under(air, b, a, octets)
    (why,) = drops(a, "rekeying response")
    assert why == ("I_MESSAGE form: identities" if signer is a.credentials else "I_MESSAGE does not verify")
    air.pass_on = lambda frame: [frame]
    air.run(1)
    assert len(a.of(Rekeyed)) == len(b.of(Rekeyed)) == 1
    assert_rekeys(a, b, air)


@pytest.mark.parametrize(
    ("altered", "why"),
    [
        ({"algorithms": ChosenAlgorithms(eea=0, eia=2)}, "algorithms were not offered"),
        ({"algorithms": ChosenAlgorithms(eea=2, eia=7)}, "algorithms were not offered"),
        ({"request_hash": bytes(32)}, "no open rekeying request"),
        ({"i_message": True}, "an I_MESSAGE was not asked for"),
        ({"confirmation": bytes(16)}, "key confirmation differs"),
    ],
)
def test_row_49_other_bad_responses(altered, why):
    a, b, air = linked(policy=NONCES)
    message, _ = asked_by_a(air, a, b)
    signer = b.credentials if altered.pop("i_message", False) else None
    confirmation = altered.pop("confirmation", None)
    octets = response(b, link_of(b), message, air, signer=signer, **altered)
    under(air, b, a, octets[:-16] + confirmation if confirmation else octets)
    assert drops(a, "rekeying response") == [why]
    assert link_of(a).rekey.state is RekeyState.WAIT_RESPONSE
    assert_works(a, b, air)
    air.pass_on = lambda frame: [frame]
    air.run(1)
    assert len(a.of(Rekeyed)) == len(b.of(Rekeyed)) == 1
    assert_rekeys(a, b, air)


@pytest.mark.parametrize("policy", [SAME, ONE_WAY, LinkPolicy(rekey_contribution=RekeyContribution.ALWAYS)])
@pytest.mark.parametrize("thief", [0, 1])
def test_row_49_nonces_alone_when_an_i_message_is_due_by_policy(policy, thief):
    _a, _b, air = linked(policy=policy)
    sender, receiver = air.ues[thief], air.ues[1 - thief]
    under(air, sender, receiver, request(sender, receiver, air))
    assert drops(receiver, "rekeying request") == ["an I_MESSAGE is due"]
    assert link_of(receiver).rekey.state is RekeyState.NONE and not receiver.of(RekeyStarted)
    assert_rekeys(sender, receiver, air)


def test_row_49_nonces_alone_when_an_i_message_is_due_by_count_or_age():
    a, b, air = linked(policy=NONCES)
    link_of(b).keys.nonce_only_rekeys = 16
    under(air, a, b, request(a, b, air))
    link_of(b).keys.nonce_only_rekeys = 0
    link_of(b).keys.born_ntp_s -= 24 * 3600
    under(air, a, b, request(a, b, air))
    assert drops(b, "rekeying request") == ["an I_MESSAGE is due"] * 2
    link_of(b).keys.born_ntp_s += 24 * 3600
    assert_rekeys(a, b, air)


@pytest.mark.parametrize(
    ("altered", "why"),
    [
        ({"capabilities": SecurityCapabilities.of((2,), (2,))}, "capabilities are not those of the set-up"),
        (
            {"capabilities": SecurityCapabilities.of((0, 1, 2, 3), (1, 2, 3))},
            "capabilities are not those of the set-up",
        ),
        ({"kd_sess_id_msb": None}, "KD-sess ID MSB was used on this link before"),
    ],
)
def test_row_49_other_bad_requests(altered, why):
    a, b, air = linked(policy=NONCES)
    if "kd_sess_id_msb" in altered:
        altered = {"kd_sess_id_msb": link_of(a).keys.current_id >> 8}
    under(air, a, b, request(a, b, air, **altered))
    assert drops(b, "rekeying request") == [why]
    assert link_of(b).rekey.state is RekeyState.NONE
    assert_rekeys(a, b, air)


def test_row_49_a_responder_of_the_set_up_may_offer_less():
    """What it allows of the DCR's offers; never what the DCR has not offered."""
    a, b, air = linked(policy=NONCES)
    few, many = SecurityCapabilities.of((1,), (2,)), SecurityCapabilities.of((1, 4), (2,))
    under(air, b, a, request(b, a, air, capabilities=many))
    under(air, b, a, request(b, a, air, capabilities=SecurityCapabilities.of((), (2,))))
    assert drops(a, "rekeying request") == ["capabilities are not those of the set-up", "no algorithms in common"]
    under(air, b, a, request(b, a, air, capabilities=few))
    context = link_of(a).keys.contexts[link_of(a).rekey.kept.made.kd_sess_id]
    assert (context.eea, context.eia) == (1, 2)
    assert_rekeys(a, b, air)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("window", "time outside the window"),
        ("signer", "identities differ from User Info"),
        ("signature", "signature does not verify"),
        ("denied", "on the deny list"),
        ("transcript", "I_MESSAGE is not bound to this request"),
        ("clock", "clock below the time floor"),
    ],
)
def test_row_49_a_request_with_a_bad_i_message(fault, why):
    a, b, air = linked()
    options = {"signer": b.credentials if fault == "signer" else a.credentials}
    if fault == "window":
        options["ntp_s"] = air.now.ntp_s - 301
    if fault == "transcript":
        options["previous_tx"] = bytes(32)
    octets = request(a, b, air, **options)
    if fault == "signature":
        octets = octets[:-1] + bytes([octets[-1] ^ 1])
    if fault == "denied":
        b.credentials.replace_denied([A])
    if fault == "clock":
        b.record.raise_floor(int(air.now.ntp_s) + 400)
    entries = len(b.record)
    under(air, a, b, octets)
    assert drops(b, "rekeying request") == [why]
    assert link_of(b).rekey.state is RekeyState.NONE and len(b.record) == entries
    if fault == "denied":
        b.credentials.replace_denied([])
    if fault != "clock":
        assert_rekeys(a, b, air)


def test_row_49_a_signed_request_is_worked_on_once():
    """Its signed part is on record; another signature of it doesn't make it another Request."""
    a, b, air = linked()
    entries = len(b.record)
    octets = request(a, b, air, signer=a.credentials)
    under(air, a, b, octets)
    assert len(b.record) == entries + 1
    first = link_of(b).rekey.kept
    responses = first.response_octets
    under(air, a, b, octets)
    under(air, a, b, octets[:-1] + bytes([octets[-1] ^ 1]))
    assert link_of(b).rekey.kept is first and first.response_octets == responses and not drops(b, "rekeying request")
    under(air, a, b, request(a, b, air, signer=a.credentials))
    assert link_of(b).rekey.kept is not first and len(b.record) == entries + 2
    under(air, a, b, octets)
    assert drops(b, "rekeying request") == ["KD-sess ID MSB was used on this link before"]
    assert_rekeys(a, b, air)


def test_row_49_a_request_waits_for_its_verification_and_is_taken_then():
    a, b, air = linked(b={"verify_per_s": 2.0})
    while b.entity._verify._tokens.take(favoured=True):
        pass
    under(air, a, b, request(a, b, air, signer=a.credentials))
    assert link_of(b).rekey.state is RekeyState.NONE and not drops(b, "rekeying request")
    air.run(0.5)
    assert link_of(b).rekey.state is RekeyState.AWAIT_CONFIRM
    assert_rekeys(a, b, air)


def test_row_49_an_insider_gets_no_more_openings_than_its_bucket_has():
    a, b, air = linked()
    for _ in range(6):
        under(air, a, b, request(a, b, air, signer=a.credentials))
    assert set(drops(b, "rekeying request")) == {"too many requests to open"}
    air.run(5)
    assert_rekeys(a, b, air)


# What a failed rekey leads to -----------------------------------------------------------------------------------------


def test_nonces_that_nobody_answers_are_followed_by_an_i_message():
    """The ends count differently by one: that must not end the link."""
    a, b, air = linked(policy=NONCES)
    link_of(b).keys.nonce_only_rekeys = 16
    a.entity.rekey(B, air.now)
    air.run(10)
    assert set(drops(b, "rekeying request")) == {"an I_MESSAGE is due"}
    assert [event.new_kd for event in a.of(RekeyStarted)] == [False, True]
    assert [event.new_kd for event in a.of(Rekeyed)] == [event.new_kd for event in b.of(Rekeyed)] == [True]
    assert not a.of(RekeyFailed) and not a.of(LinkReleased)
    assert_works(a, b, air)


def test_a_failed_rekey_is_tried_again_after_longer_and_longer_waits():
    a, b, air = linked()
    requests = lambda frame: frame.lcid == 30 and frame.src_l2 == a.l2_id and len(frame.data) > 100  # noqa: E731
    air.pass_on = lambda frame: [] if requests(frame) else [frame]
    started, failed = [], []
    a.entity.rekey(B, air.now)
    for _ in range(3000):
        before = len(a.of(RekeyStarted)), len(a.of(RekeyFailed))
        air.run(0.1)
        if len(a.of(RekeyStarted)) > before[0]:
            started.append(air.mono_s)
        if len(a.of(RekeyFailed)) > before[1]:
            failed.append(air.mono_s)
    waits = [later - earlier for earlier, later in zip(failed, started[1:], strict=False)]
    assert len(waits) >= 6
    for wait_s, nominal_s in zip(waits, [2, 4, 8, 16, 32, 60, 60], strict=False):
        assert 0.74 * nominal_s <= wait_s <= 1.26 * nominal_s + 0.2
    assert a.states() == ["established"]
    assert_rekeys(a, b, air)


def test_a_link_whose_kd_is_too_old_to_go_on_is_released_and_can_be_set_up_anew():
    a, b, air = linked(policy=NONCES, kd_age_s=100.0)
    requests = lambda frame: frame.lcid == 30 and len(frame.data) > 100  # noqa: E731
    air.pass_on = lambda frame: [] if requests(frame) else [frame]
    air.run(240)
    assert a.of(RekeyFailed) and b.of(RekeyFailed)
    assert a.holds_nothing() and b.holds_nothing()
    assert [event.agreed for ue in (a, b) for event in ue.of(LinkReleased)] == [False, False]
    assert_genuine_exchange(a, b, air)


def test_the_age_of_a_kd_is_jittered_by_up_to_a_tenth():
    ages = []
    for number in range(12):
        a, _b, air = linked(policy=NONCES, kd_age_s=1000.0, seed=f"{number}")
        while not a.of(RekeyStarted):
            air.run(5)
        ages.append(air.mono_s - 1000.0)
    assert all(895 <= age <= 1006 for age in ages) and max(ages) - min(ages) > 10


def test_a_new_kd_that_was_due_while_the_peer_rekeyed_by_nonces_is_still_due():
    a, b, air = linked(policy=NONCES, kd_age_s=1000.0)
    air.run(850)
    a.entity._desk.timers.stop(link_of(a).number, Timer.REKEY_DUE)
    b.entity._desk.timers.stop(link_of(b).number, Timer.REKEY_DUE)
    a.entity.rekey(B, air.now)
    air.run(0.5)
    assert not a.of(Rekeyed)[0].new_kd
    air.run(60)
    assert a.of(Rekeyed)[-1].new_kd and b.of(Rekeyed)[-1].new_kd
    assert len(a.of(LinkEstablished)) == 1
