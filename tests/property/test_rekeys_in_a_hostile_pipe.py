"""A link that is rekeyed over a pipe that drops, repeats, delays and replays, between UEs that crash and whose clocks
jump, as a Hypothesis state machine.

After every step: no (key, COUNT, BEARER, DIRECTION) was used twice in the whole run, nothing was opened under another
key than it was sealed with, both ends of a link share a context and agree on its keys, and no end has gone back to a
context it had left. In the end both are on one context, or both have none and make a new link.
"""

import copy

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from prose_link.instant import Instant
from prose_link.pc5s.core.policy import LinkPolicy, RekeyContribution
from prose_link.pc5s.core.replay import MemoryRecord
from security.link.context import CountExhausted
from tests.benches.pc5s_bench import Ue
from tests.property.test_hostile_pipe import MARK, Pipe, same_keys

PROBE = b"which key is this"


class Skewed:
    """An entity whose owner's calendar clock is off by so much; the monotonic one is right."""

    def __init__(self, entity):
        self._entity = entity
        self.off_by_s = 0.0

    def __getattr__(self, name):
        found = getattr(self._entity, name)
        if not callable(found):
            return found
        return lambda *given, **named: found(*map(self._skewed, given), **named)

    def _skewed(self, value):
        return Instant(value.mono_s, value.utc_s + self.off_by_s) if isinstance(value, Instant) else value


class RekeyPipe(Pipe):
    """Starts with a link, and rekeys it by nonces or by new keys, as each end's policy has it."""

    def __init__(self):
        super().__init__()
        self.left = {}
        self.copies = {}

    @initialize(nonces_at_a=st.booleans(), nonces_at_b=st.booleans())
    def link_up(self, nonces_at_a, nonces_at_b):
        self.policies = {
            self.a.uri: self._policy(nonces=nonces_at_a),
            self.b.uri: self._policy(nonces=nonces_at_b),
        }
        self.a, self.b = (self._new_life(ue, ue.record) for ue in (self.a, self.b))
        self.air.ues = [self.a, self.b]
        self.air.pass_on = lambda frame: [frame, *self._keep(frame)]
        self.air.connect(self.a, self.b)
        self.air.run(0.5)
        self.waiting.clear()
        self.air.pass_on = self._keep
        assert self.a.states() == self.b.states() == ["established"]

    def _policy(self, *, nonces):
        contribution = RekeyContribution.NONCE_ONLY if nonces else RekeyContribution.SAME_AS_SETUP
        return LinkPolicy(profile=self.profile, rekey_contribution=contribution)

    def _new_life(self, ue, record):
        self.lives += 1
        reborn = Ue(ue.uri, policy=self.policies[ue.uri], record=record, seed=f"life {self.lives}")
        reborn.entity = Skewed(reborn.entity)
        reborn.user_data = ue.user_data
        return reborn

    def _keep(self, frame):
        """Besides: each key's own COUNTs, told by the key itself, whichever object holds it."""
        if frame.kd_sess_id:
            ue = self.a if frame.src_l2 == self.a.l2_id else self.b
            context = ue.entity.context(frame.dst_l2, frame.kd_sess_id)
            if context is not None:
                use = (context._integrity.mac(0, 30, 0, PROBE), frame.sn, frame.lcid, context.direction)
                assert use not in self.used, "key and COUNT used twice"
                self.used.add(use)
        return super()._keep(frame)

    @rule(which=st.booleans())
    def restart(self, which):
        self._crash(which, (self.a if which else self.b).record)

    @rule(which=st.booleans())
    def restart_without_record(self, which):
        self._crash(which, MemoryRecord(accept_after_ntp_s=int(self.air.now.ntp_s)))

    @rule(which=st.booleans())
    def copy_the_record(self, which):
        ue = self.a if which else self.b
        self.copies[ue.uri] = copy.deepcopy(ue.record)

    @precondition(lambda self: self.copies)
    @rule(which=st.booleans())
    def restart_with_the_copy(self, which):
        ue = self.a if which else self.b
        if ue.uri in self.copies:
            self._crash(which, copy.deepcopy(self.copies[ue.uri]))

    def _crash(self, which, record):
        if which:
            self.a = self._new_life(self.a, record)
        else:
            self.b = self._new_life(self.b, record)
        self.air.ues = [self.a, self.b]

    @rule(which=st.booleans(), by_s=st.sampled_from([-4000.0, -299.0, 0.0, 250.0, 650.0, 100_000.0]))
    def clock_jumps(self, which, by_s):
        (self.a if which else self.b).entity.off_by_s = by_s  # type: ignore[attr-defined]

    @rule()
    def both_rekey(self):
        for ue, peer in ((self.a, self.b), (self.b, self.a)):
            ue.entity.rekey(peer.uri, self.air.now)
        self.air._flush()

    @rule(which=st.booleans())
    def numbers_run_out(self, which):
        """The bearer is close to its end: a rekey is due at once, and without one it falls silent."""
        ue, peer = (self.a, self.b) if which else (self.b, self.a)
        kd_sess_id = ue.entity.user_data_id(peer.l2_id)
        if kd_sess_id is None:
            return
        context = ue.entity.context(peer.l2_id, kd_sess_id)
        try:
            while context.next_sn(4) < 0xFFFE:
                pass
        except CountExhausted:
            return

    @precondition(lambda self: self.a.states() == self.b.states() == ["established"])
    @rule(n=st.integers(6, 12))
    def much_honest_traffic(self, n):
        """Most rekeys should come through, so that what is old is old."""
        for _ in range(n):
            while self.waiting:
                self._deliver(self.waiting.pop(0))
            self.air.run(0.05)

    def _ends(self):
        """The two ends of one link that is up at both, if there is one."""
        for link in self.a.entity.links:
            for other in self.b.entity.links:
                if link.asked.request_hash == other.asked.request_hash:
                    states = {link.state.value, other.state.value}
                    if states == {"established"}:
                        return link, other
        return None

    @invariant()
    def the_ends_are_never_split(self):
        ends = self._ends()
        if ends is not None:
            one, other = ends
            shared = one.keys.contexts.keys() & other.keys.contexts.keys()
            assert one.keys.current_id in shared or other.keys.current_id in shared

    @invariant()
    def nobody_goes_back(self):
        for ue in (self.a, self.b):
            for link in ue.entity.links:
                left = self.left.setdefault(id(link), (link, []))[1]
                if not left or left[-1] != link.keys.current_id:
                    assert link.keys.current_id not in left
                    left.append(link.keys.current_id)

    @invariant()
    def few_contexts_are_held(self):
        for ue in (self.a, self.b):
            assert all(len(link.keys.contexts) <= 3 for link in ue.entity.links)

    def teardown(self):
        for ue in (self.a, self.b):
            if isinstance(ue.entity, Skewed):
                ue.entity.off_by_s = 0.0
        self.air.run(0.1)
        ends = self._ends()
        self.air.pass_on = lambda frame: [frame]
        self.air.run(40)
        if ends is not None and self._ends() == ends:
            one, other = ends
            assert one.keys.current_id == other.keys.current_id and same_keys(one.context, other.context)
            if not one.context.exhausted and not other.context.exhausted:
                self._talk()
        super().teardown()

    def _talk(self):
        for ue, peer in ((self.a, self.b), (self.b, self.a)):
            data = MARK + len(self.sent).to_bytes(4)
            self.sent.append(data)
            assert self.air.send_user_data(ue, peer, data)
            self.air.run(0.1)
            assert peer.user_data[-1] == data


def test_rekeys_in_a_hostile_pipe():
    run_state_machine_as_test(
        RekeyPipe,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
