"""Numbers, ciphering and replay protection of one-to-many PDUs (PROFILE 11, TS 33.303 A.3, TS 36.323 5.6.1).

Every member sends under keys of its own: PGK -> PTK (by the sender's layer-2 id and a PTK ID) -> PEK. COUNT is PTK ID
and SN, so no pair may be used twice under one sender and PGK, not even after a restart or on a second device with the
same layer-2 id. Therefore:

* The numbers come from one sequence for all groups and keys (`numbers`), whose PTK IDs are recorded before use.
* The UE sends from its own layer-2 id only in the first run of a record: as soon as the record says that group PDUs
  have been sent from it, or was lost, another id is drawn at each start. A record may be an older copy that was put
  back, which can't be detected after a restart; it would give the same numbers again, but not the same drawn id.
* If a PDU of another UE comes from this UE's id, another id is drawn. A sender that repeats this UE's own PDUs causes
  no such change, and no sender causes more than one in ten seconds.

There is no MAC, so a forged PDU can't be detected. One forged SN could push a sliding window forward, and real PDUs
would then count as repeats. So every SN received is kept in a bitmap for each PTK ID, for a bounded number of PTK IDs
and senders; beyond those bounds a repeat may pass, which SECURITY.md says.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from security.ciphers.algorithms import Ciphering, ciphering
from security.groups.errors import GroupError, GroupReplay, NoKeyHeld
from security.groups.keying import MAX_L2_ID
from security.groups.marks import Marks
from security.groups.membership import GroupKey, GroupMembership
from security.groups.numbers import FIRST_SN, LAST_SN, PTK_IDS, Number, SenderNumbers, block_name
from security.link.key_ladder import FC33303, KdfProfile, derive_pek, derive_ptk
from security.random_source import RandomSource, random_scalar

PTK_IDS_KEPT: Final = 4
"""PTK IDs of a sender whose SNs are remembered (P)."""
SENDERS_KEPT: Final = 64
"""Senders of a PGK whose SNs are remembered; addresses can be forged, so their number is bounded (P)."""
RECORD_LOST: Final = "group ptk blocks lost"
"""Mark of a device whose record was lost: the PTK IDs under which its own layer-2 id has sent before are unknown."""
SENT_KEPT: Final = 4096
"""Most own PDUs that are recognised when they come back (P)."""
CHANGE_EVERY_S: Final = 10.0
"""Least time between two changes of the layer-2 id that other senders cause (PROFILE 11)."""
DIRECTION: Final = 0
"""TS 36.323 5.6.1."""
MAX_LCID: Final = 31


class GroupTraffic:
    """The protection of a UE's one-to-many PDUs for PDCP: numbers, ciphering, deciphering. It raises GroupError.

    `sender_l2` is the layer-2 id from which group PDUs must be sent: the UE's own, or one drawn in its place. A drawn
    id lasts as long as this object, so that nothing about it is recorded. `on_heard` and `on_unheld` are called with
    the group's layer-2 id, and the PGK index, of PDUs of other members that could be opened, and of PDUs for which no
    key is held.
    """

    def __init__(
        self,
        membership: GroupMembership,
        *,
        sender_l2: int,
        marks: Marks,
        random: RandomSource,
        record_lost: bool = False,
        kdf_profile: KdfProfile = FC33303,
    ) -> None:
        self._membership = membership
        self._marks = marks
        self._random = random
        self._kdf_profile = kdf_profile
        self._senders: dict[int, _Sender] = {}
        self._receivers: OrderedDict[tuple[int, int, int], _Receiver] = OrderedDict()
        self._sent: OrderedDict[tuple[int, int, int], bytes] = OrderedDict()
        self._now_s = 0.0
        self._changed_at_s: float | None = None
        self._own_l2 = self.sender_l2 = sender_l2
        if record_lost and not marks.mark(RECORD_LOST):
            marks.raise_mark(RECORD_LOST, 1)
        if marks.mark(RECORD_LOST) or marks.mark(block_name(sender_l2)):
            self.sender_l2 = self._draw()
        self._numbers = self._new_numbers()
        self.on_heard: Callable[[int], None] = lambda _group_l2: None
        self.on_unheld: Callable[[int, int], None] = lambda _group_l2, _index: None
        membership.on_wiped = self._forget_wiped

    def note_time(self, mono_s: float) -> None:
        """Set the present time on the monotonic clock."""
        self._now_s = mono_s

    def give_up_sender(self, src_l2: int) -> bool:
        """Handle a layer-2 id that another UE uses.

        Returns True if it was `sender_l2`, which is another one from now on. There is at most one change in ten
        seconds, because any sender can cause it.
        """
        if src_l2 != self.sender_l2:
            return False
        if self._changed_at_s is not None and self._now_s < self._changed_at_s + CHANGE_EVERY_S:
            return False
        self._changed_at_s = self._now_s
        self._senders.clear()
        self.sender_l2 = self._draw()
        self._numbers = self._new_numbers()
        return True

    def next_key(self, group_l2: int, lcid: int) -> tuple[int, int, int]:
        """(PGK index, PTK ID, PDCP SN) for the next PDU to a group: none is used twice under one PGK and sender.

        Raises GroupExhausted once every PTK ID is used under the key, RecordError if a block can't be recorded.
        """
        _bearer(lcid)
        sender = self._sender(group_l2)
        ptk_id, sn = sender.give(self._numbers.next(sender.name))
        return sender.key.keying.pgk_index, ptk_id, sn

    def seal(self, group_l2: int, pgk_index: int, ptk_id: int, sn: int, lcid: int, data: bytes) -> bytes:
        """Cipher a PDU's data under numbers from `next_key`; each is used once, in rising order."""
        sender = self._senders.get(group_l2)
        if sender is None or sender.key is not self._membership.sending_key(group_l2):
            raise GroupError("the numbers of this PDU belong to another epoch")
        if pgk_index != sender.key.keying.pgk_index or sender.sender_l2 != self.sender_l2:
            raise GroupError("the numbers of this PDU belong to another PGK or sender")
        sender.use((ptk_id, sn))
        cipher = sender.cipher(ptk_id, self._kdf_profile)
        sealed = cipher.apply(ptk_id << 16 | sn, _bearer(lcid), DIRECTION, data)
        self._sent[self.sender_l2, ptk_id, sn] = _digest(sealed)
        if len(self._sent) > SENT_KEPT:
            self._sent.popitem(last=False)
        return sealed

    def open(self, src_l2: int, group_l2: int, pgk_index: int, ptk_id: int, sn: int, lcid: int, data: bytes) -> bytes:
        """Decipher a member's PDU. Raises GroupReplay for a repeat, NoKeyHeld if no key has its index.

        There is no integrity: the result is the sender's data only if the PDU was not altered on the way.
        """
        if self._sent.get((src_l2, ptk_id, sn)) == _digest(data):
            raise GroupReplay(f"a PDU of this UE's own came back, PTK ID {ptk_id} of 0x{src_l2:06x}")
        if self.give_up_sender(src_l2):
            raise GroupError(f"another UE sends to 0x{group_l2:06x} from this layer-2 id; a new one is drawn")
        if src_l2 == self.sender_l2:
            raise GroupError("another UE sends from this layer-2 id, which was changed a moment ago")
        if not 1 <= ptk_id <= PTK_IDS or not FIRST_SN <= sn <= LAST_SN:
            raise GroupError(f"PTK ID {ptk_id} or SN {sn} can't be")
        bearer = _bearer(lcid)
        try:
            key = self._membership.receiving_key(group_l2, pgk_index)
        except NoKeyHeld:
            self.on_unheld(group_l2, pgk_index)
            raise
        window = self._receiver(key, src_l2).window(ptk_id)
        window.accept(sn)
        opened = window.cipher(key, src_l2, ptk_id, self._kdf_profile).apply(ptk_id << 16 | sn, bearer, DIRECTION, data)
        self.on_heard(group_l2)
        return opened

    def wants_epoch(self, group_l2: int) -> bool:
        """Whether less than a sixteenth of the PTK IDs is left under the sending key."""
        sender = self._senders.get(group_l2)
        return sender is not None and self._numbers.spent(sender.name) > PTK_IDS - PTK_IDS // 16

    def expire(self, now_ntp_s: float) -> None:
        """Wipe expired PGKs and the keys derived from them; start to send under keys whose time has come."""
        self._membership.expire(now_ntp_s)

    def leave(self, group_l2: int) -> None:
        """Wipe all keys of a group."""
        self._membership.wipe(group_l2)

    def _forget_wiped(self) -> None:
        self._senders = {group: sender for group, sender in self._senders.items() if sender.key.pgk is not None}
        for place in [place for place, receiver in self._receivers.items() if receiver.key.pgk is None]:
            del self._receivers[place]

    def _draw(self) -> int:
        """A random layer-2 id, neither 0 nor all ones, and neither the UE's own nor the one given up."""
        unfit = sorted({self._own_l2, self.sender_l2})
        drawn = random_scalar(self._random, MAX_L2_ID - len(unfit))
        for l2_id in unfit:
            drawn += drawn >= l2_id
        return drawn

    def _new_numbers(self) -> SenderNumbers:
        marks = self._marks if self.sender_l2 == self._own_l2 else None
        return SenderNumbers(self.sender_l2, marks, self._random)

    def _sender(self, group_l2: int) -> _Sender:
        key = self._membership.sending_key(group_l2)
        sender = self._senders.get(group_l2)
        if sender is None or sender.key is not key:
            sender = self._senders[group_l2] = _Sender(key=key, sender_l2=self.sender_l2)
        return sender

    def _receiver(self, key: GroupKey, src_l2: int) -> _Receiver:
        place = (key.keying.group_l2, key.keying.mark, src_l2)
        receiver = self._receivers.get(place)
        if receiver is None or receiver.key is not key:
            receiver = self._receivers[place] = _Receiver(key=key)
        self._receivers.move_to_end(place)
        if len(self._receivers) > SENDERS_KEPT:
            self._receivers.popitem(last=False)
        return receiver


