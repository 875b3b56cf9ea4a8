"""Members of a group with a record in memory, and keys for them; shared by the tests of group keys."""

from __future__ import annotations

import hashlib

from security.errors import SecurityError
from security.groups import (
    GroupKeyer,
    GroupKeying,
    GroupMembership,
    GroupTraffic,
    KeyingMode,
    Taken,
)
from security.groups.keying import place_of

GROUP = "tel:+447700900099"
GROUP_L2, ALICE_L2, BOB_L2 = 0x00BEEF, 0x0000A1, 0x0000B2
NOW = 4_000_000_000.0
SSV = bytes(range(16))
KEYER = "tel:+9"


class Marks:
    """A record in memory."""

    def __init__(self, values=None):
        self.values = dict(values or {})
        self.full = False

    def mark(self, name):
        return self.values.get(name, 0)

    def marks_named(self, prefix):
        return {name: value for name, value in self.values.items() if name.startswith(prefix)}

    def raise_mark(self, name, value):
        if self.full or value <= self.mark(name):
            raise SecurityError("not written")
        self.values[name] = value


def octets(seed):
    """A repeatable source of randomness."""
    state = [0]

    def draw(n):
        state[0] += 1
        return hashlib.shake_256(f"{seed} {state[0]}".encode()).digest(n)

    return draw


def keying(epoch=1, ssv=SSV, **changes):
    values = {
        "group_identity": GROUP,
        "group_l2": GROUP_L2,
        "pgk_id": epoch % 31 + 1,
        "epoch": epoch,
        "expiry_ntp_s": int(NOW) + 1000,
        "eea": 2,
        "mode": 1,
    }
    return GroupKeying(**(values | changes)).tagged(ssv, KEYER)


def install(membership, epoch=1, ssv=SSV, t=NOW - 2, now=NOW, removals=(), fresh=False, **changes):
    """Without more it is a message of two seconds ago, so that the key is sent under at once."""
    given = keying(epoch, ssv, **changes)
    return membership.install(
        given,
        ssv,
        keyer=KEYER,
        place=place_of(given.pgk_id),
        removals=removals,
        t_ntp_s=t,
        now_ntp_s=now,
        fresh=fresh,
    )


class Member:
    def __init__(self, l2, seed="member", marks=None, record_lost=False):
        self.marks = marks or Marks()
        self.membership = GroupMembership(marks=self.marks)
        self.traffic = GroupTraffic(
            self.membership, sender_l2=l2, marks=self.marks, random=octets(seed), record_lost=record_lost
        )

    def send(self, data=b"hello", lcid=3):
        index, ptk_id, sn = self.traffic.next_key(GROUP_L2, lcid)
        sealed = self.traffic.seal(GROUP_L2, index, ptk_id, sn, lcid, data)
        return self.traffic.sender_l2, GROUP_L2, index, ptk_id, sn, lcid, sealed


def pair():
    alice, bob = Member(ALICE_L2, "a"), Member(BOB_L2, "b")
    for member in (alice, bob):
        assert install(member.membership) is Taken.NEW
    return alice, bob


def keyer(mode=KeyingMode.PER_MEMBER, marks=None, **changes):
    values = {
        "identity": KEYER,
        "keyers": (KEYER,),
        "group_identity": GROUP,
        "group_l2": GROUP_L2,
        "eea": 2,
        "mode": mode,
        "members": ["tel:+1", "tel:+2"],
        "marks": marks or Marks(),
        "random": octets("keyer"),
    }
    return GroupKeyer(**(values | changes))
