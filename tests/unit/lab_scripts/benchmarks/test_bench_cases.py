"""Every case of the timed benches can be set up and called; what it does is checked while it is set up."""

from __future__ import annotations

import pytest

from lab_scripts.benchmarks import phy, pipeline, security
from lab_scripts.benchmarks.measure import Case


@pytest.mark.parametrize("case", [*phy.cases(), *security.cases()], ids=lambda case: case.name)
def test_the_case_works(case: Case) -> None:
    case.prepare()()


def test_case_names_tell_cases_apart() -> None:
    names = [case.name for case in (*phy.cases(), *security.cases())]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("traffic", pipeline.TRAFFIC, ids=lambda traffic: traffic.name)
def test_the_watched_ue_receives_the_traffic(traffic: pipeline.Traffic) -> None:
    watched = pipeline.watch(traffic, 1)
    assert len(watched.means_ms) == 1
    assert all(block.crc_ok for block in watched.blocks)
    assert max(block.crc_ok_at for block in watched.blocks) == (1 if traffic.snr_db > 20 else 2)
