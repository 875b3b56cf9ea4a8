"""The same floods against the `ts24334` profile and against group keying: none ends or starves a procedure."""

import hashlib
from dataclasses import replace

import pytest

from lab_scripts.demo.forged_accepts import half_heard
from prose_link.pc5s.core.events import LinkEstablished
from prose_link.pc5s.core.group_config import info_of
from prose_link.pc5s.core.group_events import GroupKeyReceived
from prose_link.pc5s.core.policy import LinkPolicy, Profile
from prose_link.pc5s.identity.key_exchange import build_request
from prose_link.pc5s.ts24334 import keys
from prose_link.pc5s.ts24334.codec import decode as decode_mode
from prose_link.pc5s.ts24334.codec import encode as encode_mode
from prose_link.pc5s.ts24334.messages import SecurityModeCommand, SignedRequest
from prose_link.pc5s.wire.codec import encode, encode_head
from prose_link.pc5s.wire.messages import (
    ChosenAlgorithms,
    DirectAccept,
    DirectRequest,
    Mutual,
    ProfileAndFlags,
    Purpose,
    SecurityCapabilities,
)
from security.groups import GroupKeying, KeyingMode
from security.groups.keying import epoch_at
from security.link.key_ladder import binding_hash, transcript_t1
from security.mikey import Kind
from tests.benches.attack_bench import assert_works
from tests.benches.flood_bench import (
    DEFAULTS,
    few_sources,
    flood,
    new_sources,
    own_source,
    times,
    with_bad_signature,
)
from tests.benches.group_bench import GROUP, GroupAir, group_config, group_ring, opened, sealed
from tests.benches.pc5s_bench import A, B, C, Ue, draft_accept, draft_request, pair, plain

MODE = LinkPolicy(profile=Profile.TS24334)
FEW = 20.0
SEEDS = 5


def is_up(a, b):
    return bool(a.of(LinkEstablished) and b.of(LinkEstablished))


def connects(a, b, air):
    air.connect(a, b)
    end_s = air.mono_s + 8.5
    while air.mono_s < end_s and not is_up(a, b):
        air.run(0.1)
    if is_up(a, b):
        assert_works(a, b, air)
    return is_up(a, b)


def mode_request(template, number):
    """A Request that passes every check but the signature."""
    nonce = hashlib.sha256(b"nonce %d" % number).digest()[:16]
    bad = with_bad_signature(template.signature, number)
    return encode_mode(replace(template, nonce_1=nonce, signature=bad))


def heard_request(a, b, air):
    """A Request of A's that all UEs hear, except B."""
    air.pass_on = lambda frame: []
    air.connect(a, b)
    air.run(0.2)
    request = decode_mode(air.log[-1].data)
    assert isinstance(request, SignedRequest)
    a.entity.release(b.uri, air.now)
    air.pass_on = lambda frame: [frame]
    a.events.clear()
    return request


@pytest.mark.parametrize("per_s", [FEW, 400.0])
@pytest.mark.parametrize("source", [own_source, few_sources, new_sources])
@pytest.mark.parametrize("spacing", ["regular", "poisson"])
def test_mode_set_ups_stand_under_forged_requests(per_s, source, spacing):
    stood = 0
    for seed in range(SEEDS):
        a, b, air = pair(policy=MODE, timers=DEFAULTS, verify_per_s=per_s, seed=str(seed))
        template, by = heard_request(a, b, air), source(a)
        flood(
            air,
            lambda n, template=template, by=by, b=b: plain(mode_request(template, n), by(n), b.l2_id),
            times(200, 10.0, spacing, seed),
        )
        air.run(1.0)
        stood += connects(a, b, air)
    assert stood >= SEEDS * 0.95


@pytest.mark.parametrize("per_s", [FEW, 400.0])
@pytest.mark.parametrize("to_other_ids", [False, True])
def test_mode_set_ups_stand_under_forged_commands(per_s, to_other_ids):
    """Any UE can make a Command to a Request that it heard, to the very KD-sess ID or another, but not sign it."""
    stood = 0
    for seed in range(SEEDS):
        a, b, air = pair(policy=MODE, timers=DEFAULTS, seed=str(seed), a={"verify_per_s": per_s})
        payload = keys.encapsulate(bytes(16), A, b.credentials, air.now.ntp_s)
        started = []

        def pass_on(frame, a=a, b=b, air=air, payload=payload, started=started, seed=seed):
            if frame.src_l2 == a.l2_id and frame.lcid == 28 and not started:
                started.append(air.mono_s)
                request = decode_mode(frame.data)

                def command(n):
                    noise = hashlib.sha256(b"command %d" % n).digest()
                    lsb = n % 256 if to_other_ids else 7
                    draft = SecurityModeCommand(
                        sequence_number=1,
                        capabilities=request.capabilities,
                        nonce_2=noise[:16],
                        algorithms=ChosenAlgorithms(eea=2, eia=2),
                        kd_sess_id_lsb=lsb,
                        user_info=b.uri,
                        encrypted_payload=payload,
                        signature=with_bad_signature(request.signature, n),
                    )
                    kd_sess_id = request.kd_sess_id_msb << 8 | lsb
                    forged = plain(encode_mode(draft), b.l2_id, a.l2_id)
                    return replace(forged, lcid=29, kd_sess_id=kd_sess_id, sn=1, mac_i=noise[16:20])

                flood(air, command, times(200, 8.0, "poisson", seed))
            if frame.src_l2 == b.l2_id and frame.lcid == 29 and air.mono_s < started[0] + 0.3:
                return []
            return [frame]

        air.pass_on = pass_on
        stood += connects(a, b, air)
    assert stood >= SEEDS * 0.95


