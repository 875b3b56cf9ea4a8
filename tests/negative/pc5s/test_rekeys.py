"""Rekeys with stolen keys of the context in use: row 49 of the test matrix (PROFILE 13)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prose_link.pc5s.core.events import Rekeyed, RekeyStarted
from prose_link.pc5s.core.fsm import RekeyState
from prose_link.pc5s.core.policy import LinkPolicy, MutualGive, RekeyContribution
from prose_link.pc5s.identity.key_exchange import NO_CONFIRMATION, build_rekey_response
from prose_link.pc5s.identity.rekey_checks import request_half
from prose_link.pc5s.wire.messages import (
    ChosenAlgorithms,
    Mutual,
    RekeyingResponse,
    SecurityCapabilities,
)
from security.mikey import parse_profile_i_message
from tests.benches.attack_bench import assert_works
from tests.benches.pc5s_bench import A, B, linked
from tests.benches.rekey_bench import NONCES, SAME, assert_rekeys, drops, link_of, request, under

ONE_WAY = LinkPolicy(mutual_ask=Mutual.NOT_WANTED, mutual_give=MutualGive.ON_REQUEST)


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