@dataclass(slots=True)
class _Sender:
    """The state of sending to one group under one key: numbers given out and not used yet, and the last PEKs."""

    key: GroupKey
    sender_l2: int
    _given: OrderedDict[Number, None] = field(default_factory=OrderedDict)
    _ciphers: OrderedDict[int, Ciphering] = field(default_factory=OrderedDict)

    @property
    def name(self) -> tuple[str, int]:
        """The name that distinguishes this key from all others."""
        return self.key.keying.group_identity, self.key.keying.mark

    def give(self, number: Number) -> Number:
        """Note that a number is given out."""
        self._given[number] = None
        if len(self._given) > SENT_KEPT:
            self._given.popitem(last=False)
        return number

    def use(self, number: Number) -> None:
        """Note that a number is used, and that earlier ones will not be.

        Raises GroupError unless it was given out and neither it nor a later one has been used.
        """
        if number not in self._given:
            raise GroupError(
                f"PTK ID {number[0]}, SN {number[1]} was not given out, or it or a later one has been used"
            )
        while self._given.popitem(last=False)[0] != number:
            pass

    def cipher(self, ptk_id: int, profile: KdfProfile) -> Ciphering:
        """The keyed algorithm of a PTK ID; the last two are kept."""
        if ptk_id not in self._ciphers:
            self._ciphers[ptk_id] = _keyed(self.key, self.sender_l2, ptk_id, profile)
            if len(self._ciphers) > 2:
                self._ciphers.popitem(last=False)
        return self._ciphers[ptk_id]


