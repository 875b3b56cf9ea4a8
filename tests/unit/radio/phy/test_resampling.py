"""The resampler against scipy's own and against a tone worked out at the new rate."""

import numpy as np
import pytest
from scipy.signal import resample_poly

from radio.phy.lte.grid.numerology import NumerologyError
from radio.phy.lte.survey.resampling import Resampler, rate_change

RATES = [
    (6, 2e6, 1_920_000),
    (6, 2.5e6, 1_920_000),
    (6, 2.048e6, 1_920_000),
    (6, 1.8e6, 1_920_000),
    (15, 4e6, 3_840_000),
    (25, 25e6, 7_680_000),
    (50, 10e6, 9_600_000),
    (50, 20e6, 15_360_000),
    (50, 25e6, 15_360_000),
    (50, 12.5e6, 11_520_000),
    (100, 20e6, 19_200_000),
    (100, 56e6, 30_720_000),
    (6, 1_953_125.0, 1_920_000),
]


@pytest.mark.parametrize(("n_prb", "rate", "to_hz"), RATES)
def test_tones_come_out_where_they_were(n_prb, rate, to_hz):
    change = rate_change(n_prb, rate)
    assert change is not None
    assert change.to_hz == to_hz
    edge = 0.98 * n_prb * 180e3 / 2
    for frequency in (-edge, 1e3, 0.7 * edge):
        n = 30_000
        tone = np.exp(2j * np.pi * frequency / rate * np.arange(n)).astype(np.complex64)
        resampler = Resampler(change, n_prb)
        out = np.concatenate([resampler.push(part) for part in np.array_split(tone, 7)] + [resampler.finish()])
        assert out.size == -(-n * change.up // change.down)
        want = np.exp(2j * np.pi * frequency / to_hz * np.arange(out.size))
        middle = slice(out.size // 4, 3 * out.size // 4)
        assert np.max(np.abs(out[middle] - want[middle])) < 2e-3


def test_how_the_input_is_cut_changes_nothing_and_scipy_agrees():
    rng = np.random.default_rng(4)
    spectrum = np.fft.fft(rng.standard_normal(40_000) + 1j * rng.standard_normal(40_000))
    spectrum[np.abs(np.fft.fftfreq(40_000, 1 / 2e6)) > 540e3] = 0
    iq = np.fft.ifft(spectrum).astype(np.complex64)
    change = rate_change(6, 2e6)
    outs = []
    for cuts in ([40_000], [1, 39_999], [17, 4_000, 35_983], [8_192] * 4 + [7_232]):
        resampler = Resampler(change, 6)
        parts, at = [], 0
        for cut in cuts:
            parts.append(resampler.push(iq[at : at + cut]))
            at += cut
        outs.append(np.concatenate([*parts, resampler.finish()]))
    assert all(np.array_equal(outs[0], other) for other in outs[1:])
    theirs = resample_poly(iq, change.up, change.down, window=("kaiser", 9.0))
    assert theirs.size == outs[0].size
    middle = slice(2_000, -2_000)
    error = np.abs(theirs[middle] - outs[0][middle])
    assert np.mean(error**2) < 1e-4 * np.mean(np.abs(theirs[middle]) ** 2)


def test_rates_that_fit_are_left_alone_and_low_ones_refused():
    assert rate_change(50, 15.36e6) is None
    assert rate_change(50, 11.52e6) is None
    for n_prb, rate in ((50, 8.9e6), (6, 1e3), (100, 18e6)):
        with pytest.raises(NumerologyError, match="too few"):
            rate_change(n_prb, rate)
    with pytest.raises(NumerologyError, match="small integers"):
        rate_change(6, 2_000_003.17)
    with pytest.raises(NumerologyError, match="N_RB"):
        rate_change(7, 2e6)
