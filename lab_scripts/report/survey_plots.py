"""Pictures of a decoded recording: spectrogram, power of the resource grid, constellation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lab_scripts.report.plots import draw_constellation, draw_waterfall
from radio.arrays import Iq
from radio.phy.dsp.rotation import rotate
from radio.phy.lte.grid import scfdma
from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB, Carrier
from radio.phy.lte.survey.findings import FoundBlock, FoundDiscovery, FoundSci, FoundSlss, Survey

_MAX_SUBFRAMES = 40
_FLOOR_DB = -60.0


def draw_survey(folder: Path, iq: Iq, carrier: Carrier, survey: Survey) -> list[Path]:
    """Write the pictures into `folder`, which is made where it does not exist; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    spectrogram, grid, constellation = (folder / f"{name}.png" for name in ("spectrogram", "grid", "constellation"))
    draw_waterfall(spectrogram, iq, carrier.sample_rate_hz, 0.0, "Spectrogram of the recording")
    start, cfo_hz = _alignment(survey, carrier)
    draw_grid_power(grid, rotate(iq, -cfo_hz, carrier.sample_rate_hz), carrier, start)
    paths = [spectrogram, grid]
    symbols = [block.symbols for block in survey.transport_blocks]
    if symbols:
        draw_constellation(constellation, np.concatenate(symbols), "PSSCH after equalisation")
        paths.append(constellation)
    return paths


def _alignment(survey: Survey, carrier: Carrier) -> tuple[int, float]:
    """Start of a subframe, less than one into the recording, and the carrier offset: from the first thing found."""
    items: list[FoundSlss | FoundSci | FoundBlock | FoundDiscovery] = [
        *survey.slss,
        *survey.sci,
        *survey.transport_blocks,
        *survey.discovery,
    ]
    if not items:
        return 0, 0.0
    return round(items[0].timing_samples) % carrier.samples_per_subframe, items[0].cfo_hz


def draw_grid_power(path: Path, iq: Iq, carrier: Carrier, start: int) -> None:
    """Power of every PRB in every SC-FDMA symbol, to a PNG file; the first subframe begins at sample `start`."""
    step = carrier.samples_per_subframe
    margin = np.zeros(step, dtype=np.complex64)
    padded = np.concatenate((iq[start:], margin))
    n_subframes = min(max(-(-(iq.size - start) // step), 1), _MAX_SUBFRAMES)
    grids = [scfdma.demodulate(carrier, padded[i * step : (i + 1) * step]) for i in range(n_subframes)]
    power = np.abs(np.concatenate(grids)) ** 2
    power = power.reshape(power.shape[0], carrier.n_prb, SUBCARRIERS_PER_PRB).mean(axis=2)
    power_db = 10 * np.log10(np.maximum(power / max(float(power.max()), 1e-30), 1e-12))
    figure = Figure(figsize=(11, 5.2), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    image = axes.imshow(
        power_db.T,
        aspect="auto",
        origin="lower",
        extent=(0, n_subframes, -0.5, carrier.n_prb - 0.5),
        vmin=_FLOOR_DB,
        vmax=0,
        cmap="viridis",
        interpolation="nearest",
    )
    axes.set(xlabel="subframe of the recording", ylabel="PRB", title="Power of the resource grid")
    figure.colorbar(image, ax=axes, label="power (dB of the strongest)")
    figure.tight_layout()
    figure.savefig(path)
