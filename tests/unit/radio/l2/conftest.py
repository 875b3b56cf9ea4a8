"""A pool, a protector that shows what it did, and an air between stacks, for the tests of layer 2."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from radio.l2.blocks import ReceivedBlock
from radio.l2.config import L2Config
from radio.l2.indications import BlockAddressed, Dropped, DropReason, Observer, PduReceived, SduReceived
from radio.l2.lte_mode2.config import Mode2Config
from radio.l2.lte_mode2.grant import SlGrant
from radio.l2.lte_mode2.scheduler import Mode2Scheduler
from radio.l2.pdcp import MAX_OVERHEAD_OCTETS, GroupProtector, PdcpSdu, ProtectionError, Protector
from radio.l2.pdcp_entity import PdcpEntity
from radio.l2.stack import L2Stack
from radio.phy.lte.channels.transmissions import PscchTx, PsschTx
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

    def give_up_sender(self, src_l2: int) -> bool:
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


class Station:
    """PDCP, MAC and RLC, and the scheduler of one UE, put together as its access and its node do."""

    def __init__(
        self,
        own_l2_id: int,
        pool: CommPool,
        *,
        seed: int,
        config: L2Config | None,
        mode_2: Mode2Config | None,
        protector: Protector,
        groups: GroupProtector | None,
        observer: Observer | None,
    ) -> None:
        self.pdcp = PdcpEntity(own_l2_id, protector, groups, observer=observer)
        self.mac = L2Stack(own_l2_id, config, group_sender=lambda: self.pdcp.group_sender_l2, observer=observer)
        self.scheduler = Mode2Scheduler(own_l2_id, pool, self.mac, np.random.default_rng(seed), mode_2)

    def join_group(self, group_l2: int) -> None:
        self.pdcp.join_group(group_l2)
        self.mac.join_group(group_l2)

    def leave_group(self, group_l2: int) -> None:
        self.pdcp.leave_group(group_l2)
        self.mac.leave_group(group_l2)

    def send(self, sdu: PdcpSdu) -> None:
        self.mac.check_room(self.pdcp.addresses_of(sdu), sdu.lcid, len(sdu.data) + MAX_OVERHEAD_OCTETS)
        self.mac.send(self.pdcp.send(sdu))

    def queued_octets(self, dst_l2: int) -> int:
        return self.mac.queued_octets(dst_l2)

    def start_period(self, period: int) -> SlGrant | None:
        return self.scheduler.start_period(period)

    def transmissions(self, subframe: int) -> list[PscchTx | PsschTx]:
        return self.scheduler.transmissions(subframe)

    def receive(self, block: ReceivedBlock) -> list[SduReceived | Dropped]:
        indications: list[SduReceived | Dropped] = []
        for heard in self.mac.receive(block):
            match heard:
                case PduReceived():
                    indications.append(self.pdcp.receive(heard))
                case Dropped():
                    if heard.reason is DropReason.SENDER_TAKEN and self.pdcp.give_up_sender(heard.src_l2):
                        self.mac.forget_groups_from(heard.src_l2)
                    indications.append(heard)
                case BlockAddressed(src_l2=src_l2):
                    self.scheduler.note_quality(src_l2, 20.0)
        return indications


@pytest.fixture
def make_stack(pool: CommPool) -> Callable[..., Station]:
    def make(
        own_l2_id: int,
        *,
        seed: int = 1,
        config: L2Config | None = None,
        mode_2: Mode2Config | None = None,
        groups: GroupProtector | None = None,
        observer: Observer | None = None,
    ) -> Station:
        return Station(
            own_l2_id,
            pool,
            seed=seed,
            config=config,
            mode_2=mode_2,
            protector=XorProtector(),
            groups=groups,
            observer=observer,
        )

    return make


def received(block: bytes, destination_octet: int, subframe: int = 0) -> ReceivedBlock:
    return ReceivedBlock(octets=block, destination_octet=destination_octet, subframe=subframe)


@pytest.fixture
def block_received() -> Callable[..., ReceivedBlock]:
    return received


@pytest.fixture
def run_air(pool: CommPool) -> Callable[..., list[SduReceived | Dropped]]:
    """Runs stacks over an air that loses what `lose(subframe, tx)` says; gives all indications of the last one."""

    def run(
        stacks: Iterable[Station], n_periods: int, lose: Callable[[int, PsschTx], bool] = lambda *_: False
    ) -> list[SduReceived | Dropped]:
        *senders, receiver = stacks
        indications: list[SduReceived | Dropped] = []
        for subframe in range(pool.period_start(n_periods)):
            for sender in senders:
                if subframe == pool.period_start(pool.period_of(subframe)):
                    sender.start_period(pool.period_of(subframe))
                for tx in sender.transmissions(subframe):
                    if isinstance(tx, PsschTx) and tx.rv == 0 and not lose(subframe, tx):
                        indications += receiver.receive(received(tx.transport_block, tx.n_id_sa, subframe))
        return indications

    return run
