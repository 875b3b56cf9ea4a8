"""Draws the pictures of docs/phy.md with the PHY itself: `python -m lab_scripts.doc_makers.phy_pictures [FOLDER]`."""

from __future__ import annotations

import sys
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch, Rectangle

from lab_scripts.doc_makers.subframe_maps import CHANNEL_MAPS, ElementUse
from prose_link.config.preconfiguration import load_pools
from radio.arrays import Grid, Iq
from radio.phy.fec.rate_matching import turbo_circular_buffer, turbo_start
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.pssch import map_pssch, receive_pssch
from radio.phy.lte.channels.slss import N_SL_IDS, PSSS_SYMBOLS, SSSS_SYMBOLS, psss, slss_subcarriers, ssss
from radio.phy.lte.channels.transmissions import PsschTx, SlssTx
from radio.phy.lte.channels.waveform import subframe_waveform
from radio.phy.lte.grid import scfdma
from radio.phy.lte.grid.layout import Mode, communication_layout
from radio.phy.lte.grid.numerology import Carrier, Cp
from radio.phy.lte.grid.tbs import transport_block_size
from radio.phy.lte.pools.mode2 import RV_SEQUENCE, CommPool, DiscPool

FOLDER = Path("docs/pictures")
_SEED = 20
_COLOURS = {
    ElementUse.SILENT: "#ffffff",
    ElementUse.DATA: "#9ecae1",
    ElementUse.DMRS: "#f16913",
    ElementUse.GUARD: "#d9d9d9",
    ElementUse.PSSS: "#238b45",
    ElementUse.SSSS: "#74c476",
    ElementUse.CONTROL: "#6a51a3",
}
_POOL_COLOURS = {"SLSS, PSBCH": "#238b45", "PSCCH": "#bcbddc", "PSSCH": "#deebf7", "PSDCH": "#fee391"}


