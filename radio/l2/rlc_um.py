"""RLC unacknowledged mode of a sidelink logical channel: transmitting and receiving entities (TS 36.322 5.1.2).

The transmitter takes SDUs of any length and makes PDUs of the length that MAC has room for: it cuts an SDU across PDUs
and joins several in one. Each PDU has a 5-bit sequence number and two flags that say whether it begins and ends with a
whole SDU. The receiver puts SDUs together from PDUs whose numbers follow on each other; a gap costs the SDU that it
cuts, and nothing is sent again: that is what unacknowledged means.

On the sidelink MAC gives transport blocks in the order in which they were first sent, so the window is 0 and every PDU
goes straight to reassembly. With a window of 16 PDUs are put in order first, and t-Reordering ends the wait for one
that is lost. There is no set-up: a receiving entity is made on the first PDU, and its variables start at that number.

Numbers come again after 32 PDUs. A receiver that has heard nothing for so long that 32 may have been sent can't tell
the next number from the one after the last: it gives up what it holds in part and starts anew at the number it hears.
So segments of two SDUs are never joined over such a gap. How long that is, is the owner's to know
(`sn_cycle_subframes`): it hangs on how fast a sender may send.
"""

from __future__ import annotations

from collections import deque

from radio.l2.pdcp import MAX_PDU_OCTETS
from radio.l2.rlc_um_pdu import MAX_LI, SN_MODULUS, UmdPdu, encode_umd, umd_header_octets

LEAST_SN_CYCLE_SUBFRAMES = 4 * SN_MODULUS
"""A sender sends one PDU of a channel in a transport block, and takes a subframe for each of its four transmissions
(TS 36.321 5.14.1.2.2): sooner than this no SN comes again in any pool."""
_LONGEST_BLOCK_SUBFRAMES = 32
"""From the first to the last transmission of a block, at most: the sparsest pattern (TS 36.213 14.1.1.1.1)."""


class UmTransmitter:
    """Segments and concatenates SDUs into UMD PDUs of the size MAC asks for (TS 36.322 5.1.2.1, 6.2.1.3).

    An SDU whose first part was sent so long ago that receivers may have let go of it is sent anew from its start.

    Args:
        sn_cycle_subframes: as at the receivers, see `UmReceiver`.
    """

    def __init__(self, sn_cycle_subframes: int = LEAST_SN_CYCLE_SUBFRAMES) -> None:
        self._queue: deque[bytes] = deque()
        self._sent_of_first = 0
        self._last_sent_at: int | None = None
        self._longest_pause = sn_cycle_subframes - _LONGEST_BLOCK_SUBFRAMES
        self._vt_us = 0
        self.octets = 0
        """Octets of SDUs that wait."""

    def __len__(self) -> int:
        return len(self._queue)

    def enqueue(self, sdu: bytes) -> None:
        """Put an SDU, not empty, at the end of the queue."""
        self._queue.append(sdu)
        self.octets += len(sdu)

    def pdu_octets(self) -> int:
        """Octets of one UMD PDU that would take the whole queue; 0 where nothing waits."""
        return umd_header_octets(len(self._queue)) + self.octets if self._queue else 0

    def build_pdu(self, max_octets: int, subframe: int) -> bytes | None:
        """The next UMD PDU, of at most `max_octets`, to be sent from `subframe` on.

        None where nothing waits or not one octet of it fits.
        """
        if self._last_sent_at is not None and subframe - self._last_sent_at >= self._longest_pause:
            self.octets += self._sent_of_first
            self._sent_of_first = 0
        elements: list[bytes] = []
        room = max_octets
        starts, ends = self._sent_of_first == 0, True
        while self._queue and ends and not (elements and len(elements[-1]) > MAX_LI):
            room = max_octets - umd_header_octets(len(elements) + 1) - sum(map(len, elements))
            if room < 1:
                break
            elements.append(self._take(room))
            ends = self._sent_of_first == 0
        if not elements:
            return None
        self._last_sent_at = subframe
        pdu = UmdPdu(sn=self._vt_us, starts=starts, ends=ends, elements=tuple(elements))
        self._vt_us = (self._vt_us + 1) % SN_MODULUS
        return encode_umd(pdu)

    def _take(self, room: int) -> bytes:
        """Up to `room` octets of the first SDU; it leaves the queue with its last one."""
        sdu = self._queue[0]
        element = sdu[self._sent_of_first : self._sent_of_first + room]
        self._sent_of_first += len(element)
        self.octets -= len(element)
        if self._sent_of_first == len(sdu):
            self._queue.popleft()
            self._sent_of_first = 0
        return element


class UmReassembler:
    """Puts SDUs together from UMD PDUs handed over in order of SN; a gap loses the SDU it cuts."""

    def __init__(self) -> None:
        self._partial: bytearray | None = None
        self._expected_sn: int | None = None
        self.n_lost = 0
        """SDUs given up: a gap in the SNs cut them, or they grew longer than any PDCP PDU."""

    @property
    def holds_part(self) -> bool:
        """Whether an SDU has come in part."""
        return self._partial is not None

    def add(self, pdu: UmdPdu) -> list[bytes]:
        """SDUs that `pdu` completes, in order."""
        if pdu.sn != self._expected_sn or pdu.starts:
            self.give_up()
        self._expected_sn = (pdu.sn + 1) % SN_MODULUS
        sdus = []
        for i, element in enumerate(pdu.elements):
            if i or pdu.starts:
                self._partial = bytearray()
            if self._partial is None:
                continue
            self._partial += element
            if i + 1 < len(pdu.elements) or pdu.ends:
                sdus.append(bytes(self._partial))
                self._partial = None
            elif len(self._partial) > MAX_PDU_OCTETS:
                self.give_up()
        return sdus

    def give_up(self) -> None:
        """Let go of an SDU that has come in part."""
        if self._partial is not None:
            self.n_lost += 1
            self._partial = None


