"""SL-Preconfiguration as ASN.1 UPER: written by pycrate from our value, read back by it into ours."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from prose_link.config.preconfiguration import Preconfiguration, load_pools, load_preconfiguration
from prose_link.config.rrc import from_rrc, to_rrc

rrc = pytest.importorskip("pycrate_asn1dir.RRCLTE", reason="pycrate is not installed")

SHIPPED = ["first_light", "first_light_5mhz", "relayed_sync"]


def uper(preconfiguration: Preconfiguration) -> bytes:
    asn1 = rrc.EUTRA_Sidelink_Preconf.SL_Preconfiguration_r12
    asn1.set_val(to_rrc(preconfiguration))
    return bytes(asn1.to_uper())


def read_back(octets: bytes) -> Preconfiguration:
    asn1 = rrc.EUTRA_Sidelink_Preconf.SL_Preconfiguration_r12
    asn1.from_uper(octets)
    return from_rrc(asn1.get_val())


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_shipped_goes_there_and_back(name: str) -> None:
    preconfiguration = load_preconfiguration(Path(f"preconfigurations/{name}.toml"))
    assert read_back(uper(preconfiguration)) == preconfiguration


TF = [
    {"prb_Num": 3, "prb_Start": 2, "prb_End": 47},
    {"offsetIndicator": 319},
    {"offsetIndicator": 320},
    {"offsetIndicator": 10239},
    *({"subframeBitmap": ("1" + "0" * (n - 2) + "1")} for n in (4, 8, 12, 16, 30, 40, 42)),
]
CHANGES: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    *((("general",), {"sl_bandwidth": n}) for n in (6, 15, 25, 75, 100)),
    *((("general",), {"maxTxPower": n}) for n in (-30, 33)),
    *((("comm",), {name: n}) for name in ("sc_TxParameters", "dataTxParameters") for n in (-126, 31)),
    *((("disc",), {"txParameters": n}) for n in (-126, 31)),
    (("sync",), {"syncCP_Len": "extended"}),
    *((("sync",), {"syncTxThreshOoC": n}) for n in range(11)),
    *((("sync",), {"filterCoefficient": f"fc{n}"}) for n in (*range(4), *range(5, 10), 11, 13, 15, 17, 19)),
    *((("sync",), {"syncRefMinHyst": f"dB{n}"}) for n in (3, 6, 9, 12)),
    *((("sync",), {"syncRefDiffHyst": f"dB{n}"}) for n in (0, 6, 9, 12, "inf")),
    *((("sync",), {"syncTxParameters": n}) for n in (-126, 31)),
    (("sync",), {"syncOffsetIndicator1": 39}),
    (("sync",), {"syncOffsetIndicator2": None}),
    (("comm",), {"sc_CP_Len": "extended"}),
    *((("comm",), {"sc_Period": n}) for n in (60, 70, 80, 120, 140, 160, 240, 280, 320)),
    *((("comm",), {"trpt_Subset": bits}) for bits in ("101", "10101")),
    *((("comm", "sc_TF_ResourceConfig"), change) for change in TF),
    *((("comm", "data_TF_ResourceConfig"), change) for change in TF),
    *((("comm", "dataHoppingConfig"), change) for change in ({"hoppingParameter": 504}, {"rb_Offset": 110})),
    *((("comm", "dataHoppingConfig"), {"numSubbands": n}) for n in (2, 4)),
    (("disc",), {"cp_Len": "extended"}),
    *((("disc",), {"discPeriod": n}) for n in (32, 64, 128, 256, 512, 1024)),
    *((("disc",), {"numRetx": n}) for n in (0, 1, 2)),
    *((("disc",), {"numRepetition": n}) for n in (1, 50)),
    *((("disc", "tf_ResourceConfig"), change) for change in TF),
]


def replaced(model: BaseModel, path: tuple[str, ...], change: dict[str, Any]) -> Any:
    """`model` with the values of `change` in the part `path` leads to; of pools the first is meant."""
    if not path:
        return type(model).model_validate({**model.model_dump(by_alias=True), **aliased(change)})
    name, *rest = path
    part = getattr(model, name)
    if isinstance(part, tuple):
        return model.model_copy(update={name: (replaced(part[0], tuple(rest), change), *part[1:])})
    return model.model_copy(update={name: replaced(part, tuple(rest), change)})


def aliased(change: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "-"): value for name, value in change.items()}


@pytest.mark.parametrize(("path", "change"), CHANGES, ids=str)
def test_every_field_has_its_encoding(path: tuple[str, ...], change: dict[str, Any]) -> None:
    plain = load_preconfiguration(Path("preconfigurations/relayed_sync.toml"))
    changed = replaced(plain, path, change)
    assert changed != plain
    octets = uper(changed)
    assert octets != uper(plain)
    assert read_back(octets) == changed


def test_no_field_is_left_out() -> None:
    changed = {(path[-1], name) for path, change in CHANGES for name in change}
    plain = load_preconfiguration(Path("preconfigurations/relayed_sync.toml"))
    parts: dict[str, BaseModel] = {
        "general": plain.general,
        "sync": plain.sync,
        "comm": plain.comm[0],
        "sc_TF_ResourceConfig": plain.comm[0].sc_TF_ResourceConfig,
        "data_TF_ResourceConfig": plain.comm[0].data_TF_ResourceConfig,
        "dataHoppingConfig": plain.comm[0].dataHoppingConfig,
        "disc": plain.disc[0],
        "tf_ResourceConfig": plain.disc[0].tf_ResourceConfig,
    }
    fields = {(part, name) for part, model in parts.items() for name in type(model).model_fields if name not in parts}
    assert fields == changed


def test_fields_stand_where_the_asn1_puts_them() -> None:
    preconfiguration = load_preconfiguration(Path("preconfigurations/relayed_sync.toml"))
    bits = "".join(f"{octet:08b}" for octet in uper(preconfiguration))
    # Extension bit, that of preconfigGeneral, ROHC's seven flags, carrierFreq (18), maxTxPower (6), emission (5),
    # sl-bandwidth (3), tdd-ConfigSL (3), reserved (19); then the extension bit of preconfigSync and its fields.
    sync = bits[1 + 1 + 7 + 18 + 6 + 5 + 3 + 3 + 19 :]
    assert sync[:2] == "00"
    assert int(sync[2:8], 2) == 0 and int(sync[8:14], 2) == 37
    assert int(sync[14:22], 2) == 23 + 126
    assert int(sync[22:26], 2) == 11


def test_the_shipped_slss_subframes_are_in_no_pool() -> None:
    pools = load_pools(Path("preconfigurations/relayed_sync.toml"))
    used = {subframe for pool in pools.comm for subframe in pool.pscch_subframes(1) + pool.pssch_subframes(1)}
    used |= {subframe for pool in pools.disc for subframe in pool.psdch_subframes(1)}
    assert len(pools.sync.offset_indicators) == 2
    assert not any(pools.sync.is_sync_subframe(subframe) for subframe in used)
