"""Signals of transmission modes 3 and 4, for `pc5lab phy`.

Every 160 subframes begin with SLSS and PSBCH. In every radio frame subframes 1 and 4 carry the two transmissions of a
transport block with their SCIs. The shortest recording with all of it is 8 subframes long.
"""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lab_scripts.report.survey_document import bits_to_hex
from lab_scripts.waveforms.plan import PlannedSignal, filled_up, placed, rendered, with_slss
from radio.arrays import Grid, Iq
from radio.phy.fec.crc import CRC16, crc
from radio.phy.lte.channels.mib import MibSlV2x
from radio.phy.lte.channels.pssch import map_pssch
from radio.phy.lte.channels.sci import SciFormat1
from radio.phy.lte.channels.transmissions import PsschTx, SlssTx
from radio.phy.lte.channels.v2x_pscch import map_v2x_pscch
from radio.phy.lte.grid.dmrs import V2X_PSCCH_CYCLIC_SHIFTS
from radio.phy.lte.grid.layout import Mode, communication_layout
from radio.phy.lte.grid.numerology import SUBFRAMES_PER_DFN_CYCLE, Carrier
from radio.phy.lte.grid.tbs import v2x_transport_block_size
from radio.phy.lte.pools.mode2 import SyncConfig
from radio.phy.lte.pools.v2x import V2xPool, V2xResource
from radio.phy.lte.pools.v2x_subframes import V2X_SYNC_PERIOD

N_SUBFRAMES = 8
"""Default length in subframes."""
_FIRST_SUBFRAME, _GAP = 1, 3
_SUBFRAMES_PER_FRAME = 10
_PRIORITY = 3
_DIVISIONS = {6: (6, 1), 15: (5, 3), 25: (5, 5), 50: (10, 5), 75: (15, 5), 100: (20, 5)}
"""Default sizeSubchannel and numSubchannel, by bandwidth."""