@dataclass(slots=True)
class _Window:
    """Every SN received under one PTK ID of a sender: without a MAC an outsider could push a sliding window forward."""

    seen: bytearray = field(default_factory=lambda: bytearray((LAST_SN + 8) // 8))
    _keyed: Ciphering | None = None

    def accept(self, sn: int) -> None:
        """Note an SN; raises GroupReplay if it came before."""
        place, bit = sn >> 3, 1 << (sn & 7)
        if self.seen[place] & bit:
            raise GroupReplay(f"SN {sn} came before")
        self.seen[place] |= bit

    def cipher(self, key: GroupKey, src_l2: int, ptk_id: int, profile: KdfProfile) -> Ciphering:
        if self._keyed is None:
            self._keyed = _keyed(key, src_l2, ptk_id, profile)
        return self._keyed


@dataclass(slots=True)
class _Receiver:
    """The memory about one sender under one PGK."""

    key: GroupKey
    windows: OrderedDict[int, _Window] = field(default_factory=OrderedDict)

    def window(self, ptk_id: int) -> _Window:
        """The SNs seen under a PTK ID; the last four PTK IDs a sender used are kept."""
        window = self.windows.setdefault(ptk_id, _Window())
        self.windows.move_to_end(ptk_id)
        if len(self.windows) > PTK_IDS_KEPT:
            self.windows.popitem(last=False)
        return window


def _keyed(key: GroupKey, sender_l2: int, ptk_id: int, profile: KdfProfile) -> Ciphering:
    """PGK -> PTK -> PEK, keyed."""
    sender, group = sender_l2.to_bytes(3, "big"), key.keying.group_l2.to_bytes(3, "big")
    ptk = derive_ptk(key.live_pgk, sender_l2=sender, ptk_id=ptk_id, group_l2=group)
    return ciphering(key.keying.eea, derive_pek(ptk, profile, key.keying.eea))


def _bearer(lcid: int) -> int:
    """BEARER: the 5 LSB of the LCID (TS 36.323 5.6.1)."""
    if not 0 <= lcid <= MAX_LCID:
        raise GroupError(f"LCID {lcid} is not in 0..{MAX_LCID}")
    return lcid


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:8]
