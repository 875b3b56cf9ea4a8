"""A pool, a protector that shows what it did, and an air between stacks, for the tests of layer 2."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from radio.l2.pdcp import ProtectionError
from radio.l2.stack import L2Config, L2Indication, L2Stack
from radio.phy.lte.channels.indications import TransportBlockReceived
from radio.phy.lte.channels.transmissions import PsschTx
from radio.phy.lte.pools.mode2 import CommPool


class XorProtector:
    """Reversible, checkable, no cryptography: data xor 0x55, MAC-I a sum over header, data and SN."""

    def __init__(self) -> None:
        self.given: list[tuple[int, int, int]] = []
        self._next: dict[tuple[int, int], int] = {}

    def next_sn(self, dst_l2: int, kd_sess_id: int, lcid: int) -> int:
        if kd_sess_id == 0xDEAD:
            raise ProtectionError("no context")
        sn = self._next[kd_sess_id, lcid] = self._next.get((kd_sess_id, lcid), 0) + 1
        self.given.append((kd_sess_id, lcid, sn))
        return sn

    def seal(self, dst_l2: int, kd_sess_id: int, sn: int, lcid: int, header: bytes, data: bytes) -> tuple[bytes, bytes]:
        return _xor(data), _tag(kd_sess_id, sn, lcid, header + data)

    def open(
        self, src_l2: int, dst_l2: int, kd_sess_id: int, sn: int, lcid: int, header: bytes, data: bytes, mac_i: bytes
    ) -> bytes:
        plain = _xor(data)
        if mac_i != _tag(kd_sess_id, sn, lcid, header + plain):
            raise ProtectionError("MAC-I")
        return plain


class XorGroupProtector:
    """The same for groups; the layer-2 id that is given up gets the next one."""

    def __init__(self, sender_l2: int = 0xABCDEF) -> None:
        self.sender_l2 = sender_l2
        self._sn = 0

    def gives_up(self, src_l2: int) -> bool:
        taken = src_l2 == self.sender_l2
        self.sender_l2 += taken
        return taken

    def next_key(self, group_l2: int, lcid: int) -> tuple[int, int, int]:
        self._sn += 1
        return 5, 0x1234, self._sn

    def seal(self, group_l2: int, pgk_index: int, ptk_id: int, sn: int, lcid: int, data: bytes) -> bytes:
        return _xor(data)

    def open(self, src_l2: int, group_l2: int, pgk_index: int, ptk_id: int, sn: int, lcid: int, data: bytes) -> bytes:
        if (pgk_index, ptk_id) != (5, 0x1234):
            raise ProtectionError("no such key")
        return _xor(data)


def _xor(data: bytes) -> bytes:
    return bytes(octet ^ 0x55 for octet in data)


def _tag(kd_sess_id: int, sn: int, lcid: int, octets: bytes) -> bytes:
    return (sum(octets) + 7 * kd_sess_id + 11 * sn + lcid).to_bytes(4, "big")


@pytest.fixture
def pool() -> CommPool:
    return CommPool(
        n_rb_sl=50,
        sc_bitmap="01111" + "0" * 35,
        sc_prb_num=25,
        sc_prb_start=0,
        sc_prb_end=49,
        data_offset=5,
        data_bitmap="1" * 32 + "0" * 8,
        data_prb_num=25,
        data_prb_start=0,
        data_prb_end=49,
        trpt_subset="111",
    )


@pytest.fixture
def group_keys() -> Callable[..., XorGroupProtector]:
    return XorGroupProtector


@pytest.fixture
def make_stack(pool: CommPool) -> Callable[..., L2Stack]:
    def make(own_l2_id: int, *, seed: int = 1, config: L2Config | None = None, **more: object) -> L2Stack:
        more.setdefault("protector", XorProtector())
        return L2Stack(own_l2_id, pool, rng=np.random.default_rng(seed), config=config, **more)  # type: ignore[arg-type]

    return make


def received(block: bytes, n_id_sa: int, subframe: int = 0, *, crc_ok: bool = True) -> TransportBlockReceived:
    return TransportBlockReceived(
        subframes=(subframe,),
        n_id_sa=n_id_sa,
        mcs=5,
        prbs=(0,),
        n_transmissions=1,
        crc_ok=crc_ok,
        crc_ok_at=int(crc_ok),
        transport_block=block,
        snr_db=20.0,
        evm_db=-20.0,
    )


@pytest.fixture
def block_received() -> Callable[..., TransportBlockReceived]:
    return received


@pytest.fixture
def run_air(pool: CommPool) -> Callable[..., list[L2Indication]]:
    """Runs stacks over an air that loses what `lose(subframe, tx)` says; gives all indications of the last one."""

    def run(
        stacks: Iterable[L2Stack], n_periods: int, lose: Callable[[int, PsschTx], bool] = lambda *_: False
    ) -> list[L2Indication]:
        *senders, receiver = stacks
        indications: list[L2Indication] = []
        for subframe in range(pool.period_start(n_periods)):
            for sender in senders:
                if subframe == pool.period_start(pool.period_of(subframe)):
                    sender.start_period(pool.period_of(subframe))
                for tx in sender.transmissions(subframe):
                    if isinstance(tx, PsschTx) and tx.rv == 0 and not lose(subframe, tx):
                        indications += receiver.receive(received(tx.transport_block, tx.n_id_sa, subframe))
        return indications

    return run
