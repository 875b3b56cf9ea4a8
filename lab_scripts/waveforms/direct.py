"""Signals of transmission modes 1 and 2, one of each kind in every SC period of 40 subframes, for `pc5lab phy`.

Subframe 0 carries SLSS and PSBCH, 1 and 2 the SCI; from 3 on the PSSCH pool lets four of eight subframes be used (3 to
6, 11 to 14, ...), four of them to a transport block; 7 to 10 carry the transmissions of a discovery message. The
shortest recording with all of it is 12 subframes long.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab_scripts.report.survey_document import bits_to_hex
from lab_scripts.waveforms.plan import PlannedSignal, filled_up, placed, rendered, with_slss
from radio.arrays import Iq
from radio.phy.dsp.rotation import rotate
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.psdch import MESSAGE_BITS
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.channels.transmissions import PscchTx, PsdchTx, PsschTx, SlssTx
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import SUBFRAMES_PER_DFN_CYCLE, Carrier
from radio.phy.lte.grid.riv import encode_riv
from radio.phy.lte.grid.tbs import transport_block_size
from radio.phy.lte.pools.mode1 import ScheduledPool
from radio.phy.lte.pools.mode2 import CommPool, DiscPool, ScPool

N_SUBFRAMES = 12
"""Default length in subframes."""
SC_PERIOD = 40
_I_TRP = 36
"""Four subframes, then four pauses (TS 36.213 Table 14.1.1.1.1-1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRecording:
    """The contents of the recording; zeros fill up `block` and `message`, None stands for random ones.

    The PSSCH takes `width` PRBs from `first_prb` on. `timing_advance` is the indication of a grant in transmission mode
    1, None for mode 2. Given blocks are all alike, random ones all differ.
    """

    n_sl_id: int
    dfn: int
    destination: int
    mcs: int
    width: int
    block: bytes | None
    message: bytes | None
    timing_advance: int | None = None
    first_prb: int = 0


def sample_recording(carrier: Carrier, wanted: SampleRecording, rng: np.random.Generator) -> tuple[Iq, dict[str, Any]]:
    """Samples of the shortest recording, complex64, and its contents in the shape `pc5lab phy decode` gives them.

    Raises a RadioError or LabError that names what does not fit.
    """
    return rendered(DirectPlan(carrier, wanted, rng), N_SUBFRAMES)


class DirectPlan:
    """The `WaveformPlan` of modes 1 and 2. Raises a RadioError or LabError that names what does not fit."""

    period = SC_PERIOD

    def __init__(self, carrier: Carrier, wanted: SampleRecording, rng: np.random.Generator) -> None:
        self.carrier = carrier
        self._wanted = wanted
        self._rng = rng
        self.comm_pool = _comm_pool(carrier, is_scheduled=wanted.timing_advance is not None)
        self.disc_pool = _disc_pool(carrier)
        self._prbs = self.comm_pool.prbs(wanted.first_prb, wanted.width)
        self._sci = SciFormat0(
            riv=encode_riv(wanted.first_prb, wanted.width, carrier.n_prb),
            i_trp=_I_TRP,
            mcs=wanted.mcs,
            timing_advance=wanted.timing_advance or 0,
            group_destination_id=wanted.destination,
        )
        self._block_octets = transport_block_size(wanted.mcs, wanted.width) // 8
        self.padding_octets = 0 if wanted.block is None else max(self._block_octets - len(wanted.block), 0)

    def signals(self, period: int) -> list[PlannedSignal]:
        """See `WaveformPlan.signals`."""
        first = period * SC_PERIOD
        own_block, message = self._block(), self._message()
        return [
            *self._synchronisation(first),
            *self._control(first),
            *self._shared(first, own_block),
            self._discovery(first, message),
        ]

    def _block(self) -> bytes:
        carries = f"MCS {self._wanted.mcs} over {self._wanted.width} PRBs carries"
        hint = "give it more room with --mcs or --width"
        return filled_up(self._wanted.block, self._block_octets, self._rng, carries=carries, hint=hint)

    def _message(self) -> bytes:
        carries, hint = "a discovery message has", "shorten --message"
        return filled_up(self._wanted.message, MESSAGE_BITS // 8, self._rng, carries=carries, hint=hint)

    def _synchronisation(self, first: int) -> list[PlannedSignal]:
        on_air = (10 * self._wanted.dfn + first) % SUBFRAMES_PER_DFN_CYCLE
        mib = MibSl(bandwidth_prb=self.carrier.n_prb, dfn=on_air // 10, subframe=on_air % 10, in_coverage=False)
        place = placed(self.carrier, SlssTx(n_sl_id=self._wanted.n_sl_id, mib=mib))
        slss = {"id": self._wanted.n_sl_id, "cp": self.carrier.cp.value, "mode": Mode.TM12.value}
        fields = {"subframe": first, "hex": bits_to_hex(mib.to_bits()), "fields": dataclasses.asdict(mib)}
        return [
            PlannedSignal(kind="slss", item=slss, places=((first, place),)),
            PlannedSignal(kind="mib_sl", item=fields, places=((first, with_slss),)),
        ]

    def _control(self, first: int) -> list[PlannedSignal]:
        subframes = self.comm_pool.pscch_subframes(0)
        found = []
        for index, prb in self.comm_pool.pscch_resource(0):
            subframe = first + subframes[index]
            place = placed(self.carrier, PscchTx(prb=prb, sci=self._sci))
            digits = bits_to_hex(self._sci.to_bits(self.carrier.n_prb))
            item = {"subframe": subframe, "prb": prb, "format": 0, "hex": digits}
            found.append(PlannedSignal(kind="sci", item=item, places=((subframe, place),)))
        return found

    def _shared(self, first: int, first_block: bytes) -> list[PlannedSignal]:
        """Every transport block of the period's grant."""
        wanted = self._wanted
        granted: dict[int, list[tuple[int, int, int]]] = {}
        for subframe, n_ssf, index, rv in self.comm_pool.pssch_transmissions(0, _I_TRP):
            granted.setdefault(index, []).append((first + subframe, n_ssf, rv))
        blocks = []
        for index, transmissions in granted.items():
            octets = self._block() if index else first_block
            places = tuple(
                (
                    subframe,
                    placed(
                        self.carrier,
                        PsschTx(
                            prbs=self._prbs,
                            mcs=wanted.mcs,
                            n_id_sa=wanted.destination,
                            n_ssf=n_ssf,
                            rv=rv,
                            transport_block=octets,
                        ),
                    ),
                )
                for subframe, n_ssf, rv in transmissions
            )
            item = {
                "subframes": [subframe for subframe, *_ in transmissions],
                "prb": self._prbs[0],
                "n_prb": len(self._prbs),
                "mcs": wanted.mcs,
                "rv": [rv for *_, rv in transmissions],
                "bits": 8 * len(octets),
                "hex": octets.hex(),
            }
            blocks.append(PlannedSignal(kind="transport_blocks", item=item, places=places))
        return blocks

    def _discovery(self, first: int, message: bytes) -> PlannedSignal:
        sent = [(first + subframe, prb, rv) for subframe, prb, _, rv in self.disc_pool.transmissions(0, 0)]
        places = tuple((s, placed(self.carrier, PsdchTx(prb=prb, rv=rv, message=message))) for s, prb, rv in sent)
        item = {"subframes": [s for s, *_ in sent], "prb": sent[0][1], "hex": message.hex()}
        return PlannedSignal(kind="discovery", item=item, places=places)


def _comm_pool(carrier: Carrier, *, is_scheduled: bool) -> ScPool:
    """PSCCH in subframes 1 and 2, PSSCH from 3 on, over the whole carrier."""
    n_prb, half = carrier.n_prb, carrier.n_prb // 2
    if is_scheduled:
        return ScheduledPool(
            n_rb_sl=n_prb, sc_bitmap="011", sc_prb_num=half, sc_prb_start=0, sc_prb_end=n_prb - 1, cp=carrier.cp
        )
    return CommPool(
        n_rb_sl=n_prb,
        sc_bitmap="011",
        sc_prb_num=half,
        sc_prb_start=0,
        sc_prb_end=n_prb - 1,
        data_offset=3,
        data_bitmap="1",
        data_prb_num=n_prb - half,
        data_prb_start=0,
        data_prb_end=n_prb - 1,
        cp=carrier.cp,
    )


def _disc_pool(carrier: Carrier) -> DiscPool:
    """PSDCH in subframes 7 to 10, over the whole carrier."""
    n_prb = carrier.n_prb
    return DiscPool(
        n_rb_sl=n_prb,
        disc_period=4,
        bitmap="0" * 7 + "1111",
        num_retx=3,
        prb_num=n_prb // 2,
        prb_start=0,
        prb_end=n_prb - 1,
        cp=carrier.cp,
    )


def impaired(
    iq: Iq,
    carrier: Carrier,
    *,
    cfo_hz: float,
    delay_samples: int,
    snr_db: float | None,
    rng: np.random.Generator,
    first_sample: int = 0,
) -> Iq:
    """The recording delayed, shifted in frequency and, unless `snr_db` is None, with noise.

    `first_sample` numbers the first sample of what is made, so that parts made one after the other join.
    """
    out = np.concatenate((np.zeros(delay_samples, dtype=np.complex64), iq))
    if cfo_hz:
        out = rotate(out, cfo_hz, carrier.sample_rate_hz, first_sample)
    if snr_db is not None:
        noise = rng.normal(size=(out.size, 2)).astype(np.float32).view(np.complex64)[:, 0]
        out = out + noise * np.float32(10 ** (-snr_db / 20) / np.sqrt(2))
    return out
