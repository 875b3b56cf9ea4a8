"""Two UEs and a pipe that drops, repeats, reorders, replays, flips and injects, as a Hypothesis state machine.

Signalling, contexts and PDCP's octets are the real ones. After every step: no user data has been on the air in plain,
no (key, COUNT, BEARER, DIRECTION) was used twice, no PDU was taken twice, and two established ends hold one key.
"""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from prose_link.pc5s.core.policy import LinkPolicy, Profile
from prose_link.pc5s.ts24334.codec import encode
from prose_link.pc5s.ts24334.messages import PlainReject, SecurityModeReject
from radio.l2.pdcp import OneToOnePdu, PdcpPduError, SduType, decode_one_to_one, encode_one_to_one
from security.link.context import CountExhausted, SecurityContext
from tests.benches.pc5s_bench import A, B, E, Frame, Ue, at, forged_request, pair, plain

MARK = b"never seen in plain on the air"
MAX_WAITING = 40


class Pipe(RuleBasedStateMachine):
    """The air holds what was sent until a rule delivers, alters, keeps or forgets it."""

    profile = Profile.IDENTITY

    def __init__(self):
        super().__init__()
        policy = LinkPolicy(profile=self.profile)
        self.a, self.b, self.air = pair(seed="pipe", policy=policy)
        self.e = Ue(E, policy=policy)
        self.waiting, self.seen = [], []
        self.used, self.sent = set(), []
        self.taken = {A: set(), B: set()}
        self.keys = []
        self.lives = 0
        self.air.pass_on = self._keep

    @rule(which=st.booleans())
    def restart(self, which):
        """An end is killed and comes back with its record; the pipe still holds what its first life has sent."""
        old = self.a if which else self.b
        self.lives += 1
        policy = LinkPolicy(profile=self.profile)
        reborn = Ue(old.uri, policy=policy, record=old.record, seed=f"life {self.lives}")
        reborn.user_data = old.user_data
        if which:
            self.a = reborn
        else:
            self.b = reborn
        self.air.ues = [self.a, self.b]

    def _keep(self, frame):
        self.waiting.append(frame)
        self.seen.append(frame)
        del self.waiting[:-MAX_WAITING]
        if frame.kd_sess_id:
            ue = self.a if frame.src_l2 == self.a.l2_id else self.b
            context = ue.entity.context(frame.dst_l2, frame.kd_sess_id)
            if context is not None:
                use = (id(context._integrity), frame.kd_sess_id, frame.sn, frame.lcid, frame.src_l2)
                assert use not in self.used, "key and COUNT used twice"
                self.used.add(use)
                self.keys.append(context._integrity)
        return []

    def _deliver(self, frame):
        """Over the octets of PDCP, as PHY, MAC and RLC would carry them."""
        sdu_type = SduType.PC5_SIGNALLING if frame.lcid >= 28 else SduType.IP
        pdu = OneToOnePdu(
            sdu_type=sdu_type, kd_sess_id=frame.kd_sess_id, sn=frame.sn, data=frame.data, mac_i=frame.mac_i
        )
        try:
            read = decode_one_to_one(encode_one_to_one(pdu))
        except PdcpPduError:
            return
        ue = self.a if frame.dst_l2 == self.a.l2_id else self.b
        before = len(ue.user_data)
        ue.take(replace(frame, data=read.data, mac_i=read.mac_i, sn=read.sn), self.air.now)
        if len(ue.user_data) > before:
            assert ue.user_data[-1] not in self.taken[ue.uri], "a PDU was taken twice"
            self.taken[ue.uri].add(ue.user_data[-1])
            assert ue.user_data[-1] in self.sent, "user data that nobody sent"
        self.air._flush()

    @rule(which=st.booleans())
    def connect(self, which):
        ue, peer = (self.a, self.b) if which else (self.b, self.a)
        ue.entity.connect(at(peer.uri, peer.l2_id), self.air.now)
        self.air._flush()

    @rule(which=st.booleans())
    def release(self, which):
        ue, peer = (self.a, self.b) if which else (self.b, self.a)
        ue.entity.release(peer.uri, self.air.now)
        self.air._flush()

    @rule(which=st.booleans())
    def trigger_rekey(self, which):
        ue, peer = (self.a, self.b) if which else (self.b, self.a)
        ue.entity.trigger_rekey(peer.uri, self.air.now)
        self.air._flush()

    @rule(which=st.booleans(), new_kd=st.booleans())
    def rekey(self, which, new_kd):
        ue, peer = (self.a, self.b) if which else (self.b, self.a)
        ue.entity.rekey(peer.uri, self.air.now, new_kd=new_kd)
        self.air._flush()

    @rule(which=st.booleans())
    def send(self, which):
        ue, peer = (self.a, self.b) if which else (self.b, self.a)
        data = MARK + len(self.sent).to_bytes(4)
        try:
            if self.air.send_user_data(ue, peer, data):
                self.sent.append(data)
        except CountExhausted:
            """A bearer at its end is silent."""

    @rule(n=st.integers(4, 12))
    def honest_moment(self, n):
        for _ in range(n):
            if self.waiting:
                self._deliver(self.waiting.pop(0))
            self.air.run(0.01)

    @rule(n=st.integers(1, 6))
    def deliver(self, n):
        for _ in range(min(n, len(self.waiting))):
            self._deliver(self.waiting.pop(0))

    @precondition(lambda self: self.waiting)
    @rule(index=st.integers(0, MAX_WAITING))
    def deliver_out_of_order(self, index):
        self._deliver(self.waiting.pop(index % len(self.waiting)))

    @precondition(lambda self: self.waiting)
    @rule(index=st.integers(0, MAX_WAITING))
    def drop(self, index):
        self.waiting.pop(index % len(self.waiting))

    @precondition(lambda self: self.seen)
    @rule(index=st.integers(0, 500))
    def replay(self, index):
        self._deliver(self.seen[index % len(self.seen)])

    @precondition(lambda self: self.seen)
    @rule(index=st.integers(0, 500))
    def reflect(self, index):
        frame = self.seen[index % len(self.seen)]
        self._deliver(replace(frame, src_l2=frame.dst_l2, dst_l2=frame.src_l2))

    @precondition(lambda self: self.waiting)
    @rule(index=st.integers(0, MAX_WAITING), bit=st.integers(0, 1 << 16))
    def flip(self, index, bit):
        frame = self.waiting[index % len(self.waiting)]
        octets = bytearray(frame.data or b"\0")
        octets[bit // 8 % len(octets)] ^= 1 << bit % 8
        self._deliver(replace(frame, data=bytes(octets)))

    @precondition(lambda self: self.seen)
    @rule(index=st.integers(0, 500), lcid=st.sampled_from([4, 28, 29, 30]), kd_sess_id=st.integers(0, 0xFFFF))
    def move(self, index, lcid, kd_sess_id):
        self._deliver(replace(self.seen[index % len(self.seen)], lcid=lcid, kd_sess_id=kd_sess_id))

    @rule(data=st.binary(max_size=60), lcid=st.sampled_from([1, 28, 29, 30]), to_a=st.booleans())
    def inject(self, data, lcid, to_a):
        src, dst = (self.b, self.a) if to_a else (self.a, self.b)
        self._deliver(Frame(src_l2=src.l2_id, dst_l2=dst.l2_id, lcid=lcid, kd_sess_id=0, sn=0, data=data))

    @rule(cause=st.integers(0, 255), to_a=st.booleans())
    def inject_reject(self, cause, to_a):
        src, dst = (self.b, self.a) if to_a else (self.a, self.b)
        for kind in (PlainReject, SecurityModeReject):
            self._deliver(plain(encode(kind(sequence_number=1, cause=cause)), src.l2_id, dst.l2_id))

    @rule()
    def inject_request_of_another_user(self):
        self._deliver(plain(forged_request(self.e, self.b, self.air).octets, self.e.l2_id, self.b.l2_id))

    @rule(for_s=st.sampled_from([0.01, 0.3, 0.6, 2.0, 7.0, 31.0]))
    def wait(self, for_s):
        self.air.run(for_s)

    @invariant()
    def no_user_data_in_plain(self):
        assert all(MARK not in frame.data for frame in self.seen[-8:])

    @invariant()
    def both_ends_agree_on_every_context_they_share(self):
        for link in self.a.entity.links:
            for other in self.b.entity.links:
                for kd_sess_id in link.keys.contexts.keys() & other.keys.contexts.keys():
                    if link.asked.request_hash == other.asked.request_hash:
                        assert same_keys(link.keys.contexts[kd_sess_id], other.keys.contexts[kd_sess_id])

    @invariant()
    def one_established_link_for_each_peer(self):
        for ue in (self.a, self.b):
            up = [link for link in ue.entity.links if link.state.value == "established"]
            assert len(up) <= 1 and all(link.peer in (A, B) for link in up)

    def teardown(self):
        """With an honest pipe both ends come to one link or none, and a new attempt succeeds."""
        self.air.pass_on = lambda frame: [frame]
        self.air.run(80)
        assert self.a.states() == self.b.states()
        self.a.entity.connect(at(B, self.b.l2_id), self.air.now)
        self.air.run(8)
        assert self.a.states() == self.b.states() == ["established"]
        (one,), (other,) = self.a.entity.links, self.b.entity.links
        assert one.keys.current_id == other.keys.current_id and same_keys(one.context, other.context)


def same_keys(one: SecurityContext, other: SecurityContext) -> bool:
    """Whether what one seals the other could open: the MAC under the same inputs is the same."""
    return one._integrity.mac(1, 30, 0, b"probe") == other._integrity.mac(1, 30, 0, b"probe")


@pytest.mark.parametrize("profile", list(Profile))
def test_hostile_pipe(profile):
    machine = type("Pipe" + profile.name, (Pipe,), {"profile": profile})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
