"""`pc5lab phy generate`: a waveform into an IQ file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from lab_scripts.exit_codes import LabError
from lab_scripts.waveforms.direct import impaired
from lab_scripts.waveforms.options import (
    CountingOption,
    CpOption,
    DestinationOption,
    DfnOption,
    DurationOption,
    FirstOption,
    FormatOption,
    McsOption,
    MessageOption,
    ModeOption,
    PayloadOption,
    PrbOption,
    SeedOption,
    SlssIdOption,
    SubchannelSizeOption,
    SubchannelsOption,
    SubframesOption,
    TimingAdvanceOption,
    WaveformOptions,
    WidthOption,
    length_in_subframes,
)
from lab_scripts.waveforms.plan import Contents, Rendering, WaveformPlan
from radio.arrays import Iq
from radio.errors import RadioError
from radio.phy.lte.grid.numerology import Cp

_MAX_DELAY_SAMPLES = 1 << 28


def generate(
    out: Annotated[Path, typer.Argument(help="The .cf32 or .dat file to write.")],
    prb: PrbOption = 50,
    rate: Annotated[float | None, typer.Option(help="Sample rate in Hz; the usual one if not given.")] = None,
    subframes: SubframesOption = None,
    duration: DurationOption = None,
    cp: CpOption = Cp.NORMAL,
    slss_id: SlssIdOption = 170,
    dfn: DfnOption = 0,
    mode: ModeOption = 2,
    destination: DestinationOption = None,
    timing_advance: TimingAdvanceOption = None,
    mcs: McsOption = 5,
    width: WidthOption = None,
    first: FirstOption = 0,
    subchannel_size: SubchannelSizeOption = None,
    subchannels: SubchannelsOption = None,
    transmission_format: FormatOption = None,
    n_ssf: CountingOption = None,
    payload: PayloadOption = "",
    message: MessageOption = "",
    cfo: Annotated[float, typer.Option(help="Carrier offset in Hz.")] = 0.0,
    delay: Annotated[int, typer.Option(min=0, help="Samples before the first subframe.")] = 0,
    snr: Annotated[float | None, typer.Option(help="SNR of a resource element in dB; no noise if not given.")] = None,
    seed: SeedOption = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Say what was written as one JSON document.")] = False,
) -> None:
    """Write a recording of everything its transmission mode sends: the shortest one, or as long as you say.

    Modes 1 and 2, every 40 subframes: SLSS, MIB-SL, SCI format 0 twice, transport blocks sent four times, a discovery
    message likewise. Modes 3 and 4: SLSS and MIB-SL-V2X every 160 subframes, in every radio frame a transport block
    sent twice with an SCI format 1 each. What the end would cut is left out.

    Examples: pc5lab phy generate out.cf32 --prb 50 --slss-id 252 --cfo 1500 --snr 10;
    pc5lab phy generate v2x.cf32 --mode 4 --n-ssf subframe --duration 1 --payload @packet.bin
    """
    if out.suffix not in (".cf32", ".dat"):
        raise LabError(f"{out}: the name must end in .cf32 or .dat")
    options = WaveformOptions(
        prb=prb,
        rate_hz=rate,
        cp=cp,
        slss_id=slss_id,
        dfn=dfn,
        mode=mode,
        destination=destination,
        timing_advance=timing_advance,
        mcs=mcs,
        width=width,
        first=first,
        subchannel_size=subchannel_size,
        subchannels=subchannels,
        transmission_format=transmission_format,
        counting=n_ssf,
        payload=payload,
        message=message,
        seed=seed,
    )
    if delay > _MAX_DELAY_SAMPLES:
        raise LabError(f"--delay {delay} is more than {_MAX_DELAY_SAMPLES} samples")
    for name, value in (("--cfo", cfo), ("--snr", 0.0 if snr is None else snr)):
        if not np.isfinite(value):
            raise LabError(f"{name} {value} is not a finite number")
    n_subframes = length_in_subframes(subframes, duration) or options.shortest
    contents = Contents()
    try:
        plan = options.plan()
        if abs(cfo) > plan.carrier.sample_rate_hz / 2:
            raise LabError(f"--cfo {cfo} is more than half the sample rate of {plan.carrier.sample_rate_hz} Hz")
        parts = _parts(plan, n_subframes, contents, cfo_hz=cfo, delay_samples=delay, snr_db=snr, seed=seed)
        n_samples = _write(out, parts)
    except RadioError as error:
        raise LabError(str(error)) from None
    rate_hz = plan.carrier.sample_rate_hz
    if as_json:
        figures = {"file": str(out), "rate_hz": rate_hz, "n_samples": n_samples}
        print(json.dumps({**figures, "padding_octets": plan.padding_octets, **contents.document}))
    else:
        typer.echo(f"wrote {n_samples} samples at {rate_hz} Hz to {out}")
    say_padding(plan)


def say_padding(plan: WaveformPlan) -> None:
    """Print a note about zeros that fill up a payload."""
    if plan.padding_octets:
        typer.echo(f"the payload is padded with {plan.padding_octets} octets of zero to fill its block", err=True)


def _parts(
    plan: WaveformPlan,
    n_subframes: int,
    contents: Contents,
    *,
    cfo_hz: float,
    delay_samples: int,
    snr_db: float | None,
    seed: int,
) -> Iterator[Iq]:
    """The recording a subframe at a time, the pause before it with the first."""
    rng = np.random.default_rng((seed, 1))
    at = 0
    for iq in Rendering(plan, n_subframes, on_signal=contents.add).subframes():
        pause = 0 if at else delay_samples
        part = impaired(iq, plan.carrier, cfo_hz=cfo_hz, delay_samples=pause, snr_db=snr_db, rng=rng, first_sample=at)
        at += part.size
        yield part


def _write(out: Path, parts: Iterator[Iq]) -> int:
    """Write the samples, the whole file or none of it; returns how many."""
    unfinished = out.with_name(out.name + ".part")
    n_samples = 0
    try:
        try:
            with unfinished.open("wb") as file:
                for part in parts:
                    file.write(part.astype("<c8", copy=False).tobytes())
                    n_samples += part.size
            unfinished.replace(out)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise LabError(f"can't write {out}: {error.strerror or error}") from None
    return n_samples
