"""Two keyers, two members and a pipe that loses, delays, repeats and alters, as a Hypothesis state machine.

UEs crash and come back with their record, without it, or with an older copy of it; clocks jump. What must hold after
every step: no (key, COUNT) has come twice over the whole trace; what is opened is what was sent, but for PDUs of a key
that the listener takes for another one of the same keyer with the same index (a keyer has three or four indices; who
is late or deaf by as many keys makes noise of such a PDU, since there is no integrity); a member that was removed opens
nothing that a UE has made after it received the removal, under whatever key, unless that UE's record was lost or put
back since. In the end, with an honest pipe and right clocks, all who are to have the group's key have one and the same
within `HEALS_WITHIN_S`, and the removed ones don't.
"""

import copy
from dataclasses import replace

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from prose_link.config.group import ROUNDS_OF_DELIVERY
from prose_link.errors import ProseLinkError
from prose_link.pc5s.core.replay import MemoryRecord
from security.errors import SecurityError
from security.groups import GroupError, member_hash
from security.groups.keying import place_of
from tests.benches.group_bench import GROUP, GROUP_L2, GroupAir, locate_all, member, newest, newest_mark, opened, sealed
from tests.benches.pc5s_bench import A, B, C, E, plain

KEYERS, MEMBERS = (A, B), (C, E)
EVERYBODY = (*KEYERS, *MEMBERS)
MAX_WAITING = 60
HEALS_WITHIN_S = 75.0
"""An ask rests for 60 s at most, with its jitter a quarter more; then an answer takes less than a second."""


