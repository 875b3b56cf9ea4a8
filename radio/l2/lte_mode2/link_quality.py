"""How well each peer is heard, and the highest MCS that its SNR carries.

A UE gets no report of how well it is heard. It takes channels as reciprocal: the signal of the peer's own blocks says
how well the peer will hear. A single measurement may have been spoilt by a collision, which passes, so the best of the
last few counts. An MCS is used where a Gaussian channel would carry it with a margin (`snr_margin_db`): the margin
stands for fading and for what the decoder falls short of capacity. A peer that was never measured gets a fixed limit.

Signalling has other limits: it must arrive. Above the robust MCS it takes one only with a margin in which a channel may
fade (`_SIGNALLING_MARGIN_DB`), and below the robust MCS it goes where the four transmissions of a block together would
not carry that. The median of the last measurements counts. A peer that was never measured counts as the weakest UE
heard recently: a UE that is called has been heard, at least by its announcements.
"""

from __future__ import annotations

import math
import statistics
from collections import OrderedDict, deque
from functools import lru_cache

from radio.l2.lte_mode2.config import Mode2Config
from radio.phy.lte.grid.tbs import transport_block_size

_MAX_PEERS = 256
_REMEMBERED = 8
"""Measurements of a peer's signal that count: the best of them is the link without collisions, which pass."""
_SIGNALLING_MARGIN_DB = 10.0
_COMBINING_GAIN_DB = 6.0
"""Of the four transmissions of a block over one."""
_REFERENCE_PRB = 25
_DATA_SYMBOLS = 11
"""SC-FDMA symbols of a PSSCH subframe that carry data: 14, less 2 of DMRS and the last (TS 36.211 9.3, 9.8)."""
_SUBCARRIERS = 12


@lru_cache(maxsize=32)
def capacity_snr_db(mcs: int) -> float:
    """SNR in dB at which a Gaussian channel just carries one transmission at `mcs`."""
    n_re = _REFERENCE_PRB * _SUBCARRIERS * _DATA_SYMBOLS
    return 10 * math.log10(2 ** (transport_block_size(mcs, _REFERENCE_PRB) / n_re) - 1)


class LinkQuality:
    """The best SNR lately by peer; the peer longest unheard is forgotten first."""

    def __init__(self, config: Mode2Config) -> None:
        self._config = config
        self._snrs_db: OrderedDict[int, deque[float]] = OrderedDict()
        self._anyones_db: deque[float] = deque(maxlen=_REMEMBERED)

    def note(self, peer_l2: int, snr_db: float) -> None:
        """Take a measurement of a peer's signal."""
        if not math.isfinite(snr_db):
            return
        self._snrs_db.setdefault(peer_l2, deque(maxlen=_REMEMBERED)).append(snr_db)
        self._snrs_db.move_to_end(peer_l2)
        if len(self._snrs_db) > _MAX_PEERS:
            self._snrs_db.popitem(last=False)

    def note_anyone(self, snr_db: float) -> None:
        """Take a measurement of some UE's signal, whose layer-2 id it does not tell."""
        if math.isfinite(snr_db):
            self._anyones_db.append(snr_db)

    def mcs_limit(self, peer_l2: int) -> int:
        """The highest MCS to use towards a peer; channels are taken as reciprocal."""
        snrs_db = self._snrs_db.get(peer_l2)
        if not snrs_db:
            return min(self._config.max_mcs, self._config.unmeasured_mcs)
        return self._highest(max(snrs_db) - self._config.snr_margin_db)

    def signalling_mcs_limit(self, peer_l2: int) -> int:
        """The highest MCS to use for signalling towards a peer, or a group."""
        snrs_db = self._snrs_db.get(peer_l2)
        if not snrs_db and not self._anyones_db:
            return self._config.robust_mcs
        snr_db = statistics.median(snrs_db) if snrs_db else min(self._anyones_db)
        least = self._highest(snr_db + _COMBINING_GAIN_DB - self._config.snr_margin_db)
        return max(min(self._config.robust_mcs, least), self._highest(snr_db - _SIGNALLING_MARGIN_DB))

    def _highest(self, carried_db: float) -> int:
        mcss = range(self._config.max_mcs + 1)
        return max((mcs for mcs in mcss if capacity_snr_db(mcs) <= carried_db), default=0)
