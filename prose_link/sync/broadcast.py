"""The signals of a UE that others may follow: SLSS, and the PSBCH with the UE's own count of frames."""

from __future__ import annotations

from dataclasses import replace

from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.transmissions import SlssTx
from radio.phy.lte.grid.numerology import SUBFRAMES_PER_DFN_CYCLE

_SUBFRAMES_PER_FRAME = 10


def slss_tx(n_sl_id: int, subframe: int, like: MibSl) -> SlssTx:
    """SLSS and PSBCH in `subframe` of the UE's own count; all but the numbers of the MIB-SL as in `like`."""
    dfn, number = divmod(subframe % SUBFRAMES_PER_DFN_CYCLE, _SUBFRAMES_PER_FRAME)
    return SlssTx(n_sl_id=n_sl_id, mib=replace(like, dfn=dfn, subframe=number))
