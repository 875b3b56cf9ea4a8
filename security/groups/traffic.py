"""Numbers, ciphering and replay protection of one-to-many PDUs (PROFILE 11, TS 33.303 A.3, TS 36.323 5.6.1).

Every member sends under keys of its own: PGK -> PTK (by the sender's layer-2 id and a PTK ID) -> PEK. COUNT is PTK ID
and SN, so no pair may come twice under one sender and PGK, not even after a restart or on a second device with the same
layer-2 id. Therefore: PTK IDs run once round from a random start; blocks of them go on record before use; where the
record was lost, and where a PDU of another UE comes from this UE's layer-2 id, another id is drawn to send from.

There is no MAC, so whatever comes is believed. A sliding window could be pushed forward by one forged SN, and real PDUs
would then count as repeats. So every SN seen is kept in a bitmap for each PTK ID, for a bounded number of PTK IDs and
senders; beyond those bounds a repeat may pass, which SECURITY.md says.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from security.ciphers.algorithms import Ciphering, ciphering
from security.groups.errors import GroupError, GroupExhausted, GroupReplay
from security.groups.keying import MAX_L2_ID
from security.groups.membership import GroupKey, GroupMembership, Marks
from security.link.key_ladder import FC33303, KdfProfile, derive_pek, derive_ptk
from security.random_source import RandomSource, random_scalar

PTK_IDS: Final = 0xFFFF
"""PTK IDs 1..0xFFFF of a sender and PGK."""
PTK_BLOCK: Final = 16
"""PTK IDs are put on record this many at a time, before their use (P)."""
FIRST_SN: Final = 1
LAST_SN: Final = 0xFFFF
PTK_IDS_KEPT: Final = 4
"""PTK IDs of a sender whose SNs are remembered (P)."""
SENDERS_KEPT: Final = 64
"""Senders of a PGK whose SNs are remembered; addresses can be forged, so their number is bounded (P)."""
RECORD_LOST: Final = "group ptk blocks lost"
"""Mark of a device whose record was lost: nobody knows under which PTK IDs its own layer-2 id has sent before."""
FORMER_KEPT: Final = 16
"""Layer-2 ids given up whose own PDUs are known when they come back."""
DIRECTION: Final = 0
"""TS 36.323 5.6.1."""
MAX_LCID: Final = 31


class GroupTraffic:
    """What PDCP asks about one-to-many PDUs of a UE: numbers, ciphering, deciphering. It raises GroupError.

    `sender_l2` is the layer-2 id that group PDUs must be sent from: the UE's own, until it is not the UE's alone. It is
    drawn anew where the record of used PTK IDs was lost, now or in an earlier life, and when a PDU of another UE
    comes from it: an equal layer-2 id and an equal PTK ID would be an equal key and COUNT. A drawn id lasts as long as
    this object, so that nothing is put on record about it.
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
        self._former: deque[_Sender] = deque(maxlen=FORMER_KEPT)
        self._receivers: OrderedDict[tuple[int, int, int], _Receiver] = OrderedDict()
        self._own_l2 = self.sender_l2 = sender_l2
        if record_lost and not marks.mark(RECORD_LOST):
            marks.raise_mark(RECORD_LOST, 1)
        if marks.mark(RECORD_LOST):
            self.sender_l2 = self._draw()
        membership.on_wiped = self._forget_wiped

    def give_up_sender(self, src_l2: int) -> bool:
        """Told a layer-2 id that another UE goes by. True if it was `sender_l2`, which is another from now on."""
        if src_l2 != self.sender_l2:
            return False
        self._former.extend(self._senders.values())
        self._senders.clear()
        self.sender_l2 = self._draw()
        return True

    def next_key(self, group_l2: int, lcid: int) -> tuple[int, int, int]:
        """(PGK index, PTK ID, PDCP SN) for the next PDU to a group: none comes twice under one PGK and sender.

        Raises GroupExhausted once every PTK ID of the epoch is used, RecordError where a block can't be put on record.
        """
        _bearer(lcid)
        sender = self._sender(group_l2)
        ptk_id, sn = sender.next_number()
        return sender.key.keying.pgk_index, ptk_id, sn

    def seal(self, group_l2: int, pgk_index: int, ptk_id: int, sn: int, lcid: int, data: bytes) -> bytes:
        """Cipher a PDU's data under numbers that `next_key` gave; each seals once, in rising order."""
        sender = self._senders.get(group_l2)
        if sender is None or sender.key is not self._membership.sending_key(group_l2):
            raise GroupError("the numbers of this PDU belong to another epoch")
        if pgk_index != sender.key.keying.pgk_index or sender.sender_l2 != self.sender_l2:
            raise GroupError("the numbers of this PDU belong to another PGK or sender")
        sender.use(ptk_id, sn)
        cipher = sender.cipher(ptk_id, self._kdf_profile)
        return cipher.apply(ptk_id << 16 | sn, _bearer(lcid), DIRECTION, data)

    def open(self, src_l2: int, group_l2: int, pgk_index: int, ptk_id: int, sn: int, lcid: int, data: bytes) -> bytes:
        """Decipher a member's PDU; raises GroupReplay for a repeat.

        What comes out is as the sender made it only if it was not touched on the way: there is no integrity.
        """
        if self.give_up_sender(src_l2):
            raise GroupError(f"somebody else sends to 0x{group_l2:06x} from this layer-2 id; a new one is drawn")
        if not 1 <= ptk_id <= PTK_IDS or not FIRST_SN <= sn <= LAST_SN:
            raise GroupError(f"PTK ID {ptk_id} or SN {sn} can't be")
        bearer = _bearer(lcid)
        key = self._membership.receiving_key(group_l2, pgk_index)
        if any(sender.key is key and sender.has_sent(src_l2, ptk_id) for sender in self._former):
            raise GroupReplay(f"a PDU of this UE's own came back, PTK ID {ptk_id} of 0x{src_l2:06x}")
        window = self._receiver(key, src_l2).window(ptk_id)
        window.accept(sn)
        return window.cipher(key, src_l2, ptk_id, self._kdf_profile).apply(ptk_id << 16 | sn, bearer, DIRECTION, data)

    def wants_epoch(self, group_l2: int) -> bool:
        """Whether less than a sixteenth of the PTK IDs is left."""
        sender = self._senders.get(group_l2)
        return sender is not None and sender.taken > PTK_IDS - PTK_IDS // 16

    def expire(self, now_ntp_s: float) -> None:
        """Wipe PGKs whose time is over, and what was derived from them."""
        self._membership.expire(now_ntp_s)

    def leave(self, group_l2: int) -> None:
        """Wipe all keys of a group."""
        self._membership.wipe(group_l2)

    def _forget_wiped(self) -> None:
        self._senders = {group: sender for group, sender in self._senders.items() if sender.key.pgk is not None}
        self._former = deque((sender for sender in self._former if sender.key.pgk is not None), FORMER_KEPT)
        for place in [place for place, receiver in self._receivers.items() if receiver.key.pgk is None]:
            del self._receivers[place]

    def _draw(self) -> int:
        """A random layer-2 id, neither 0 nor all ones, and neither the UE's own nor the one given up."""
        unfit = sorted({self._own_l2, self.sender_l2})
        drawn = random_scalar(self._random, MAX_L2_ID - len(unfit))
        for l2_id in unfit:
            drawn += drawn >= l2_id
        return drawn

    def _sender(self, group_l2: int) -> _Sender:
        key = self._membership.sending_key(group_l2)
        sender = self._senders.get(group_l2)
        if sender is None or sender.key is not key or sender.sender_l2 != self.sender_l2:
            marks = self._marks if self.sender_l2 == self._own_l2 else None
            sender = _Sender(key, self.sender_l2, marks, self._random)
            self._senders[group_l2] = sender
        return sender

    def _receiver(self, key: GroupKey, src_l2: int) -> _Receiver:
        place = (key.keying.group_l2, key.keying.epoch, src_l2)
        receiver = self._receivers.get(place)
        if receiver is None or receiver.key is not key:
            receiver = self._receivers[place] = _Receiver(key=key)
        self._receivers.move_to_end(place)
        if len(self._receivers) > SENDERS_KEPT:
            self._receivers.popitem(last=False)
        return receiver


