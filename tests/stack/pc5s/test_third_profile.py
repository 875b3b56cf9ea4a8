"""A link profile that the entity has never heard of: added by its maker alone, beside the two that there are."""

from enum import Enum, IntEnum
from types import MappingProxyType

import pytest

from prose_link.pc5s.core.events import Dropped, LinkEstablished, LinkFailed, LinkReleased
from prose_link.pc5s.core.fsm import Action, Input, Role, State, to
from prose_link.pc5s.core.link import Link, LinkKeys, Setup, Terms
from prose_link.pc5s.core.machine import StateMachineError
from prose_link.pc5s.core.policy import LinkPolicy, Policy
from prose_link.pc5s.core.profile import Claim
from prose_link.pc5s.core.shared import link_machine
from prose_link.pc5s.core.tables import ESTABLISHED
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.core.transcript import Agreed, Asked
from prose_link.pc5s.entity import Pc5sEntity
from prose_link.pc5s.profiles import PROFILES
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.messages import ChosenAlgorithms
from security.link.key_ladder import SessionKeys
from tests.benches.pc5s_bench import A, Air, B, C, Ue, plain

HELLO, WELCOME = 0x70, 0x71
KD_SESS_ID = 0x7001


class More(IntEnum):
    """What policy calls the profile: another value, stricter than those that there are."""

    TOY = 7


class ToyInput(Enum):
    WELCOME = "welcome"


class ToyAction(Enum):
    SEND_WELCOME = "send welcome"


TABLES = {
    Role.INITIATOR: MappingProxyType(
        {
            (State.IDLE, Input.CONNECT): to(State.WAIT_ACCEPT, Action.SEND_REQUEST),
            (State.WAIT_ACCEPT, Input.T4100_TRIES_LEFT): to(State.WAIT_ACCEPT, Action.RESEND_REQUEST),
            (State.WAIT_ACCEPT, Input.T4100_NONE_LEFT): to(State.IDLE, Action.FAIL),
            (State.WAIT_ACCEPT, ToyInput.WELCOME): to(State.ESTABLISHED, Action.ESTABLISH),
            **ESTABLISHED,
        }
    ),
    Role.RESPONDER: MappingProxyType(
        {
            (State.IDLE, Input.GOOD_REQUEST): to(State.ESTABLISHED, ToyAction.SEND_WELCOME, Action.ESTABLISH),
            **ESTABLISHED,
        }
    ),
}


class Greeting:
    """What stands for a Request: what a link asks of its message."""

    capabilities = None
    kd_sess_id_msb = KD_SESS_ID >> 8


class ToyProfile:
    """Links by a greeting and public keys: not for use, but complete."""

    name = More.TOY
    protected_lcids = frozenset({30})
    missing: tuple[Action, ...] = ()

    def __init__(self, parts):
        self._desk, self._requests, self._upkeep = parts.desk, parts.requests, parts.upkeep
        actions = {**parts.requests.actions, **parts.upkeep.actions, ToyAction.SEND_WELCOME: self._send_welcome}
        for action in self.missing:
            del actions[action]
        self._machine = link_machine(parts.desk, TABLES, actions)

    def message_name(self, octets):
        return {HELLO: "hello", WELCOME: "welcome"}.get(octets[0], "") if octets else ""

    def claims(self, pdu):
        return Claim.BY_TYPE if self.message_name(pdu.data) else Claim.NONE

    def run(self, link, event, now, why=""):
        return self._machine.run(link, event, now, why)

    def connect(self, party, now):
        self._requests.ask(party, now, lambda: self._link(party.identity, party.l2_id, party.via, initiator=True))

    def receive(self, pdu, now):
        peer = pdu.data[1:].decode()
        if pdu.data[0] == HELLO:
            link = self._link(peer, pdu.src_l2, pdu.via, initiator=False)
            self._keyed(link)
            self._desk.links.add(link)
            self.run(link, Input.GOOD_REQUEST, now)
        elif (link := self._desk.links.with_peer(peer, State.WAIT_ACCEPT)) is not None:
            self._keyed(link)
            self.run(link, ToyInput.WELCOME, now)

    def receive_on_link(self, link, pdu, now):
        self.note_verified(link, pdu.kd_sess_id, now)
        self._upkeep.receive(link, pdu, decode(pdu.data), now)

    def make_context_from(self, pdu, now):
        return None

    def admits(self, link, kd_sess_id):
        return True

    def note_verified(self, link, kd_sess_id, now):
        self.run(link, Input.VERIFIED_PDU, now)

    def can_renew(self, link):
        return False

    def renew(self, link, now, *, new_kd=False):
        self.run(link, Input.ENDED, now, "this profile renews nothing")

    def ask_for_renewal(self, link, now):
        self.renew(link, now)

    def handle_timer(self, link, timer, now):
        if timer is Timer.T4100:
            self._requests.handle_timer(link, now)
        else:
            self._upkeep.handle_timer(link, timer, now)

    def settle(self, link, now):
        pass

    def _link(self, peer, peer_l2, via, *, initiator):
        return Link(
            number=self._desk.links.next_number(),
            initiator=initiator,
            peer=peer,
            peer_l2=peer_l2,
            via=via,
            policy=self._desk.config.policy.towards(peer),
            profile=self.name,
            asked=Asked(message=Greeting(), t1=b"", signed_part=b"", request_hash=peer.encode()),
            setup=Setup(request_octets=bytes([HELLO]) + self._desk.credentials.uri.encode()),
            terms=Terms(inactivity_period_s=30.0),
            keys=LinkKeys(born_ntp_s=4e9),
        )

    def _keyed(self, link):
        keys = SessionKeys(kd_sess=bytes(32), pek=bytes(16), pik=bytes(16), conf_r=b"", conf_i=b"")
        link.keys.current_id = KD_SESS_ID
        agreed = Agreed(kd_next=bytes(32), tx=b"", keys=keys)
        self._desk.make_context(link, KD_SESS_ID, ChosenAlgorithms(eea=2, eia=2), agreed)

    def _send_welcome(self, turn):
        link = turn.owner
        octets = bytes([WELCOME]) + self._desk.credentials.uri.encode()
        self._desk.send_plain(octets, link.party)


