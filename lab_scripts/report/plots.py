"""Pictures of what the radio received: a waterfall of the air and the equalised PSSCH constellation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from radio.arrays import Iq

_FFT_SIZE = 256
_BELOW_FLOOR_DB = 3.0
_MAX_SYMBOLS = 6000


def draw_waterfall(path: Path, iq: Iq, sample_rate_hz: float, first_ms: float, title: str) -> None:
    """Power over time and frequency of received samples, to a PNG file.

    Args:
        path: the file to write.
        iq: complex64 (n_samples,).
        sample_rate_hz: their rate.
        first_ms: air time of the first sample.
        title: headline.
    """
    n_rows = len(iq) // _FFT_SIZE
    step = max(1, n_rows // 1600)
    rows = iq[: n_rows * _FFT_SIZE].reshape(n_rows, _FFT_SIZE) * np.hanning(_FFT_SIZE).astype(np.float32)
    power = np.abs(np.fft.fftshift(np.fft.fft(rows, axis=1), axes=1)) ** 2
    power = power[: n_rows // step * step].reshape(-1, step, _FFT_SIZE).mean(axis=1)
    power_db = 10 * np.log10(power + 1e-12)
    top, floor = float(np.percentile(power_db, 99.9)), float(np.median(power_db))
    figure = Figure(figsize=(11, 5.2), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    last_ms = first_ms + 1e3 * len(iq) / sample_rate_hz
    half_mhz = sample_rate_hz / 2e6
    image = axes.imshow(
        power_db.T,
        aspect="auto",
        origin="lower",
        extent=(first_ms, last_ms, -half_mhz, half_mhz),
        vmin=floor - _BELOW_FLOOR_DB,
        vmax=top,
        cmap="viridis",
        interpolation="nearest",
    )
    axes.set(xlabel="air time (ms)", ylabel="frequency (MHz)", title=title)
    figure.colorbar(image, ax=axes, label="power (dB, relative)")
    figure.tight_layout()
    figure.savefig(path)


def draw_constellation(path: Path, symbols: Iq, title: str) -> None:
    """Equalised symbols in the complex plane, to a PNG file.

    Args:
        path: the file to write.
        symbols: complex64 (n_symbols,), unit mean power where the equaliser did its work.
        title: headline.
    """
    shown = symbols[:: max(1, len(symbols) // _MAX_SYMBOLS)]
    figure = Figure(figsize=(5.6, 5.6), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(shown.real, shown.imag, ".", markersize=2.5, alpha=0.35, color="#1f5fa8")
    axes.axhline(0, color="#cccccc", linewidth=0.8, zorder=0)
    axes.axvline(0, color="#cccccc", linewidth=0.8, zorder=0)
    axes.set(xlim=(-1.8, 1.8), ylim=(-1.8, 1.8), xlabel="in phase", ylabel="quadrature", title=title)
    axes.set_aspect("equal")
    figure.tight_layout()
    figure.savefig(path)
