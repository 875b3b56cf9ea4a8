"""`pc5lab phy`: one waveform from or to an IQ file."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lab_scripts.cli.phy_generate import generate
from lab_scripts.cli.phy_play import play
from lab_scripts.exit_codes import LabError
from lab_scripts.report.survey_document import print_survey
from lab_scripts.report.survey_progress import SurveyProgress
from lab_scripts.report.survey_spool import SurveySpool, write_document
from radio.devices.sigmf_file import IqFile, IqFileSource
from radio.errors import RadioError
from radio.phy.layout import Mode
from radio.phy.numerology import Carrier, NumerologyError
from radio.phy.sample_source import SampleError
from radio.phy.survey import survey_source
from radio.phy.v2x_readings import SubChannels

app = typer.Typer(
    help="Generate, play or decode a waveform. Example: pc5lab phy decode air.cf32 --rate 15.36e6 --prb 50",
    no_args_is_help=True,
)

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
    sub_channels = _sub_channels(subchannel_size, subchannels, prb)
    with SurveySpool() as found:
        try:
            file, carrier = _open(iq, rate, prb)
            progress = SurveyProgress(
                rate_hz=carrier.sample_rate_hz,
                n_samples=file.n_samples,
                out=sys.stderr,
                now_s=time.monotonic,
                n_found=lambda: found.n_found,
            )
            source = IqFileSource(file)
            survey_source(source, carrier, found, mode=_family(mode), sub_channels=sub_channels, progress=progress)
            progress.finish()
        except NumerologyError as error:
            raise LabError(f"{iq}: {error}", hint="is this the rate and bandwidth it was recorded at?") from None
        except SampleError as error:
            raise LabError(f"{iq}: {error}", hint="is it interleaved little-endian float32?") from None
        except RadioError as error:
            raise LabError(str(error)) from None
        if as_json:
            write_document(sys.stdout, found)
        else:
            print_survey(_console(), found)
        if not found.n_found:
            typer.echo("nothing found: are --rate and --prb those of the recording?", err=True)
        if plot is not None:
            from lab_scripts.report.survey_plots import PLOTTED_SUBFRAMES, draw_survey

            shown = file.samples(0, PLOTTED_SUBFRAMES * carrier.samples_per_subframe)
            for path in draw_survey(plot, shown, carrier, found.head):
                typer.echo(f"drew {path}", err=True)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_WITHOUT_TERMINAL)


def _open(path: Path, rate: float | None, prb: int) -> tuple[IqFile, Carrier]:
    file = IqFile(path, sample_rate_hz=None if rate is None else round(rate))
    if file.sample_rate_hz is None:
        raise LabError(f"{path} does not say its sample rate", hint="give it with --rate, in Hz")
    if not file.n_samples:
        raise LabError(f"{path} is empty")
    return file, Carrier.at_rate(prb, file.sample_rate_hz)


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
