"""How well each peer is heard, and the highest MCS that its SNR carries."""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import lru_cache

from radio.l2.config import L2Config
from radio.phy.tbs import transport_block_size

_MAX_PEERS = 256
_SMOOTHING = 0.25
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
    """Smoothed SNR by peer; the peer longest unheard is forgotten first."""

    def __init__(self, config: L2Config) -> None:
        self._config = config
        self._snr_db: OrderedDict[int, float] = OrderedDict()

    def note(self, peer_l2: int, snr_db: float) -> None:
        """Take a measurement of a peer's signal."""
        if not math.isfinite(snr_db):
            return
        before = self._snr_db.pop(peer_l2, snr_db)
        self._snr_db[peer_l2] = before + _SMOOTHING * (snr_db - before)
        if len(self._snr_db) > _MAX_PEERS:
            self._snr_db.popitem(last=False)

    def mcs_limit(self, peer_l2: int, *, robust: bool) -> int:
        """The highest MCS to use towards a peer, `robust` for signalling; channels are taken as reciprocal."""
        highest = self._config.robust_mcs if robust else self._config.max_mcs
        snr_db = self._snr_db.get(peer_l2)
        if snr_db is None:
            return min(highest, self._config.unmeasured_mcs)
        carried = snr_db - self._config.snr_margin_db
        return max((mcs for mcs in range(highest + 1) if capacity_snr_db(mcs) <= carried), default=0)
