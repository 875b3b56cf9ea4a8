"""Two UEs' PHY pipelines joined by delay, carrier offset, clock error and noise: all they send is received."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from radio.arrays import Iq
from radio.phy.dsp.rotation import rotate
from radio.phy.lte.channels.indications import (
    DiscoveryReceived,
    Indication,
    MibReceived,
    SciReceived,
    Synchronised,
    SyncLost,
    TransportBlockReceived,
)
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.channels.transmissions import PscchTx, PsdchTx, PsschTx, SlssTx, Transmission
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.grid.riv import encode_riv
from radio.phy.lte.grid.tbs import transport_block_size
from radio.phy.lte.pools.mode2 import CommPool, DiscPool, SidelinkPools, SyncConfig
from radio.phy.lte.ue_phy import PhyState, UePhy, UePhyError

N_PRB = 25
CARRIER = Carrier(N_PRB)
STEP = CARRIER.samples_per_subframe
N_SL_ID = 201
LEAD = 8
"""Subframes a UE plans ahead: more than the clocks of both differ by."""
POOL = CommPool(
    n_rb_sl=N_PRB,
    sc_bitmap="01111",
    sc_prb_num=12,
    sc_prb_start=0,
    sc_prb_end=24,
    data_offset=5,
    data_bitmap="1" * 30 + "0" * 10,
    data_prb_num=12,
    data_prb_start=0,
    data_prb_end=24,
)
DISC = DiscPool(n_rb_sl=N_PRB, disc_period=8, bitmap="0" * 36 + "1111", num_retx=1, prb_num=12, prb_start=0, prb_end=24)
POOLS = SidelinkPools(n_prb=N_PRB, sync=SyncConfig(offset_indicators=(0,)), comm=(POOL,), disc=(DISC,))


class Air:
    """One direction: what one UE writes on its clock, as the other reads it on its own."""

    def __init__(self, *, offset: int, cfo_hz: float, noise: float, seed: int) -> None:
        self.offset, self.cfo_hz, self.noise = offset, cfo_hz, noise
        self.rng = np.random.default_rng(seed)
        self.pending: dict[int, Iq] = {}

    def write(self, iq: Iq, first_sample: int) -> None:
        shifted = rotate(iq, self.cfo_hz, CARRIER.sample_rate_hz, first_sample)
        self.pending[first_sample + self.offset] = shifted

    def read(self, first_sample: int, n: int) -> Iq:
        noise = self.rng.normal(size=(n, 2)).astype(np.float32) * np.float32(self.noise / np.sqrt(2))
        out = noise.view(np.complex64)[:, 0]
        for start, burst in list(self.pending.items()):
            low, high = max(start, first_sample), min(start + burst.size, first_sample + n)
            if low < high:
                out[low - first_sample : high - first_sample] += burst[low - start : high - start]
            if start + burst.size <= first_sample:
                del self.pending[start]
        return out


class Sender:
    """Puts SLSS, discovery messages and full transport blocks of one UE on the air."""

    def __init__(self, phy: UePhy, *, n_pscch: int, n_psdch: int, destination: int, seed: int) -> None:
        self.phy, self.n_psdch, self.destination = phy, n_psdch, destination
        self.n_pscch = n_pscch
        self.rng = np.random.default_rng(seed)
        self.sent_blocks: list[bytes] = []
        self.sent_messages: list[bytes] = []
        self.plan: dict[int, list[Transmission]] = {}
        self.planned_period = self.planned_disc = -1

    def transmissions(self, subframe: int) -> list[Transmission]:
        if POOL.period_of(subframe + 1) != self.planned_period:
            self.planned_period = POOL.period_of(subframe + 1)
            self._plan_period(self.planned_period)
        if DISC.period_of(subframe + 1) != self.planned_disc:
            self.planned_disc = DISC.period_of(subframe + 1)
            self._plan_discovery(self.planned_disc)
        due = self.plan.pop(subframe, [])
        if self.phy.state is PhyState.REFERENCE and POOLS.sync.is_sync_subframe(subframe):
            dfn, number = divmod(subframe % 10240, 10)
            mib = MibSl(bandwidth_prb=N_PRB, dfn=dfn, subframe=number, in_coverage=False)
            due.append(SlssTx(n_sl_id=N_SL_ID, mib=mib))
        return due

    def _plan_period(self, period: int) -> None:
        mcs, length, i_trp = 9, 10, 36 + 30 * self.destination
        sci = SciFormat0(
            riv=encode_riv(12 * self.destination, length, N_PRB),
            i_trp=i_trp,
            mcs=mcs,
            group_destination_id=self.destination,
        )
        for index, prb in POOL.pscch_resource(self.n_pscch):
            self.plan.setdefault(POOL.pscch_subframes(period)[index], []).append(PscchTx(prb=prb, sci=sci))
        blocks: dict[int, bytes] = {}
        for subframe, n_ssf, index, rv in POOL.pssch_transmissions(period, i_trp):
            if index not in blocks:
                blocks[index] = self.rng.bytes(transport_block_size(mcs, length) // 8)
                self.sent_blocks.append(blocks[index])
            tx = PsschTx(
                prbs=POOL.prbs(12 * self.destination, length),
                mcs=mcs,
                n_id_sa=self.destination,
                n_ssf=n_ssf,
                rv=rv,
                transport_block=blocks[index],
            )
            self.plan.setdefault(subframe, []).append(tx)

    def _plan_discovery(self, period: int) -> None:
        message = self.rng.bytes(29)
        self.sent_messages.append(message)
        for subframe, prb, _, rv in DISC.transmissions(period, self.n_psdch):
            self.plan.setdefault(subframe, []).append(PsdchTx(prb=prb, rv=rv, message=message))


def run(
    n_subframes: int, *, snr_db: float, cfo_hz: float, offset: int
) -> Iterator[tuple[list[Indication], list[Indication], Sender, Sender, UePhy]]:
    """Step both UEs; yields what each has been told so far, after every subframe."""
    a, b = UePhy(CARRIER, POOLS, listen_ids={0}), UePhy(CARRIER, POOLS, listen_ids={1})
    a.become_sync_ref(N_SL_ID, 0)
    noise = 10 ** (-snr_db / 20)
    there = Air(offset=offset, cfo_hz=cfo_hz, noise=noise, seed=1)
    back = Air(offset=-offset + 9, cfo_hz=-cfo_hz, noise=noise, seed=2)
    senders = (
        Sender(a, n_pscch=3, n_psdch=0, destination=1, seed=3),
        Sender(b, n_pscch=9, n_psdch=5, destination=0, seed=4),
    )
    heard_a: list[Indication] = []
    heard_b: list[Indication] = []
    sent_to: dict[UePhy, int] = {}
    for n in range(n_subframes):
        for sender, air in zip(senders, (there, back), strict=True):
            phy = sender.phy
            if phy.subframe is None:
                continue
            for subframe in range(max(sent_to.get(phy, 0), phy.subframe + LEAD - 1), phy.subframe + LEAD):
                due = sender.transmissions(subframe)
                sent_to[phy] = subframe + 1
                if due:
                    air.write(*phy.transmit(subframe, due))
        begin = n * STEP
        heard_a += a.receive(back.read(begin, STEP), begin)
        heard_b += b.receive(there.read(begin, STEP), begin)
        yield heard_a, heard_b, *senders, b


def run_to_end(n_subframes: int, *, snr_db: float, cfo_hz: float, offset: int):
    *_, last = run(n_subframes, snr_db=snr_db, cfo_hz=cfo_hz, offset=offset)
    return last


def of_kind(indications: list[Indication], kind: type) -> list:
    return [indication for indication in indications if isinstance(indication, kind)]


@pytest.mark.parametrize(("cfo_hz", "offset"), [(1234.5, 5000), (-6900.0, 3 * STEP + 17), (7400.0, 1)])
def test_everything_sent_is_received(cfo_hz: float, offset: int) -> None:
    heard_a, heard_b, sender_a, sender_b, phy_b = run_to_end(210, snr_db=12, cfo_hz=cfo_hz, offset=offset)

    (synchronised,) = of_kind(heard_b, Synchronised)
    assert synchronised.n_sl_id == N_SL_ID
    assert synchronised.mib.dfn * 10 + synchronised.mib.subframe == synchronised.subframe
    assert synchronised.cfo_hz == pytest.approx(cfo_hz, abs=30)
    assert phy_b.cfo_hz == pytest.approx(cfo_hz, abs=10)
    assert phy_b.first_sample_of(80) == pytest.approx(80 * STEP + offset, abs=2)
    assert len(of_kind(heard_b, MibReceived)) >= 3
    assert len(of_kind(heard_a, SciReceived)) >= 4
    assert len(of_kind(heard_b, SciReceived)) >= 4
    for heard, sender in ((heard_a, sender_b), (heard_b, sender_a)):
        received = of_kind(heard, TransportBlockReceived)
        assert len(received) >= 5
        assert all(block.crc_ok for block in received)
        assert {block.transport_block for block in received} <= set(sender.sent_blocks)
        messages = of_kind(heard, DiscoveryReceived)
        assert messages
        assert {message.message for message in messages} <= set(sender.sent_messages)


def test_soft_combining_decodes_what_one_transmission_cannot() -> None:
    _, heard_b, sender_a, _, _ = run_to_end(210, snr_db=2, cfo_hz=300, offset=700)
    received = of_kind(heard_b, TransportBlockReceived)
    assert any(block.crc_ok and block.crc_ok_at > 1 for block in received)
    assert {block.transport_block for block in received if block.crc_ok} <= set(sender_a.sent_blocks)


def test_a_reference_that_falls_silent_is_lost_and_found_again() -> None:
    sender, receiver = UePhy(CARRIER, POOLS), UePhy(CARRIER, POOLS, max_missed_syncs=2)
    sender.become_sync_ref(N_SL_ID, 2 * STEP)
    heard = receiver.receive(np.zeros(2 * STEP, dtype=np.complex64), 0)
    for subframe in range(230):
        mib = MibSl(bandwidth_prb=N_PRB, dfn=subframe // 10, subframe=subframe % 10, in_coverage=False)
        is_sent = POOLS.sync.is_sync_subframe(subframe) and not 50 < subframe < 150
        iq, first = sender.transmit(subframe, [SlssTx(n_sl_id=N_SL_ID, mib=mib)] if is_sent else [])
        heard += receiver.receive(iq, first)
    kinds = [type(indication) for indication in heard]
    assert kinds == [Synchronised, MibReceived, SyncLost, Synchronised, MibReceived]
    assert [i.subframe for i in heard] == [0, 40, 120, 160, 200]


def test_samples_may_come_in_any_portions() -> None:
    rng = np.random.default_rng(8)
    sender = UePhy(CARRIER, POOLS)
    sender.become_sync_ref(N_SL_ID, 0)
    mib = MibSl(bandwidth_prb=N_PRB, dfn=4, subframe=0, in_coverage=True)
    silence = np.zeros(3 * STEP, dtype=np.complex64)
    samples = np.concatenate((silence[:1234], sender.transmit(0, [SlssTx(n_sl_id=N_SL_ID, mib=mib)])[0], silence))
    heard: list[Indication] = []
    receiver, place = UePhy(CARRIER, POOLS), 0
    while place < samples.size:
        n = int(rng.integers(1, 2 * STEP))
        heard += receiver.receive(samples[place : place + n], 10**9 + place)
        place += n
    (synchronised,) = heard
    assert isinstance(synchronised, Synchronised)
    assert synchronised.sample == 10**9 + 1234
    assert receiver.subframe is not None


def test_a_gap_in_the_samples_costs_only_its_subframes() -> None:
    sender, receiver = UePhy(CARRIER, POOLS), UePhy(CARRIER, POOLS)
    sender.become_sync_ref(N_SL_ID, 2 * STEP)
    heard = receiver.receive(np.zeros(2 * STEP, dtype=np.complex64), 0)
    for subframe in range(130):
        mib = MibSl(bandwidth_prb=N_PRB, dfn=subframe // 10, subframe=subframe % 10, in_coverage=False)
        due = [SlssTx(n_sl_id=N_SL_ID, mib=mib)] if POOLS.sync.is_sync_subframe(subframe) else []
        iq, first = sender.transmit(subframe, due)
        if not 45 <= subframe < 55:
            heard += receiver.receive(iq, first)
    assert [i.subframe for i in heard] == [0, 40, 80, 120]


def test_transmission_needs_timing() -> None:
    with pytest.raises(UePhyError, match="searching"):
        UePhy(CARRIER, POOLS).transmit(5, [])


def test_pools_must_fit_the_carrier() -> None:
    with pytest.raises(UePhyError, match="25 PRB"):
        UePhy(Carrier(50), POOLS)
