import numpy as np
import pytest

from radio.emulator.channel.fading import FadingModel, TapProcesses, flat_path, rayleigh_taps
from radio.emulator.channel.link import Link, SampleClock
from radio.errors import RadioError

RATE = 15_360_000


def in_band(n, seed=0, width=0.3):
    rng = np.random.default_rng(seed)
    spectrum = np.fft.fft(rng.standard_normal(n) + 1j * rng.standard_normal(n))
    spectrum[np.abs(np.fft.fftfreq(n)) > width] = 0
    return np.fft.ifft(spectrum).astype(np.complex64)


def link(*, tx_on=0, rx_on=0, tx_ppm=0.0, rx_ppm=0.0, **changes):
    fields = {
        "transmitter": SampleClock(power_on_sample=tx_on, rate_error=tx_ppm * 1e-6),
        "receiver": SampleClock(power_on_sample=rx_on, rate_error=rx_ppm * 1e-6),
        "sample_rate_hz": RATE,
        "gain": 1.0,
        "delay_samples": 0.0,
        "cfo_hz": 0.0,
        "taps": flat_path(),
    }
    return Link(**(fields | changes))


def error_db(a, b):
    return 10 * np.log10(np.sum(np.abs(a - b) ** 2) / np.sum(np.abs(b) ** 2) + 1e-20)


@pytest.mark.parametrize(
    ("fading", "ppm", "limit_db"),
    [("EPA5", (1, -2), -70), ("EVA70", (-3, 0), -50), ("ETU300", (10, -10), -45)],
)
def test_kernel_agrees_with_definition(fading, ppm, limit_db):
    path = link(
        tx_on=1234,
        rx_on=777,
        tx_ppm=ppm[0],
        rx_ppm=ppm[1],
        gain=0.5,
        delay_samples=3.37,
        cfo_hz=1234.5,
        taps=rayleigh_taps(FadingModel.parse(fading), 3, "a", "b"),
    )
    first, n = 10**8, 15_361
    lo, hi = path.span(first, n)
    waveform = in_band(hi - lo)
    kernel, plain = np.zeros(n, np.complex64), np.zeros(n, np.complex64)
    path.add(kernel, first, waveform, lo)
    path.add_plain(plain, first, waveform, lo)
    assert error_db(kernel, plain) < limit_db


def test_whole_sample_delay_is_exact():
    path = link(tx_on=100, rx_on=40, delay_samples=7.0, gain=0.25)
    lo, hi = path.span(1000, 500)
    waveform = in_band(hi - lo)
    out = np.zeros(500, np.complex64)
    path.add(out, 1000, waveform, lo)
    start = 1000 + 40 - 7 - 100 - lo
    assert np.allclose(out, 0.25 * waveform[start : start + 500], atol=1e-6)


def test_fractional_delay_is_a_linear_phase():
    path = link(delay_samples=0.4)
    frequency = 0.29
    lo, hi = path.span(0, 2000)
    n = np.arange(lo, hi)
    out = np.zeros(2000, np.complex64)
    path.add(out, 0, np.exp(2j * np.pi * frequency * n).astype(np.complex64), lo)
    wanted = np.exp(2j * np.pi * frequency * (np.arange(2000) - 0.4))
    assert error_db(out, wanted) < -60


@pytest.mark.parametrize("ppm", [10.0, -20.0])
def test_clock_drift_moves_the_waveform_by_the_right_amount(ppm):
    path = link(tx_ppm=ppm)
    first = 9 * 10**8
    lo, hi = path.span(first, 4000)
    frequency = 0.05
    n = np.arange(lo, hi)
    out = np.zeros(4000, np.complex64)
    path.add(out, first, np.exp(2j * np.pi * frequency * (n - lo)).astype(np.complex64), lo)
    exact = (first + np.arange(4000)) * (1 + ppm * 1e-6) - lo
    assert error_db(out, np.exp(2j * np.pi * frequency * exact)) < -60


def test_carrier_offset_runs_on_from_block_to_block():
    path = link(cfo_hz=-7321.0)
    out = np.zeros(30_722, np.complex64)
    for first, n in [(0, 15_361), (15_361, 15_361)]:
        lo, hi = path.span(first, n)
        path.add(out[first : first + n], first, np.ones(hi - lo, np.complex64), lo)
    wanted = np.exp(2j * np.pi * -7321.0 * np.arange(len(out)) / RATE)
    assert np.abs(out - wanted).max() < 2e-4


def test_cutting_into_blocks_changes_nothing_that_matters():
    path = link(delay_samples=5.3, tx_ppm=2, cfo_hz=500, taps=rayleigh_taps(FadingModel.parse("EVA70"), 8, "x"))
    lo, hi = path.span(0, 15_360)
    waveform = in_band(hi - lo)
    whole, pieces = np.zeros(15_360, np.complex64), np.zeros(15_360, np.complex64)
    path.add(whole, 0, waveform, lo)
    for first in range(0, 15_360, 1920):
        path.add(pieces[first : first + 1920], first, waveform, lo)
    assert error_db(pieces, whole) < -50


@pytest.mark.parametrize("name", ["EPA5", "EVA70", "ETU300"])
def test_fading_has_unit_mean_power_and_rayleigh_taps(name):
    powers, first_tap = [], []
    for seed in range(150):
        gains = rayleigh_taps(FadingModel.parse(name), seed, "p").gains(np.array([0.0, 10.0]))
        powers.append(np.sum(np.abs(gains) ** 2, axis=0).mean())
        first_tap.append(gains[0])
    assert abs(np.mean(powers) - 1) < 0.12
    tap = np.abs(np.array(first_tap)) ** 2
    assert abs(np.mean(tap**2) / np.mean(tap) ** 2 - 2) < 0.4


def test_doppler_follows_the_bessel_function():
    from scipy.special import j0

    doppler, lag_s = 50.0, 0.004
    time_s = np.arange(4000) * 1e-3
    products = []
    for seed in range(40):
        taps = rayleigh_taps(FadingModel.parse("EPA50"), seed, "d")
        now, later = taps.gains(time_s)[0], taps.gains(time_s + lag_s)[0]
        products.append(np.mean(later * now.conj()) / np.mean(np.abs(now) ** 2))
    assert abs(np.mean(products) - j0(2 * np.pi * doppler * lag_s)) < 0.06


@pytest.mark.parametrize("name", ["EPA", "EPB5", "epa5", "EPA-5", ""])
def test_unknown_fading_is_named(name):
    with pytest.raises(RadioError, match="EPA5"):
        FadingModel.parse(name)


def test_tap_delay_is_applied_between_samples():
    taps = TapProcesses(
        delays_s=np.array([0.0, 130e-9]),
        amplitudes=np.array([1.0, 0.5]),
        omegas=np.zeros((2, 1)),
        phases=np.zeros((2, 1)),
    )
    path = link(taps=taps)
    lo, hi = path.span(0, 1000)
    frequency = 0.1
    out = np.zeros(1000, np.complex64)
    path.add(out, 0, np.exp(2j * np.pi * frequency * np.arange(lo, hi)).astype(np.complex64), lo)
    response = 1 + 0.5 * np.exp(-2j * np.pi * frequency * 130e-9 * RATE)
    assert error_db(out, response * np.exp(2j * np.pi * frequency * np.arange(1000))) < -60
