"""No (key, COUNT, BEARER, DIRECTION) ciphers twice, whatever order links seal, lose, rekey and release in."""

from __future__ import annotations

import hashlib

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from security.groups import GroupError, GroupExhausted, GroupKeying, GroupMembership, GroupTraffic
from security.link.context import ContextError, CountExhausted, IntegrityFailure, ReplayedPdu, SecurityContext
from security.link.key_ladder import FC33536, derive_kd, derive_kd_next, derive_session_keys

ENDS = st.sampled_from((0, 1))
LCIDS = st.sampled_from((1, 3, 30))
JUMPS = st.sampled_from((0, 0, 0, 5, 0xDFF0, 0xFFF0))


class Watched:
    """A keyed algorithm that notes what it is asked to encrypt under."""

    def __init__(self, inner, key, trace):
        self.inner, self.key, self.trace = inner, key, trace

    def apply(self, count, bearer, direction, data, bit_length=None):
        self.trace.append((self.key, count, bearer, direction))
        return self.inner.apply(count, bearer, direction, data, bit_length)


class Links(RuleBasedStateMachine):
    """One link's two ends: rekeys by nonces or by a new key, the old context in use until both have moved on."""

    kd_next: bytes

    @initialize()
    def set_up(self):
        self.trace, self.used_ids, self.rekeys = [], set(), 0
        self.kd = derive_kd(bytes(16), None, bytes(32), bytes(32))
        self.contexts = []
        self.in_flight = []
        self.rekey(new_key=False, same_nonces=False)

    def _keys(self, nonces, tx):
        return derive_session_keys(
            self.kd, profile=FC33536, nonce_1=nonces[:16], nonce_2=nonces[16:], tx=tx, eea=2, eia=2
        )

    @rule(new_key=st.booleans(), same_nonces=st.booleans())
    def rekey(self, new_key, same_nonces):
        """A repeated nonce must not matter: TX holds the KD-sess ID and the TX before it."""
        self.rekeys += 1
        kd_sess_id = 0x0101 + len(self.used_ids)
        self.used_ids.add(kd_sess_id)
        tx = hashlib.sha256(b"%d %d" % (self.rekeys, kd_sess_id)).digest()
        if self.rekeys > 1:
            self.kd = self.kd_next
        if new_key:
            self.kd = derive_kd(bytes(16), None, tx, tx, self.kd)
        self.kd_next = derive_kd_next(self.kd, tx)
        keys = self._keys(bytes(32) if same_nonces else hashlib.sha256(tx).digest(), tx)
        ends = []
        for direction in (0, 1):
            context = SecurityContext(
                kd_sess_id=kd_sess_id, pek=keys.pek, pik=keys.pik, eea=2, eia=2, direction=direction
            )
            context._ciphering = Watched(context._ciphering, keys.pek, self.trace)
            ends.append(context)
        self.contexts.append(ends)
        self.contexts = self.contexts[-2:]

    @rule(end=ENDS, lcid=LCIDS, age=ENDS, jump=JUMPS, lost=st.booleans())
    def seal(self, end, lcid, age, jump, lost):
        ends = self.contexts[-1 - age % len(self.contexts)]
        sender = ends[end]
        if sender.wiped:
            return
        sender._next_sn[lcid] = max(sender._next_sn.get(lcid, 1), jump)
        try:
            sn = sender.next_sn(lcid)
        except CountExhausted:
            return
        sealed = sender.seal(lcid, sn, b"header", b"data")
        if not lost:
            self.in_flight.append((ends[1 - end], lcid, sn, sealed))

    @rule(end=ENDS, lcid=LCIDS, back=st.integers(0, 3))
    def seal_again(self, end, lcid, back):
        """An SN that was sealed under, or was never given out, seals nothing."""
        context = self.contexts[-1][end]
        before = len(self.trace)
        try:
            context.seal(lcid, context._next_sn.get(lcid, 1) - back, b"header", b"other data")
        except ContextError:
            assert len(self.trace) == before

    @rule(which=st.integers(0, 40), twice=st.booleans())
    def deliver(self, which, twice):
        if not self.in_flight:
            return
        receiver, lcid, sn, sealed = self.in_flight.pop(which % len(self.in_flight))
        received = []
        noted = len(self.trace)
        for _ in range(1 + twice):
            try:
                received.append(receiver.open(lcid, sn, b"header", *sealed))
            except (ReplayedPdu, ContextError, IntegrityFailure):
                continue
        assert len(received) <= 1
        del self.trace[noted:]

    @rule()
    def release(self):
        for ends in self.contexts:
            for context in ends:
                context.wipe()
                assert context._ciphering is None
                assert context._integrity is None
        self.rekey(new_key=True, same_nonces=True)

    @invariant()
    def nothing_twice(self):
        if hasattr(self, "trace"):
            assert len(set(self.trace)) == len(self.trace)


