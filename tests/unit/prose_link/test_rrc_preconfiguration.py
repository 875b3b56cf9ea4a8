"""SL-Preconfiguration as ASN.1 UPER: written by pycrate from our value, read back by it into ours."""

from pathlib import Path

import pytest

from prose_link.preconfiguration import Preconfiguration, load_pools, load_preconfiguration
from prose_link.rrc_preconfiguration import from_rrc, to_rrc

rrc = pytest.importorskip("pycrate_asn1dir.RRCLTE", reason="pycrate is not installed")

SHIPPED = ["first_light", "relayed_sync"]


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


def test_every_value_of_the_synchronisation_part_has_its_encoding() -> None:
    plain = load_preconfiguration(Path("preconfigurations/relayed_sync.toml"))
    changes = [
        {"syncTxThreshOoC": 0, "filterCoefficient": "fc19", "syncRefMinHyst": "dB12", "syncRefDiffHyst": "dBinf"},
        {"syncTxThreshOoC": 10, "filterCoefficient": "fc11", "syncRefMinHyst": "dB6", "syncRefDiffHyst": "dB9"},
        {"syncOffsetIndicator1": 39, "syncOffsetIndicator2": 38, "syncTxParameters": -126},
    ]
    for change in changes:
        changed = plain.model_copy(update={"sync": plain.sync.model_copy(update=change)})
        assert read_back(uper(changed)) == changed
        assert uper(changed) != uper(plain)


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
