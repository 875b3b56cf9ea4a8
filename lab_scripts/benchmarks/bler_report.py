"""The results of a block error measurement as files: `bler.json` with every point, and a picture of each channel."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lab_scripts.benchmarks.bler import Curve
from lab_scripts.benchmarks.measure import machine_facts

_COLOURS: Final = ("#1f5fa8", "#c0562b", "#3a8f4d", "#7b4fa3")
"""By number of transmissions."""
_LOWEST_BLER: Final = 1e-3
_BESIDE: Final = {"pssch-qpsk-known": "pssch-qpsk"}
"""Channels drawn, with broken lines, into another one's picture."""


def write_report(folder: Path, curves: Sequence[Curve], *, seed: int) -> None:
    """Write `bler.json` and `bler-<channel>.png` into a folder that exists."""
    document = {"machine": machine_facts(), "seed": seed, "curves": [_curve_to_json(curve) for curve in curves]}
    (folder / "bler.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    channels = dict.fromkeys(_picture_of(curve) for curve in curves)
    for channel in channels:
        draw(folder / f"bler-{channel}.png", [curve for curve in curves if _picture_of(curve) == channel])


def draw(path: Path, curves: Sequence[Curve]) -> None:
    """Curves of one channel to a PNG file: a panel for each kind of fading, the 95 % interval as a band.

    Points without an error are left out.
    """
    fadings = list(dict.fromkeys(curve.fading for curve in curves))
    figure = Figure(figsize=(max(4.4 * len(fadings), 6.0), 5.0), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(fadings), sharey=True, squeeze=False)[0]
    for panel, fading in zip(panels, fadings, strict=True):
        for curve in curves:
            if curve.fading == fading:
                _draw_curve(panel, curve)
        panel.set(title=fading, xlabel="SNR of a resource element (dB)", yscale="log", ylim=(_LOWEST_BLER, 1.05))
        panel.axhline(0.1, color="#999999", linewidth=0.8, linestyle=":")
        panel.grid(which="both", color="#e2e2e2", linewidth=0.6)
    panels[0].set_ylabel("block error rate")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=max(len(fadings), 2), fontsize=8)
    figure.suptitle(f"{curves[0].label}, {curves[0].points[0].trials} messages a point")
    figure.savefig(path)


def _draw_curve(panel: Axes, curve: Curve) -> None:
    colour = _COLOURS[curve.n_transmissions - 1]
    seen = [point for point in curve.points if point.errors]
    snrs_db = [point.snr_db for point in seen]
    aside = curve.channel in _BESIDE
    label = f"{curve.n_transmissions} {curve.unit}{'s' if curve.n_transmissions > 1 else ''}"
    panel.plot(
        snrs_db,
        [point.bler for point in seen],
        "--" if aside else "o-",
        color=colour,
        markersize=3.5,
        linewidth=1.3,
        label=f"{label}, channel known" if aside else label,
    )
    if not aside:
        lows = [max(point.interval[0], _LOWEST_BLER) for point in seen]
        highs = [point.interval[1] for point in seen]
        panel.fill_between(snrs_db, lows, highs, color=colour, alpha=0.15)


def _picture_of(curve: Curve) -> str:
    return _BESIDE.get(curve.channel, curve.channel)


def _curve_to_json(curve: Curve) -> dict[str, Any]:
    return {
        "channel": curve.channel,
        "label": curve.label,
        "fading": curve.fading,
        "transmissions": curve.n_transmissions,
        "points": [
            {
                "snr_db": point.snr_db,
                "trials": point.trials,
                "errors": point.errors,
                "bler": point.bler,
                "interval_95": list(point.interval),
            }
            for point in curve.points
        ],
    }
