"""Recordings of IQ samples, read from their beginning to their end in blocks: the one way from a file to complex64.

`open_iq` opens the files that users have: SigMF recordings (metadata, dataset, archive, compressed archive, collection
of one), bare samples under the suffixes that radios and tools use, any file with the type of its samples, and pipes. It
gives an `IqStream`: rate and number of samples as far as they are known, and `read`. Only the block being read is in
memory, so that the length does not matter.

A recording in several captures is one run of samples where they go on without loss. Lost samples (a jump of
`core:global_index`) are filled with zeros, so that time stays true; captures on different channel frequencies are
different signals, of which the caller chooses one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from radio.devices.iq_stream import IqStream, Piece
from radio.devices.protocol import DeviceError, DeviceNotFound
from radio.devices.sample_types import USUAL_NAMES, SampleType, sample_type
from radio.devices.sigmf_archive import ArchivedRecording, archived_recording, is_archive
from radio.devices.sigmf_metadata import Capture, Metadata, parse_json_object, parse_metadata
from radio.text_file import TextError, read_text

STDIN = "-"
_TYPE_OF_SUFFIX = {
    ".cf32": "cf32_le",
    ".fc32": "cf32_le",
    ".cfile": "cf32_le",
    ".dat": "cf32_le",
    ".iq": "cf32_le",
    ".raw": "cf32_le",
    ".bin": "cf32_le",
    ".cf64": "cf64_le",
    ".fc64": "cf64_le",
    ".cs16": "ci16_le",
    ".sc16": "ci16_le",
    ".ci16": "ci16_le",
    ".cs8": "ci8",
    ".sc8": "ci8",
    ".ci8": "ci8",
    ".cu8": "cu8",
    ".cu16": "cu16_le",
}
"""The usual type of samples for each suffix; some tools write other types under .dat, .iq, .raw and .bin."""
_MAX_METADATA_OCTETS = 16 << 20
_MAX_FILLED_S = 10.0
"""Longest loss that is filled with zeros; parts with a longer one between them are separate recordings."""
_MAX_FILLED_SAMPLES = 1 << 28


@dataclass(frozen=True, slots=True, kw_only=True)
class IqOptions:
    """The user's options for a recording; None if the recording itself has the value."""

    sample_rate_hz: float | None = None
    format: str | None = None
    """Type of bare samples; it replaces the type in metadata."""
    channel: int | None = None
    """Counted from 0."""
    capture: int | None = None
    """One capture of a SigMF recording, counted from 0."""
    recording: str | None = None
    """Name of one recording in an archive or collection."""


def open_iq(path: Path | str, options: IqOptions | None = None, *, stdin: BinaryIO | None = None) -> IqStream:
    """Open a recording; `-` is `stdin`.

    Raises DeviceNotFound for a missing file, DeviceError with the reason for one that can't be read.
    """
    options = options or IqOptions()
    if str(path) == STDIN:
        if stdin is None:
            raise DeviceError("there is no standard input to read samples from")
        return _bare(stdin, "standard input", options, sample_type(options.format or "cf32_le"), None)
    path = Path(path)
    if path.is_dir():
        raise DeviceError(f"{path} is a folder, not a recording")
    if path.suffix == ".sigmf-collection":
        path = _of_collection(path, options)
    if path.suffix in (".sigmf-meta", ".sigmf-data"):
        return _sigmf(path, options)
    if is_archive(path):
        return _archived(path, options)
    if options.format is None and path.suffix.lower() not in _TYPE_OF_SUFFIX:
        raise DeviceError(
            f"{path}: IQ files end in .sigmf-meta, .sigmf-data, .sigmf or {', '.join(_TYPE_OF_SUFFIX)}; "
            f"another one is read with the type of its samples, --format {USUAL_NAMES[0]} for instance"
        )
    kind = sample_type(options.format or _TYPE_OF_SUFFIX[path.suffix.lower()])
    file, n_octets = _opened(path)
    return _bare(file, str(path), options, kind, n_octets)


