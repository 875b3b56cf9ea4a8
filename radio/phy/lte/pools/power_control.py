"""Open-loop transmit power of the sidelink channels (TS 36.213 14.1.1.5, 14.2.1.3, 14.3.1, 14.4).

A UE sends a channel over M PRBs at min(P_CMAX, 10 log10(M) + P_O + alpha PL): enough to arrive at P_O in each PRB if
alpha is 1, less than that far away if alpha is smaller, so that cell edges disturb less. PL is the path loss to the
serving cell, not to the peer: it protects the uplink. Out of coverage there is no PL and preconfiguration gives P_O.
A grant of mode 1 may ask for the maximum power instead.

Powers are in dBm over the whole allocation, path loss in dB; `p_cmax_dbm` is the configured maximum power of the
channel at hand (TS 36.101 6.2.5D).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from radio.errors import RadioError

_ALPHAS = (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Values of alpha-r12 (TS 36.331 6.3.8 SL-TxParameters)."""
_P0_RANGE_DBM = (-126, 31)
"""P0-SL-r12 (TS 36.331 6.3.8)."""
N_PSCCH_PRBS = 1
N_PSDCH_PRBS = 2
N_PSSS_PRBS = 6
N_V2X_PSCCH_PRBS = 2
_V2X_PSCCH_BOOST = 10**0.3
"""A PRB of the V2X PSCCH carries 3 dB more than one of its PSSCH (TS 36.213 14.1.1.5, 14.2.1.3)."""


MAX_TX_POWER_DBM = 23
"""Of a UE of power class 3 (TS 36.101 6.2.2)."""


class PowerControlError(RadioError):
    """Power control parameters outside what RRC can carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlTxParameters:
    """SL-TxParameters of a resource configuration: P_O and the share of the path loss made up for.

    Raises PowerControlError.
    """

    p0_dbm: int = 23
    """The default asks for more than any UE has: the limit decides."""
    alpha: float = 0.0

    def __post_init__(self) -> None:
        low, high = _P0_RANGE_DBM
        if not low <= self.p0_dbm <= high:
            raise PowerControlError(f"p0 {self.p0_dbm} dBm is outside {low}..{high}")
        if self.alpha not in _ALPHAS:
            raise PowerControlError(f"alpha {self.alpha} is not one of {_ALPHAS}")


FULL_POWER = SlTxParameters()
"""No P0 is given: the limit decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlssPowers:
    """Powers of a synchronisation subframe, dBm: PSBCH is sent at the power of PSSS (TS 36.213 14)."""

    psss_and_psbch_dbm: float
    ssss_dbm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class V2xPowers:
    """Powers of PSSCH and PSCCH that one UE sends in the same subframe, dBm."""

    pssch_dbm: float
    pscch_dbm: float


def pssch_power_dbm(
    n_prb: int, tx: SlTxParameters, path_loss_db: float, p_cmax_dbm: float, tpc_command: int = 1
) -> float:
    """PSSCH over `n_prb` PRBs in modes 1 and 2 (TS 36.213 14.1.1.5).

    `tpc_command` is the TPC field of a mode 1 grant: 0 asks for the maximum power. Raises PowerControlError.
    """
    return _granted_power_dbm(n_prb, tx, path_loss_db, p_cmax_dbm, tpc_command)


def pscch_power_dbm(tx: SlTxParameters, path_loss_db: float, p_cmax_dbm: float, tpc_command: int = 1) -> float:
    """PSCCH in modes 1 and 2 (TS 36.213 14.2.1.3); `tpc_command` as for PSSCH. Raises PowerControlError."""
    return _granted_power_dbm(N_PSCCH_PRBS, tx, path_loss_db, p_cmax_dbm, tpc_command)


def psdch_power_dbm(tx: SlTxParameters, path_loss_db: float, p_cmax_dbm: float) -> float:
    """PSDCH (TS 36.213 14.3.1)."""
    return min(p_cmax_dbm, _open_loop_dbm(N_PSDCH_PRBS, tx, path_loss_db))


def slss_powers_dbm(
    tx: SlTxParameters,
    path_loss_db: float,
    p_cmax_psbch_dbm: float,
    p_cmax_ssss_dbm: float,
    tpc_command: int = 1,
) -> SlssPowers:
    """PSSS, PSBCH and SSSS, whose maximum differs (TS 36.213 14.4); `tpc_command` as for PSSCH.

    Raises PowerControlError.
    """
    return SlssPowers(
        psss_and_psbch_dbm=_granted_power_dbm(N_PSSS_PRBS, tx, path_loss_db, p_cmax_psbch_dbm, tpc_command),
        ssss_dbm=_granted_power_dbm(N_PSSS_PRBS, tx, path_loss_db, p_cmax_ssss_dbm, tpc_command),
    )


def v2x_powers_dbm(
    n_prb: int, tx: SlTxParameters, path_loss_db: float, p_cmax_dbm: float, max_tx_power_dbm: float | None = None
) -> V2xPowers:
    """PSSCH over `n_prb` PRBs and its PSCCH in modes 3 and 4 (TS 36.213 14.1.1.5, 14.2.1.3).

    Both share one power; `max_tx_power_dbm` is maxTxPower of the measured channel busy ratio (mode 4) or None.
    Raises PowerControlError.
    """
    if n_prb < 1:
        raise PowerControlError(f"a PSSCH of {n_prb} PRBs has no power")
    control = _V2X_PSCCH_BOOST * N_V2X_PSCCH_PRBS
    weight = n_prb + control
    limit_dbm = p_cmax_dbm if max_tx_power_dbm is None else min(p_cmax_dbm, max_tx_power_dbm)
    total_dbm = min(limit_dbm, _open_loop_dbm(weight, tx, path_loss_db))
    return V2xPowers(
        pssch_dbm=total_dbm + 10 * math.log10(n_prb / weight),
        pscch_dbm=total_dbm + 10 * math.log10(control / weight),
    )


def path_loss_db(reference_signal_power_dbm: float, rsrp_dbm: float) -> float:
    """PL_c of the serving cell: its reference signal power less the filtered RSRP (TS 36.213 5.1.1.1)."""
    return reference_signal_power_dbm - rsrp_dbm


def _granted_power_dbm(
    n_prb: int, tx: SlTxParameters, path_loss_db: float, p_cmax_dbm: float, tpc_command: int
) -> float:
    if n_prb < 1:
        raise PowerControlError(f"an allocation of {n_prb} PRBs has no power")
    if tpc_command not in (0, 1):
        raise PowerControlError(f"TPC command {tpc_command} is not one bit")
    return min(p_cmax_dbm, _open_loop_dbm(n_prb, tx, path_loss_db)) if tpc_command else p_cmax_dbm


def _open_loop_dbm(n_prb: float, tx: SlTxParameters, path_loss_db: float) -> float:
    return 10 * math.log10(n_prb) + tx.p0_dbm + tx.alpha * path_loss_db