class _Marks:
    def __init__(self):
        self.values = {}

    def mark(self, name):
        return self.values.get(name, 0)

    def marks_named(self, prefix):
        return {name: value for name, value in self.values.items() if name.startswith(prefix)}

    def raise_mark(self, name, value):
        assert value > self.mark(name)
        self.values[name] = value


class Groups(RuleBasedStateMachine):
    """A group's sender that restarts at any moment: with its record, without it, or with a copy that was put back."""

    @initialize()
    def set_up(self):
        self.trace, self.draws, self.epoch, self.marks = [], 0, 1, _Marks()
        self.copies = []
        self.restart(lose=False)

    @rule()
    def copy(self):
        if any(name.startswith("group ptk") for name in self.marks.values):
            self.copies.append(dict(self.marks.values))

    @rule(which=st.integers(0, 9))
    def put_back(self, which):
        if self.copies:
            self.marks = _Marks()
            self.marks.values = dict(self.copies[which % len(self.copies)])
            self.restart(lose=False)

    def _random(self, n):
        self.draws += 1
        return hashlib.shake_256(b"%d" % self.draws).digest(n)

    @rule(lose=st.booleans())
    def restart(self, lose):
        if lose:
            self.marks = _Marks()
        membership = GroupMembership(marks=self.marks)
        keying = GroupKeying(
            group_identity="tel:+1", group_l2=7, pgk_id=3, epoch=self.epoch, expiry_ntp_s=9, eea=2, mode=1
        ).tagged(bytes(16), "tel:+9")
        membership.install(keying, bytes(16), keyer="tel:+9", place=2, t_ntp_s=0, now_ntp_s=0)
        self.traffic = GroupTraffic(membership, sender_l2=0xA1, marks=self.marks, random=self._random, record_lost=lose)

    @rule()
    def new_epoch(self):
        self.epoch += 1
        self.restart(lose=False)

    @rule(lcid=LCIDS, jump=st.booleans())
    def send(self, lcid, jump):
        try:
            if jump and 7 in self.traffic._senders:
                self.traffic._numbers._next_sn = 0x10000
            index, ptk_id, sn = self.traffic.next_key(7, lcid)
        except GroupExhausted:
            return
        self.traffic.seal(7, index, ptk_id, sn, lcid, b"data")
        self.trace.append((self.epoch, self.traffic.sender_l2, ptk_id, sn))

    @rule()
    def twin_heard(self):
        before = self.traffic.sender_l2
        self.traffic.note_time(self.traffic._now_s + 10.0)
        try:
            self.traffic.open(before, 7, 3, 1, 1, 3, b"x")
        except GroupError:
            assert self.traffic.sender_l2 != before

    @invariant()
    def nothing_twice(self):
        if hasattr(self, "trace"):
            assert len(set(self.trace)) == len(self.trace)


TestLinks = Links.TestCase
TestLinks.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestGroups = Groups.TestCase
TestGroups.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
