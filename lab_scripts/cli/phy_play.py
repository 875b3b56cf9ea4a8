"""`pc5lab phy play`: a waveform onto the emulator or a radio, for others to hear."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from lab_scripts.cli.phy_generate import say_padding
from lab_scripts.exit_codes import LabError
from lab_scripts.runs.stop_signals import StopSignals
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
from lab_scripts.waveforms.playback import FileSource, Looped, PlanSource, Source
from lab_scripts.waveforms.playback import play as play_source
from prose_link.config.ue import RadioSection, explain, load_ue_config
from prose_link.ue.radio import open_radio
from radio.devices.iq_file import IqOptions, open_iq
from radio.devices.protocol import EndOfSamples, TimedIqDevice
from radio.devices.registry import open_device
from radio.emulator.client import ZeroMqDevice
from radio.errors import RadioError
from radio.phy.lte.grid.numerology import Cp

_GENERATOR = "generator"
_EMULATOR = "zeromq"
_USUAL_ENDPOINT = "tcp://127.0.0.1:5505"
_MAX_GAIN_DB = 200.0


def play(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(help="An IQ file, or the word generator: what `phy generate` makes.", metavar="FILE|generator"),
    ],
    ue: Annotated[
        str, typer.Option(help="The UE of the emulator's scenario to play as, or a UE's configuration (.toml).")
    ] = "",
    endpoint: Annotated[str, typer.Option(help="The hub's endpoint, where --ue is a name.")] = _USUAL_ENDPOINT,
    device: Annotated[str, typer.Option(help="A kind of radio instead of --ue: uhd, soapy, ...")] = "",
    address: Annotated[str, typer.Option(help="Which one: the arguments of --device.")] = "",
    carrier_hz: Annotated[float | None, typer.Option(help="Carrier frequency of --device in Hz.")] = None,
    tx_gain: Annotated[float | None, typer.Option(help="Transmit gain of --device in dB.")] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Over and over, until Ctrl-C.")] = False,
    gain: Annotated[float, typer.Option(help="Scale by this many dB; radios clip above full scale 1.")] = 0.0,
    cfo: Annotated[float, typer.Option(help="Carrier offset in Hz; its phase runs on over the wrap.")] = 0.0,
    rate: Annotated[float | None, typer.Option(help="Sample rate in Hz; a SigMF recording knows its own.")] = None,
    prb: Annotated[int, typer.Option(help="Bandwidth in PRBs (generator).")] = 50,
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
    seed: SeedOption = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Say at the end what was played, as one document.")] = False,
) -> int:
    """Play an IQ file, or a generated waveform, as a UE of a running emulator or on a radio.

    The generator has no end unless --subframes or --duration gives it one; its options are those of `phy generate`. The
    wrap of a loop is without a gap: the first sample stands right behind the last. Where the length is not a whole
    number of subframes, the signal's own timing jumps there.

    Examples: pc5lab phy play capture.cf32 --rate 15.36e6 --ue ue-a --loop;
    pc5lab phy play generator --ue ue-a --mode 4 --n-ssf subframe;
    pc5lab phy play out.cf32 --rate 15.36e6 --device uhd --address type=b200 --carrier-hz 5.92e9 --tx-gain 40 --gain -12
    """
    for name, value in (("--gain", gain), ("--cfo", cfo)):
        if not math.isfinite(value):
            raise LabError(f"{name} {value} is not a finite number")
    if abs(gain) > _MAX_GAIN_DB:
        raise LabError(f"--gain {gain} dB is outside -{_MAX_GAIN_DB:.0f}..{_MAX_GAIN_DB:.0f}")
    if rate is not None and not (math.isfinite(rate) and rate > 0 and rate == round(rate)):
        raise LabError(f"--rate {rate} is not a whole number of samples per second")
    if source == _GENERATOR:
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
        samples = _generated(options, length_in_subframes(subframes, duration), is_looped=loop)
    else:
        _refuse_generator_options(context)
        samples = _recorded(Path(source), rate, is_looped=loop)
    if abs(cfo) > samples.sample_rate_hz / 2:
        raise LabError(f"--cfo {cfo} is more than half the sample rate of {samples.sample_rate_hz} Hz")
    stop = StopSignals()
    open_it = _radio(
        ue, endpoint, device, address, carrier_hz, tx_gain, sample_rate_hz=samples.sample_rate_hz, stopped=stop
    )
    typer.echo(f"waiting for {device or f'{ue} to join the air'}", err=True)
    try:
        radio = _opened(open_it, samples)
    except EndOfSamples:
        if not stop():
            raise
        return int(stop.exit_code)
    with closing(radio):
        played = play_source(
            radio,
            samples,
            stop,
            cfo_hz=cfo,
            amplitude=10 ** (gain / 20),
            on_start=lambda at: typer.echo(
                f"playing {source} at {samples.sample_rate_hz} samples/s from sample {at} of the radio on", err=True
            ),
        )
    if played.late_blocks:
        typer.echo(f"{played.late_blocks} blocks of 1 ms came too late for the radio and were not sent", err=True)
    typer.echo(f"{played.why_ended}: {played.n_samples} samples", err=True)
    if as_json:
        figures = {"source": source, "ue": ue, "device": device, "rate_hz": samples.sample_rate_hz}
        print(json.dumps({**figures, **dataclasses.asdict(played)}))
    return int(stop.exit_code)


def _generated(options: WaveformOptions, n_subframes: int | None, *, is_looped: bool) -> Source:
    try:
        plan = options.plan()
        source = PlanSource(options.plan, n_subframes)
        source.samples(0, 1)  # what does not fit is said before the radio is opened
    except RadioError as error:
        raise LabError(str(error)) from None
    say_padding(plan)
    return Looped(source) if is_looped and n_subframes is not None else source


def _recorded(path: Path, rate: float | None, *, is_looped: bool) -> Source:
    try:
        source = FileSource(open_iq(path, IqOptions(sample_rate_hz=rate)))
    except RadioError as error:
        raise LabError(str(error)) from None
    per_subframe, rest = divmod(source.sample_rate_hz, 1000)
    if rest:
        raise LabError(f"{path}: {source.sample_rate_hz} samples/s is no whole number of samples per subframe of 1 ms")
    if is_looped and source.n_samples is not None and source.n_samples % per_subframe:
        typer.echo(
            f"{path}: {source.n_samples} samples are not a whole number of subframes of {per_subframe}: "
            "the loop has no gap, but the signal's timing jumps at each turn",
            err=True,
        )
    return Looped(source) if is_looped else source


_OF_GENERATOR = (
    *("prb", "subframes", "duration", "cp", "slss_id", "dfn", "mode", "destination", "timing_advance", "mcs", "width"),
    *("first", "subchannel_size", "subchannels", "transmission_format", "n_ssf", "payload", "message", "seed"),
)


def _refuse_generator_options(context: typer.Context) -> None:
    """An option that a file can't follow is an error rather than without effect."""
    for name in _OF_GENERATOR:
        given_by = context.get_parameter_source(name)
        if given_by is not None and given_by.name == "COMMANDLINE":
            raise LabError(
                f"--{name.replace('_', '-')} says what the generator makes: a file is played as it is",
                hint="leave it out, or play `generator`",
            )


