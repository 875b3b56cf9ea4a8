"""How strong a UE out of coverage sends, as an amplitude of its resource elements.

Open-loop control asks for 10 log10(M) + P0 + alpha PL over the M PRBs of a transmission, and the configured maximum
P_CMAX limits it. A preconfiguration has P0 alone: without a serving cell there is no path loss to make up for.

A lab's UE has its maximum power, `max_tx_power_dbm`, where it fills the whole channel, and never more than that
density: its P_CMAX over M of N PRBs is the maximum less 10 log10(N / M). So a resource element at the limit has
amplitude 1 whatever M is, no transmitter is driven above what it has for a full channel, and a P0 that asks for more
than the limit changes no sample.
"""

from __future__ import annotations

import math

from radio.phy.lte.channels.transmissions import PscchTx, PsdchTx, PsschTx, SlssTx, Transmission
from radio.phy.lte.pools.mode2 import SidelinkPools
from radio.phy.lte.pools.power_control import (
    N_PSCCH_PRBS,
    N_PSDCH_PRBS,
    N_PSSS_PRBS,
    pscch_power_dbm,
    psdch_power_dbm,
    pssch_power_dbm,
    slss_powers_dbm,
)

_NO_PATH_LOSS_DB = 0.0
"""There is no serving cell to measure it to."""


def transmit_amplitude(pools: SidelinkPools, transmission: Transmission) -> float:
    """The amplitude of a transmission's resource elements, 1.0 at the most.

    Args:
        pools: the pools with their transmit parameters; communication and discovery go out in the first of each.
        transmission: what is to be sent.

    Raises:
        radio.phy.lte.pools.power_control.PowerControlError: an allocation without PRBs.
    """
    match transmission:
        case SlssTx():
            n_prb, limit_dbm = N_PSSS_PRBS, _limit_dbm(pools, N_PSSS_PRBS)
            powers = slss_powers_dbm(pools.sync.tx, _NO_PATH_LOSS_DB, limit_dbm, limit_dbm)
            power_dbm = powers.psss_and_psbch_dbm
        case PsdchTx():
            n_prb, limit_dbm = N_PSDCH_PRBS, _limit_dbm(pools, N_PSDCH_PRBS)
            power_dbm = psdch_power_dbm(pools.disc[0].tx, _NO_PATH_LOSS_DB, limit_dbm) if pools.disc else limit_dbm
        case PscchTx():
            n_prb, limit_dbm = N_PSCCH_PRBS, _limit_dbm(pools, N_PSCCH_PRBS)
            power_dbm = pscch_power_dbm(pools.comm[0].sc_tx, _NO_PATH_LOSS_DB, limit_dbm) if pools.comm else limit_dbm
        case PsschTx(prbs=prbs):
            n_prb = len(prbs)
            limit_dbm = _limit_dbm(pools, n_prb)
            power_dbm = (
                pssch_power_dbm(n_prb, pools.comm[0].data_tx, _NO_PATH_LOSS_DB, limit_dbm) if pools.comm else limit_dbm
            )
    return 10 ** ((power_dbm - limit_dbm) / 20)


def _limit_dbm(pools: SidelinkPools, n_prb: int) -> float:
    """P_CMAX over `n_prb` PRBs."""
    return pools.max_tx_power_dbm + 10 * math.log10(n_prb / pools.n_prb)
