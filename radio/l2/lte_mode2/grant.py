"""A sidelink grant of transmission mode 2 for one SC period, and how it is played out (TS 36.321 5.14.1.1).

A grant is chosen once a period, announced by an SCI that is sent twice, and kept to until the period ends. It has room
for a number of transport blocks of one size, each sent four times. A block is built when its first transmission is due,
not when the grant is chosen: what came in meanwhile goes along. Where nothing is left to send, the rest of the grant is
silent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from radio.l2.rlc_um_pdu import SN_MODULUS
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.channels.transmissions import PscchTx, PsschTx
from radio.phy.lte.grid.tbs import transport_block_size
from radio.phy.lte.pools.mode2 import RV_SEQUENCE, CommPool


@dataclass(frozen=True, slots=True, kw_only=True)
class SlGrant:
    """What a UE announces in one SCI and keeps to for an SC period.

    `pscch` holds (subframe, PRB), `pssch` (subframe, n_ssf, transport block index, rv) of each transmission.
    """

    period: int
    dst_l2: int
    sci: SciFormat0
    n_pscch: int
    first_prb: int
    n_prb: int
    pscch: tuple[tuple[int, int], ...]
    pssch: tuple[tuple[int, int, int, int], ...]

    @property
    def tb_octets(self) -> int:
        """Octets of each transport block."""
        return transport_block_size(self.sci.mcs, self.n_prb) // 8

    @property
    def n_tb(self) -> int:
        """Transport blocks there is room for in the period."""
        return len(self.pssch) // len(RV_SEQUENCE)


def least_sn_cycle_subframes(pool: CommPool) -> int:
    """The least time between the arrivals of a sender's block and of the 33rd after it: 32 blocks lie between them.

    RLC sequence numbers come round in it (TS 36.322 6.2.3.3). A period has room for so many blocks of a sender, so that
    34 of them take so many periods; at the least each of the 32 takes four subframes.
    """
    step = len(RV_SEQUENCE)
    most = max(len(pool.pssch_transmissions(0, i_trp)) // step for i_trp in pool.i_trps)
    if not most:
        return step * SN_MODULUS
    subframes = pool.pssch_subframes(0)
    whole_periods = -(-(SN_MODULUS + 2) // most) - 2
    pause = pool.sc_period - (subframes[-1] - subframes[0])
    return max(step * SN_MODULUS, whole_periods * pool.sc_period + pause)


class ActiveGrant:
    """Plays a grant out subframe by subframe; a transport block is built when its first transmission is due.

    Args:
        grant: the grant.
        build: makes the next transport block of a number of octets, first sent in a subframe; None where nothing is
            left to send.
    """

    def __init__(self, grant: SlGrant, pool: CommPool, build: Callable[[int, int], bytes | None]) -> None:
        self.grant = grant
        self._pool = pool
        self._build = build
        self._tb_index = -1
        self._transport_block: bytes | None = None

    def transmissions(self, subframe: int) -> list[PscchTx | PsschTx]:
        """What the grant sends in `subframe`."""
        control = [PscchTx(prb=prb, sci=self.grant.sci) for s, prb in self.grant.pscch if s == subframe]
        data = [self._pssch(*place) for place in self.grant.pssch if place[0] == subframe]
        return [*control, *(tx for tx in data if tx is not None)]

    def _pssch(self, subframe: int, n_ssf: int, tb_index: int, rv: int) -> PsschTx | None:
        if rv == RV_SEQUENCE[0]:
            self._tb_index = tb_index
            self._transport_block = self._build(self.grant.tb_octets, subframe)
        if self._transport_block is None or self._tb_index != tb_index:
            return None
        return PsschTx(
            prbs=self._pool.prbs(self.grant.first_prb, self.grant.n_prb, n_ssf),
            mcs=self.grant.sci.mcs,
            n_id_sa=self.grant.sci.group_destination_id,
            n_ssf=n_ssf,
            rv=rv,
            transport_block=self._transport_block,
        )
