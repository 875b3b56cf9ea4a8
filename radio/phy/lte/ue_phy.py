"""The subframe pipeline of one UE: samples in, indications out; transmissions in, timed samples out.

No clock and no device: time is the count of the UE's own sample clock and the subframe number. A UE starts out
searching for a synchronisation reference and then tracks it, or becomes the reference itself. In every subframe it
does only the work that the resource pools and the SCIs heard before make due.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence, Set
from functools import partial

import numpy as np

from radio.arrays import Grid, Iq
from radio.errors import RadioError
from radio.phy.dsp.rotation import rotate
from radio.phy.dsp.sample_buffer import SampleBuffer
from radio.phy.lte.channels.indications import (
    Indication,
    MibReceived,
    SciReceived,
    SlssDetected,
    Synchronised,
    SyncLost,
)
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.psbch import receive_psbch
from radio.phy.lte.channels.psdch import MESSAGE_BITS
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.channels.transmissions import PscchTx, PsdchTx, PsschTx, SlssTx, Transmission
from radio.phy.lte.channels.waveform import subframe_waveform
from radio.phy.lte.grid import scfdma
from radio.phy.lte.grid.numerology import SUBFRAMES_PER_DFN_CYCLE, Carrier
from radio.phy.lte.grid.riv import encode_riv
from radio.phy.lte.grid.tbs import transport_block_size
from radio.phy.lte.pools.mode2 import CommPool, DiscPool, SidelinkPools, SyncConfig
from radio.phy.lte.pools.transmit_power import transmit_amplitude
from radio.phy.lte.pscch_receiver import ControlReceiver
from radio.phy.lte.psdch_receiver import DiscoveryReceiver
from radio.phy.lte.pssch_receiver import SharedChannelReceiver
from radio.phy.lte.sync.acquisition import SyncSource, receive_back_off
from radio.phy.lte.sync.arrival import arrivals
from radio.phy.lte.sync.slss_search import SlssSearch
from radio.phy.lte.sync.tracking import (
    FOLLOWER_LAG_S,
    TimingState,
    acquired_cfo,
    acquired_timing,
    own_timing,
    track_arrivals,
    track_cfo,
)

_BUFFERED_SUBFRAMES = 4
_SUBFRAMES_PER_FRAME = 10


class UePhyError(RadioError):
    """A request that the UE cannot meet: pools that do not fit its carrier, or transmission without timing."""


class PhyState(enum.Enum):
    """The source of the UE's timing."""

    SEARCHING = "searching"
    TRACKING = "tracking"
    HOLDOVER = "holdover"
    """On the timing of a reference that is no longer heard."""
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
        judged_above: bool = False,
        on_symbols: Callable[[Iq], None] | None = None,
    ) -> None:
        """A UE that searches for a synchronisation reference.

        `listen_ids` are the group destination ids whose PSSCH is received, None for all. At most `max_active_sci` SCIs
        are followed in one SC period of a pool. The reference counts as lost after `max_missed_syncs` missed PSBCHs in
        a row. `on_symbols` is called with the equalised symbols of every PSSCH transmission. With `judged_above` the UE
        reports every source it finds as SlssDetected and follows none before `follow` is called; a UE that loses its
        reference keeps the timing it had. Raises UePhyError.
        """
        if pools.n_prb != carrier.n_prb:
            raise UePhyError(f"pools for {pools.n_prb} PRB on a carrier of {carrier.n_prb}")
        communication = (*pools.comm, *pools.scheduled)
        if ({pool.cp for pool in communication} | {pool.cp for pool in pools.disc}) - {carrier.cp}:
            raise UePhyError(f"a pool's cyclic prefix is not the carrier's, {carrier.cp.value}")
        self.carrier = carrier
        self.pools = pools
        self._state = PhyState.SEARCHING
        self._buffer = SampleBuffer(_BUFFERED_SUBFRAMES * carrier.samples_per_subframe)
        self._shared = [
            (
                ControlReceiver(carrier, pool),
                SharedChannelReceiver(carrier, pool, listen_ids, max_active_sci, on_symbols),
            )
            for pool in communication
        ]
        self._discovery = [DiscoveryReceiver(carrier, pool) for pool in pools.disc]
        self._max_missed_syncs = max_missed_syncs
        self._judged_above = judged_above
        self._next_subframe = 0
        self._own_subframes: set[int] = set()
        self._timing: TimingState | None = None
        self._cfo = acquired_cfo(0, 0.0)
        self._n_sl_id = -1
        self._sync_offset = 0
        self._missed_syncs = 0
        self._tx_lag_samples = 0.0
        self._search: SlssSearch | None = None
        self._search_to = math.inf
        self._start_search(0)

    @property
    def state(self) -> PhyState:
        """What the timing hangs on now."""
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

    def become_sync_ref(self, n_sl_id: int, first_sample: int | None = None, subframe: int = 0) -> None:
        """Become the reference: `subframe` starts at `first_sample`, or at the time that the UE's timing gives.

        Raises UePhyError if there is neither a sample nor a timing.
        """
        if first_sample is None:
            self._known_timing()
        else:
            self._timing = own_timing(self.carrier, first_sample, subframe)
            self._tx_lag_samples = 0.0
            self._cfo = acquired_cfo(subframe, 0.0)
            self._next_subframe = subframe
        self._state = PhyState.REFERENCE
        self._n_sl_id = n_sl_id
        self._search = None

    def follow(self, source: SlssDetected) -> Synchronised:
        """Follow a source that was detected, from now on; the subframe counter never decreases."""
        return self._track_from(source.sample, source.n_sl_id, source.mib, source.cfo_hz, source.snr_db)

    def scan(self, n_subframes: int) -> None:
        """Search the next subframes for synchronisation sources, in parallel with all other work."""
        if self._state is not PhyState.SEARCHING:
            begin = self._buffer.end_sample
            self._search = SlssSearch(self.carrier, begin)
            self._search_to = begin + n_subframes * self.carrier.samples_per_subframe

    def first_sample_of(self, subframe: int) -> int:
        """First sample of a subframe on the UE's clock. Raises UePhyError while there is no timing."""
        return round(self.start_of(subframe))

    def start_of(self, subframe: int) -> float:
        """Where a subframe starts on the UE's clock, in samples. Raises UePhyError while there is no timing."""
        return self._known_timing().start_of(subframe)

    def _known_timing(self) -> TimingState:
        if self._timing is None:
            raise UePhyError("the UE is still searching for a synchronisation reference and has no timing")
        return self._timing

    def transmit(self, subframe: int, transmissions: Sequence[Transmission]) -> tuple[Iq, int]:
        """Samples of `subframe`, complex64 (n,), and the count of the first sample.

        The UE does not receive that subframe (half duplex). The carrier is shifted to the reference's frequency. SLSS,
        which other UEs measure, are placed to a fraction of a sample. The pools set the power. Raises UePhyError
        without timing, or a RadioError that names what does not fit.
        """
        start = self.start_of(subframe) + self._tx_lag_samples
        first_sample = math.floor(start) if any(isinstance(tx, SlssTx) for tx in transmissions) else round(start)
        delay_samples = max(start - first_sample, 0.0)
        iq = subframe_waveform(self.carrier, transmissions, delay_samples, partial(transmit_amplitude, self.pools))
        if subframe >= self._next_subframe:
            self._own_subframes.add(subframe)
        if self._cfo.cfo_hz:
            iq = rotate(iq, self._cfo.cfo_hz, self.carrier.sample_rate_hz, first_sample)
        return iq, first_sample

    def receive(self, iq: Iq, first_sample: int) -> list[Indication]:
        """Receive samples, `iq` complex64 (n,) of any n, that begin at `first_sample`.

        A gap before `first_sample` loses the subframes that it touches. Returns the indications in order.
        """
        indications: list[Indication] = []
        step = self.carrier.samples_per_subframe
        for begin in range(0, iq.size, step):
            piece = iq[begin : begin + step]
            if not self._buffer.append(piece, first_sample + begin) and self._search is not None:
                self._search = SlssSearch(self.carrier, first_sample + begin)
            if self._search is not None:
                self._run_search(self._search, indications)
            if self._state is not PhyState.SEARCHING:
                self._receive_whole_subframes(indications)
        return indications

    def _start_search(self, first_sample: int) -> None:
        self._state = PhyState.SEARCHING
        self._timing = None
        self._own_subframes.clear()
        self._search = SlssSearch(self.carrier, first_sample)
        self._search_to = math.inf

    def _run_search(self, search: SlssSearch, indications: list[Indication]) -> None:
        """Continue the search. The first source becomes the reference, or all sources are reported."""
        for source, start in search.sources(self._buffer):
            mib = source.psbch.mib
            if mib is None:
                continue
            if not self._judged_above:
                n_sl_id, snr_db = source.slss.n_sl_id, source.psbch.snr_db
                indications.append(self._track_from(start, n_sl_id, mib, source.cfo_hz, snr_db))
                return
            indications.append(self._detected(source, mib, start))
        if self._buffer.end_sample >= self._search_to:
            self._search = None

    def _detected(self, source: SyncSource, mib: MibSl, start: float) -> SlssDetected:
        return SlssDetected(
            sample=start,
            n_sl_id=source.slss.n_sl_id,
            mib=mib,
            cfo_hz=source.cfo_hz,
            snr_db=source.psbch.snr_db,
            s_rsrp_dbfs=self._s_rsrp_dbfs(source.psbch.signal_power),
            off_own_timing_s=self._off_own_timing_s(mib, start),
        )

    def _s_rsrp_dbfs(self, element_power: float) -> float:
        return 10 * math.log10(max(element_power, 1e-300) / self.carrier.fft_size)

    def _off_own_timing_s(self, mib: MibSl, start: float) -> float | None:
        if self._timing is None:
            return None
        own = self._timing.subframe_at(start)
        if _on_air_number(own) != (mib.dfn, mib.subframe):
            return None
        return (start - self._timing.start_of(own)) / self.carrier.sample_rate_hz

    def _track_from(self, start: float, n_sl_id: int, mib: MibSl, cfo_hz: float, snr_db: float) -> Synchronised:
        """Track the source whose subframe began at `start`."""
        elapsed = 1 if self._timing is None else self._next_subframe - self._timing.subframe_at(start)
        subframe = _SUBFRAMES_PER_FRAME * mib.dfn + mib.subframe
        while subframe + elapsed < self._next_subframe:
            subframe += SUBFRAMES_PER_DFN_CYCLE
        self._state = PhyState.TRACKING
        self._timing = acquired_timing(self.carrier, subframe, start)
        self._cfo = acquired_cfo(subframe, cfo_hz)
        self._n_sl_id = n_sl_id
        self._sync_offset = subframe % self.pools.sync.period
        self._missed_syncs = 0
        self._tx_lag_samples = FOLLOWER_LAG_S * self.carrier.sample_rate_hz
        self._next_subframe = subframe + elapsed
        self._own_subframes.clear()
        self._search = None
        return Synchronised(
            subframe=subframe, sample=round(start), n_sl_id=n_sl_id, mib=mib, cfo_hz=cfo_hz, snr_db=snr_db
        )

    def _receive_whole_subframes(self, indications: list[Indication]) -> None:
        """Receive every subframe whose last sample has come."""
        while self._timing is not None:
            subframe = self._next_subframe
            first = self.first_sample_of(subframe) - receive_back_off(self.carrier)
            if first + self.carrier.samples_per_subframe > self._buffer.end_sample:
                return
            self._next_subframe += 1
            samples = self._buffer.view(first, self.carrier.samples_per_subframe)
            for _, receiver in self._shared:
                receiver.advance(subframe)
            is_own = subframe in self._own_subframes
            self._own_subframes.discard(subframe)
            grid = None if samples is None or is_own else self._grid_if_due(subframe, samples)
            if grid is None:
                for _, receiver in self._shared:
                    indications += receiver.skip(subframe)
            else:
                indications += self._receive_subframe(subframe, grid, self._timing)

    def _receive_subframe(self, subframe: int, grid: Grid, timing: TimingState) -> list[Indication]:
        """Do all work that is due in one subframe."""
        indications: list[Indication] = []
        for control, receiver in self._shared:
            if control.is_due(subframe):
                for found in control.receive(subframe, grid):
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
        """The grid of the subframe, or None if no pool needs it."""
        is_due = (
            self._is_sync_due(subframe)
            or any(control.is_due(subframe) or receiver.is_due(subframe) for control, receiver in self._shared)
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
        arrival: float | None = None
        if mib is not None and (mib.dfn, mib.subframe) == _on_air_number(subframe):
            start = timing.start_of(subframe)
            expected = start - round(start) + receive_back_off(self.carrier)
            found = arrivals(self.carrier, grid, self._n_sl_id, received.cfo_hz, expected)
            self._timing, arrival = track_arrivals(timing, self.carrier, subframe, found, received.snr_db)
        if mib is None or arrival is None:
            self._missed_syncs += 1
            if self._missed_syncs < self._max_missed_syncs:
                return None
            if self._judged_above:
                self._state = PhyState.HOLDOVER
            else:
                self._start_search(self._buffer.end_sample)
            return SyncLost(subframe=subframe, n_sl_id=self._n_sl_id)
        self._missed_syncs = 0
        self._cfo = track_cfo(self._cfo, subframe, received.cfo_hz, received.snr_db)
        return MibReceived(
            subframe=subframe,
            n_sl_id=self._n_sl_id,
            mib=mib,
            snr_db=received.snr_db,
            s_rsrp_dbfs=self._s_rsrp_dbfs(received.signal_power),
            cfo_hz=self._cfo.cfo_hz,
            timing_error_samples=arrival,
        )


def _on_air_number(subframe: int) -> tuple[int, int]:
    """(DFN, subframe number) of the unwrapped counter."""
    return divmod(subframe % SUBFRAMES_PER_DFN_CYCLE, _SUBFRAMES_PER_FRAME)


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
        n: [SlssTx(n_sl_id=0, mib=MibSl(bandwidth_prb=carrier.n_prb, dfn=n // 10, subframe=0, in_coverage=False))]
        for n in (0, pools.sync.period)
    }
    transmissions[3] = [PsdchTx(prb=0, rv=0, message=bytes(MESSAGE_BITS // 8))]
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
    for subframe in range(pools.sync.period + 2):
        receiver.receive(*sender.transmit(subframe, transmissions.get(subframe, ())))
