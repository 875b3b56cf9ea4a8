"""The samples of one subframe, made from the transmissions of a UE in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import assert_never

import numpy as np

from radio.arrays import Grid, Iq
from radio.phy.lte.channels.mib import MibSlV2x
from radio.phy.lte.channels.psbch import map_psbch
from radio.phy.lte.channels.pscch import map_pscch
from radio.phy.lte.channels.psdch import map_psdch
from radio.phy.lte.channels.pssch import map_pssch
from radio.phy.lte.channels.slss import map_slss
from radio.phy.lte.channels.transmissions import PscchTx, PsdchTx, PsschTx, SlssTx, Transmission
from radio.phy.lte.grid import scfdma
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier


def subframe_waveform(
    carrier: Carrier,
    transmissions: Iterable[Transmission],
    delay_samples: float = 0.0,
    amplitude: Callable[[Transmission], float] = lambda _: 1.0,
) -> Iq:
    """All `transmissions` in one subframe, complex64 (samples_per_subframe,), unit power to a resource element.

    `amplitude` tells what the resource elements of each are scaled by; 1.0 leaves them as they are, bit for bit.
    Every symbol is `delay_samples`, less than one, later than the samples say: a phase slope over the subcarriers.
    Raises a RadioError that names what does not fit.
    """
    grid = np.zeros((carrier.n_symbols, carrier.n_subcarriers), dtype=np.complex64)
    for transmission in transmissions:
        scale = amplitude(transmission)
        if scale == 1.0:
            map_transmission(grid, carrier, transmission)
        else:
            alone = np.zeros_like(grid)
            map_transmission(alone, carrier, transmission)
            grid += np.float32(scale) * alone
    if delay_samples:
        from_middle = np.arange(carrier.n_subcarriers) - (carrier.n_subcarriers - 1) / 2
        grid *= np.exp((-2j * np.pi * delay_samples / carrier.fft_size) * from_middle).astype(np.complex64)
    return scfdma.modulate(carrier, grid)


def map_transmission(grid: Grid, carrier: Carrier, transmission: Transmission) -> None:
    """Write one transmission into the grid of its subframe, complex64 (n_symbols, 12 * N_RB^SL).

    Raises a RadioError that names the value which does not fit.
    """
    match transmission:
        case SlssTx(n_sl_id=n_sl_id, mib=mib):
            map_slss(grid, carrier, n_sl_id, Mode.TM34 if isinstance(mib, MibSlV2x) else Mode.TM12)
            map_psbch(grid, carrier, mib, n_sl_id)
        case PsdchTx():
            map_psdch(grid, carrier, transmission)
        case PscchTx(sci=sci, prb=prb):
            map_pscch(grid, carrier, sci, prb)
        case PsschTx():
            map_pssch(grid, carrier, transmission)
        case _ as never:
            assert_never(never)
