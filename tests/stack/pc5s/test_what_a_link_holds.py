"""Which secrets are in memory after set-up, rekeys, and the end: all that an entity leads to is looked through."""

import gc
import types

import pytest

from prose_link.pc5s.core.credentials import Credentials
from prose_link.pc5s.core.events import RekeyFailed
from prose_link.pc5s.core.policy import LinkPolicy, RekeyContribution
from prose_link.pc5s.identity import key_exchange
from security.link.key_ladder import derive_kd, derive_kd_next
from tests.benches.pc5s_bench import A, B, linked

NONCES = LinkPolicy(rekey_contribution=RekeyContribution.NONCE_ONLY)


def octets_held(*roots):
    """Every string of octets that can be got at from these objects, joined."""
    seen, waiting, found = set(), list(roots), []
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, types.ModuleType | type | types.FunctionType):
            continue
        seen.add(id(thing))
        if isinstance(thing, bytes | bytearray):
            found.append(bytes(thing))
        waiting.extend(gc.get_referents(thing))
    return b"|".join(found)


@pytest.fixture
def secrets(monkeypatch):
    """All KDs, KD-nexts and SSVs that any UE makes, in their order."""
    made = {"kd": [], "kd_next": [], "ssv": []}

    def noting(name, function):
        def note(*given, **named):
            value = function(*given, **named)
            made[name].append(value)
            return value

        return note

    monkeypatch.setattr(key_exchange, "derive_kd", noting("kd", derive_kd))
    monkeypatch.setattr(key_exchange, "derive_kd_next", noting("kd_next", derive_kd_next))
    monkeypatch.setattr(Credentials, "draw_ssv", noting("ssv", Credentials.draw_ssv))
    return made


def entities(air):
    return [ue.entity for ue in air.ues]


@pytest.mark.parametrize("policy", [NONCES, LinkPolicy()])
def test_kd_and_ssvs_are_gone_when_the_link_is_up(secrets, policy):
    _a, _b, air = linked(policy=policy)
    held = octets_held(*entities(air))
    assert secrets["kd"] and secrets["ssv"]
    assert not any(secret in held for secret in secrets["kd"] + secrets["ssv"])
    assert len(set(secrets["kd_next"])) == 1 and secrets["kd_next"][0] in held, "what is looked for can be found"


@pytest.mark.parametrize("policy", [NONCES, LinkPolicy()])
@pytest.mark.parametrize("asker", [0, 1])
def test_the_old_kd_next_is_gone_when_the_new_context_is_confirmed(secrets, policy, asker):
    _a, _b, air = linked(policy=policy)
    (old,) = set(secrets["kd_next"])
    ue, peer = air.ues[asker], air.ues[1 - asker]
    at_first = set(ue.entity.links[0].keys.contexts)
    air.pass_on = lambda frame: [] if frame.kd_sess_id not in at_first else [frame]
    ue.entity.rekey(peer.uri, air.now)
    air.run(0.2)
    assert all(old in octets_held(entity) for entity in entities(air)), "the rekey may still come to nothing"
    air.pass_on = lambda frame: [frame]
    air.run(2.5)
    held = octets_held(*entities(air))
    assert not any(secret in held for secret in [old, *secrets["kd"], *secrets["ssv"]])
    assert secrets["kd_next"][-1] in held


def test_a_rekey_that_comes_to_nothing_leaves_nothing_but_what_the_peer_may_hold(secrets):
    a, b, air = linked()
    (first,) = set(secrets["kd_next"])
    air.pass_on = lambda frame: [] if frame.lcid == 30 and frame.src_l2 == b.l2_id else [frame]
    a.entity.rekey(B, air.now)
    while not a.of(RekeyFailed):
        air.run(0.1)
    at_a, at_b = (octets_held(entity) for entity in entities(air))
    assert not any(secret in at_a + at_b for secret in secrets["kd"] + secrets["ssv"])
    later = set(secrets["kd_next"]) - {first}
    assert later and first in at_a and first in at_b
    assert not any(secret in at_a for secret in later) and all(secret in at_b for secret in later)


def test_nothing_is_left_of_a_link_that_has_ended(secrets):
    a, b, air = linked()
    b.entity.rekey(A, air.now)
    air.run(0.03)
    a.entity.release(B, air.now)
    air.run(5)
    held = octets_held(*entities(air))
    assert a.holds_nothing() and b.holds_nothing()
    assert not any(secret in held for secret in secrets["kd"] + secrets["kd_next"] + secrets["ssv"])