class _Sender:
    """The numbers one sender uses under one PGK: PTK IDs from a random start, round through 1..0xFFFF once.

    `marks` is None for a layer-2 id that was drawn: it does not come back after a restart, and neither do its numbers.
    """

    def __init__(self, key: GroupKey, sender_l2: int, marks: Marks | None, random: RandomSource) -> None:
        self.key = key
        self.sender_l2 = sender_l2
        self._marks = marks
        self._mark = f"group {key.keying.group_identity} ptk {sender_l2:06x}"
        recorded = marks.mark(self._mark) if marks else 0
        again = recorded >> 32 == key.keying.epoch
        self._start = recorded >> 16 & 0xFFFF if again else random_scalar(random, PTK_IDS + 1)
        self.taken = recorded & 0xFFFF if again else 0
        """PTK IDs on record as used; the record holds epoch, start and this number, 32, 16 and 16 bits."""
        self._position = self.taken
        self._next_sn = LAST_SN + 1
        self._given = self._used = (self._position, 0)
        self._ciphers: OrderedDict[int, Ciphering] = OrderedDict()

    def next_number(self) -> tuple[int, int]:
        """The next (PTK ID, SN); raises GroupExhausted."""
        if self._next_sn > LAST_SN:
            self._next_ptk()
        sn = self._next_sn
        self._next_sn += 1
        self._given = (self._position, sn)
        return self._ptk_id(self._position), sn

    def use(self, ptk_id: int, sn: int) -> None:
        """Note that a number is sealed under; raises GroupError unless it was given out and lies after the last."""
        position = (ptk_id - self._start) % PTK_IDS + 1
        if not self._used < (position, sn) <= self._given:
            raise GroupError(f"PTK ID {ptk_id}, SN {sn} was not given out, or it or a later one has been used")
        self._used = (position, sn)

    def has_sent(self, src_l2: int, ptk_id: int) -> bool:
        """Whether this UE sent under a PTK ID from a layer-2 id."""
        return src_l2 == self.sender_l2 and (ptk_id - self._start) % PTK_IDS < self._position

    def cipher(self, ptk_id: int, profile: KdfProfile) -> Ciphering:
        """The keyed algorithm of a PTK ID; the last two are kept."""
        if ptk_id not in self._ciphers:
            self._ciphers[ptk_id] = _keyed(self.key, self.sender_l2, ptk_id, profile)
            if len(self._ciphers) > 2:
                self._ciphers.popitem(last=False)
        return self._ciphers[ptk_id]

    def _next_ptk(self) -> None:
        if self._position == self.taken:
            if self.taken >= PTK_IDS:
                raise GroupExhausted(
                    f"every PTK ID of epoch {self.key.keying.epoch} of {self.key.keying.group_identity} is used"
                )
            block = min(self.taken + PTK_BLOCK, PTK_IDS)
            if self._marks:
                self._marks.raise_mark(self._mark, self.key.keying.epoch << 32 | self._start << 16 | block)
            self.taken = block
        self._position += 1
        self._next_sn = FIRST_SN

    def _ptk_id(self, position: int) -> int:
        """Position 1..0xFFFF of the round to a PTK ID."""
        return (self._start + position - 2) % PTK_IDS + 1


@dataclass(slots=True)
class _Window:
    """Every SN seen under one PTK ID of a sender, exactly: without a MAC an outsider could push a sliding window."""

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
    """What is remembered of one sender under one PGK."""

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
