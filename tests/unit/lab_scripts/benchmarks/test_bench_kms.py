"""The KMS bench issues keys to all users and projects from what it measured."""

from __future__ import annotations

import pytest

from lab_scripts.benchmarks.kms import rotation


@pytest.mark.parametrize("workers", [1, 2])
def test_everyone_gets_keys(workers: int) -> None:
    rate, duration = rotation(users=100, workers=workers)
    assert (rate.unit, rate.lower_is_better, rate.runs) == ("1/s", False, 4)
    assert rate.value > 0
    assert (duration.unit, duration.lower_is_better) == ("h", True)
    assert duration.value == pytest.approx(1e7 / (rate.value * workers) / 3600)