def _radio(
    ue: str,
    endpoint: str,
    device: str,
    address: str,
    carrier_hz: float | None,
    tx_gain_db: float | None,
    *,
    sample_rate_hz: int,
    stopped: Callable[[], bool],
) -> Callable[[], TimedIqDevice]:
    """How the radio is opened that the options name."""
    if bool(ue) == bool(device):
        raise LabError("--ue NAME (on the emulator), --ue CONFIG.toml or --device KIND says where to play: give one")
    if ue.endswith(".toml"):
        config = load_ue_config(Path(ue))
        return lambda: open_radio(config, sample_rate_hz, stopped)
    if ue or device == _EMULATOR:
        if not ue:
            raise LabError("--device zeromq is the emulator: give --ue NAME and --endpoint instead")
        return lambda: ZeroMqDevice(endpoint, ue, sample_rate_hz=sample_rate_hz, stopped=stopped)
    for name, value in (("--carrier-hz", carrier_hz), ("--tx-gain", tx_gain_db)):
        if value is None or not math.isfinite(value):
            raise LabError(f"--device {device} needs {name}, a finite number")
    keys = {"device": device, "address": address, "carrier_hz": carrier_hz, "tx_gain_db": tx_gain_db, "rx_gain_db": 0.0}
    try:
        section = RadioSection.model_validate(keys)
    except ValidationError as error:
        raise LabError(f"--device {device}: {explain(error)}") from None
    return lambda: open_device(device, section.options, ue=device, sample_rate_hz=sample_rate_hz, stopped=stopped)


def _opened(open_it: Callable[[], TimedIqDevice], source: Source) -> TimedIqDevice:
    radio = open_it()
    if radio.sample_rate_hz != source.sample_rate_hz:
        radio.close()
        raise LabError(
            f"the radio runs at {radio.sample_rate_hz} samples/s, what is played at {source.sample_rate_hz}",
            hint="generate it for that rate (--rate), or resample it",
        )
    return radio