def is_pipe(path: Path) -> bool:
    """Whether a path can be read only once."""
    try:
        return str(path) == STDIN or not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _bare(file: BinaryIO, name: str, options: IqOptions, kind: SampleType, n_octets: int | None) -> IqStream:
    for given, what in ((options.channel, "channel"), (options.capture, "capture")):
        if given:
            raise DeviceError(f"{name} has one {what}, number 0: bare samples have no metadata that tells of more")
    _check_whole(name, kind, 1, n_octets)
    return IqStream(
        file,
        name=name,
        kind=kind,
        sample_rate_hz=options.sample_rate_hz,
        n_samples=None if n_octets is None else n_octets // kind.octets,
        pieces=[Piece(skipped_octets=0, filled_samples=0, n_samples=None)],
    )


def _sigmf(path: Path, options: IqOptions) -> IqStream:
    meta = path.with_suffix(".sigmf-meta")
    metadata = parse_metadata(_text(meta), str(meta))
    data = meta.with_name(metadata.dataset) if metadata.dataset else meta.with_suffix(".sigmf-data")
    if metadata.is_metadata_only and not data.exists():
        raise DeviceError(f"{meta} is metadata only (core:metadata_only): there are no samples to read")
    file, n_octets = _opened(data)
    return _described(file, str(data), metadata, options, n_octets)


def _archived(path: Path, options: IqOptions) -> IqStream:
    found: ArchivedRecording = archived_recording(path, options.recording)
    metadata = parse_metadata(found.metadata, f"{path}: {found.name}.sigmf-meta")
    file, n_octets = found.open(metadata.dataset)
    return _described(file, f"{path}: {found.name}", metadata, options, n_octets)


def _of_collection(path: Path, options: IqOptions) -> Path:
    """The metadata of the only recording of a collection, or of the one asked for."""
    described = parse_json_object(_text(path), str(path)).get("collection")
    streams = described.get("core:streams") if isinstance(described, dict) else None
    if not isinstance(streams, list):
        raise DeviceError(f"{path} has no SigMF 'collection' object with core:streams")
    names = [name for entry in streams if isinstance(entry, dict) and isinstance(name := entry.get("name"), str)]
    if options.recording in names:
        return path.with_name(f"{options.recording}.sigmf-meta")
    if len(names) == 1 and options.recording is None:
        return path.with_name(f"{names[0]}.sigmf-meta")
    raise DeviceError(
        f"{path} is a collection of {len(names)} recordings: {', '.join(names) or 'none'}; choose one with --recording"
    )


def _described(file: BinaryIO, name: str, metadata: Metadata, options: IqOptions, n_octets: int | None) -> IqStream:
    try:
        kind = sample_type(options.format) if options.format else metadata.sample_type
        channel = _channel(name, metadata, options)
        width = kind.octets * metadata.n_channels
        pieces, n_samples = _pieces(name, metadata, options, width, n_octets)
    except DeviceError:
        file.close()
        raise
    return IqStream(
        file,
        name=name,
        kind=kind,
        sample_rate_hz=options.sample_rate_hz or metadata.sample_rate_hz,
        n_samples=n_samples,
        pieces=pieces,
        n_channels=metadata.n_channels,
        channel=channel,
    )


def _channel(name: str, metadata: Metadata, options: IqOptions) -> int:
    if options.channel is None:
        return 0
    if not 0 <= options.channel < metadata.n_channels:
        raise DeviceError(f"{name} has no channel {options.channel}: it has {metadata.n_channels}, counted from 0")
    return options.channel


