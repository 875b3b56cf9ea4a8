"""Frequency shift kernel against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from radio.phy.dsp.rotation import rotate


@pytest.mark.parametrize(("frequency_hz", "first_sample"), [(0.0, 0), (-7500.0, 12345), (1234.5, 10**10)])
def test_kernel_is_the_definition(frequency_hz: float, first_sample: int) -> None:
    rng = np.random.default_rng(1)
    iq = rng.normal(size=(1000, 2)).astype(np.float32).view(np.complex64)[:, 0]
    n = first_sample + np.arange(iq.size)
    turns = (frequency_hz / 15.36e6 * n) % 1.0
    np.testing.assert_allclose(
        rotate(iq, frequency_hz, 15.36e6, first_sample), iq * np.exp(2j * np.pi * turns), atol=1e-4
    )


def test_runs_join_without_a_step() -> None:
    iq = np.ones(3000, dtype=np.complex64)
    whole = rotate(iq, 4321.0, 1.92e6)
    np.testing.assert_allclose(rotate(iq[1000:], 4321.0, 1.92e6, 1000), whole[1000:], atol=1e-5)
