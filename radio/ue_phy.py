"""The subframe pipeline of one UE: samples in, indications out; transmissions in, timed samples out.

No clock and no device: time is the count of the UE's own sample clock and the subframe number. A UE starts out
searching for a synchronisation reference and then tracks it, or becomes the reference itself. In every subframe it
does only the work that the resource pools and the SCIs heard before make due.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence, Set
from dataclasses import replace

import numpy as np

from radio.arrays import Grid, Iq
from radio.errors import RadioError
from radio.phy import scfdma
from radio.phy.acquisition import SyncSource, acquire, acquisition_span, receive_back_off
from radio.phy.discovery_channel import DiscoveryReceiver
from radio.phy.indications import Indication, MibReceived, SciReceived, Synchronised, SyncLost
from radio.phy.layout import Mode
from radio.phy.mib import MibSl
from radio.phy.numerology import SUBFRAMES_PER_DFN_CYCLE, Carrier
from radio.phy.pools import CommPool, DiscPool, SidelinkPools, SyncConfig
from radio.phy.psbch import receive_psbch
from radio.phy.pscch import receive_pscch
from radio.phy.psdch import MESSAGE_BITS
from radio.phy.psss_search import PsssPeak, PsssSearch
from radio.phy.riv import encode_riv
from radio.phy.rotation import rotate
from radio.phy.sample_buffer import SampleBuffer
from radio.phy.sci import SciFormat0
from radio.phy.shared_channel import SharedChannelReceiver
from radio.phy.tbs import transport_block_size
from radio.phy.tracking import (
    TimingState,
    acquired_cfo,
    acquired_timing,
    own_timing,
    track_cfo,
    track_timing,
)
from radio.phy.transmissions import PscchTx, PsdchTx, PsschTx, SlssTx, Transmission
from radio.phy.waveform import subframe_waveform

_BUFFERED_SUBFRAMES = 4
_SUBFRAMES_PER_FRAME = 10


class UePhyError(RadioError):
    """A UE asked to do what it cannot: pools that do not fit its carrier, or transmission without timing."""


class PhyState(enum.Enum):
    """What the UE's timing hangs on."""

    SEARCHING = "searching"
    TRACKING = "tracking"
    REFERENCE = "reference"


