"""Two UEs that can't hear each other send all they can to a third: whole UEs on a model of the air."""

from lab_scripts.benchmarks.link_crowds import StarPlan, star_results
from lab_scripts.runs.cell_plan import CrowdPlan


def figures_of(seed, monkeypatch, *, reports):
    """Blocks lost and goodput; the configuration differs in `hearing_reports` alone."""
    as_planned = CrowdPlan.ue_config

    def configured(plan, name, **where):
        return as_planned(plan, name, **where) | {"layer2": {"hearing_reports": reports}}

    monkeypatch.setattr(StarPlan, "ue_config", configured)
    return [result.value for result in star_results(2, [seed], hidden=True)]


def test_a_hidden_pair_parts(monkeypatch):
    """Seed 6 draws places that collide; without reports more than a third of the blocks is lost."""
    lost, goodput_kbit_s, fair = figures_of(6, monkeypatch, reports=True)
    assert lost <= 0.1
    assert fair >= 0.9
    lost_before, before_kbit_s, _ = figures_of(6, monkeypatch, reports=False)
    assert lost_before >= 0.2
    assert goodput_kbit_s >= 1.5 * before_kbit_s