class DeafToy(ToyProfile):
    """Its wiring has a hole."""

    missing = (Action.END,)


def with_toy(uri, towards, maker=ToyProfile):
    """A UE with a third profile, to be used with some peers."""
    ue = Ue(uri, policy=Policy(rules=tuple((peer, LinkPolicy(profile=More.TOY)) for peer in towards)))
    ue.entity = Pc5sEntity(ue.config, ue.credentials, ue.record, ue.random, profiles=(*PROFILES, maker))
    return ue


def test_a_third_profile_makes_links_beside_the_others():
    a, b, c = with_toy(A, [B]), with_toy(B, [A]), Ue(C)
    air = Air(a, b, c)
    air.connect(a, b)
    air.connect(a, c)
    air.run(1)
    assert {link.profile for link in a.entity.links} == {More.TOY, *(one.profile for one in c.entity.links)}
    assert len(a.of(LinkEstablished)) == 2 and len(b.of(LinkEstablished)) == len(c.of(LinkEstablished)) == 1
    air.send_user_data(a, b, b"to b")
    air.send_user_data(a, c, b"to c")
    air.run(25)
    assert b.user_data == [b"to b"] and c.user_data == [b"to c"]
    assert a.states() == ["established"] * 2
    a.entity.release(B, air.now)
    a.entity.release(C, air.now)
    air.run(5)
    assert [event.agreed for event in b.of(LinkReleased) + c.of(LinkReleased)] == [True, True]
    assert a.holds_nothing() and b.holds_nothing() and c.holds_nothing()


def test_without_it_nobody_claims_its_messages():
    a, c = with_toy(A, [C]), Ue(C)
    air = Air(a, c)
    air.connect(a, c)
    air.run(20)
    assert {drop.why for drop in c.of(Dropped)} == {"not allowed without protection"}
    assert a.of(LinkFailed) and a.holds_nothing()


def test_a_profile_with_a_hole_in_its_wiring_is_refused_at_construction():
    with pytest.raises(StateMachineError, match=r"no method for Action\.END"):
        with_toy(A, [B], DeafToy)


def test_a_message_that_two_claim_goes_to_the_surer_alone():
    """The toy claims by type; one that claims the same by its form is preferred, whatever their order."""
    taken = []

    class Surer(ToyProfile):
        name = 8

        def claims(self, pdu):
            return Claim.BY_FORM if pdu.data[:1] == bytes([HELLO]) else Claim.NONE

        def receive(self, pdu, now):
            taken.append(pdu.data)

    for order in ((ToyProfile, Surer), (Surer, ToyProfile)):
        ue = Ue(A)
        ue.entity = Pc5sEntity(ue.config, ue.credentials, ue.record, ue.random, profiles=(*PROFILES, *order))
        air = Air(ue)
        taken.clear()
        air.inject(plain(bytes([HELLO]) + B.encode(), 5, ue.l2_id))
        air.run(0.1)
        assert len(taken) == 1 and not ue.entity.links
