"""The options of `pc5lab phy generate` and `play` for the transmitted signals, checked and turned into a plan."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from lab_scripts.exit_codes import LabError
from lab_scripts.waveforms import direct as sample_recording
from lab_scripts.waveforms import v2x as sample_v2x_recording
from lab_scripts.waveforms.direct import DirectPlan, SampleRecording
from lab_scripts.waveforms.plan import WaveformPlan
from lab_scripts.waveforms.v2x import Counting, SampleV2xRecording, V2xPlan
from radio.phy.lte.grid.numerology import Carrier, Cp

_USUAL_WIDTH = 2
_MAX_PAYLOAD_OCTETS = 1 << 16
"""More octets than any transport block holds: a longer file is not read."""
_MAX_SUBFRAMES = 1 << 32

PrbOption = Annotated[int, typer.Option(help="Bandwidth in PRBs: 6, 15, 25, 50, 75 or 100.")]
CpOption = Annotated[Cp, typer.Option(help="Cyclic prefix.")]
SlssIdOption = Annotated[int, typer.Option(min=0, max=335, help="N_ID^SL.")]
DfnOption = Annotated[int, typer.Option(min=0, max=1023, help="Direct frame number of the first MIB-SL.")]
ModeOption = Annotated[int, typer.Option(min=1, max=4, help="Transmission mode.")]
DestinationOption = Annotated[
    int | None, typer.Option(min=0, max=255, help="Group destination id of the SCI (modes 1, 2); 1 if not given.")
]
TimingAdvanceOption = Annotated[
    int | None, typer.Option(min=0, max=2047, help="Timing advance indication (mode 1); 0 if not given.")
]
McsOption = Annotated[int, typer.Option(min=0, max=31, help="MCS of the PSSCH; above 28 in transmission format 1.")]
WidthOption = Annotated[
    int | None, typer.Option(min=1, help="PRBs of the PSSCH, its sub-channels in modes 3 and 4; 2 if there are.")
]
FirstOption = Annotated[int, typer.Option(min=0, help="First PRB of the PSSCH, first sub-channel in modes 3 and 4.")]
SubchannelSizeOption = Annotated[int | None, typer.Option(min=1, help="PRBs of a sub-channel (modes 3, 4).")]
SubchannelsOption = Annotated[int | None, typer.Option(min=1, help="Number of sub-channels (modes 3, 4).")]
FormatOption = Annotated[
    int | None, typer.Option(min=0, max=1, help="Transmission format of the SCI (modes 3, 4); 0 if not given.")
]
CountingOption = Annotated[
    Counting | None,
    typer.Option(
        "--n-ssf",
        help="How n_ssf counts (modes 3, 4): over the pool's subframes, or as the subframe number, as instruments "
        "and srsRAN do; pool if not given.",
    ),
]
PayloadOption = Annotated[
    str,
    typer.Option(
        "--payload",
        "--block",
        metavar="HEX|@FILE",
        help="Octets of every transport block, in hex or from a file, zero padded; random and different if empty.",
    ),
]
MessageOption = Annotated[
    str,
    typer.Option(metavar="HEX|@FILE", help="Discovery message (modes 1, 2), zero padded; random if empty."),
]
SubframesOption = Annotated[int | None, typer.Option(min=1, help="Length in subframes of 1 ms.")]
DurationOption = Annotated[float | None, typer.Option(help="Length in seconds, instead of --subframes.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of what is random.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveformOptions:
    """The options as given; `rate_hz` None for the usual rate, the others None where not given."""

    prb: int
    rate_hz: float | None
    cp: Cp
    slss_id: int
    dfn: int
    mode: int
    destination: int | None
    timing_advance: int | None
    mcs: int
    width: int | None
    first: int
    subchannel_size: int | None
    subchannels: int | None
    transmission_format: int | None
    counting: Counting | None
    payload: str
    message: str
    seed: int

    def carrier(self) -> Carrier:
        """Raises NumerologyError."""
        if self.rate_hz is None:
            return Carrier(self.prb, self.cp)
        if not math.isfinite(self.rate_hz):
            raise LabError(f"--rate {self.rate_hz} is not a number of samples per second")
        return Carrier.at_rate(self.prb, self.rate_hz, self.cp)

    def plan(self) -> WaveformPlan:
        """The plan of these options, always with the same draws.

        Raises a RadioError or LabError that names the value which does not fit.
        """
        self._refuse_options_of_other_modes()
        return self._direct_plan() if self.mode <= 2 else self._v2x_plan()

    @property
    def shortest(self) -> int:
        """Subframes that hold one of everything."""
        return sample_recording.N_SUBFRAMES if self.mode <= 2 else sample_v2x_recording.N_SUBFRAMES

    def _refuse_options_of_other_modes(self) -> None:
        of_v2x = {
            "--subchannel-size": self.subchannel_size,
            "--subchannels": self.subchannels,
            "--transmission-format": self.transmission_format,
            "--n-ssf": self.counting,
        }
        of_direct = {"--destination": self.destination, "--message": self.message or None}
        for modes, options, applies in (("3 and 4", of_v2x, self.mode > 2), ("1 and 2", of_direct, self.mode <= 2)):
            for name, value in options.items():
                if value is not None and not applies:
                    raise LabError(f"{name} belongs to transmission modes {modes}, not to mode {self.mode}")
        if self.timing_advance is not None and self.mode != 1:
            raise LabError(f"--timing-advance belongs to transmission mode 1, not to mode {self.mode}")

    def _direct_plan(self) -> DirectPlan:
        wanted = SampleRecording(
            n_sl_id=self.slss_id,
            dfn=self.dfn,
            destination=1 if self.destination is None else self.destination,
            mcs=self.mcs,
            width=self.width or _USUAL_WIDTH,
            block=_octets("--payload", self.payload),
            message=_octets("--message", self.message),
            timing_advance=(self.timing_advance or 0) if self.mode == 1 else None,
            first_prb=self.first,
        )
        return DirectPlan(self.carrier(), wanted, np.random.default_rng(self.seed))

    def _v2x_plan(self) -> V2xPlan:
        if (self.subchannel_size is None) != (self.subchannels is None):
            raise LabError("--subchannel-size and --subchannels go together")
        division = None
        if self.subchannel_size is not None and self.subchannels is not None:
            division = (self.subchannel_size, self.subchannels)
        wanted = SampleV2xRecording(
            n_sl_id=self.slss_id,
            dfn=self.dfn,
            mcs=self.mcs,
            n_used=self.width,
            block=_octets("--payload", self.payload),
            sub_channels=division,
            transmission_format=self.transmission_format or 0,
            first_sub_channel=self.first,
            counting=self.counting or Counting.POOL,
        )
        return V2xPlan(self.carrier(), wanted, np.random.default_rng(self.seed))


def length_in_subframes(subframes: int | None, duration_s: float | None) -> int | None:
    """The length by --subframes or --duration; None without both. Raises LabError."""
    if duration_s is None:
        wanted = subframes
    elif subframes is not None:
        raise LabError("--subframes and --duration say the same thing: give one of them")
    elif not (math.isfinite(duration_s) and duration_s > 0):
        raise LabError(f"--duration {duration_s} is not a positive number of seconds")
    else:
        wanted = math.ceil(round(duration_s * 1000, 6))
    if wanted is not None and wanted > _MAX_SUBFRAMES:
        raise LabError(f"{wanted} subframes are more than {_MAX_SUBFRAMES}")
    return wanted


def _octets(option: str, text: str) -> bytes | None:
    """Octets of an option, in hex or from the file after an @; None where it is empty."""
    if not text:
        return None
    if text.startswith("@"):
        return _file_octets(option, Path(text[1:]))
    try:
        return bytes.fromhex(text)
    except ValueError:
        shown = text if len(text) <= 40 else f"{text[:40]}..."
        raise LabError(
            f"{option} {shown!r} is not a whole number of octets in hex", hint="a file is named as @FILE"
        ) from None


def _file_octets(option: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            octets = file.read(_MAX_PAYLOAD_OCTETS + 1)
    except OSError as error:
        raise LabError(f"{option}: can't read {path}: {error.strerror or error}") from None
    if not octets:
        raise LabError(f"{option}: {path} is empty")
    if len(octets) > _MAX_PAYLOAD_OCTETS:
        raise LabError(f"{option}: {path} holds more than {_MAX_PAYLOAD_OCTETS} octets; no transport block does")
    return octets
