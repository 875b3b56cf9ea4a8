"""A short recording with one of everything that transmission modes 1 and 2 send, for `pc5lab phy generate`.

Subframe 0 carries SLSS and PSBCH, 1 and 2 the SCI, 3 to 6 the four transmissions of a transport block, 7 to 10 those
of a discovery message; 11 is empty.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab_scripts.report.survey_document import bits_to_hex
from radio.arrays import Iq
from radio.phy.layout import Mode
from radio.phy.mib import MibSl
from radio.phy.numerology import Carrier
from radio.phy.pools import CommPool, DiscPool, ScPool
from radio.phy.psdch import MESSAGE_BITS
from radio.phy.riv import encode_riv
from radio.phy.rotation import rotate
from radio.phy.scheduled_pool import ScheduledPool
from radio.phy.sci import SciFormat0
from radio.phy.tbs import transport_block_size
from radio.phy.transmissions import PscchTx, PsdchTx, PsschTx, SlssTx, Transmission
from radio.phy.waveform import subframe_waveform

_N_SUBFRAMES = 12
_I_TRP = 36
"""Four subframes, then four pauses (TS 36.213 Table 14.1.1.1.1-1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRecording:
    """What to put into the recording; `block` and `message` are filled up with zeros, None stands for random ones.

    `timing_advance` is the indication of a grant in transmission mode 1, None for mode 2.
    """

    n_sl_id: int
    dfn: int
    destination: int
    mcs: int
    width: int
    block: bytes | None
    message: bytes | None
    timing_advance: int | None = None


def sample_recording(carrier: Carrier, wanted: SampleRecording, rng: np.random.Generator) -> tuple[Iq, dict[str, Any]]:
    """Samples of the recording, complex64, and its contents in the shape `pc5lab phy decode` gives them.

    Raises a RadioError that names what does not fit.
    """
    mib = MibSl(bandwidth_prb=carrier.n_prb, dfn=wanted.dfn, subframe=0, in_coverage=False)
    sci = SciFormat0(
        riv=encode_riv(0, wanted.width, carrier.n_prb),
        i_trp=_I_TRP,
        mcs=wanted.mcs,
        timing_advance=wanted.timing_advance or 0,
        group_destination_id=wanted.destination,
    )
    size = transport_block_size(wanted.mcs, wanted.width) // 8
    block = rng.bytes(size) if wanted.block is None else wanted.block.ljust(size, b"\0")
    message = rng.bytes(MESSAGE_BITS // 8) if wanted.message is None else wanted.message.ljust(MESSAGE_BITS // 8, b"\0")
    comm, disc = _comm_pool(carrier, is_scheduled=wanted.timing_advance is not None), _disc_pool(carrier)
    plan: dict[int, list[Transmission]] = {0: [SlssTx(n_sl_id=wanted.n_sl_id, mib=mib)]}
    control = [(comm.pscch_subframes(0)[index], prb) for index, prb in comm.pscch_resource(0)]
    for subframe, prb in control:
        plan.setdefault(subframe, []).append(PscchTx(prb=prb, sci=sci))
    shared = comm.pssch_transmissions(0, _I_TRP)[:4]
    prbs = comm.prbs(0, wanted.width)
    for subframe, n_ssf, _, rv in shared:
        tx = PsschTx(prbs=prbs, mcs=wanted.mcs, n_id_sa=wanted.destination, n_ssf=n_ssf, rv=rv, transport_block=block)
        plan.setdefault(subframe, []).append(tx)
    discovery = disc.transmissions(0, 0)
    for subframe, prb, _, rv in discovery:
        plan.setdefault(subframe, []).append(PsdchTx(prb=prb, rv=rv, message=message))
    iq = np.concatenate([subframe_waveform(carrier, plan.get(n, ())) for n in range(_N_SUBFRAMES)])
    contents = {
        "slss": [{"id": wanted.n_sl_id, "cp": carrier.cp.value, "mode": Mode.TM12.value}],
        "mib_sl": [{"subframe": 0, "hex": bits_to_hex(mib.to_bits()), "fields": dataclasses.asdict(mib)}],
        "sci": [
            {"subframe": s, "prb": prb, "format": 0, "hex": bits_to_hex(sci.to_bits(carrier.n_prb))}
            for s, prb in control
        ],
        "transport_blocks": [
            {
                "subframes": [subframe for subframe, *_ in shared],
                "prb": prbs[0],
                "n_prb": len(prbs),
                "mcs": wanted.mcs,
                "rv": [rv for *_, rv in shared],
                "bits": 8 * size,
                "hex": block.hex(),
            }
        ],
        "discovery": [{"subframes": [s for s, *_ in discovery], "prb": discovery[0][1], "hex": message.hex()}],
    }
    return iq, contents


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
        data_prb_num=half,
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
    iq: Iq, carrier: Carrier, *, cfo_hz: float, delay_samples: int, snr_db: float | None, rng: np.random.Generator
) -> Iq:
    """The recording delayed, shifted in frequency and, unless `snr_db` is None, with noise."""
    out = np.concatenate((np.zeros(delay_samples, dtype=np.complex64), iq))
    if cfo_hz:
        out = rotate(out, cfo_hz, carrier.sample_rate_hz)
    if snr_db is not None:
        noise = rng.normal(size=(out.size, 2)).astype(np.float32).view(np.complex64)[:, 0]
        out = out + noise * np.float32(10 ** (-snr_db / 20) / np.sqrt(2))
    return out
