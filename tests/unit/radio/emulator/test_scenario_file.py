from importlib import resources
from pathlib import Path

import pytest

from radio.emulator.scenario import ScenarioError
from radio.emulator.scenario_file import load_scenario, parse_scenario

GOOD = """
name = "t"
seed = 3
sample_rate_hz = 1_920_000
[[ue]]
name = "a"
[[ue]]
name = "b"
cfo_hz = { between = [-100, 100] }
noise_figure_db = 5
[[link]]
between = ["a", "b"]
snr_db = 12
distance_m = 300
fading = "EVA70"
"""


def test_the_shipped_scenarios_load():
    folder = Path(str(resources.files("hw_configs"))) / "scenarios"
    for path in folder.glob("*.toml"):
        assert load_scenario(path).ues
    plan = load_scenario(folder / "first_light.toml", seed=7)
    assert plan.seed == 7
    assert plan.sample_rate_hz == 15_360_000
    assert 307_200 <= plan.ue("ue-b").power_on_sample <= 921_600


def test_values_are_converted():
    plan = parse_scenario(GOOD)
    (link,) = plan.links
    assert 23 - link.path_loss_db - plan.noise_floor_dbm(plan.ue("b")) == pytest.approx(12)
    assert link.delay_ns == pytest.approx(1000.7, abs=0.1)
    assert link.fading is not None
    assert (link.fading.profile, link.fading.doppler_hz) == ("EVA", 70.0)


def test_ranges_are_drawn_from_the_seed():
    one, again, other = (parse_scenario(GOOD, seed=s).ue("b").cfo_hz for s in (5, 5, 6))
    assert one == again != other
    assert all(-100 <= value <= 100 for value in (one, other))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('name = "t"', 'name = "t"\ncolour = "red"', "colour"),
        ("snr_db = 12", "", "either path_loss_db or snr_db"),
        ("snr_db = 12", "snr_db = 12\npath_loss_db = 80", "either"),
        ("distance_m = 300", "distance_m = 300\ndelay_ns = 3", "not both"),
        ('"EVA70"', '"XYZ"', "XYZ"),
        ('["a", "b"]', '["a", "z"]', "'z'"),
        ("seed = 3", "seed = ", "not TOML"),
        ("1_920_000", "-1", "sample_rate_hz"),
        ("noise_figure_db = 5", 'noise_figure_db = "none"', "no noise"),
    ],
)
def test_bad_files_are_explained(old, new, complaint):
    with pytest.raises(Exception, match=complaint) as caught:
        parse_scenario(GOOD.replace(old, new), source="x.toml")
    assert "Traceback" not in str(caught.value)
    assert type(caught.value).__module__.startswith("radio.")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ScenarioError, match="nowhere"):
        load_scenario(tmp_path / "nowhere.toml")
