"""Coherence kernel against its definition."""

from __future__ import annotations

import numpy as np

from radio.phy.lte.grid.dmrs import psdch_dmrs
from radio.phy.lte.survey.dmrs_search import dmrs_coherence


def test_kernel_is_the_definition() -> None:
    rng = np.random.default_rng(1)
    grid = rng.normal(size=(14, 180, 2)).astype(np.float32).view(np.complex64)[..., 0]
    grid[[3, 10], 24:48] += 2 * psdch_dmrs() * np.exp(0.4j)
    places, symbols = np.arange(0, 156, 12), np.array([3, 10])
    coherence, energy = dmrs_coherence(grid, places, symbols, psdch_dmrs())
    for place, found, power in zip(places, coherence, energy, strict=True):
        h = grid[[3, 10], place : place + 24] * psdch_dmrs().conj()
        near = abs(np.sum(h[:, 1:] * h[:, :-1].conj())) / np.sum(np.abs(h) ** 2) * 24 / 23
        np.testing.assert_allclose(found, near, rtol=1e-4)
        np.testing.assert_allclose(power, np.mean(np.abs(h) ** 2), rtol=1e-4)
    assert places[int(np.argmax(coherence))] == 24


def test_an_empty_grid_has_none() -> None:
    coherence, energy = dmrs_coherence(np.zeros((14, 72), np.complex64), np.array([0]), np.array([3, 10]), psdch_dmrs())
    assert coherence[0] == energy[0] == 0
