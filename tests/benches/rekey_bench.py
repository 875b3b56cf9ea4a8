"""Two linked UEs whose rekeys are asked for, forged and checked; shared by the negative tests of rekeys."""

from __future__ import annotations

from itertools import cycle

from prose_link.pc5s.core.events import Dropped, Rekeyed
from prose_link.pc5s.core.policy import LinkPolicy, RekeyContribution
from prose_link.pc5s.identity.key_exchange import build_rekey_request
from prose_link.pc5s.wire.messages import (
    RekeyingRequest,
)
from tests.benches.attack_bench import assert_works

NONCES = LinkPolicy(rekey_contribution=RekeyContribution.NONCE_ONLY)
SAME = LinkPolicy()
MSBS = cycle(range(1, 256))
"""Requests that are made up here take one after the other."""


def link_of(ue):
    (link,) = ue.entity.links
    return link


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