class UePhy:
    """One UE. `subframe` counts up without wrapping; modulo 10240 it is 10 * DFN + subframe number."""

    def __init__(
        self,
        carrier: Carrier,
        pools: SidelinkPools,
        *,
        listen_ids: Set[int] | None = None,
        max_active_sci: int = 16,
        max_missed_syncs: int = 12,
        on_symbols: Callable[[Iq], None] | None = None,
    ) -> None:
        """A searching UE.

        `listen_ids` are the group destination ids whose PSSCH is received, None for all; at most `max_active_sci`
        SCIs are followed in one SC period of a pool; the reference is lost after `max_missed_syncs` PSBCHs missed in a
        row; `on_symbols` gets the equalised symbols of every PSSCH transmission. Raises UePhyError.
        """
        if pools.n_prb != carrier.n_prb:
            raise UePhyError(f"pools for {pools.n_prb} PRB on a carrier of {carrier.n_prb}")
        if ({pool.cp for pool in pools.comm} | {pool.cp for pool in pools.disc}) - {carrier.cp}:
            raise UePhyError(f"a pool's cyclic prefix is not the carrier's, {carrier.cp.value}")
        self.carrier = carrier
        self.pools = pools
        self._state = PhyState.SEARCHING
        self._buffer = SampleBuffer(_BUFFERED_SUBFRAMES * carrier.samples_per_subframe)
        self._shared = [
            (pool, SharedChannelReceiver(carrier, pool, listen_ids, max_active_sci, on_symbols)) for pool in pools.comm
        ]
        self._discovery = [DiscoveryReceiver(carrier, pool) for pool in pools.disc]
        self._max_missed_syncs = max_missed_syncs
        self._next_subframe = 0
        self._own_subframes: set[int] = set()
        self._timing: TimingState | None = None
        self._cfo = acquired_cfo(0, 0.0)
        self._n_sl_id = -1
        self._sync_offset = 0
        self._missed_syncs = 0
        self._start_search(0)

    @property
    def state(self) -> PhyState:
        return self._state

    @property
    def subframe(self) -> int | None:
        """The next subframe to be received; None while there is no timing."""
        return None if self._timing is None else self._next_subframe

    @property
    def n_sl_id(self) -> int | None:
        """Identity of the synchronisation reference, the UE's own where it is the reference; None while searching."""
        return None if self._timing is None else self._n_sl_id

    @property
    def cfo_hz(self) -> float:
        """Carrier offset of the reference as tracked."""
        return self._cfo.cfo_hz

    def become_sync_ref(self, n_sl_id: int, first_sample: int) -> None:
        """Stop searching: this UE's clock is the reference, subframe 0 starts at `first_sample`."""
        self._state = PhyState.REFERENCE
        self._timing = own_timing(self.carrier, first_sample)
        self._cfo = acquired_cfo(0, 0.0)
        self._n_sl_id = n_sl_id
        self._next_subframe = 0

    def first_sample_of(self, subframe: int) -> int:
        """First sample of a subframe on the UE's clock. Raises UePhyError while there is no timing."""
        return round(self._known_timing().start_of(subframe))

    def _known_timing(self) -> TimingState:
        if self._timing is None:
            raise UePhyError("the UE is still searching for a synchronisation reference and has no timing")
        return self._timing

    def transmit(self, subframe: int, transmissions: Sequence[Transmission]) -> tuple[Iq, int]:
        """Samples of `subframe` and the count of the first; that subframe is then not received (half duplex).

        The carrier is shifted so that it goes out on the reference's frequency. Raises UePhyError without timing, or
        a RadioError that names what does not fit.
        """
        first_sample = self.first_sample_of(subframe)
        iq = subframe_waveform(self.carrier, transmissions)
        if subframe >= self._next_subframe:
            self._own_subframes.add(subframe)
        if self._state is PhyState.TRACKING:
            iq = rotate(iq, self._cfo.cfo_hz, self.carrier.sample_rate_hz, first_sample)
        return iq, first_sample

    def receive(self, iq: Iq, first_sample: int) -> list[Indication]:
        """Take samples in, any number of them; a gap before `first_sample` costs the subframes it touches."""
        indications: list[Indication] = []
        step = self.carrier.samples_per_subframe
        for begin in range(0, iq.size, step):
            piece = iq[begin : begin + step]
            if not self._buffer.append(piece, first_sample + begin) and self._state is PhyState.SEARCHING:
                self._start_search(first_sample + begin)
            if self._state is PhyState.SEARCHING:
                self._search(indications)
            if self._state is not PhyState.SEARCHING:
                self._receive_whole_subframes(indications)
        return indications

    def _start_search(self, first_sample: int) -> None:
        self._state = PhyState.SEARCHING
        self._timing = None
        self._own_subframes.clear()
        self._psss_search = PsssSearch(self.carrier)
        self._searched_to = first_sample
        self._peaks: list[PsssPeak] = []

    def _search(self, indications: list[Indication]) -> None:
        """Search what has come since, then try the peaks whose whole subframe is there."""
        step = self.carrier.samples_per_subframe
        while (block := self._buffer.view(self._searched_to, step)) is not None:
            for peak in self._psss_search.push(block):
                self._peaks.append(replace(peak, subframe_offset=peak.subframe_offset + self._searched_to))
            self._searched_to += step
        waiting: list[PsssPeak] = []
        for peak in self._peaks:
            begin, end = acquisition_span(self.carrier, peak)
            if end > self._buffer.end_sample:
                waiting.append(peak)
                continue
            samples = self._buffer.view(begin, end - begin)
            if samples is None:
                continue
            source = acquire(self.carrier, samples, replace(peak, subframe_offset=peak.subframe_offset - begin))
            if source is not None and self._accept(source, begin, indications):
                return
        self._peaks = waiting

    def _accept(self, source: SyncSource, first_sample: int, indications: list[Indication]) -> bool:
        """Take a source as reference if its PSBCH is one this UE can follow."""
        mib = source.psbch.mib
        if mib is None or source.slss.mode is not Mode.TM12 or mib.bandwidth_prb != self.carrier.n_prb:
            return False
        subframe = _SUBFRAMES_PER_FRAME * mib.dfn + mib.subframe
        while subframe < self._next_subframe:
            subframe += SUBFRAMES_PER_DFN_CYCLE
        start = first_sample + source.subframe_start
        self._state = PhyState.TRACKING
        self._timing = acquired_timing(self.carrier, subframe, start)
        self._cfo = acquired_cfo(subframe, source.cfo_hz)
        self._n_sl_id = source.slss.n_sl_id
        self._sync_offset = subframe % self.pools.sync.period
        self._missed_syncs = 0
        self._next_subframe = subframe + 1
        indications.append(
            Synchronised(
                subframe=subframe,
                sample=round(start),
                n_sl_id=self._n_sl_id,
                mib=mib,
                cfo_hz=source.cfo_hz,
                snr_db=source.psbch.snr_db,
            )
        )
        return True

    def _receive_whole_subframes(self, indications: list[Indication]) -> None:
        """Receive every subframe whose last sample has come."""
        while self._timing is not None:
            subframe = self._next_subframe
            first = self.first_sample_of(subframe) - receive_back_off(self.carrier)
            if first + self.carrier.samples_per_subframe > self._buffer.end_sample:
                return
            self._next_subframe += 1
            samples = self._buffer.view(first, self.carrier.samples_per_subframe)
            is_own = subframe in self._own_subframes
            self._own_subframes.discard(subframe)
            grid = None if samples is None or is_own else self._grid_if_due(subframe, samples)
            if grid is None:
                for _, receiver in self._shared:
                    indications += receiver.skip(subframe)
            else:
                indications += self._receive_subframe(subframe, grid, self._timing)

    def _receive_subframe(self, subframe: int, grid: Grid, timing: TimingState) -> list[Indication]:
        """Do what is due in one subframe."""
        indications: list[Indication] = []
        for pool, receiver in self._shared:
            if _is_pscch_due(pool, subframe):
                for found in receive_pscch(self.carrier, grid, pool.pscch_prbs):
                    receiver.follow(subframe, found.sci)
                    indications.append(
                        SciReceived(subframe=subframe, prb=found.prb, sci=found.sci, snr_db=found.snr_db)
                    )
            indications += receiver.receive(subframe, grid)
        for discovery in self._discovery:
            if discovery.is_due(subframe):
                indications += discovery.receive(subframe, grid)
        if self._is_sync_due(subframe):
            tracked = self._track(subframe, grid, timing)
            if tracked is not None:
                indications.append(tracked)
        return indications

    def _grid_if_due(self, subframe: int, samples: Iq) -> Grid | None:
        """The subframe's grid, None where no pool asks for it."""
        is_due = (
            self._is_sync_due(subframe)
            or any(_is_pscch_due(pool, subframe) or receiver.is_due(subframe) for pool, receiver in self._shared)
            or any(receiver.is_due(subframe) for receiver in self._discovery)
        )
        if not is_due:
            return None
        return scfdma.demodulate(self.carrier, rotate(samples, -self._cfo.cfo_hz, self.carrier.sample_rate_hz))

    def _is_sync_due(self, subframe: int) -> bool:
        """Whether the tracked reference transmits in `subframe`."""
        return self._state is PhyState.TRACKING and subframe % self.pools.sync.period == self._sync_offset

    def _track(self, subframe: int, grid: Grid, timing: TimingState) -> Indication | None:
        """Receive the reference's PSBCH and correct timing and carrier offset by it."""
        received = receive_psbch(self.carrier, grid, self._n_sl_id)
        mib = received.mib
        if mib is None or (mib.dfn, mib.subframe) != _on_air_number(subframe):
            self._missed_syncs += 1
            if self._missed_syncs < self._max_missed_syncs:
                return None
            lost = SyncLost(subframe=subframe, n_sl_id=self._n_sl_id)
            self._start_search(self._buffer.end_sample)
            return lost
        self._missed_syncs = 0
        start = timing.start_of(subframe)
        arrival = round(start) - receive_back_off(self.carrier) + received.timing_error_samples
        self._timing = track_timing(timing, self.carrier, subframe, arrival - start, received.snr_db)
        self._cfo = track_cfo(self._cfo, subframe, received.cfo_hz, received.snr_db)
        return MibReceived(
            subframe=subframe,
            n_sl_id=self._n_sl_id,
            mib=mib,
            snr_db=received.snr_db,
            cfo_hz=self._cfo.cfo_hz,
            timing_error_samples=arrival - start,
        )