class HostileGroup(RuleBasedStateMachine):
    """The air holds what was sent until a rule delivers, alters, keeps or forgets it."""

    def __init__(self):
        super().__init__()
        self.lives = 0
        self.ues = {uri: self._born(uri, MemoryRecord()) for uri in EVERYBODY}
        self.air = GroupAir(*self.ues.values())
        self.air.pass_on = self._keep
        self.waiting, self.seen = [], []
        self.copies = {uri: [] for uri in EVERYBODY}
        self.numbers = set()
        self.pdus = []
        self.said = {}
        self.known_out = {uri: {} for uri in EVERYBODY}
        self.keyers_apart = False
        locate_all(self.air)
        self._keyer(A).new_epoch(self.air.now)
        self.air.run(0.01)
        self._deliver_all()

    def _born(self, uri, record, **more):
        self.lives += 1
        return member(uri, record=record, seed=f"life {self.lives}", keyers=KEYERS, members=MEMBERS, asks=True, **more)

    def _keyer(self, uri):
        return self.ues[uri].entity.groups.keyer(GROUP)

    def _keep(self, frame):
        self.waiting += self.air.spread(frame)
        self.seen += self.waiting[-1:]
        del self.waiting[:-MAX_WAITING]
        del self.seen[:-400]
        return []

    def _deliver(self, frame):
        if self.keyers_apart and {frame.src_l2, frame.dst_l2} == {self.ues[uri].l2_id for uri in KEYERS}:
            return
        for ue in self.ues.values():
            if ue.l2_id == frame.dst_l2 and frame.src_l2 != ue.l2_id:
                ue.take(frame, self.air.now)
        self._note_removals()
        self.air._flush()

    def _note_removals(self):
        """Of whom each UE has received that it is out, by the keys that it held: the latest counts."""
        for uri, ue in self.ues.items():
            held, known = newest(ue), self.known_out[uri]
            for one in held.removals if held is not None else ():
                known[one.member] = max(known.get(one.member, (0, False)), (one.ntp_s, one.is_out))

    def _out_for(self, uri):
        return {one for one, (_, is_out) in self.known_out[uri].items() if is_out}

    def _deliver_all(self):
        for _ in range(200):
            if not self.waiting:
                return
            self._deliver(self.waiting.pop(0))

    # Orders of the keyers.

    @rule(uri=st.sampled_from(KEYERS))
    def new_epoch(self, uri):
        self._order(lambda: self._keyer(uri).new_epoch(self.air.now))

    @rule(uri=st.sampled_from(KEYERS), who=st.sampled_from(MEMBERS))
    def remove(self, uri, who):
        self._order(lambda: self._keyer(uri).remove(who, self.air.now))

    @rule(uri=st.sampled_from(KEYERS), who=st.sampled_from(MEMBERS))
    def add(self, uri, who):
        self._order(lambda: self._keyer(uri).add(who, self.air.now))

    @rule(first=st.sampled_from(KEYERS), who=st.sampled_from(MEMBERS), moments=st.lists(st.integers(4, 14), max_size=3))
    def remove_while_the_other_keyer_keys(self, first, who, moments):
        """The other keyer hears nothing of the removal, and its key goes to the removed member too."""
        (second,) = set(KEYERS) - {first}
        self.keyers_apart = True
        self.remove(first, who)
        for n in moments:
            self.honest_moment(n)
        self.new_epoch(second)
        self.honest_moment(14)
        for uri in (first, *MEMBERS):
            self.say_to_all(uri)

    def _order(self, order):
        try:
            order()
        except (SecurityError, ProseLinkError):
            """No member, out of the list, or a clock that can't be believed."""
        self.air._flush()

    # The pipe.

    @rule(n=st.integers(4, 14))
    def honest_moment(self, n):
        for _ in range(n):
            if self.waiting:
                self._deliver(self.waiting.pop(0))
            self.air.run(0.02)

    @precondition(lambda self: self.waiting)
    @rule(index=st.integers(0, MAX_WAITING))
    def deliver_out_of_order(self, index):
        self._deliver(self.waiting.pop(index % len(self.waiting)))

    @rule(apart=st.booleans())
    def keyers_hear_each_other_or_not(self, apart):
        self.keyers_apart = apart

    @precondition(lambda self: self.waiting)
    @rule(n=st.integers(1, 8))
    def lose(self, n):
        del self.waiting[:n]

    @precondition(lambda self: self.seen)
    @rule(index=st.integers(0, 400))
    def replay(self, index):
        self._deliver(self.seen[index % len(self.seen)])

    @precondition(lambda self: self.waiting)
    @rule(index=st.integers(0, MAX_WAITING), bit=st.integers(0, 1 << 13))
    def flip(self, index, bit):
        frame = self.waiting[index % len(self.waiting)]
        octets = bytearray(frame.data or b"\0")
        octets[bit // 8 % len(octets)] ^= 1 << bit % 8
        self._deliver(replace(frame, data=bytes(octets)))

    @precondition(lambda self: self.seen)
    @rule(index=st.integers(0, 400), to=st.sampled_from(EVERYBODY))
    def redirect(self, index, to):
        frame = self.seen[index % len(self.seen)]
        self._deliver(plain(frame.data, frame.src_l2, self.ues[to].l2_id))

    # Crashes, records, clocks.

    @rule(uri=st.sampled_from(EVERYBODY))
    def copy_record(self, uri):
        self.copies[uri].append(copy.deepcopy((self.ues[uri].record, self.known_out[uri])))

    @rule(uri=st.sampled_from(EVERYBODY))
    def restart(self, uri):
        self._restart(uri, self.ues[uri].record)

    @rule(uri=st.sampled_from(EVERYBODY))
    def restart_without_record(self, uri):
        now_s = int(self.air.now.ntp_s)
        self.known_out[uri] = {}
        self._restart(uri, MemoryRecord(floor_ntp_s=now_s, accept_after_ntp_s=now_s), marks_lost_at_ntp_s=now_s)

    @rule(uri=st.sampled_from(EVERYBODY), which=st.integers(0, 9))
    def restart_with_a_copy(self, uri, which):
        if self.copies[uri]:
            record, self.known_out[uri] = copy.deepcopy(self.copies[uri][which % len(self.copies[uri])])
            self._restart(uri, record)

    def _restart(self, uri, record, **more):
        self.ues[uri] = self._born(uri, record, **more)
        self.air.ues = list(self.ues.values())
        locate_all(self.air)
        self.air._flush()

    @rule(step_s=st.sampled_from([-4000.0, -200.0, 200.0, 4000.0]))
    def clocks_jump(self, step_s):
        """All calendars at once, and back; each UE has seen the right time in its life (PROFILE 10 has the limit)."""
        for ue in self.ues.values():
            ue.entity.handle_timer(self.air.now)
        self.air.utc_offset_s += step_s
        self.air.run(0.1)
        self.air.utc_offset_s -= step_s

    @rule(for_s=st.sampled_from([0.05, 0.4, 1.1, 2.5, 11.0, 31.0]))
    def wait(self, for_s):
        self.air.run(for_s)

    # What is said to the group.

    @rule(uri=st.sampled_from(EVERYBODY))
    def say(self, uri):
        ue = self.ues[uri]
        self._note_removals()
        data = b"said %d" % len(self.said)
        try:
            pdu = sealed(ue, data)
        except GroupError:
            return
        key = ue.entity.groups._membership.sending_key(GROUP_L2)
        number = (key.pgk, pdu[0], pdu[3], pdu[4])
        assert number not in self.numbers, "a key and COUNT twice"
        self.numbers.add(number)
        self.said[pdu] = data
        self.pdus.append((pdu, self._out_for(uri), key.keying))

    @rule(uri=st.sampled_from(EVERYBODY))
    def say_to_all(self, uri):
        before = len(self.pdus)
        self.say(uri)
        for listener in EVERYBODY if len(self.pdus) > before else ():
            if listener != uri:
                self.hear(0, listener)

    @precondition(lambda self: self.pdus)
    @rule(index=st.integers(0, 60), uri=st.sampled_from(EVERYBODY))
    def hear(self, index, uri):
        pdu, out, keying = self.pdus[-1 - index % min(len(self.pdus), 60)]
        try:
            data = opened(self.ues[uri], pdu)
        except GroupError:
            return
        if data != self.said[pdu]:
            opener = self.ues[uri].entity.groups._membership.receiving_key(GROUP_L2, pdu[2])
            assert place_of(opener.keying.pgk_id) == place_of(keying.pgk_id), "opened under another keyer's key"
            assert opener.keying.mark != keying.mark, "opened to something else under its own key"
            return
        assert member_hash(uri) not in out, "a removed member has opened what was made without it"

    def teardown(self):
        """The pipe is honest, and the keyer goes on trying as its role does: the group heals by itself."""
        self.waiting.clear()
        self.keyers_apart = False
        self.air.pass_on = self.air.spread
        self._order(lambda: self._keyer(A).new_epoch(self.air.now))
        for _ in range(ROUNDS_OF_DELIVERY):
            self.air.run(HEALS_WITHIN_S / ROUNDS_OF_DELIVERY)
            self._keyer(A).try_again(self.air.now)
        for ue in self.ues.values():
            if self._belongs(ue):
                assert newest_mark(ue) == newest_mark(self.ues[A]), f"{ue.uri} has another key: {ue.events[-12:]}"
        for ue in self.ues.values():
            if not self._belongs(ue):
                held = newest(ue)
                assert held is None or held.keying.mark != newest_mark(self.ues[A]), f"{ue.uri} is out and has the key"
        self.say(A)
        if self.pdus:
            for uri in EVERYBODY:
                self.hear(0, uri)

    def _belongs(self, ue):
        return ue.uri in KEYERS or ue.uri in self._keyer(A).members


def test_hostile_groups():
    run_state_machine_as_test(
        HostileGroup,
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            phases=[Phase.generate],
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
