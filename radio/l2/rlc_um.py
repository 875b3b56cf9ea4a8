"""RLC unacknowledged mode of a sidelink logical channel: transmitting and receiving entities (TS 36.322 5.1.2).

The transmitter takes SDUs of any length and makes PDUs of the length that MAC has room for: it cuts an SDU across PDUs
and joins several in one. Each PDU has a 5-bit sequence number and two flags that say whether it begins and ends with a
whole SDU. The receiver puts SDUs together from PDUs whose numbers follow on each other; a gap costs the SDU that it
cuts, and nothing is sent again: that is what unacknowledged means.

On the sidelink MAC gives transport blocks in the order in which they were first sent, so the window is 0 and every PDU
goes straight to reassembly. With a window of 16 PDUs are put in order first, and t-Reordering ends the wait for one
that is lost. There is no set-up: a receiving entity is made on the first PDU, and its variables start at that number.
"""

from __future__ import annotations

from collections import deque

from radio.l2.pdcp import MAX_PDU_OCTETS
from radio.l2.rlc_um_pdu import MAX_LI, SN_MODULUS, UmdPdu, encode_umd, umd_header_octets


class UmTransmitter:
    """Segments and concatenates SDUs into UMD PDUs of the size MAC asks for (TS 36.322 5.1.2.1, 6.2.1.3)."""

    def __init__(self) -> None:
        self._queue: deque[bytes] = deque()
        self._sent_of_first = 0
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

    def build_pdu(self, max_octets: int) -> bytes | None:
        """The next UMD PDU, of at most `max_octets`; None where nothing waits or not one octet of it fits."""
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

    def add(self, pdu: UmdPdu) -> list[bytes]:
        """SDUs that `pdu` completes, in order."""
        if pdu.sn != self._expected_sn or pdu.starts:
            self._give_up()
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
                self._give_up()
        return sdus

    def _give_up(self) -> None:
        if self._partial is not None:
            self.n_lost += 1
            self._partial = None


class UmReceiver:
    """Receiving UM entity with a 5-bit SN, made on the first PDU of a (source, destination, LCID).

    With UM_Window_Size 0, as STCH has it, every PDU goes straight to reassembly; with 16 PDUs are put in order until
    t-Reordering runs out. State variables have their names and rules from TS 36.322 5.1.2.2, 7.1; they start at the
    first SN received.
    """

    def __init__(self, first_sn: int, *, um_window_size: int = 0, t_reordering_subframes: int = 40) -> None:
        self._window = um_window_size
        self._t_reordering_subframes = t_reordering_subframes
        self._vr_ur = self._vr_uh = self._vr_ux = first_sn
        self._expiry: int | None = None
        self._buffer: dict[int, UmdPdu] = {}
        self._reassembler = UmReassembler()

    @property
    def n_lost(self) -> int:
        """SDUs given up."""
        return self._reassembler.n_lost

    def receive(self, pdu: UmdPdu, subframe: int) -> list[bytes]:
        """SDUs that `pdu` lets go up, in order."""
        sdus = self.advance(subframe)
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
        """SDUs that an expiry of t-Reordering by `subframe` lets go up (TS 36.322 5.1.2.2.4)."""
        if self._expiry is None or subframe < self._expiry:
            return []
        self._expiry = None
        sdus = self._move_vr_ur(self._vr_ux)
        self._start_timer(subframe)
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