def keying_forger(a, target, air, mode):
    """Makes keying messages that pass every check but the signature, from what was heard of an earlier one."""
    keying = GroupKeying(
        group_identity=GROUP,
        group_l2=0x00BEEF,
        pgk_id=7,
        epoch=epoch_at(air.now.ntp_s) + 200,
        expiry_ntp_s=int(air.now.ntp_s) + 1000,
        eea=2,
        mode=mode,
    )
    draft = draft_request(
        a,
        target,
        capabilities=SecurityCapabilities.of((2,), (0,)),
        profile=ProfileAndFlags(mutual=Mutual.NOT_WANTED, purpose=Purpose.GROUP),
        group_info=info_of(keying),
        target_user_info=GROUP if mode is KeyingMode.GROUP_IDENTITY else target.uri,
    )
    built = build_request(draft, a.credentials, ntp_s=air.now.ntp_s, kind=Kind.GROUP)
    message, old_hash = built.asked.message, built.asked.t1_hash

    def forge(number, l2_id):
        nonce = hashlib.sha256(b"keying %d" % number).digest()[:16]
        draft = replace(message, nonce_1=nonce, link_l2_id=l2_id, i_message=b"")
        bound = message.i_message.replace(old_hash, binding_hash(transcript_t1(encode_head(draft))))
        return encode(replace(draft, i_message=with_bad_signature(bound, number)))

    return forge


def group_member(uri, mode, per_s, seed):
    ring = group_ring(uri, with_group_key=mode is KeyingMode.GROUP_IDENTITY)
    config = group_config(mode=mode, members=(B, C))
    return Ue(uri, ring=ring, groups=(config,), timers=DEFAULTS, verify_per_s=per_s, seed=str(seed))


@pytest.mark.parametrize("mode", list(KeyingMode))
@pytest.mark.parametrize("source", [own_source, new_sources])
def test_a_group_is_keyed_under_forged_keying_messages(mode, source):
    """200 a second at one member, in the keyer's name; it verifies a tenth of them. In mode 0 no member asks again."""
    stood = 0
    for seed in range(SEEDS):
        a, b, c = (group_member(uri, mode, FEW, seed) for uri in (A, B, C))
        air = GroupAir(a, b, c)
        forge, by = keying_forger(a, b, air, mode), source(a)
        flood(
            air,
            lambda n, forge=forge, by=by, b=b: plain(forge(n, by(n)), by(n), b.l2_id),
            times(200, 9.0, "poisson", seed),
        )
        air.run(2.0)
        assert b.entity.counters["signature does not verify"] > 20
        air.keyed(a, b, c)
        air.run(4.0)
        held = b.of(GroupKeyReceived) and c.of(GroupKeyReceived)
        stood += bool(held and opened(b, sealed(a)) == b"to all")
    assert stood >= SEEDS * 0.95


def test_a_receipt_wins_among_ten_thousand_forged_ones():
    """B's own receipts are lost for a second and a half; the forged ones cost hashes and never count."""
    a, b, c = (group_member(uri, KeyingMode.PER_MEMBER, FEW, 0) for uri in (A, B, C))
    air = GroupAir(a, b, c)
    started = []

    def pass_on(frame):
        if frame.data[0] == DirectRequest.TYPE and frame.dst_l2 == b.l2_id and not started:
            started.append(air.mono_s)
            half = half_heard(frame.data)

            def forged(n):
                noise = hashlib.sha256(b"receipt %d" % n).digest()
                draft = draft_accept(
                    half.message,
                    half.request_hash,
                    b,
                    nonce_2=noise[:16],
                    confirmation=noise[16:],
                    algorithms=ChosenAlgorithms(eea=2, eia=0),
                )
                return plain(encode(draft), b.l2_id, a.l2_id)

            flood(air, forged, times(10_000 / 3, 3.0, "poisson", 1))
        if frame.data[0] == DirectAccept.TYPE and frame.src_l2 == b.l2_id and air.mono_s < started[0] + 1.5:
            return []
        return air.spread(frame)

    air.pass_on = pass_on
    air.keyed(a, b, c)
    air.run(4.0)
    assert a.entity.counters["bad receipt of a group key"] > 4000
    assert a.entity.groups.keyer(GROUP).waiting == frozenset()