class UmReceiver:
    """Receiving UM entity with a 5-bit SN, made on the first PDU of a (source, destination, LCID).

    With UM_Window_Size 0, as STCH has it, every PDU goes straight to reassembly; with 16 PDUs are put in order until
    t-Reordering runs out. State variables have their names and rules from TS 36.322 5.1.2.2, 7.1; they start at the
    first SN received, and again at the first one after a silence in which SNs may have come round.

    Args:
        first_sn: the SN of the first PDU.
        um_window_size: UM_Window_Size, 0 or 16.
        t_reordering_subframes: t-Reordering.
        sn_cycle_subframes: the least time from one PDU to the one after it but 32.
    """

    def __init__(
        self,
        first_sn: int,
        *,
        um_window_size: int = 0,
        t_reordering_subframes: int = 40,
        sn_cycle_subframes: int = LEAST_SN_CYCLE_SUBFRAMES,
    ) -> None:
        self._window = um_window_size
        self._t_reordering_subframes = t_reordering_subframes
        # A window tells SNs apart that lie up to SN_MODULUS - window ahead of it.
        self._longest_silence = sn_cycle_subframes * (SN_MODULUS - um_window_size) // SN_MODULUS
        self._vr_ur = self._vr_uh = self._vr_ux = first_sn
        self._expiry: int | None = None
        self._heard_at: int | None = None
        self._buffer: dict[int, UmdPdu] = {}
        self._reassembler = UmReassembler()

    @property
    def next_timer(self) -> int | None:
        """The subframe in which `advance` has something to do; None where nothing waits."""
        silence = None if not self.holds_part or self._heard_at is None else self._heard_at + self._longest_silence
        return min((timer for timer in (self._expiry, silence) if timer is not None), default=None)

    @property
    def holds_part(self) -> bool:
        """Whether an SDU has come in part."""
        return self._reassembler.holds_part

    @property
    def n_lost(self) -> int:
        """SDUs given up."""
        return self._reassembler.n_lost

    def receive(self, pdu: UmdPdu, subframe: int) -> list[bytes]:
        """SDUs that `pdu` lets go up, in order."""
        sdus = self.advance(subframe)
        if self._heard_at is not None and subframe - self._heard_at >= self._longest_silence:
            sdus += self._start_anew(pdu.sn)
        self._heard_at = subframe
        if self._is_behind(pdu.sn) or pdu.sn in self._buffer:
            return sdus
        self._buffer[pdu.sn] = pdu
        if not self._in_window(pdu.sn):
            self._vr_uh = (pdu.sn + 1) % SN_MODULUS
            sdus += self._reassemble([sn for sn in self._buffer if not self._in_window(sn)])
            if not self._in_window(self._vr_ur):
                self._vr_ur = self._lower_edge()
        if self._vr_ur in self._buffer:
            sdus += self._move_vr_ur(self._vr_ur)
        self._update_timer(subframe)
        return sdus

    def advance(self, subframe: int) -> list[bytes]:
        """SDUs that an expiry of t-Reordering by `subframe` lets go up (TS 36.322 5.1.2.2.4); old parts are let go."""
        sdus: list[bytes] = []
        if self._expiry is not None and subframe >= self._expiry:
            self._expiry = None
            sdus = self._move_vr_ur(self._vr_ux)
            self._start_timer(subframe)
        if self._heard_at is not None and subframe - self._heard_at >= self._longest_silence:
            self._reassembler.give_up()
        return sdus

    def _start_anew(self, first_sn: int) -> list[bytes]:
        """Take the next PDU as the first one; what waited for order goes up as far as it is whole."""
        sdus = self._reassemble(list(self._buffer))
        self._reassembler.give_up()
        self._vr_ur = self._vr_uh = self._vr_ux = first_sn
        self._expiry = None
        return sdus

    def _lower_edge(self) -> int:
        return (self._vr_uh - self._window) % SN_MODULUS

    def _offset(self, sn: int) -> int:
        """Place of `sn` above the window's lower edge: the modulus base of all comparisons."""
        return (sn - self._lower_edge()) % SN_MODULUS

    def _in_window(self, sn: int) -> bool:
        return self._offset(sn) < self._window

    def _is_behind(self, sn: int) -> bool:
        return self._offset(sn) < self._offset(self._vr_ur) and self._in_window(sn)

    def _move_vr_ur(self, start: int) -> list[bytes]:
        """VR(UR) goes to the first SN from `start` that is missing; what lies before it is reassembled."""
        while start in self._buffer:
            start = (start + 1) % SN_MODULUS
        self._vr_ur = start
        return self._reassemble([sn for sn in self._buffer if self._offset(sn) < self._offset(start)])

    def _reassemble(self, sns: list[int]) -> list[bytes]:
        oldest_first = sorted(sns, key=lambda sn: (sn - self._vr_uh) % SN_MODULUS)
        return [sdu for sn in oldest_first for sdu in self._reassembler.add(self._buffer.pop(sn))]

    def _update_timer(self, subframe: int) -> None:
        if self._expiry is not None:
            passed = self._offset(self._vr_ux) <= self._offset(self._vr_ur)
            left = not self._in_window(self._vr_ux) and self._vr_ux != self._vr_uh
            if passed or left:
                self._expiry = None
        self._start_timer(subframe)

    def _start_timer(self, subframe: int) -> None:
        if self._expiry is None and self._vr_uh != self._vr_ur:
            self._expiry = subframe + self._t_reordering_subframes
            self._vr_ux = self._vr_uh
