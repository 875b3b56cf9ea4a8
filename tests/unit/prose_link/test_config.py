"""Configuration files: what is shipped loads, what is wrong is named by file and key."""

from pathlib import Path

import pytest

from prose_link.config.preconfiguration import load_pools
from prose_link.config.ue import ConfigError, load_ue_config

GOOD = """
name = "ue-a"
identity = "tel:+447700900001"
l2_id = 0x5C1A01
utc_at_power_on = 2026-03-10T12:00:00Z

[kms]
url = "https://127.0.0.1:8443"
ticket = "ue-a.ticket"
store = "store"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "ue.toml"
    path.write_text(text)
    return path


def test_a_good_file_loads(tmp_path: Path) -> None:
    config = load_ue_config(written(tmp_path, GOOD))
    assert config.l2_id == 0x5C1A01 and config.radio.n_prb == 50
    assert config.utc_s_at_power_on == 1773144000.0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("bogus = 1\n" + GOOD, "bogus: unknown key"),
        (GOOD.replace("l2_id = 0x5C1A01", "l2_id = 0"), "l2_id"),
        (GOOD.replace("l2_id = 0x5C1A01", "l2_id = 0xFFFFFF"), "l2_id"),
        (GOOD.replace('"ue-a"\nid', '"UE A"\nid'), "name"),
        (GOOD.replace('identity = "tel:+447700900001"\n', ""), "identity"),
        (GOOD + "\n[radio]\nn_prb = 51\n", "radio.n_prb"),
        (GOOD + "\n[link]\nmutual_ask = 'maybe'\n", "link.mutual_ask"),
        (GOOD + "\n[userplane]\nkind = 'tap'\n", "userplane.kind"),
        (GOOD + "\n[userplane]\nkind = 'tun'\ninterface = 'a-name-much-too-long'\n", "userplane.interface"),
        (GOOD + "\n[userplane]\nkind = 'tun'\nmtu = 1000\n", "userplane.mtu"),
        (GOOD + "\n[userplane]\nipv4 = true\n", "userplane: .*ipv4 needs kind = tun"),
        (GOOD.replace("tel:+447700900001", "tel:447700900001"), "identity: .*canonical form"),
        (
            GOOD.replace("tel:+447700900001", "sip:alice@example.org:99999"),
            "identity: .*a port is a number of 1..65535",
        ),
        ("name = ", "not TOML"),
    ],
)
def test_what_is_wrong_is_named(change: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=complaint) as error:
        load_ue_config(written(tmp_path, change))
    assert "ue.toml" in str(error.value) and "\n" not in str(error.value)[:200]


def test_a_missing_file_and_a_binary_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_ue_config(tmp_path / "nothing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-16-LE text"):
        load_ue_config(tmp_path / "binary.toml")


def test_the_shipped_preconfiguration_keeps_its_channels_apart() -> None:
    pools = load_pools(Path("preconfigurations/first_light.toml"))
    comm, disc = pools.comm[0], pools.disc[0]
    for period in range(8):
        control, data = set(comm.pscch_subframes(period)), set(comm.pssch_subframes(period))
        sync = {
            s for s in range(comm.period_start(period), comm.period_start(period + 1)) if pools.sync.is_sync_subframe(s)
        }
        assert len(control) == 4 and len(data) == 32 and len(sync) == 1
        assert not control & data and not sync & (control | data)
    discovery = set(disc.psdch_subframes(0))
    assert len(discovery) == 12
    assert not discovery & {s for p in range(4) for s in (*comm.pscch_subframes(p), *comm.pssch_subframes(p))}


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("sc-Period = 40", "sc-Period = 41", "sc-Period 41"),
        ("sl-bandwidth = 50", "sl-bandwidth = 49", "general.sl-bandwidth"),
        ("numRetx = 3", "numRetx = 4", "disc.0.numRetx"),
        ('trpt-Subset = "111"', 'trpt-Subset = "11"', "comm.0.trpt-Subset"),
        ("[general]", "[general]\nextra = 1", "general.extra: unknown key"),
        ('syncCP-Len = "normal"', 'syncCP-Len = "extended"', "syncCP-Len is extended, a pool's is not"),
        ("0111100000000000000000000000000000000000", "011110", "comm.0.sc-TF-ResourceConfig.subframeBitmap"),
    ],
)
def test_a_bad_preconfiguration_is_named(old: str, new: str, complaint: str, tmp_path: Path) -> None:
    from prose_link.config.ue import shipped_path

    text = shipped_path("preconfigurations/first_light.toml").read_text()
    assert old in text
    with pytest.raises(ConfigError, match=complaint):
        load_pools(written(tmp_path, text.replace(old, new)))


@pytest.mark.parametrize("name", ["ue_usrp.toml", "ue_limesdr.toml"])
def test_the_shipped_sdr_configurations_hold_together(name: str) -> None:
    config = load_ue_config(Path(name))
    assert load_pools(Path(config.preconfiguration)).n_prb == config.radio.n_prb


def test_an_sdr_needs_carrier_and_gains(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"radio.rx_gain_db: .*required; radio.tx_gain_db"):
        load_ue_config(written(tmp_path, GOOD + "\n[radio]\ndevice = 'soapy'\ncarrier_hz = 2.57e9\n"))


def test_only_virtual_air_under_programs_is_held_to_real_time(tmp_path: Path) -> None:
    tun = GOOD + "\n[userplane]\nkind = 'tun'\n"
    assert load_ue_config(written(tmp_path, tun)).held_to_real_time
    assert not load_ue_config(written(tmp_path, GOOD)).held_to_real_time
    real = tun + "\n[radio]\ndevice = 'uhd'\ncarrier_hz = 2.57e9\nrx_gain_db = 1\ntx_gain_db = 1\n"
    assert not load_ue_config(written(tmp_path, real)).held_to_real_time
