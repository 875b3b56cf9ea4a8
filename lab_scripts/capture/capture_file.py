"""Reads captures of several formats: pcapng, classic pcap, and both compressed with gzip, xz or bzip2."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from lab_scripts.capture.errors import CaptureError
from lab_scripts.capture.packet import Packet
from lab_scripts.capture.pcap_reader import is_pcap, pcap_packets
from lab_scripts.capture.pcapng_reader import pcapng_packets

_PCAPNG = b"\x0a\x0d\x0d\x0a"
_TOLD_BY_NAME = {
    b"\x28\xb5\x2f\xfd": ("is compressed with zstd", "unpack it: zstd -d FILE"),
    b"\x04\x22\x4d\x18": ("is compressed with lz4", "unpack it: lz4 -d FILE"),
    b"PK\x03\x04": ("is a zip archive", "unpack it: unzip FILE"),
    b"\x1f\x9d\x90\0": ("is compressed with compress", "unpack it: uncompress FILE"),
}
_OTHER_CAPTURES = {
    b"snoop\0\0\0": "snoop",
    b"\x54\x52\x53\x4e": "a sniffer's",
    b"GMBU": "Network Monitor's",
    b"btsnoop\0": "btsnoop",
}
"""Formats that Wireshark reads and this reader does not."""
_MAX_LAYERS = 2


def read_packets(path: Path) -> Iterator[Packet]:
    """The packets of a file in order, as far as it can be read.

    Raises:
        CaptureError: no capture, cut short or damaged; raised where the reading stops.
        OSError: the file can't be opened.
    """
    with path.open("rb") as plain:
        file = _unpacked(path, plain)
        head, file = _peeked(path, file)
        reader = pcap_packets if is_pcap(head) else pcapng_packets
        try:
            yield from reader(path, file)
        except (gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError) as error:
            raise CaptureError(f"{path}: its compression is damaged or cut short: {error}") from None


def _unpacked(path: Path, plain: BinaryIO) -> BinaryIO:
    """A file with its compressions taken off, as it is read."""
    file = plain
    for _ in range(_MAX_LAYERS):
        head, file = _peeked(path, file, may_be_other=True)
        if head.startswith(b"\x1f\x8b"):
            file = cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb"))
        elif head.startswith(b"\xfd7zXZ\0"):
            file = cast(BinaryIO, lzma.LZMAFile(file))  # noqa: SIM115  it is read as long as the capture is
        elif head.startswith(b"BZh"):
            file = cast(BinaryIO, bz2.BZ2File(file))
        else:
            break
    return file


def _peeked(path: Path, file: BinaryIO, *, may_be_other: bool = False) -> tuple[bytes, BinaryIO]:
    """The first octets of a file, and the file with them still to be read."""
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, file))
    try:
        head = buffered.peek(8)[:8]
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise CaptureError(f"{path} can't be unpacked: {error}") from None
    if not may_be_other:
        _check(path, head)
    return head, cast(BinaryIO, buffered)


def _check(path: Path, head: bytes) -> None:
    if not head:
        raise CaptureError(f"{path} is empty")
    for magic, (what, hint) in _TOLD_BY_NAME.items():
        if head.startswith(magic):
            raise CaptureError(f"{path} {what}", hint=hint)
    for magic, what in _OTHER_CAPTURES.items():
        if head.startswith(magic):
            raise CaptureError(f"{path} is {what} capture, not pcapng", hint="convert it: editcap -F pcapng IN OUT")
    if not (head.startswith(_PCAPNG) or is_pcap(head)):
        raise CaptureError(f"{path} is not a pcapng file, nor a pcap one")
