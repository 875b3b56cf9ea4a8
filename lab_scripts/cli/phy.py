"""`pc5lab phy`: one waveform from or to an IQ file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from lab_scripts.cli.phy_generate import generate
from lab_scripts.cli.phy_play import play
from lab_scripts.exit_codes import LabError
from lab_scripts.report.survey_document import print_survey, survey_document
from radio.arrays import Iq
from radio.devices.sigmf_file import IqFile
from radio.errors import RadioError
from radio.phy.layout import Mode
from radio.phy.numerology import Carrier, NumerologyError
from radio.phy.survey import survey_recording
from radio.phy.survey_v2x import SubChannels

app = typer.Typer(
    help="Generate, play or decode a waveform. Example: pc5lab phy decode air.cf32 --rate 15.36e6 --prb 50",
    no_args_is_help=True,
)

_MAX_SAMPLES = 1 << 28
_WIDTH_WITHOUT_TERMINAL = 150


@app.command()
def decode(
    iq: Annotated[Path, typer.Argument(help="Interleaved float32 (.cf32, .dat) or SigMF.", metavar="IQ")],
    prb: Annotated[int, typer.Option(help="Bandwidth in PRBs: 6, 15, 25, 50, 75 or 100.")],
    rate: Annotated[float | None, typer.Option(help="Sample rate in Hz; a SigMF recording knows its own.")] = None,
    mode: Annotated[int | None, typer.Option(min=1, max=4, help="Transmission mode; found out if not given.")] = None,
    subchannel_size: Annotated[int | None, typer.Option(min=1, help="PRBs of a sub-channel (modes 3, 4).")] = None,
    subchannels: Annotated[int | None, typer.Option(min=1, help="Number of sub-channels (modes 3, 4).")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw pictures into this folder.", metavar="DIR")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """List every SLSS, MIB-SL, SCI, transport block and discovery message in a recording.

    Example: pc5lab phy decode capture.cf32 --rate 15.36e6 --prb 50 --json
    """
    try:
        samples, carrier = _read(iq, rate, prb)
        found = survey_recording(
            samples, carrier, mode=_family(mode), sub_channels=_sub_channels(subchannel_size, subchannels, prb)
        )
    except NumerologyError as error:
        raise LabError(f"{iq}: {error}", hint="is this the rate and bandwidth it was recorded at?") from None
    except RadioError as error:
        raise LabError(str(error)) from None
    document = survey_document(found)
    if as_json:
        print(json.dumps(document))
    else:
        print_survey(_console(), document)
    if not any(document.values()):
        typer.echo("nothing found: are --rate and --prb those of the recording?", err=True)
    if plot is not None:
        from lab_scripts.report.survey_plots import draw_survey

        for path in draw_survey(plot, samples, carrier, found):
            typer.echo(f"drew {path}", err=True)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_WITHOUT_TERMINAL)


def _read(path: Path, rate: float | None, prb: int) -> tuple[Iq, Carrier]:
    file = IqFile(path, sample_rate_hz=None if rate is None else round(rate))
    if file.sample_rate_hz is None:
        raise LabError(f"{path} does not say its sample rate", hint="give it with --rate, in Hz")
    if not file.n_samples:
        raise LabError(f"{path} is empty")
    if file.n_samples > _MAX_SAMPLES:
        raise LabError(f"{path} holds {file.n_samples} samples, more than {_MAX_SAMPLES}", hint="cut it into parts")
    carrier = Carrier.at_rate(prb, file.sample_rate_hz)
    samples = file.samples(0, file.n_samples)
    if not np.isfinite(samples.view(np.float32)).all():
        raise LabError(
            f"{path} holds values that are not finite numbers", hint="is it interleaved little-endian float32?"
        )
    return samples, carrier


def _family(mode: int | None) -> Mode | None:
    if mode is None:
        return None
    return Mode.TM12 if mode <= 2 else Mode.TM34


def _sub_channels(size: int | None, count: int | None, prb: int) -> SubChannels | None:
    if size is None and count is None:
        return None
    if size is None or count is None:
        raise LabError("--subchannel-size and --subchannels go together")
    if size * count > prb:
        raise LabError(f"{count} sub-channels of {size} PRBs do not fit in {prb}")
    return SubChannels(size=size, count=count)


app.command()(generate)
app.command()(play)
