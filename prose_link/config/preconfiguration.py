"""The sidelink preconfiguration file: SL-Preconfiguration values under their RRC names, as pools for the radio."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from prose_link.config.ue import ConfigError, explain, read_toml
from prose_link.sync.rules import SyncParameters
from radio.errors import RadioError
from radio.phy.lte.grid.hopping import HoppingConfig
from radio.phy.lte.grid.numerology import Cp
from radio.phy.lte.pools.geometry import PoolError
from radio.phy.lte.pools.mode2 import CommPool, DiscPool, SidelinkPools, SyncConfig
from radio.phy.lte.pools.power_control import MAX_TX_POWER_DBM, SlTxParameters
from radio.quantities import FINITE

CpLen = Literal["normal", "extended"]
FilterCoefficient = Literal[
    "fc0", "fc1", "fc2", "fc3", "fc4", "fc5", "fc6", "fc7", "fc8", "fc9", "fc11", "fc13", "fc15", "fc17", "fc19"
]
_INFINITE_RSRP_RANGE_SL3 = 11
Bitmap = Annotated[
    str, StringConstraints(pattern=rf"^({'|'.join(f'[01]{{{n}}}' for n in (4, 8, 12, 16, 30, 40, 42))})$")
]
"""SubframeBitmapSL-r12: of these lengths (TS 36.331 6.3.8)."""


class _RrcModel(BaseModel):
    model_config = ConfigDict(**FINITE, alias_generator=lambda name: name.replace("_", "-"))


class TfResourceConfig(_RrcModel):
    """SL-TF-ResourceConfig-r12 (TS 36.331 6.3.8)."""

    prb_Num: Annotated[int, Field(ge=1, le=100)]
    prb_Start: Annotated[int, Field(ge=0, le=99)]
    prb_End: Annotated[int, Field(ge=0, le=99)]
    offsetIndicator: Annotated[int, Field(ge=0, le=10239)]
    subframeBitmap: Bitmap


class HoppingConfigComm(_RrcModel):
    """SL-HoppingConfigComm-r12 (TS 36.331 6.3.8)."""

    hoppingParameter: Annotated[int, Field(ge=0, le=504)] = 0
    numSubbands: Literal[1, 2, 4] = 1
    rb_Offset: Annotated[int, Field(ge=0, le=110)] = 0


P0 = Annotated[int, Field(ge=-126, le=31)]
"""P0-SL-r12 in dBm to a PRB (TS 36.331 6.3.8); 23 asks for more than any UE has."""


class PreconfigGeneral(_RrcModel):
    """SL-PreconfigGeneral-r12 (TS 36.331 9.3)."""

    sl_bandwidth: Literal[6, 15, 25, 50, 75, 100]
    maxTxPower: Annotated[int, Field(ge=-30, le=33)] = MAX_TX_POWER_DBM
    """In dBm, over the whole channel; in samples it is amplitude 1 of every resource element."""


class PreconfigSync(_RrcModel):
    """SL-PreconfigSync-r12 (TS 36.331 9.3)."""

    syncCP_Len: CpLen = "normal"
    syncOffsetIndicator1: Annotated[int, Field(ge=0, le=39)]
    syncOffsetIndicator2: Annotated[int | None, Field(ge=0, le=39)] = None
    """None where the lab has one SLSS subframe only: then no UE relays synchronisation."""
    syncTxParameters: P0 = 23
    syncTxThreshOoC: Annotated[int, Field(ge=0, le=_INFINITE_RSRP_RANGE_SL3)] = _INFINITE_RSRP_RANGE_SL3
    filterCoefficient: FilterCoefficient = "fc4"
    syncRefMinHyst: Literal["dB0", "dB3", "dB6", "dB9", "dB12"] = "dB0"
    syncRefDiffHyst: Literal["dB0", "dB3", "dB6", "dB9", "dB12", "dBinf"] = "dB3"


class PreconfigCommPool(_RrcModel):
    """SL-PreconfigCommPool-r12 (TS 36.331 9.3)."""

    sc_CP_Len: CpLen = "normal"
    sc_Period: Annotated[int, Field(ge=40, le=320)]
    """SL-PeriodComm-r12 in subframes."""
    sc_TF_ResourceConfig: TfResourceConfig
    data_TF_ResourceConfig: TfResourceConfig
    dataHoppingConfig: HoppingConfigComm = HoppingConfigComm()
    sc_TxParameters: P0 = 23
    dataTxParameters: P0 = 23
    trpt_Subset: Annotated[str, StringConstraints(pattern=r"^[01]{3,5}$")] | None = None


class PreconfigDiscPool(_RrcModel):
    """SL-PreconfigDiscPool-r13 (TS 36.331 9.3)."""

    cp_Len: CpLen = "normal"
    discPeriod: Annotated[int, Field(ge=4, le=1024)]
    """SL-PeriodDisc in radio frames."""
    numRetx: Annotated[int, Field(ge=0, le=3)]
    numRepetition: Annotated[int, Field(ge=1, le=50)]
    tf_ResourceConfig: TfResourceConfig
    txParameters: P0 = 23
    """txParametersGeneral-r13."""


class Preconfiguration(_RrcModel):
    """SL-Preconfiguration-r12 as far as the lab uses it (TS 36.331 9.3)."""

    general: PreconfigGeneral
    sync: PreconfigSync
    comm: Annotated[tuple[PreconfigCommPool, ...], Field(min_length=1, max_length=4)]
    disc: Annotated[tuple[PreconfigDiscPool, ...], Field(max_length=4)] = ()


def load_pools(path: Path) -> SidelinkPools:
    """The pools of a preconfiguration file: a path, or the name of a file the lab ships.

    Raises:
        ConfigError: the file is missing, not TOML, or holds values that RRC or the pool rules forbid.
    """
    try:
        return pools_of(load_preconfiguration(path))
    except RadioError as error:
        raise ConfigError(f"{path}: {error}") from error


def load_preconfiguration(path: Path) -> Preconfiguration:
    """The preconfiguration in a file: a path, or the name of a file the lab ships.

    Raises:
        ConfigError: the file is missing, not TOML, or holds values that RRC forbids.
    """
    try:
        return Preconfiguration.model_validate(read_toml(path))
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error)}") from error


def sync_parameters_of(sync: PreconfigSync, *, lowest_id_wins: bool = False) -> SyncParameters:
    """The RRC values as parameters of the synchronisation rules."""
    offsets = (sync.syncOffsetIndicator1, sync.syncOffsetIndicator2)
    return SyncParameters(
        offset_indicators=tuple(offset for offset in offsets if offset is not None),
        tx_thresh_ooc_dbm=rsrp_range_sl3_dbm(sync.syncTxThreshOoC),
        filter_coefficient=int(sync.filterCoefficient.removeprefix("fc")),
        ref_min_hyst_db=float(sync.syncRefMinHyst.removeprefix("dB")),
        ref_diff_hyst_db=float(sync.syncRefDiffHyst.removeprefix("dB")),
        lowest_id_wins=lowest_id_wins,
    )


def rsrp_range_sl3_dbm(value: int) -> float:
    """RSRP-RangeSL3 in dBm: 5 dB steps from -110, the last value is +inf (TS 36.331 6.3.5)."""
    return math.inf if value == _INFINITE_RSRP_RANGE_SL3 else -110.0 + 5.0 * value


def pools_of(preconfiguration: Preconfiguration) -> SidelinkPools:
    """RRC values to pools. Raises radio.phy.lte.pools.geometry.PoolError where they contradict each other."""
    n_prb = preconfiguration.general.sl_bandwidth
    sync = preconfiguration.sync
    offsets = [sync.syncOffsetIndicator1, sync.syncOffsetIndicator2]
    cp_lens = [pool.sc_CP_Len for pool in preconfiguration.comm] + [pool.cp_Len for pool in preconfiguration.disc]
    if any(cp_len != sync.syncCP_Len for cp_len in cp_lens):
        raise PoolError(f"syncCP-Len is {sync.syncCP_Len}, a pool's is not: the lab's UEs have one cyclic prefix")
    return SidelinkPools(
        n_prb=n_prb,
        sync=SyncConfig(
            offset_indicators=tuple(offset for offset in offsets if offset is not None),
            tx=SlTxParameters(p0_dbm=sync.syncTxParameters),
        ),
        comm=tuple(_comm_pool(pool, n_prb) for pool in preconfiguration.comm),
        disc=tuple(_disc_pool(pool, n_prb) for pool in preconfiguration.disc),
        max_tx_power_dbm=preconfiguration.general.maxTxPower,
    )


def _comm_pool(pool: PreconfigCommPool, n_prb: int) -> CommPool:
    control, data, hopping = pool.sc_TF_ResourceConfig, pool.data_TF_ResourceConfig, pool.dataHoppingConfig
    return CommPool(
        n_rb_sl=n_prb,
        sc_period=pool.sc_Period,
        sc_offset=control.offsetIndicator,
        sc_bitmap=control.subframeBitmap,
        sc_prb_num=control.prb_Num,
        sc_prb_start=control.prb_Start,
        sc_prb_end=control.prb_End,
        data_offset=data.offsetIndicator,
        data_bitmap=data.subframeBitmap,
        data_prb_num=data.prb_Num,
        data_prb_start=data.prb_Start,
        data_prb_end=data.prb_End,
        trpt_subset=pool.trpt_Subset,
        sc_tx=SlTxParameters(p0_dbm=pool.sc_TxParameters),
        data_tx=SlTxParameters(p0_dbm=pool.dataTxParameters),
        hopping=HoppingConfig(
            hopping_parameter=hopping.hoppingParameter,
            num_subbands=hopping.numSubbands,
            rb_offset=hopping.rb_Offset,
        ),
        cp=Cp[pool.sc_CP_Len.upper()],
    )


def _disc_pool(pool: PreconfigDiscPool, n_prb: int) -> DiscPool:
    tf = pool.tf_ResourceConfig
    return DiscPool(
        n_rb_sl=n_prb,
        disc_period=pool.discPeriod,
        offset=tf.offsetIndicator,
        bitmap=tf.subframeBitmap,
        num_retx=pool.numRetx,
        num_repetition=pool.numRepetition,
        prb_num=tf.prb_Num,
        prb_start=tf.prb_Start,
        prb_end=tf.prb_End,
        cp=Cp[pool.cp_Len.upper()],
        tx=SlTxParameters(p0_dbm=pool.txParameters),
    )
