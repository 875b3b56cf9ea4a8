"""Conversion of a preconfiguration to and from the ASN.1 value of SL-Preconfiguration-r12 (TS 36.331 9.3).

The form is that of common ASN.1 compilers: nested mappings under the names of the standard, a CHOICE is (name, value),
a BIT STRING (integer, number of bits). The lab's model uses the same names, so most fields are copied. Three things
differ: fields that the lab does not use get constants and are dropped when read; RRC has enumerations where the lab has
numbers, such as periods; and RRC always has two SLSS offsets, so that a single one is written twice. Reading checks the
form of every part, then the values as for a TOML file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from prose_link.config.preconfiguration import (
    HoppingConfigComm,
    PreconfigCommPool,
    PreconfigDiscPool,
    PreconfigGeneral,
    PreconfigSync,
    Preconfiguration,
    TfResourceConfig,
)
from prose_link.config.ue import ConfigError, explain

RrcValue = dict[str, Any]
_SMALL_OFFSETS = 320
_LONGEST_BIT_STRING = 42
"""SubframeBitmapSL-r12, bs42 (TS 36.331 6.3.8)."""
_LAB_CARRIER_FREQ = 23_330
"""An EARFCN of band 14 (public safety); the lab's carrier comes from the radio's configuration."""
_ROHC_PROFILES = ("0001", "0002", "0004", "0006", "0101", "0102", "0104")


def to_rrc(preconfiguration: Preconfiguration) -> RrcValue:
    """The ASN.1 value of a preconfiguration; fields that the lab doesn't use get constants."""
    value: RrcValue = {
        "preconfigGeneral-r12": {
            "rohc-Profiles-r12": {f"profile0x{profile}-r12": False for profile in _ROHC_PROFILES},
            "carrierFreq-r12": _LAB_CARRIER_FREQ,
            "maxTxPower-r12": preconfiguration.general.maxTxPower,
            "additionalSpectrumEmission-r12": 1,
            "sl-bandwidth-r12": f"n{preconfiguration.general.sl_bandwidth}",
            "tdd-ConfigSL-r12": {"subframeAssignmentSL-r12": "none"},
            "reserved-r12": (0, 19),
        },
        "preconfigSync-r12": _sync_to_rrc(preconfiguration.sync),
        "preconfigComm-r12": [_comm_to_rrc(pool) for pool in preconfiguration.comm],
    }
    if preconfiguration.disc:
        value["preconfigDisc-r13"] = {
            "discRxPoolList-r13": [_disc_to_rrc(pool) for pool in preconfiguration.disc],
            "discTxPoolList-r13": [_disc_to_rrc(pool) for pool in preconfiguration.disc],
        }
    return value


def from_rrc(value: Any) -> Preconfiguration:
    """The preconfiguration that an ASN.1 value describes; tuples of the value may be lists, as JSON has them.

    Raises ConfigError: a part is missing, is of another form, or holds what RRC forbids or the lab can't do.
    """
    try:
        return _preconfiguration(value)
    except ValidationError as error:
        raise ConfigError(f"SL-Preconfiguration: {explain(error)}") from error
    except KeyError as error:
        raise ConfigError(f"SL-Preconfiguration: {error} is missing") from error
    except (AttributeError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"SL-Preconfiguration: a part has another form than its ASN.1: {error}") from error


def _preconfiguration(value: Any) -> Preconfiguration:
    general = value["preconfigGeneral-r12"]
    disc = value.get("preconfigDisc-r13", {}).get("discTxPoolList-r13", ())
    return Preconfiguration(
        general=PreconfigGeneral.model_validate(
            {
                "sl-bandwidth": int(general["sl-bandwidth-r12"].removeprefix("n")),
                "maxTxPower": general["maxTxPower-r12"],
            }
        ),
        sync=_sync_from_rrc(value["preconfigSync-r12"]),
        comm=tuple(_comm_from_rrc(pool) for pool in value["preconfigComm-r12"]),
        disc=tuple(_disc_from_rrc(pool) for pool in disc),
    )


def _sync_to_rrc(sync: PreconfigSync) -> RrcValue:
    """SL-PreconfigSync-r12. RRC always has two offsets, so the only offset of a lab is written twice."""
    first, second = sync.syncOffsetIndicator1, sync.syncOffsetIndicator2
    value = {f"{name}-r12": item for name, item in sync.model_dump(by_alias=True).items()}
    return value | {"syncOffsetIndicator2-r12": first if second is None else second}


def _sync_from_rrc(value: Mapping[str, Any]) -> PreconfigSync:
    fields = {name.removesuffix("-r12"): item for name, item in value.items() if name.endswith("-r12")}
    if fields["syncOffsetIndicator2"] == fields["syncOffsetIndicator1"]:
        del fields["syncOffsetIndicator2"]
    return PreconfigSync.model_validate(fields)