class Counting(enum.Enum):
    """How n_ssf^PSSCH counts, which scrambling and reference signals depend on."""

    POOL = "pool"
    """Over the subframes of the pool, those of SLSS left out (TS 36.211 9.2.4)."""
    SUBFRAME = "subframe"
    """The subframe number, 0 to 9, as several instruments and srsRAN have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleV2xRecording:
    """What to put into the recording; `block` is filled up with zeros, None stands for random ones.

    `sub_channels` is (size, number) of the pool, None for one that fills the carrier; the PSSCH takes `n_used` of them,
    from `first_sub_channel` on at first and on the highest when it is repeated.
    """

    n_sl_id: int
    dfn: int
    mcs: int
    n_used: int | None
    block: bytes | None
    sub_channels: tuple[int, int] | None
    transmission_format: int
    first_sub_channel: int = 0
    counting: Counting = Counting.POOL


def sample_v2x_recording(
    carrier: Carrier, wanted: SampleV2xRecording, rng: np.random.Generator
) -> tuple[Iq, dict[str, Any]]:
    """Samples of the shortest recording, complex64, and its contents in the shape `pc5lab phy decode` gives them.

    Raises a RadioError or LabError that names what does not fit.
    """
    return rendered(V2xPlan(carrier, wanted, rng), N_SUBFRAMES)


class V2xPlan:
    """The `WaveformPlan` of modes 3 and 4. Raises a RadioError or LabError that names what does not fit."""

    period = V2X_SYNC_PERIOD

    def __init__(self, carrier: Carrier, wanted: SampleV2xRecording, rng: np.random.Generator) -> None:
        communication_layout(Mode.TM34, carrier.cp)
        self.carrier = carrier
        self._wanted = wanted
        self._rng = rng
        self._pool = pool = _pool(carrier, wanted)
        self._n_used = wanted.n_used or min(2, pool.num_subchannel)
        self._prbs = pool.pssch_prbs(wanted.first_sub_channel, self._n_used)
        size = v2x_transport_block_size(wanted.mcs, len(self._prbs), wanted.transmission_format)
        self._block_octets = size // 8
        self.padding_octets = 0 if wanted.block is None else max(self._block_octets - len(wanted.block), 0)

    def signals(self, period: int) -> list[PlannedSignal]:
        """See `WaveformPlan.signals`."""
        first = period * V2X_SYNC_PERIOD
        found = self._synchronisation(first)
        for frame in range(first, first + V2X_SYNC_PERIOD, _SUBFRAMES_PER_FRAME):
            found += self._grant(frame + _FIRST_SUBFRAME)
        return found

    def _on_air(self, subframe: int) -> int:
        """10 DFN + subframe number of a subframe of the recording, not wrapped."""
        return 10 * self._wanted.dfn + subframe

    def _synchronisation(self, first: int) -> list[PlannedSignal]:
        wanted, carrier = self._wanted, self.carrier
        on_air = self._on_air(first) % SUBFRAMES_PER_DFN_CYCLE
        mib = MibSlV2x(bandwidth_prb=carrier.n_prb, dfn=on_air // 10, subframe=on_air % 10, in_coverage=False)
        slss = {"id": wanted.n_sl_id, "cp": carrier.cp.value, "mode": Mode.TM34.value}
        fields = {"subframe": first, "hex": bits_to_hex(mib.to_bits()), "fields": dataclasses.asdict(mib)}
        place = placed(carrier, SlssTx(n_sl_id=wanted.n_sl_id, mib=mib))
        return [
            PlannedSignal(kind="slss", item=slss, places=((first, place),)),
            PlannedSignal(kind="mib_sl", item=fields, places=((first, with_slss),)),
        ]

    def _grant(self, subframe: int) -> list[PlannedSignal]:
        """Both transmissions of a transport block, the first in `subframe`, and its SCIs."""
        wanted, pool = self._wanted, self._pool
        first, last = wanted.first_sub_channel, pool.num_subchannel - self._n_used
        scis = [self._sci(other, index) for index, other in enumerate((last, first))]
        resources = pool.resources(scis[0], self._on_air(subframe), first)
        places = [resource.subframe - self._on_air(0) for resource in resources]
        carries = f"MCS {wanted.mcs} over {len(self._prbs)} PRBs carries"
        hint = "give it more room with --mcs or --width"
        block = filled_up(wanted.block, self._block_octets, self._rng, carries=carries, hint=hint)
        signals = []
        halves = []
        for sci, resource, at in zip(scis, resources, places, strict=True):
            bits = sci.to_bits(pool.num_subchannel)
            n_id_x = crc(bits, CRC16)
            shift = int(self._rng.choice(V2X_PSCCH_CYCLIC_SHIFTS))
            item = {
                "subframe": at,
                "prb": resource.pscch_prb,
                "format": 1,
                "hex": bits_to_hex(bits),
                "crc_hex": f"{n_id_x:04x}",
            }
            place = partial(_place_sci, self.carrier, sci, resource.pscch_prb, pool.num_subchannel, shift)
            signals.append(PlannedSignal(kind="sci", item=item, places=((at, place),)))
            tx = PsschTx(
                prbs=resource.pssch_prbs,
                mcs=wanted.mcs,
                n_id_sa=n_id_x,
                n_ssf=self._n_ssf(resource),
                rv=resource.rv,
                transport_block=block,
            )
            halves.append((at, partial(_place_block, self.carrier, tx, wanted.transmission_format)))
        found = {
            "subframes": places,
            "prb": resources[-1].pssch_prbs[0],
            "n_prb": len(self._prbs),
            "mcs": wanted.mcs,
            "rv": [resource.rv for resource in resources],
            "bits": 8 * len(block),
            "hex": block.hex(),
        }
        return [*signals, PlannedSignal(kind="transport_blocks", item=found, places=tuple(halves))]

    def _n_ssf(self, resource: V2xResource) -> int:
        if self._wanted.counting is Counting.SUBFRAME:
            return resource.subframe % _SUBFRAMES_PER_FRAME
        return resource.n_ssf

    def _sci(self, other: int, index: int) -> SciFormat1:
        """The SCI of one transmission; `other` is the first sub-channel of the other one."""
        return SciFormat1(
            priority=_PRIORITY,
            resource_reservation=0,
            frequency_location=self._pool.frequency_location(other, self._n_used),
            time_gap=_GAP,
            mcs=self._wanted.mcs,
            retransmission_index=index,
            transmission_format=self._wanted.transmission_format,
        )


def _place_sci(carrier: Carrier, sci: SciFormat1, prb: int, n_subchannels: int, shift: int, grid: Grid) -> None:
    map_v2x_pscch(grid, carrier, sci, prb, n_subchannels, shift)


def _place_block(carrier: Carrier, tx: PsschTx, transmission_format: int, grid: Grid) -> None:
    map_pssch(grid, carrier, tx, Mode.TM34, transmission_format)


def _pool(carrier: Carrier, wanted: SampleV2xRecording) -> V2xPool:
    size, number = wanted.sub_channels or _DIVISIONS[carrier.n_prb]
    return V2xPool(
        n_rb_sl=carrier.n_prb,
        sl_subframe="1" * 16,
        size_subchannel=size,
        num_subchannel=number,
        sync=SyncConfig(offset_indicators=(10 * wanted.dfn % V2X_SYNC_PERIOD,), period=V2X_SYNC_PERIOD),
    )
