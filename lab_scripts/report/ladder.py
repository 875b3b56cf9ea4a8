"""The message ladder: sender, receiver and time of each message, over the air time of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_PC5S_COLOUR = "#1f5fa8"
_NOTE_COLOUR = "#444444"
_REJECT_COLOUR = "#b3261e"
_ROW_INCHES = 0.34


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One row of the ladder: a message from `sender` to `receiver`, or a note beside `sender`'s line."""

    time_ms: float
    sender: str
    receiver: str = ""
    text: str
    colour: str = _PC5S_COLOUR


def draw_ladder(path: Path, lines: Sequence[str], steps: Sequence[Step], title: str) -> None:
    """Draw the ladder to a PNG file.

    Args:
        path: the file to write.
        lines: names of the life lines, left to right.
        steps: rows in order of time.
        title: headline.
    """
    height = 1.6 + _ROW_INCHES * len(steps)
    figure = Figure(figsize=(11, height), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    axes.set_xlim(-0.45, len(lines) - 0.12)
    axes.set_ylim(len(steps) + 0.3, -2.2)
    axes.axis("off")
    axes.text(-0.43, -1.9, title, fontsize=13, fontweight="bold", va="center")
    for x, name in enumerate(lines):
        axes.plot([x, x], [-0.7, len(steps)], color="#bbbbbb", linewidth=1.2, zorder=0)
        box = {"boxstyle": "round,pad=0.35", "facecolor": "#eef3fa", "edgecolor": "#8aa4c8"}
        axes.text(x, -1.0, name, ha="center", va="center", fontsize=11, bbox=box)
    for row, step in enumerate(steps):
        _draw_step(axes, row, step, {name: x for x, name in enumerate(lines)})
    figure.savefig(path)


def _draw_step(axes: Any, row: int, step: Step, at: Mapping[str, int]) -> None:
    axes.text(-0.43, row, f"{step.time_ms:9.1f} ms", fontsize=8.5, va="center", family="monospace", color="#666666")
    start = at[step.sender]
    if not step.receiver:
        axes.plot([start], [row], "o", color=step.colour, markersize=4)
        axes.text(start + 0.02, row, step.text, fontsize=8.5, va="center", ha="left", color=step.colour)
        return
    end = at[step.receiver]
    arrow = {"arrowstyle": "-|>", "color": step.colour, "linewidth": 1.3}
    axes.annotate("", xy=(end, row + 0.12), xytext=(start, row + 0.12), arrowprops=arrow)
    axes.text((start + end) / 2, row, step.text, fontsize=8.5, ha="center", va="bottom", color=step.colour)
