"""`pc5lab phy`: one waveform from or to an IQ file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from lab_scripts.exit_codes import LabError
from lab_scripts.report.survey_document import print_survey, survey_document
from lab_scripts.sample_recording import SampleRecording, impaired, sample_recording
from lab_scripts.sample_v2x_recording import SampleV2xRecording, sample_v2x_recording
from lab_scripts.system_errors import writing
from radio.arrays import Iq
from radio.devices.sigmf_file import IqFile
from radio.errors import RadioError
from radio.phy.layout import Mode
from radio.phy.numerology import Carrier, Cp, NumerologyError
from radio.phy.survey import survey_recording
from radio.phy.survey_v2x import SubChannels

app = typer.Typer(
    help="Generate or decode one waveform. Example: pc5lab phy decode air.cf32 --rate 15.36e6 --prb 50",
    no_args_is_help=True,
)

_MAX_SAMPLES = 1 << 28
_WIDTH_WITHOUT_TERMINAL = 150
_USUAL_WIDTH = 2


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

        with writing(plot):
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


@app.command()
def generate(
    out: Annotated[Path, typer.Argument(help="The .cf32 or .dat file to write.")],
    prb: Annotated[int, typer.Option(help="Bandwidth in PRBs: 6, 15, 25, 50, 75 or 100.")] = 50,
    rate: Annotated[float | None, typer.Option(help="Sample rate in Hz; the usual one if not given.")] = None,
    cp: Annotated[Cp, typer.Option(help="Cyclic prefix.")] = Cp.NORMAL,
    slss_id: Annotated[int, typer.Option(min=0, max=335, help="N_ID^SL.")] = 170,
    dfn: Annotated[int, typer.Option(min=0, max=1023, help="Direct frame number of the MIB-SL.")] = 0,
    mode: Annotated[int, typer.Option(min=1, max=4, help="Transmission mode.")] = 2,
    destination: Annotated[int, typer.Option(min=0, max=255, help="Group destination id of the SCI (modes 1, 2).")] = 1,
    timing_advance: Annotated[int, typer.Option(min=0, max=2047, help="Timing advance indication (mode 1).")] = 0,
    mcs: Annotated[int, typer.Option(min=0, max=31, help="MCS of the PSSCH; above 28 in transmission format 1.")] = 5,
    width: Annotated[
        int | None, typer.Option(min=1, help="PRBs of the PSSCH, its sub-channels in modes 3 and 4; 2 if there are.")
    ] = None,
    subchannel_size: Annotated[int | None, typer.Option(min=1, help="PRBs of a sub-channel (modes 3, 4).")] = None,
    subchannels: Annotated[int | None, typer.Option(min=1, help="Number of sub-channels (modes 3, 4).")] = None,
    transmission_format: Annotated[
        int, typer.Option(min=0, max=1, help="Transmission format of the SCI (modes 3, 4).")
    ] = 0,
    block: Annotated[str, typer.Option(help="Transport block in hex, zero padded; random if empty.")] = "",
    message: Annotated[str, typer.Option(help="Discovery message in hex (modes 1, 2); random if empty.")] = "",
    cfo: Annotated[float, typer.Option(help="Carrier offset in Hz.")] = 0.0,
    delay: Annotated[int, typer.Option(min=0, help="Samples before the first subframe.")] = 0,
    snr: Annotated[float | None, typer.Option(help="SNR of a resource element in dB; no noise if not given.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is random.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Say what was written as one JSON document.")] = False,
) -> None:
    """Write a recording with one of everything its transmission mode sends.

    Modes 1 and 2: SLSS, MIB-SL, SCI format 0, a transport block sent four times and a discovery message likewise. Modes
    3 and 4: SLSS, MIB-SL-V2X, and a transport block sent twice with an SCI format 1 each.

    Example: pc5lab phy generate out.cf32 --prb 50 --slss-id 252 --cfo 1500 --snr 10
    """
    if out.suffix not in (".cf32", ".dat"):
        raise LabError(f"{out}: the name must end in .cf32 or .dat")
    try:
        carrier = Carrier(prb, cp) if rate is None else Carrier.at_rate(prb, rate, cp)
        if mode <= 2:
            direct = SampleRecording(
                n_sl_id=slss_id,
                dfn=dfn,
                destination=destination,
                mcs=mcs,
                width=width or _USUAL_WIDTH,
                block=_octets("--block", block),
                message=_octets("--message", message),
                timing_advance=timing_advance if mode == 1 else None,
            )
            iq, contents = sample_recording(carrier, direct, np.random.default_rng(seed))
        else:
            division = _sub_channels(subchannel_size, subchannels, prb)
            v2x = SampleV2xRecording(
                n_sl_id=slss_id,
                dfn=dfn,
                mcs=mcs,
                n_used=width,
                block=_octets("--block", block),
                sub_channels=None if division is None else (division.size, division.count),
                transmission_format=transmission_format,
            )
            iq, contents = sample_v2x_recording(carrier, v2x, np.random.default_rng(seed))
        iq = impaired(iq, carrier, cfo_hz=cfo, delay_samples=delay, snr_db=snr, rng=np.random.default_rng((seed, 1)))
    except RadioError as error:
        raise LabError(str(error)) from None
    try:
        out.write_bytes(iq.astype("<c8").tobytes())
    except OSError as error:
        raise LabError(f"can't write {out}: {error.strerror}") from None
    if as_json:
        print(json.dumps({"file": str(out), "rate_hz": carrier.sample_rate_hz, "n_samples": iq.size, **contents}))
    else:
        typer.echo(f"wrote {iq.size} samples at {carrier.sample_rate_hz} Hz to {out}")


def _octets(option: str, text: str) -> bytes | None:
    """Octets of an option in hex, None where it is empty."""
    if not text:
        return None
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise LabError(f"{option} {text!r} is not a whole number of octets in hex") from None
