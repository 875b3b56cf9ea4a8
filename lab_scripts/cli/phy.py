"""`pc5lab phy`: one waveform from or to an IQ file."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lab_scripts.cli.phy_generate import generate
from lab_scripts.cli.phy_play import play
from lab_scripts.exit_codes import LabError
from lab_scripts.recordings.carrier_stream import MAX_RATE_HZ, CarrierStream, Reading
from lab_scripts.recordings.survey import PLOTTED_SUBFRAMES, decode_recording
from lab_scripts.report.survey_document import print_survey
from lab_scripts.report.survey_progress import SurveyProgress
from lab_scripts.report.survey_spool import SurveySpool, write_document
from lab_scripts.system_errors import writing
from radio.devices.iq_file import IqOptions
from radio.errors import RadioError
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.survey.v2x_readings import SubChannels

app = typer.Typer(
    help="Generate, play or decode a waveform. Example: pc5lab phy decode air.cf32 --rate 15.36e6 --prb 50",
    no_args_is_help=True,
)

_WIDTH_WITHOUT_TERMINAL = 150


@app.command()
def decode(
    iq: Annotated[
        Path,
        typer.Argument(
            help="SigMF (metadata, dataset, archive), or bare samples (.cf32, .cfile, .cs16, .raw, ...); - is stdin.",
            metavar="IQ",
        ),
    ],
    prb: Annotated[int, typer.Option(help="Bandwidth in PRBs: 6, 15, 25, 50, 75 or 100.")],
    rate: Annotated[
        float | None,
        typer.Option(help="Sample rate in Hz, any from the carrier's width on; a SigMF recording knows its own."),
    ] = None,
    sample_format: Annotated[
        str | None,
        typer.Option("--format", help="Type of the samples: cf32, ci16, ci8, cu8, ...; _be: big-endian."),
    ] = None,
    channel: Annotated[int | None, typer.Option(min=0, help="Channel of a SigMF recording of several.")] = None,
    capture: Annotated[int | None, typer.Option(min=0, help="Capture of a SigMF recording that was retuned.")] = None,
    recording: Annotated[str | None, typer.Option(help="Name of a recording in a SigMF archive or collection.")] = None,
    cfo: Annotated[float, typer.Option(help="Known carrier offset in Hz, taken out of the samples first.")] = 0.0,
    swap_iq: Annotated[bool, typer.Option("--swap-iq", help="I and Q have changed places.")] = False,
    mode: Annotated[int | None, typer.Option(min=1, max=4, help="Transmission mode; found out if not given.")] = None,
    subchannel_size: Annotated[int | None, typer.Option(min=1, help="PRBs of a sub-channel (modes 3, 4).")] = None,
    subchannels: Annotated[int | None, typer.Option(min=1, help="Number of sub-channels (modes 3, 4).")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw pictures into this folder.", metavar="DIR")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """List every SLSS, MIB-SL, SCI, transport block and discovery message in a recording.

    Example: pc5lab phy decode capture.cf32 --rate 15.36e6 --prb 50 --json
    """
    options = IqOptions(
        sample_rate_hz=_rate(rate), format=sample_format, channel=channel, capture=capture, recording=recording
    )
    reading = Reading(path=iq, n_prb=prb, options=options, cfo_hz=cfo, swaps_iq=swap_iq)
    sub_channels = _sub_channels(subchannel_size, subchannels, prb)
    try:
        decoded = decode_recording(
            reading,
            mode=_family(mode),
            sub_channels=sub_channels,
            tell=lambda line: typer.echo(line, err=True),
            watch=_progress,
            n_kept_subframes=0 if plot is None else PLOTTED_SUBFRAMES,
        )
    except RadioError as error:
        raise LabError(str(error)) from None
    with closing(decoded):
        if as_json:
            write_document(sys.stdout, decoded.found)
        else:
            print_survey(_console(), decoded.found)
        for hint in decoded.hints:
            typer.echo(hint, err=True)
        if plot is not None:
            from lab_scripts.report.survey_plots import draw_survey

            with writing(plot):
                for path in draw_survey(plot, decoded.beginning, decoded.carrier, decoded.found.head):
                    typer.echo(f"drew {path}", err=True)


def _progress(stream: CarrierStream, found: SurveySpool) -> SurveyProgress:
    return SurveyProgress(
        rate_hz=stream.carrier.sample_rate_hz,
        n_samples=stream.n_samples,
        out=sys.stderr,
        now_s=time.monotonic,
        n_found=lambda: found.n_found,
    )


def _rate(rate: float | None) -> float | None:
    if rate is not None and not 0 < rate <= MAX_RATE_HZ:
        raise LabError(f"--rate {rate:g} is no sample rate in Hz (above 0, at most {MAX_RATE_HZ:g})")
    return rate


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_WITHOUT_TERMINAL)


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