def _pieces(
    name: str, metadata: Metadata, options: IqOptions, width: int, n_octets: int | None
) -> tuple[list[Piece], int | None]:
    """The parts of a dataset to read, and their number of samples; None octets: to the end."""
    captures = metadata.captures or (Capture(first_sample=0),)
    if captures[0].first_sample:
        captures = (Capture(first_sample=0), *captures)
    headers = sum(capture.header_octets for capture in captures)
    total: int | None = None
    if n_octets is not None:
        of_samples = n_octets - headers - metadata.trailing_octets
        if of_samples < 0 or of_samples % width:
            raise DeviceError(
                f"{name} has {n_octets} octets, {headers} of them headers and {metadata.trailing_octets} trailing: "
                f"the rest is not a whole number of samples of {width} octets"
            )
        total = of_samples // width
    elif metadata.trailing_octets:
        raise DeviceError(f"{name}: the length must be known where octets trail the samples")
    ends = [capture.first_sample for capture in captures[1:]] + [total]
    chosen = _chosen(name, captures, options)
    pieces: list[Piece] = []
    skipped = 0
    for number, (capture, end) in enumerate(zip(captures, ends, strict=True)):
        skipped += capture.header_octets
        n_samples = None if end is None else end - capture.first_sample
        if n_samples is not None and n_samples < 0:
            raise DeviceError(f"{name} ends before capture {number}, which begins at sample {capture.first_sample}")
        if number in chosen:
            filled = _lost(name, captures, number, metadata) if number - 1 in chosen else 0
            pieces.append(Piece(skipped_octets=skipped, filled_samples=filled, n_samples=n_samples))
            skipped = 0
        elif n_samples is not None:
            skipped += n_samples * width
    if total is None:
        return pieces, None
    return pieces, sum(piece.filled_samples + (piece.n_samples or 0) for piece in pieces)


def _chosen(name: str, captures: Sequence[Capture], options: IqOptions) -> range:
    """Numbers of the captures that are read: one asked for, or all if they are one signal."""
    if options.capture is not None:
        if not 0 <= options.capture < len(captures):
            raise DeviceError(f"{name} has no capture {options.capture}: it has {len(captures)}, counted from 0")
        return range(options.capture, options.capture + 1)
    tuned = [(number, f) for number, capture in enumerate(captures) if (f := capture.frequency_hz) is not None]
    if len({frequency for _, frequency in tuned}) > 1:
        shown = ", ".join(f"{number} at {frequency / 1e6:g} MHz" for number, frequency in tuned[:8])
        more = ", ..." if len(tuned) > 8 else ""
        raise DeviceError(f"{name} was retuned: its captures are {shown}{more}; choose one with --capture")
    return range(len(captures))


def _lost(name: str, captures: Sequence[Capture], number: int, metadata: Metadata) -> int:
    """Samples lost between a capture and the one before it, by their global indices."""
    before, capture = captures[number - 1], captures[number]
    if before.global_index is None or capture.global_index is None:
        return 0
    lost = (capture.global_index - before.global_index) - (capture.first_sample - before.first_sample)
    limit = min(_MAX_FILLED_SAMPLES, _MAX_FILLED_S * (metadata.sample_rate_hz or _MAX_FILLED_SAMPLES))
    if not 0 <= lost <= limit:
        raise DeviceError(
            f"{name}: {lost} samples are missing before capture {number}; choose one capture with --capture"
        )
    return lost


def _check_whole(name: str, kind: SampleType, n_channels: int, n_octets: int | None) -> None:
    width = kind.octets * n_channels
    if n_octets is not None and n_octets % width:
        raise DeviceError(
            f"{name} has {n_octets} octets, not a whole number of {kind.name} samples of {width} octets: "
            "another --format, or cut short"
        )


def _opened(path: Path) -> tuple[BinaryIO, int | None]:
    """A file and its length in octets, None for a pipe."""
    try:
        file = path.open("rb")
        mode = os.fstat(file.fileno())
    except OSError as error:
        raise DeviceNotFound(f"can't read {path}: {error.strerror or error}") from None
    return file, mode.st_size if stat.S_ISREG(mode.st_mode) else None


def _text(path: Path) -> str:
    try:
        return read_text(path, max_octets=_MAX_METADATA_OCTETS)
    except OSError as error:
        raise DeviceNotFound(f"can't read {path}: {error.strerror or error}") from None
    except TextError as error:
        raise DeviceError(str(error)) from None
