"""A short recording with one of everything that transmission modes 3 and 4 send, for `pc5lab phy generate`.

Subframe 0 carries SLSS and PSBCH, 1 and 4 the two transmissions of a transport block with their SCIs; 7 is the last.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab_scripts.report.survey_document import bits_to_hex
from radio.arrays import Grid, Iq
from radio.phy import scfdma
from radio.phy.dmrs import V2X_PSCCH_CYCLIC_SHIFTS
from radio.phy.layout import Mode
from radio.phy.mib import MibSlV2x
from radio.phy.numerology import Carrier
from radio.phy.pools import SyncConfig
from radio.phy.psbch import map_psbch
from radio.phy.pssch import map_pssch
from radio.phy.sci import SciFormat1
from radio.phy.slss import map_slss
from radio.phy.tbs import v2x_transport_block_size
from radio.phy.transmissions import PsschTx
from radio.phy.v2x_pools import V2xPool
from radio.phy.v2x_pscch import map_v2x_pscch
from radio.phy.v2x_subframes import V2X_SYNC_PERIOD

_N_SUBFRAMES = 8
_FIRST_SUBFRAME, _GAP = 1, 3
_PRIORITY = 3
_DIVISIONS = {6: (6, 1), 15: (5, 3), 25: (5, 5), 50: (10, 5), 75: (15, 5), 100: (20, 5)}
"""sizeSubchannel and numSubchannel where none are asked for, by bandwidth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleV2xRecording:
    """What to put into the recording; `block` is filled up with zeros, None stands for a random one.

    `sub_channels` is (size, number) of the pool, None for one that fills the carrier; the PSSCH takes `n_used` of them,
    on the lowest at first and on the highest when it is repeated.
    """

    n_sl_id: int
    dfn: int
    mcs: int
    n_used: int | None
    block: bytes | None
    sub_channels: tuple[int, int] | None
    transmission_format: int


def sample_v2x_recording(
    carrier: Carrier, wanted: SampleV2xRecording, rng: np.random.Generator
) -> tuple[Iq, dict[str, Any]]:
    """Samples of the recording, complex64, and its contents in the shape `pc5lab phy decode` gives them.

    Raises a RadioError that names what does not fit.
    """
    grids = np.zeros((_N_SUBFRAMES, carrier.n_symbols, carrier.n_subcarriers), dtype=np.complex64)
    mib = MibSlV2x(bandwidth_prb=carrier.n_prb, dfn=wanted.dfn, subframe=0, in_coverage=False)
    map_slss(grids[0], carrier, wanted.n_sl_id, Mode.TM34)
    map_psbch(grids[0], carrier, mib, wanted.n_sl_id)
    pool = _pool(carrier, wanted)
    scis, blocks = _map_grant(grids, carrier, pool, wanted, rng)
    contents = {
        "slss": [{"id": wanted.n_sl_id, "cp": carrier.cp.value, "mode": Mode.TM34.value}],
        "mib_sl": [{"subframe": 0, "hex": bits_to_hex(mib.to_bits()), "fields": dataclasses.asdict(mib)}],
        "sci": scis,
        "transport_blocks": blocks,
        "discovery": [],
    }
    return np.concatenate([scfdma.modulate(carrier, grid) for grid in grids]), contents


def _pool(carrier: Carrier, wanted: SampleV2xRecording) -> V2xPool:
    size, number = wanted.sub_channels or _DIVISIONS[carrier.n_prb]
    return V2xPool(
        n_rb_sl=carrier.n_prb,
        sl_subframe="1" * 16,
        size_subchannel=size,
        num_subchannel=number,
        sync=SyncConfig(offset_indicators=(_number_on_air(wanted, 0) % V2X_SYNC_PERIOD,), period=V2X_SYNC_PERIOD),
    )


def _number_on_air(wanted: SampleV2xRecording, subframe: int) -> int:
    """10 DFN + subframe number of a subframe of the recording."""
    return 10 * wanted.dfn + subframe


def _map_grant(
    grids: np.ndarray[Any, np.dtype[np.complex64]],
    carrier: Carrier,
    pool: V2xPool,
    wanted: SampleV2xRecording,
    rng: np.random.Generator,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Map both transmissions of a transport block; returns its SCIs and the block as the document shows them."""
    n_used = wanted.n_used or min(2, pool.num_subchannel)
    first, last = 0, pool.num_subchannel - n_used
    scis = [_sci(pool, wanted, other, n_used, index) for index, other in enumerate((last, first))]
    resources = pool.resources(scis[0], _number_on_air(wanted, _FIRST_SUBFRAME), first)
    places = [resource.subframe - _number_on_air(wanted, 0) for resource in resources]
    prbs = resources[0].pssch_prbs
    size = v2x_transport_block_size(wanted.mcs, len(prbs), wanted.transmission_format) // 8
    block = rng.bytes(size) if wanted.block is None else wanted.block.ljust(size, b"\0")
    control = []
    for sci, resource, subframe in zip(scis, resources, places, strict=True):
        grid: Grid = grids[subframe]
        shift = int(rng.choice(V2X_PSCCH_CYCLIC_SHIFTS))
        n_id_x = map_v2x_pscch(grid, carrier, sci, resource.pscch_prb, pool.num_subchannel, shift)
        tx = PsschTx(
            prbs=resource.pssch_prbs,
            mcs=wanted.mcs,
            n_id_sa=n_id_x,
            n_ssf=resource.n_ssf,
            rv=resource.rv,
            transport_block=block,
        )
        map_pssch(grid, carrier, tx, Mode.TM34, wanted.transmission_format)
        control.append(
            {
                "subframe": subframe,
                "prb": resource.pscch_prb,
                "format": 1,
                "hex": bits_to_hex(sci.to_bits(pool.num_subchannel)),
                "crc_hex": f"{n_id_x:04x}",
            }
        )
    found = {
        "subframes": places,
        "prb": resources[-1].pssch_prbs[0],
        "n_prb": len(prbs),
        "mcs": wanted.mcs,
        "rv": [resource.rv for resource in resources],
        "bits": 8 * size,
        "hex": block.hex(),
    }
    return control, [found]


def _sci(pool: V2xPool, wanted: SampleV2xRecording, other: int, n_used: int, index: int) -> SciFormat1:
    """The SCI of one transmission; `other` is the first sub-channel of the other one."""
    return SciFormat1(
        priority=_PRIORITY,
        resource_reservation=0,
        frequency_location=pool.frequency_location(other, n_used),
        time_gap=_GAP,
        mcs=wanted.mcs,
        retransmission_index=index,
        transmission_format=wanted.transmission_format,
    )
