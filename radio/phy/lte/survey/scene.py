"""The data of a recorded subframe that all searches share: grid, occupied PRBs, products of the reference symbols."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Grid
from radio.phy.lte.grid.layout import Mode, communication_layout
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.survey.dmrs_search import ReferenceProducts
from radio.phy.lte.survey.subframe_occupancy import Occupancy, OccupancyGate
from radio.phy.lte.survey.subframe_timeline import RecordedSubframe


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """One subframe, and everything that is computed about it once for all searches."""

    subframe: RecordedSubframe
    occupancy: Occupancy = field(repr=False)
    products: ReferenceProducts = field(repr=False)

    @property
    def grid(self) -> Grid:
        """The resource grid, complex64 (n_symbols, n_subcarriers)."""
        return self.subframe.grid

    @property
    def index(self) -> int:
        """Number of the subframe in the recording."""
        return self.subframe.index

    def free_prbs(self, width: int, taken: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """First PRB of every stretch of `width` PRBs that holds more than noise and none of `taken`, int64."""
        return _free_of(self.occupancy.everywhere(width), taken, width).nonzero()[0]


@dataclass(slots=True)
class SceneMaker:
    """Makes scenes of the subframes of one recording, in order."""

    carrier: Carrier
    mode: Mode
    _gate: OccupancyGate = field(default_factory=OccupancyGate)

    def scene(self, subframe: RecordedSubframe) -> Scene:
        """The scene of the next subframe."""
        symbols = np.array(communication_layout(self.mode, self.carrier.cp).dmrs)
        return Scene(
            subframe=subframe,
            occupancy=self._gate.take(subframe.grid),
            products=ReferenceProducts.of(subframe.grid, symbols),
        )


@njit(cache=True, nogil=True)
def _free_of(worth: npt.NDArray[np.bool_], taken: npt.NDArray[np.bool_], width: int) -> npt.NDArray[np.bool_]:
    """`worth`, bool (n_prb - width + 1,), without the stretches of `width` PRBs that hold one of `taken`."""
    free = worth.copy()
    for prb in range(taken.size):
        if taken[prb]:
            free[max(prb - width + 1, 0) : prb + 1] = False
    return free
