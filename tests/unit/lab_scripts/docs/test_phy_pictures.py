"""The pictures of docs/phy.md: they are the ones the script draws, and the grid maps show the layouts."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from lab_scripts.doc_makers.phy_pictures import _PICTURES
from lab_scripts.doc_makers.subframe_maps import CHANNEL_MAPS, ElementUse

DOCS = Path(__file__).parents[4] / "docs"
USES_OF_PSBCH = {ElementUse.DMRS: 2 * 72, ElementUse.PSSS: 2 * 62, ElementUse.SSSS: 2 * 62, ElementUse.GUARD: 72}


def test_the_page_shows_what_the_script_draws():
    shown = set(re.findall(r"\(pictures/(\w+)\.png\)", (DOCS / "phy.md").read_text()))
    assert shown == set(_PICTURES)
    for name in shown:
        assert (DOCS / "pictures" / f"{name}.png").stat().st_size < 120_000


@pytest.mark.parametrize(
    ("title", "counts"),
    [
        ("SLSS and PSBCH, modes 1 and 2", USES_OF_PSBCH | {ElementUse.DATA: 7 * 72}),
        ("the same, extended CP", USES_OF_PSBCH | {ElementUse.DATA: 5 * 72}),
        ("PSCCH, 1 PRB", {ElementUse.DATA: 11 * 12, ElementUse.DMRS: 2 * 12, ElementUse.GUARD: 12}),
        (
            "PSCCH and PSSCH, modes 3 and 4",
            {ElementUse.DATA: 9 * 48, ElementUse.CONTROL: 9 * 24, ElementUse.DMRS: 4 * 72},
        ),
    ],
)
def test_grid_maps_count_right(title, counts):
    (channel,) = [channel for channel in CHANNEL_MAPS if channel.title == title]
    uses = channel.draw()
    for use, count in counts.items():
        assert np.count_nonzero(uses == use) == count, use