def main() -> None:
    """Draw every picture into the folder named on the command line."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    matplotlib.use("Agg")
    plt.rcParams.update({"font.size": 9, "axes.titlesize": 10, "figure.constrained_layout.use": True})
    for name, draw in _PICTURES.items():
        figure = draw()
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=100)
        plt.close(figure)
        print(f"{path}  {path.stat().st_size // 1024} kB")


def draw_channel_grids() -> Any:
    """Resource elements of every channel over one subframe."""
    figure, axes = plt.subplots(2, 4, figsize=(12, 6.4))
    uses = list(_COLOURS)
    colours = ListedColormap([_COLOURS[use] for use in uses])
    for axis, channel in zip(axes.flat, CHANNEL_MAPS, strict=False):
        grid = channel.draw()
        n_symbols, n_subcarriers = grid.shape
        axis.pcolormesh(grid.T, cmap=colours, vmin=0, vmax=len(uses) - 1)
        axis.vlines(range(1, n_symbols), 0, n_subcarriers, color="#00000030", linewidth=0.5)
        axis.hlines(range(12, n_subcarriers, 12), 0, n_symbols, color="#00000030", linewidth=0.5)
        axis.set_title(channel.title)
        axis.set_xticks(np.arange(0, n_symbols, 2) + 0.5, [str(i) for i in range(0, n_symbols, 2)])
        axis.set_yticks(range(0, n_subcarriers + 1, 12), [str(prb) for prb in range(n_subcarriers // 12 + 1)])
        axis.axvline(n_symbols / 2, color="#000000", linewidth=0.8, linestyle=":")
        axis.set_xlabel("SC-FDMA symbol")
        axis.set_ylabel("PRB (of those shown)")
    legend = axes.flat[len(CHANNEL_MAPS)]
    legend.axis("off")
    handles = [Patch(facecolor=_COLOURS[use], edgecolor="#888888", label=use.label) for use in uses]
    legend.legend(handles=handles, loc="center", frameon=False, fontsize=10)
    return figure


def draw_slss_correlation() -> Any:
    """A synchronisation subframe in noise, correlated with both PSSS, and its SSSS with all identities."""
    carrier, n_sl_id = Carrier(6), 169 + 40
    rng = np.random.default_rng(_SEED)
    mib = MibSl(bandwidth_prb=6, dfn=0, subframe=0, in_coverage=False)
    iq = subframe_waveform(carrier, [SlssTx(n_sl_id=n_sl_id, mib=mib)])
    first = 1500
    samples = _noise(rng, 3 * iq.size)
    samples[first : first + iq.size] += iq
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.3), width_ratios=(4, 3, 4))
    for n_id_2, colour in ((0, "#bdbdbd"), (1, "#238b45")):
        correlation = np.correlate(samples, _psss_samples(carrier, n_id_2), mode="valid")
        places = np.arange(correlation.size) / iq.size
        left.plot(places, np.abs(correlation), color=colour, linewidth=0.6, label=f"N_ID(2) = {n_id_2}")
    left.set(xlabel="subframes", ylabel="|correlation|", yticks=[], ylim=(0, None))
    left.set_title("each PSSS against 3 ms at 0 dB SNR")
    left.legend(loc="upper right", fontsize=8)
    start = first + carrier.symbol_starts[1] + carrier.cp_samples[1]
    lag = carrier.fft_size + carrier.cp_samples[1]
    around = np.arange(start - 250, start + 250)
    middle.plot(around - start, np.abs(correlation[around] + correlation[around + lag]), color="#238b45", linewidth=0.8)
    middle.set(xlabel="samples from the first PSSS symbol", yticks=[], ylim=(0, None))
    middle.set_title("added to itself a symbol later: 1 : 2 : 1")
    scores = _ssss_scores(carrier, scfdma.demodulate(carrier, samples[first : first + iq.size].astype(np.complex64)))
    right.bar(np.arange(N_SL_IDS), scores, width=1.0, color="#74c476")
    best = int(np.argmax(scores))
    right.annotate(f"N_ID^SL = {best}", (best, scores[best]), xytext=(-80, -10), textcoords="offset points")
    right.set(xlabel="N_ID^SL tried", ylabel="|sum over both SSSS symbols|", yticks=[], xlim=(0, N_SL_IDS))
    right.set_title("SSSS of that subframe, coherently")
    return figure


def _psss_samples(carrier: Carrier, n_id_2: int) -> Iq:
    grid = np.zeros((carrier.n_symbols, carrier.n_subcarriers), np.complex64)
    grid[0, slss_subcarriers(carrier)] = psss(n_id_2)
    return scfdma.modulate(carrier, grid)[carrier.cp_samples[0] :][: carrier.fft_size]


def _ssss_scores(carrier: Carrier, grid: Grid) -> npt.NDArray[np.floating]:
    """Both SSSS symbols through the channel that the second PSSS symbol saw, against every identity."""
    band = slss_subcarriers(carrier)
    received = grid[list(SSSS_SYMBOLS[carrier.cp]), band].sum(axis=0)
    scores = []
    for n_sl_id in range(N_SL_IDS):
        channel = grid[list(PSSS_SYMBOLS[carrier.cp]), band].sum(axis=0) * np.conj(psss(n_sl_id // 168))
        smooth = np.convolve(channel, np.ones(9) / 9, mode="same")
        scores.append(abs(np.sum(received * np.conj(smooth) * ssss(n_sl_id, Mode.TM12))))
    return np.array(scores)


def draw_constellations() -> Any:
    """16QAM of a PSSCH through two paths, a carrier offset and noise, before and after the equaliser."""
    carrier, prbs = Carrier(50), tuple(range(10, 30))
    rng = np.random.default_rng(_SEED)
    block = rng.bytes(transport_block_size(14, len(prbs)) // 8)
    grid = np.zeros((carrier.n_symbols, carrier.n_subcarriers), np.complex64)
    map_pssch(grid, carrier, PsschTx(prbs=prbs, mcs=14, n_id_sa=7, n_ssf=3, rv=0, transport_block=block))
    iq = scfdma.modulate(carrier, grid)
    n = np.arange(iq.size)
    through = (iq + 0.5 * np.exp(1j) * np.roll(iq, 6)) * np.exp(2j * np.pi * 150 * n / carrier.sample_rate_hz)
    seen = scfdma.demodulate(carrier, (through + 0.07 * _noise(rng, iq.size)).astype(np.complex64))
    received = receive_pssch(carrier, seen, prbs, 14, 7, 3)
    sent = list(communication_layout(Mode.TM12, Cp.NORMAL).sent)
    raw = np.fft.ifft(seen[sent, prbs[0] * 12 : (prbs[-1] + 1) * 12], axis=1, norm="ortho")
    figure, axes = plt.subplots(1, 2, figsize=(8, 4))
    symbols = (raw / np.sqrt(np.mean(np.abs(raw) ** 2)), received.symbols)
    titles = ("transform decoded as received", f"after the equaliser: EVM {received.evm_db:.1f} dB")
    for axis, points, title in zip(axes, symbols, titles, strict=True):
        axis.plot(points.real.ravel(), points.imag.ravel(), ".", markersize=2, color="#2171b5", alpha=0.6)
        axis.set(aspect="equal", xlim=(-1.7, 1.7), ylim=(-1.7, 1.7), title=title, xlabel="I", ylabel="Q")
        axis.grid(linewidth=0.3)
    figure.suptitle(
        f"PSSCH, 20 PRB, 16QAM: echo of 0.5 after 0.4 µs, {received.cfo_hz:.0f} Hz off, SNR {received.snr_db:.0f} dB"
    )
    return figure


def draw_waveform() -> Any:
    """Power of one PSSCH subframe over time, symbol by symbol."""
    carrier = Carrier(25)
    rng = np.random.default_rng(_SEED)
    prbs = tuple(range(4, 14))
    block = rng.bytes(transport_block_size(5, len(prbs)) // 8)
    iq = subframe_waveform(carrier, [PsschTx(prbs=prbs, mcs=5, n_id_sa=7, n_ssf=0, rv=0, transport_block=block)])
    power = np.convolve(np.abs(iq) ** 2, np.ones(8) / 8, mode="same")
    time_us = np.arange(iq.size) / carrier.sample_rate_hz * 1e6
    figure, axis = plt.subplots(figsize=(11, 2.6))
    axis.fill_between(time_us, power / power.max(), color="#6baed6", linewidth=0)
    layout = communication_layout(Mode.TM12, Cp.NORMAL)
    for symbol, (start, cp) in enumerate(zip(carrier.symbol_starts, carrier.cp_samples, strict=True)):
        begin, useful = time_us[start], time_us[start + cp]
        axis.axvspan(begin, useful, color="#fd8d3c", alpha=0.45, linewidth=0)
        kind = "DMRS" if symbol in layout.dmrs else "guard" if symbol not in layout.sent else "data"
        axis.text((useful + begin + 71.4) / 2, 1.06, f"{symbol}\n{kind}", ha="center", fontsize=7)
    axis.set(xlim=(0, 1000), ylim=(0, 1.3), yticks=[], xlabel="µs in the subframe", ylabel="power")
    return figure


def draw_circular_buffer() -> Any:
    """Where each redundancy version starts in the circular buffer, and how far one transmission reaches."""
    k, g = 1632, 12 * 12 * 8 * 2
    size = turbo_circular_buffer(k, 0).size
    figure, axis = plt.subplots(figsize=(11, 2.6))
    axis.add_patch(Rectangle((0, 0), k + 4, 0.8, color="#238b45"))
    axis.add_patch(Rectangle((k + 4, 0), size - k - 4, 0.8, color="#c7e9c0"))
    axis.text(k / 2, 0.4, "systematic bits", ha="center", va="center", color="white")
    axis.text((k + size) / 2, 0.4, "parity 1 and 2, interlaced", ha="center", va="center")
    for row, rv in enumerate(RV_SEQUENCE, 1):
        start = turbo_start(k, 0, rv)
        axis.add_patch(Rectangle((start, row), min(g, size - start), 0.8, color="#9ecae1"))
        if start + g > size:
            axis.add_patch(Rectangle((0, row), start + g - size, 0.8, color="#9ecae1"))
        axis.plot([start, start], [row - 0.1, row + 0.9], color="#d94801", linewidth=2)
        axis.text(-60, row + 0.4, f"transmission {row}: rv {rv}", ha="right", va="center")
    axis.text(-60, 0.4, "circular buffer", ha="right", va="center")
    axis.set(xlim=(-900, size), ylim=(5, -0.2), yticks=[], xlabel="bit of the circular buffer (K = 1632, E = 2304)")
    axis.set_xticks(range(0, size, 500))
    for side in ("left", "right", "top"):
        axis.spines[side].set_visible(False)
    return figure


def draw_pool_map() -> Any:
    """One SC period of the first_light preconfiguration with a grant in it."""
    with as_file(files("hw_configs") / "preconfigurations" / "first_light.toml") as path:
        pools = load_pools(path)
    comm, disc = pools.comm[0], pools.disc[0]
    figure, axis = plt.subplots(figsize=(11.5, 5))
    for name, places in _pool_places(comm, disc, pools.sync.is_sync_subframe).items():
        for subframe, prbs in places:
            for prb in prbs:
                axis.add_patch(Rectangle((subframe, prb), 1, 1, facecolor=_POOL_COLOURS[name], edgecolor="none"))
    axis.vlines(range(1, comm.sc_period), 0, comm.n_rb_sl, color="white", linewidth=0.6)
    n_pscch, i_trp, first, length, n_psdch = 13, 52, 12, 15, 6
    for i, prb in comm.pscch_resource(n_pscch):
        axis.add_patch(Rectangle((comm.pscch_subframes(0)[i], prb), 1, 1, facecolor="#6a51a3", edgecolor="white"))
    shades = ("#08519c", "#3182bd")
    for subframe, n_ssf, block, rv in comm.pssch_transmissions(0, i_trp):
        prbs = comm.prbs(first, length, n_ssf)
        axis.add_patch(
            Rectangle((subframe, prbs[0]), 1, len(prbs), facecolor=shades[block % 2], edgecolor="white", linewidth=0.6)
        )
        axis.text(
            subframe + 0.5, prbs[0] + len(prbs) / 2, f"{block}\nrv{rv}", ha="center", va="center", color="w", fontsize=6
        )
    for subframe, prb, _, rv in disc.transmissions(0, n_psdch):
        if subframe < comm.sc_period:
            axis.add_patch(Rectangle((subframe, prb), 1, 2, facecolor="#cc4c02", edgecolor="white"))
            axis.text(subframe + 0.5, prb + 0.9, f"rv{rv}", ha="center", va="center", color="w", fontsize=6)
    _finish_pool_map(axis, comm, i_trp)
    return figure


def _pool_places(comm: CommPool, disc: DiscPool, is_sync_subframe: Any) -> dict[str, list[tuple[int, tuple[int, ...]]]]:
    middle = tuple(range(comm.n_rb_sl // 2 - 3, comm.n_rb_sl // 2 + 3))
    return {
        "SLSS, PSBCH": [(s, middle) for s in range(comm.sc_period) if is_sync_subframe(s)],
        "PSCCH": [(s, comm.pscch_prbs) for s in comm.pscch_subframes(0)],
        "PSSCH": [(s, comm.pssch_prbs) for s in comm.pssch_subframes(0)],
        "PSDCH": [(s, disc.psdch_prbs) for s in disc.psdch_subframes(0) if s < comm.sc_period],
    }


def _finish_pool_map(axis: Any, comm: CommPool, i_trp: int) -> None:
    axis.set(xlim=(0, comm.sc_period), ylim=(0, comm.n_rb_sl), xlabel="subframe of the SC period", ylabel="PRB")
    axis.set_xticks(range(0, comm.sc_period + 1, 2))
    axis.set_title(
        f"first_light.toml: pools of one SC period; a grant with I_TRP {i_trp}, its two SCIs, its blocks 0, 1, 2, 3"
    )
    handles = [
        Patch(facecolor=colour, edgecolor="#888888", label=f"{name} pool") for name, colour in _POOL_COLOURS.items()
    ]
    handles += [
        Patch(facecolor="#6a51a3", label="SCI, twice"),
        Patch(facecolor="#08519c", label="transport blocks"),
        Patch(facecolor="#cc4c02", label="discovery message"),
    ]
    axis.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=7, frameon=False, fontsize=8)


def _noise(rng: np.random.Generator, n: int) -> npt.NDArray[np.complexfloating]:
    """Unit-power complex noise."""
    return np.asarray(rng.normal(size=(n, 2)) @ (1, 1j) / np.sqrt(2))


_PICTURES = {
    "channel_grids": draw_channel_grids,
    "slss_correlation": draw_slss_correlation,
    "constellations": draw_constellations,
    "waveform": draw_waveform,
    "circular_buffer": draw_circular_buffer,
    "pool_map": draw_pool_map,
}

if __name__ == "__main__":
    main()
