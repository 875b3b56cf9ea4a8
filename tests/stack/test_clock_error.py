"""A UE whose sample clock is 10 ppm off follows its reference through noise."""

from __future__ import annotations

import numpy as np
import pytest

from radio.arrays import Iq
from radio.phy.dsp.rotation import rotate
from radio.phy.lte.channels.indications import Indication, MibReceived, Synchronised
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.transmissions import SlssTx
from radio.phy.lte.channels.waveform import subframe_waveform
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.pools.mode2 import SidelinkPools, SyncConfig
from radio.phy.lte.ue_phy import UePhy

CARRIER = Carrier(15)
STEP = CARRIER.samples_per_subframe
POOLS = SidelinkPools(n_prb=15, sync=SyncConfig(offset_indicators=(3,)))


def delayed(iq: Iq, fraction: float) -> Iq:
    """`iq` later by a fraction of a sample."""
    padded = np.concatenate((iq, np.zeros(64, dtype=np.complex64)))
    ramp = np.exp(-2j * np.pi * fraction * np.fft.fftfreq(padded.size))
    return np.fft.ifft(np.fft.fft(padded) * ramp).astype(np.complex64)


@pytest.mark.parametrize("ppm", [-10.0, 10.0])
def test_half_a_minute(ppm: float) -> None:
    rng = np.random.default_rng(1)
    length = STEP * (1 + ppm * 1e-6)
    start, cfo_hz, n_occasions = 1000.25, 2345.0, 750
    ue = UePhy(CARRIER, POOLS)
    heard: list[Indication] = []
    place = 0
    errors = []
    for subframe in range(3, 40 * n_occasions, 40):
        dfn, number = divmod(subframe % 10240, 10)
        mib = MibSl(bandwidth_prb=15, dfn=dfn, subframe=number, in_coverage=True)
        first, fraction = divmod(start + subframe * length, 1)
        burst = delayed(subframe_waveform(CARRIER, [SlssTx(n_sl_id=300, mib=mib)]), fraction)
        heard += ue.receive(np.zeros(int(first) - 500 - place, dtype=np.complex64), place)
        place = int(first) - 500
        noise = rng.normal(size=(burst.size + 1000, 2)).astype(np.float32).view(np.complex64)[:, 0] * np.float32(0.5)
        noise[500 : 500 + burst.size] += rotate(burst, cfo_hz, CARRIER.sample_rate_hz, int(first))
        heard += ue.receive(noise, place)
        place += noise.size
        errors.append(ue.first_sample_of(subframe + 20) - (start + (subframe + 20) * length))
    assert [type(indication) for indication in heard] == [Synchronised] + [MibReceived] * (n_occasions - 1)
    assert max(abs(error) for error in errors[20:]) < 1.2
    assert ue.cfo_hz == pytest.approx(cfo_hz, abs=25)