def _comm_to_rrc(pool: PreconfigCommPool) -> RrcValue:
    hopping = pool.dataHoppingConfig
    value: RrcValue = {
        "sc-CP-Len-r12": pool.sc_CP_Len,
        "sc-Period-r12": f"sf{pool.sc_Period}",
        "sc-TF-ResourceConfig-r12": _tf_to_rrc(pool.sc_TF_ResourceConfig),
        "sc-TxParameters-r12": pool.sc_TxParameters,
        "data-CP-Len-r12": pool.sc_CP_Len,
        "data-TF-ResourceConfig-r12": _tf_to_rrc(pool.data_TF_ResourceConfig),
        "dataHoppingConfig-r12": {
            "hoppingParameter-r12": hopping.hoppingParameter,
            "numSubbands-r12": f"ns{hopping.numSubbands}",
            "rb-Offset-r12": hopping.rb_Offset,
        },
        "dataTxParameters-r12": pool.dataTxParameters,
    }
    subset = pool.trpt_Subset or "1" * 3
    return value | {"trpt-Subset-r12": (int(subset, 2), len(subset))}


def _comm_from_rrc(value: Mapping[str, Any]) -> PreconfigCommPool:
    hopping = value["dataHoppingConfig-r12"]
    return PreconfigCommPool.model_validate(
        {
            "sc-CP-Len": value["sc-CP-Len-r12"],
            "sc-Period": int(value["sc-Period-r12"].removeprefix("sf")),
            "sc-TF-ResourceConfig": _tf_from_rrc(value["sc-TF-ResourceConfig-r12"]),
            "data-TF-ResourceConfig": _tf_from_rrc(value["data-TF-ResourceConfig-r12"]),
            "dataHoppingConfig": HoppingConfigComm.model_validate(
                {
                    "hoppingParameter": hopping["hoppingParameter-r12"],
                    "numSubbands": int(hopping["numSubbands-r12"].removeprefix("ns")),
                    "rb-Offset": hopping["rb-Offset-r12"],
                }
            ),
            "trpt-Subset": _bits(value["trpt-Subset-r12"]),
            "sc-TxParameters": value["sc-TxParameters-r12"],
            "dataTxParameters": value["dataTxParameters-r12"],
        }
    )


def _disc_to_rrc(pool: PreconfigDiscPool) -> RrcValue:
    return {
        "cp-Len-r13": pool.cp_Len,
        "discPeriod-r13": f"rf{pool.discPeriod}",
        "numRetx-r13": pool.numRetx,
        "numRepetition-r13": pool.numRepetition,
        "tf-ResourceConfig-r13": _tf_to_rrc(pool.tf_ResourceConfig),
        "txParameters-r13": {"txParametersGeneral-r13": pool.txParameters, "txProbability-r13": "p100"},
    }


def _disc_from_rrc(value: Mapping[str, Any]) -> PreconfigDiscPool:
    return PreconfigDiscPool.model_validate(
        {
            "cp-Len": value["cp-Len-r13"],
            "discPeriod": int(value["discPeriod-r13"].removeprefix("rf")),
            "numRetx": value["numRetx-r13"],
            "numRepetition": value["numRepetition-r13"],
            "tf-ResourceConfig": _tf_from_rrc(value["tf-ResourceConfig-r13"]),
            "txParameters": value["txParameters-r13"]["txParametersGeneral-r13"],
        }
    )


def _tf_to_rrc(tf: TfResourceConfig) -> RrcValue:
    bitmap = tf.subframeBitmap
    return {
        "prb-Num-r12": tf.prb_Num,
        "prb-Start-r12": tf.prb_Start,
        "prb-End-r12": tf.prb_End,
        "offsetIndicator-r12": (
            "small-r12" if tf.offsetIndicator < _SMALL_OFFSETS else "large-r12",
            tf.offsetIndicator,
        ),
        "subframeBitmap-r12": (f"bs{len(bitmap)}-r12", (int(bitmap, 2), len(bitmap))),
    }


def _tf_from_rrc(value: Mapping[str, Any]) -> TfResourceConfig:
    return TfResourceConfig.model_validate(
        {
            "prb-Num": value["prb-Num-r12"],
            "prb-Start": value["prb-Start-r12"],
            "prb-End": value["prb-End-r12"],
            "offsetIndicator": value["offsetIndicator-r12"][1],
            "subframeBitmap": _bits(value["subframeBitmap-r12"][1]),
        }
    )


def _bits(value: tuple[int, int]) -> str:
    number, length = value
    if not 0 < length <= _LONGEST_BIT_STRING:
        raise ValueError(f"a BIT STRING of {length} bits")
    return f"{number:0{length}b}"
