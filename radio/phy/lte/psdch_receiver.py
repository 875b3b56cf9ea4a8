"""PSDCH reception of one discovery pool: tries every resource that carries a reference signal, combines repeats.

Nothing announces a discovery message, so every pair of PRBs of the pool may hold one in each of its subframes. A
correlation with the fixed reference signal, for all pairs at once, tells which are worth a decoding attempt. A message
is repeated in the following subframes of its group on PRBs that follow from its resource number, so its soft bits are
added up by resource and decoded after each. What decoded is not tried again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from radio.arrays import Grid
from radio.phy.dsp.bitfields import bits_to_bytes
from radio.phy.dsp.modulation import QPSK
from radio.phy.lte.channels.indications import DiscoveryReceived
from radio.phy.lte.channels.psdch import MESSAGE_BITS, receive_psdch
from radio.phy.lte.channels.sl_sch import SlSchSoftBuffer, decode_transport_blocks
from radio.phy.lte.grid.dmrs import psdch_dmrs
from radio.phy.lte.grid.layout import Mode, communication_layout
from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB, Carrier
from radio.phy.lte.pools.mode2 import DiscPool
from radio.phy.lte.survey.dmrs_search import dmrs_coherence

_MIN_COHERENCE = 0.2
"""Noise alone exceeds this on one resource in six; a signal at -4 dB seldom falls short of it."""
_MIN_RELATIVE_ENERGY = 1e-5
"""A candidate this far below the strongest one of the subframe is leakage, not a transmission."""


@dataclass(slots=True, kw_only=True)
class _Message:
    """A discovery message of which some transmissions have been received."""

    buffer: SlSchSoftBuffer = field(default_factory=lambda: SlSchSoftBuffer(MESSAGE_BITS))
    subframes: list[int] = field(default_factory=list)
    snrs: list[float] = field(default_factory=list)
    is_done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidates:
    """Resources with a transmission in one subframe of the pool: n_PSDCH and first PRB of each."""

    resources: tuple[int, ...]
    prbs: tuple[int, ...]
    first_subcarriers: npt.NDArray[np.int64]
    rv: int


@lru_cache(maxsize=1024)
def _candidates(pool: DiscPool, index: int) -> _Candidates | None:
    """Candidates in the pool's subframe number `index`; None in subframes that belong to no resource."""
    group, transmission = divmod(index, pool.num_retx + 1)
    if group >= pool.n_t:
        return None
    resources = tuple(a * pool.n_t + group for a in range(pool.n_f))
    places = [pool.transmissions(0, n)[transmission] for n in resources]
    prbs = tuple(prb for _, prb, _, _ in places)
    return _Candidates(
        resources=resources,
        prbs=prbs,
        first_subcarriers=np.array(prbs, dtype=np.int64) * SUBCARRIERS_PER_PRB,
        rv=places[0][3],
    )


class DiscoveryReceiver:
    """All PSDCH reception of one UE in one pool."""

    def __init__(self, carrier: Carrier, pool: DiscPool) -> None:
        self._carrier = carrier
        self._pool = pool
        self._dmrs_symbols = np.array(communication_layout(Mode.TM12, carrier.cp).dmrs)
        self._messages: dict[int, _Message] = {}
        self._group = (0, -1)

    def is_due(self, subframe: int) -> bool:
        """Whether `subframe` is in the pool."""
        return subframe in self._pool.psdch_subframes(self._pool.period_of(subframe))

    def receive(self, subframe: int, grid: Grid) -> list[DiscoveryReceived]:
        """Receive every PSDCH resource with energy in a subframe of the pool.

        `grid` is complex64 (n_symbols, 12 * N_RB^SL) of any amplitude. Returns the messages whose CRC holds.
        """
        period = self._pool.period_of(subframe)
        index = self._pool.psdch_subframes(period).index(subframe)
        candidates = _candidates(self._pool, index)
        if candidates is None:
            return []
        group = (period, index // (self._pool.num_retx + 1))
        if group != self._group:
            self._group = group
            self._messages.clear()
        tried = [
            (prb, self._combine(subframe, grid, resource, prb, candidates.rv))
            for resource, prb in self._with_signal(grid, candidates)
        ]
        decoded = decode_transport_blocks([message.buffer for _, message in tried])
        indications = []
        for (prb, message), result in zip(tried, decoded, strict=True):
            if result.crc_ok:
                message.is_done = True
                indications.append(
                    DiscoveryReceived(
                        subframes=tuple(message.subframes),
                        prb=prb,
                        message=bits_to_bytes(result.bits),
                        n_transmissions=len(message.subframes),
                        snr_db=10 * math.log10(sum(message.snrs) / len(message.snrs)),
                    )
                )
        return indications

    def _with_signal(self, grid: Grid, candidates: _Candidates) -> list[tuple[int, int]]:
        """(n_PSDCH, PRB) of the resources worth a decoding attempt."""
        coherence, energy = dmrs_coherence(grid, candidates.first_subcarriers, self._dmrs_symbols, psdch_dmrs())
        worth = (coherence > _MIN_COHERENCE) & (energy > _MIN_RELATIVE_ENERGY * energy.max())
        chosen = [(candidates.resources[i], candidates.prbs[i]) for i in np.flatnonzero(worth)]
        return [(n, prb) for n, prb in chosen if n not in self._messages or not self._messages[n].is_done]

    def _combine(self, subframe: int, grid: Grid, resource: int, prb: int, rv: int) -> _Message:
        message = self._messages.setdefault(resource, _Message())
        received = receive_psdch(self._carrier, grid, prb)
        message.buffer.combine(received.llrs, QPSK, rv)
        message.subframes.append(subframe)
        message.snrs.append(10 ** (received.snr_db / 10))
        return message
