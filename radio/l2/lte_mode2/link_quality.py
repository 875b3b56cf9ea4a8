"""How well each peer is heard, and the highest MCS that its SNR carries.

A UE gets no report of how well it is heard. It takes channels as reciprocal: the signal of the peer's own blocks says
how well the peer will hear. A single measurement may have been spoilt by a collision, which passes, so the best of the
last few counts. An MCS is used where a Gaussian channel would carry it with a margin (`snr_margin_db`): the margin
stands for fading and for what the decoder falls short of capacity. A peer that was never measured gets a fixed limit.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from functools import lru_cache

from radio.l2.lte_mode2.config import Mode2Config
from radio.phy.lte.grid.tbs import transport_block_size

_MAX_PEERS = 256
_REMEMBERED = 8
"""Measurements of a peer's signal that count: the best of them is the link without collisions, which pass."""
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

    def note(self, peer_l2: int, snr_db: float) -> None:
        """Take a measurement of a peer's signal."""
        if not math.isfinite(snr_db):
            return
        self._snrs_db.setdefault(peer_l2, deque(maxlen=_REMEMBERED)).append(snr_db)
        self._snrs_db.move_to_end(peer_l2)
        if len(self._snrs_db) > _MAX_PEERS:
            self._snrs_db.popitem(last=False)

    def mcs_limit(self, peer_l2: int, *, robust: bool) -> int:
        """The highest MCS to use towards a peer, `robust` for signalling; channels are taken as reciprocal."""
        highest = self._config.robust_mcs if robust else self._config.max_mcs
        snrs_db = self._snrs_db.get(peer_l2)
        if not snrs_db:
            return min(highest, self._config.unmeasured_mcs)
        carried = max(snrs_db) - self._config.snr_margin_db
        return max((mcs for mcs in range(highest + 1) if capacity_snr_db(mcs) <= carried), default=0)