def _on_air_number(subframe: int) -> tuple[int, int]:
    """(DFN, subframe number) of the unwrapped counter."""
    return divmod(subframe % SUBFRAMES_PER_DFN_CYCLE, _SUBFRAMES_PER_FRAME)


def _is_pscch_due(pool: CommPool, subframe: int) -> bool:
    return subframe in pool.pscch_subframes(pool.period_of(subframe))


def compile_kernels() -> None:
    """Run every kernel of the pipeline once, so that its first real subframe does not wait for the compiler."""
    carrier = Carrier(6)
    comm = CommPool(
        n_rb_sl=carrier.n_prb,
        sc_bitmap="011",
        sc_prb_num=3,
        sc_prb_start=0,
        sc_prb_end=5,
        data_offset=4,
        data_bitmap="1",
        data_prb_num=3,
        data_prb_start=0,
        data_prb_end=5,
    )
    disc = DiscPool(n_rb_sl=carrier.n_prb, disc_period=4, bitmap="0001", prb_num=3, prb_start=0, prb_end=5)
    pools = SidelinkPools(n_prb=carrier.n_prb, sync=SyncConfig(offset_indicators=(0,)), comm=(comm,), disc=(disc,))
    sci = SciFormat0(riv=encode_riv(0, 2, carrier.n_prb), i_trp=comm.i_trps[-1], mcs=11, group_destination_id=1)
    transmissions: dict[int, list[Transmission]] = {
        0: [SlssTx(n_sl_id=0, mib=MibSl(bandwidth_prb=carrier.n_prb, dfn=0, subframe=0, in_coverage=False))],
        3: [PsdchTx(prb=0, rv=0, message=bytes(MESSAGE_BITS // 8))],
    }
    for index, prb in comm.pscch_resource(0):
        transmissions.setdefault(comm.pscch_subframes(0)[index], []).append(PscchTx(prb=prb, sci=sci))
    block = bytes(transport_block_size(sci.mcs, 2) // 8)
    for subframe, n_ssf, _, rv in comm.pssch_transmissions(0, sci.i_trp):
        tx = PsschTx(prbs=comm.prbs(0, 2), mcs=sci.mcs, n_id_sa=1, n_ssf=n_ssf, rv=rv, transport_block=block)
        transmissions.setdefault(subframe, []).append(tx)
    sender, receiver = UePhy(carrier, pools), UePhy(carrier, pools)
    silence = np.zeros(carrier.samples_per_subframe, dtype=np.complex64)
    sender.become_sync_ref(0, silence.size)
    receiver.receive(silence, 0)
    for subframe in range(comm.sc_period):
        receiver.receive(*sender.transmit(subframe, transmissions.get(subframe, ())))
