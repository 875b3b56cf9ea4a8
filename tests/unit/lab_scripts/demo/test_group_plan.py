"""The demo's group: who does what when, and that its configurations and its air are valid."""

from pathlib import Path

import pytest

from lab_scripts.demo.group_plan import MIN_GROUP_UES, GroupPlan
from lab_scripts.demo.insider_plan import insider_plan
from lab_scripts.runs.cell_plan import MAX_UES, CrowdPlan
from lab_scripts.runs.plan import scenario_of
from prose_link.config.ue import UeConfig


def plan_of(n_ues=6, seed=7):
    return GroupPlan(seed=seed, n_ues=n_ues, folder=Path())


def configs(plan):
    air = scenario_of(plan)
    return {
        name: UeConfig.model_validate(
            plan.ue_config(
                name, kms_url="", ticket=Path(), air="", power_on_s=air.ue(name).power_on_sample / air.sample_rate_hz
            )
        )
        for name in plan.names
    }


@pytest.mark.parametrize("n_ues", [MIN_GROUP_UES, 6, MAX_UES])
def test_every_part_is_anothers(n_ues):
    plan = plan_of(n_ues)
    parts = [*plan.keyers, plan.removed, plan.deaf, plan.joiner]
    assert len(set(parts)) == 5 and set(parts) <= set(plan.names)
    assert plan.reference == plan.keyers[1], "the group keeps its timing when the first keyer dies"


def test_both_keyers_know_the_same_group():
    plan = plan_of()
    first, second = (configs(plan)[name].group for name in plan.keyers)
    assert first.keyers == second.keyers == tuple(plan.granted[name] for name in plan.keyers)
    assert first.members == second.members and len(first.members) == 6
    assert first.remove == plan.granted[plan.removed] and not second.remove
    assert second.stop_when_done and not first.stop_when_done, "the first one dies, it doesn't end"


@pytest.mark.parametrize("n_ues", [MIN_GROUP_UES, 6, 12, MAX_UES])
def test_the_removal_comes_while_the_deaf_member_is_away_and_the_late_one_after_the_death(n_ues):
    plan = plan_of(n_ues)
    air, config = scenario_of(plan), configs(plan)
    ((away_ms, back_ms),) = air.ue(plan.deaf).out_of_reach_ms
    assert not any(air.ue(name).out_of_reach_ms for name in plan.names if name != plan.deaf)
    on_s = {name: air.ue(name).power_on_sample / air.sample_rate_hz for name in plan.names}
    first = config[plan.keyers[0]]
    removal_s = on_s[plan.keyers[0]] + first.group.remove_after_s
    death_s = on_s[plan.keyers[0]] + first.stop_after_s
    gives_up_s = first.group.delivery_rounds * first.timers.n4100 * first.timers.keying_s * 1.25
    speaks_until_s = removal_s + first.timers.n4100 * first.timers.keying_s * 0.75
    speaks_until_s += (first.group.copies - 1) * first.group.copy_every_s
    assert away_ms / 1e3 < removal_s < removal_s + gives_up_s < back_ms / 1e3 + first.timers.keying_s
    assert back_ms / 1e3 + 2 * first.group.copy_every_s < speaks_until_s, "it hears the key that it lacks in use"
    assert speaks_until_s < death_s < on_s[plan.joiner]
    assert config[plan.deaf].stop_when_alone_s > (back_ms - away_ms) / 1e3


def test_a_seed_says_where_everybody_stands():
    assert plan_of(seed=3).scenario() == plan_of(seed=3).scenario() != plan_of(seed=4).scenario()


def test_other_plans_of_groups_have_their_parts_too():
    crowd = configs(CrowdPlan(seed=1, n_ues=3, group=True, folder=Path()))
    assert [one.joins_late for one in crowd["ue-a"].group.members] == [False, True] and crowd["ue-a"].group.remove
    insiders = configs(insider_plan(1, Path()))
    assert not any(one.joins_late for one in insiders["ue-a"].group.members) and not insiders["ue-a"].group.remove
