"""Following an SCI: combining, giving up, and staying silent where nothing was sent."""

from __future__ import annotations

import numpy as np

from radio.arrays import Iq
from radio.phy.lte.channels.indications import TransportBlockReceived
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.channels.transmissions import PsschTx
from radio.phy.lte.channels.waveform import subframe_waveform
from radio.phy.lte.grid import scfdma
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.grid.riv import encode_riv
from radio.phy.lte.grid.tbs import transport_block_size
from radio.phy.lte.pools.mode2 import CommPool
from radio.phy.lte.pssch_receiver import SharedChannelReceiver

CARRIER = Carrier(15)
POOL = CommPool(
    n_rb_sl=15,
    sc_bitmap="011",
    sc_prb_num=7,
    sc_prb_start=0,
    sc_prb_end=14,
    data_offset=4,
    data_bitmap="1",
    data_prb_num=7,
    data_prb_start=0,
    data_prb_end=14,
)
MCS, WIDTH = 9, 5
SCI = SciFormat0(riv=encode_riv(2, WIDTH, 15), i_trp=40, mcs=MCS, group_destination_id=77)
BLOCK = np.random.default_rng(1).bytes(transport_block_size(MCS, WIDTH) // 8)
SENT = POOL.pssch_transmissions(0, SCI.i_trp)


def receiver(**options: object) -> SharedChannelReceiver:
    defaults = {"listen_ids": None, "max_active_sci": 4, "on_symbols": None}
    return SharedChannelReceiver(CARRIER, POOL, **{**defaults, **options})


def received(
    under_test: SharedChannelReceiver,
    snr_db: float,
    *,
    block: bytes = BLOCK,
    missed: frozenset[int] = frozenset(),
    scis: tuple[SciFormat0, ...] = (SCI,),
    period: int = 0,
    is_sent: bool = True,
) -> list[TransportBlockReceived]:
    """What the receiver says of a period in which only the first transport block is sent, and `scis` are heard."""
    rng = np.random.default_rng(2)
    told = []
    sent = POOL.pssch_transmissions(period, SCI.i_trp) if is_sent else ()
    due = {subframe: (n_ssf, rv) for subframe, n_ssf, index, rv in sent if index == 0}
    for subframe in range(POOL.period_start(period), POOL.period_start(period + 1)):
        under_test.advance(subframe)
        if subframe % 40 == 2:
            for sci in scis:
                under_test.follow(subframe, sci)
        if subframe % 40 < 4:
            continue
        noise = rng.normal(size=(CARRIER.samples_per_subframe, 2)).astype(np.float32).view(np.complex64)[:, 0]
        iq = noise * np.float32(10 ** (-snr_db / 20) / np.sqrt(2))
        if subframe in due:
            n_ssf, rv = due[subframe]
            tx = PsschTx(prbs=POOL.prbs(2, WIDTH), mcs=MCS, n_id_sa=77, n_ssf=n_ssf, rv=rv, transport_block=block)
            iq = iq + subframe_waveform(CARRIER, [tx])
        if subframe in missed:
            told += under_test.skip(subframe)
        else:
            told += under_test.receive(subframe, scfdma.demodulate(CARRIER, iq))
    return told


def first_subframes(n: int) -> tuple[int, ...]:
    return tuple(subframe for subframe, *_ in SENT[:n])


def test_a_clear_block_needs_one_transmission_and_unused_ones_make_no_noise() -> None:
    (block,) = received(receiver(), 20)
    assert block.crc_ok and block.crc_ok_at == block.n_transmissions == 1
    assert block.transport_block == BLOCK
    assert block.subframes == first_subframes(1)
    assert block.prbs == POOL.prbs(2, WIDTH)


def test_a_weak_block_is_combined() -> None:
    (block,) = received(receiver(), 0)
    assert block.crc_ok
    assert block.crc_ok_at > 1
    assert block.transport_block == BLOCK


def test_a_block_that_never_decodes_is_told_after_its_last_transmission() -> None:
    (block,) = received(receiver(), -5.5)
    assert not block.crc_ok and block.crc_ok_at == 0
    assert block.transport_block == b""
    assert block.subframes == first_subframes(4)


def test_missed_subframes_are_left_out() -> None:
    (block,) = received(receiver(), 15, missed=frozenset(first_subframes(2)))
    assert block.crc_ok
    assert block.subframes[0] == first_subframes(3)[-1]


def test_a_block_missed_altogether_is_not_told() -> None:
    assert received(receiver(), 20, missed=frozenset(first_subframes(4))) == []


def test_other_destinations_are_not_followed() -> None:
    assert received(receiver(listen_ids={76, 78}), 20) == []
    assert len(received(receiver(listen_ids={77}), 20)) == 1


def test_the_number_of_scis_followed_is_bounded() -> None:
    assert received(receiver(max_active_sci=0), 20) == []


def test_unsound_scis_are_ignored() -> None:
    under_test = receiver()
    for field in (
        {"riv": 127},
        {"i_trp": 107},
        {"mcs": 31},
        {"riv": encode_riv(0, 7, 15)},
        {"riv": encode_riv(12, 3, 15)},
    ):
        under_test.follow(2, SciFormat0(**{**{name: getattr(SCI, name) for name in SCI.__slots__}, **field}))
    assert not any(under_test.is_due(subframe) for subframe in range(40))


def test_symbols_are_shown() -> None:
    shown: list[Iq] = []
    received(receiver(on_symbols=shown.append), 25)
    (symbols,) = shown
    assert symbols.ndim == 1
    assert np.mean(np.abs(symbols) ** 2) < 1.1


def test_silence_is_not_a_block_of_zeros() -> None:
    under_test = receiver()
    under_test.follow(2, SCI)
    silence = np.zeros((CARRIER.n_symbols, CARRIER.n_subcarriers), dtype=np.complex64)
    assert [told for subframe in range(4, 40) for told in under_test.receive(subframe, silence)] == []


def test_a_grant_whose_sci_is_missed_is_expected_once_more_and_again_while_it_brings_blocks() -> None:
    under_test = receiver()
    assert len(received(under_test, 20)) == 1
    for period in (1, 2):
        (block,) = received(under_test, 20, scis=(), period=period)
        assert block.crc_ok and block.transport_block == BLOCK
    assert received(under_test, 20, scis=(), period=3, is_sent=False) == []
    assert received(under_test, 20, scis=(), period=4) == [], "a guess that brought nothing is not made again"


def test_a_guess_that_fails_is_not_told() -> None:
    """Another UE's block may stand there, which this one could never decode."""
    under_test = receiver()
    received(under_test, 20)
    assert received(under_test, -5.5, scis=(), period=1) == []
    assert len(received(receiver(), -5.5)) == 1


def test_nothing_is_guessed_where_an_sci_is_heard_or_a_period_is_missing() -> None:
    moved = SciFormat0(riv=encode_riv(8, WIDTH, 15), i_trp=41, mcs=MCS, group_destination_id=77)
    under_test = receiver()
    received(under_test, 20)
    assert received(under_test, 20, scis=(moved,), period=1) == []
    under_test = receiver()
    received(under_test, 20)
    assert received(under_test, 20, scis=(), period=2) == []
    under_test = receiver(listen_ids={76})
    received(under_test, 20)
    assert received(under_test, 20, scis=(), period=1) == []
