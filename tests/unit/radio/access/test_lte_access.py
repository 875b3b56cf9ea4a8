"""The LTE access by itself: what it does without hearing anything."""

from __future__ import annotations

import numpy as np

from radio.access.lte import LteSettings, LteSidelink
from radio.access.protocol import PdusReceived
from radio.l2.blocks import ReceivedBlock
from radio.l2.config import L2Config
from radio.l2.mac_pdu import MacPdu, MacSdu, MacVersion, encode_mac_pdu
from radio.l2.rlc_um_pdu import UmdPdu, encode_umd
from radio.phy.lte.pools.mode2 import CommPool, SidelinkPools, SyncConfig

A, B = 0xABCDEF, 0x123456
POOL = CommPool(
    n_rb_sl=6,
    sc_bitmap="01111",
    sc_prb_num=3,
    sc_prb_start=0,
    sc_prb_end=5,
    data_offset=5,
    data_bitmap="1" * 32 + "0" * 8,
    data_prb_num=3,
    data_prb_start=0,
    data_prb_end=5,
)
POOLS = SidelinkPools(n_prb=6, sync=SyncConfig(offset_indicators=(0,)), comm=(POOL,))


def access_of(**layer_2: int) -> LteSidelink:
    settings = LteSettings(own_l2_id=B, listen_l2_ids=(B,), tx_lead_subframes=4, layer_2=L2Config(**layer_2))
    access = LteSidelink(POOLS, settings, np.random.default_rng(1))
    access.become_sync_ref(0, 0)
    return access


def block(sn: int, data: bytes, *, ends: bool = True) -> ReceivedBlock:
    rlc = encode_umd(UmdPdu(sn=sn, starts=True, ends=ends, elements=(data,)))
    pdu = MacPdu(version=MacVersion.UNICAST, src=A, dst=B >> 8, sdus=(MacSdu(lcid=28, data=rlc),))
    return ReceivedBlock(octets=encode_mac_pdu(pdu, 40), destination_octet=B & 0xFF, subframe=0)


def silent_subframe(access: LteSidelink, subframe: int) -> list[PdusReceived]:
    n = access.sample_rate_hz // 1000
    heard = access.receive(np.zeros(n, dtype=np.complex64), subframe * n)
    return [indication for indication in heard if isinstance(indication, PdusReceived)]


def test_t_reordering_runs_while_nothing_is_heard() -> None:
    access = access_of(um_window_size=16, t_reordering_subframes=7)
    for sn in (0, 2):
        access._layer_2.receive(block(sn, b"pdu %d" % sn))
    brought = {n: items for n in range(20) if (items := silent_subframe(access, n))}
    ((_, ((told,),)),) = [(n, [one.items for one in items]) for n, items in brought.items()]
    assert told.data == b"pdu 2"
    assert 6 <= min(brought) <= 8


def test_parts_of_sdus_age_as_fast_as_the_pool_may_bring_their_numbers_again() -> None:
    access = access_of()
    access._layer_2.receive(block(0, b"first half", ends=False))
    lost_at = None
    for n in range(400):
        silent_subframe(access, n)
        if lost_at is None and access._layer_2.statistics.rlc_lost:
            lost_at = n
    assert lost_at is not None
    assert 287 <= lost_at <= 290
