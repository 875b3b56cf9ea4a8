"""Captures that others write: held against tshark, which reads the same files."""

import bz2
import gzip
import itertools
import lzma
import shutil
import struct
import subprocess

import pytest

from lab_scripts.capture.capture_file import read_packets
from lab_scripts.capture.errors import CaptureError

FRAME = bytes(range(14)) + b"\x45" + bytes(45)
ORDERS = ("<", ">")


def block(order, kind, body):
    body += bytes(-len(body) % 4)
    total = len(body) + 12
    return struct.pack(f"{order}II", kind, total) + body + struct.pack(f"{order}I", total)


def option(order, code, value):
    return struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order):
    return block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order, *options, link_type=1, snap=0):
    tail = b"".join(options) + (option(order, 0, b"") if options else b"")
    return block(order, 1, struct.pack(f"{order}HHI", link_type, 0, snap) + tail)


def enhanced(order, ticks, data, *options, index=0, original=None):
    head = struct.pack(
        f"{order}IIIII", index, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data) if original is None else original
    )
    tail = b"".join(options) + (option(order, 0, b"") if options else b"")
    return block(order, 6, head + data + bytes(-len(data) % 4) + tail)


def obsolete(order, ticks, data, *, index=0):
    head = struct.pack(f"{order}HHIIII", index, 0xFFFF, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(order, 2, head + data)


def pcapng(order):
    """All that a section can say of time and length, then a section of the other order."""
    other = ">" if order == "<" else "<"
    offset = struct.pack(f"{order}q", 1_700_000_000)
    back = struct.pack(f"{order}q", -3600)
    return b"".join(
        (
            section(order),
            interface(order, snap=40),
            interface(order, option(order, 9, b"\x09"), option(order, 14, offset)),
            interface(order, option(order, 9, bytes([0x80 | 20]))),
            interface(order, option(order, 9, b"\x03"), option(order, 14, back)),
            interface(order, option(order, 9, b"\x00")),
            block(order, 4, struct.pack(f"{order}HH", 0, 0)),
            block(order, 5, struct.pack(f"{order}III", 0, 0, 0)),
            enhanced(order, 1_600_000_000_123_456, FRAME[:40], original=len(FRAME)),
            enhanced(order, 5_000_000_001, FRAME, index=1),
            enhanced(order, (1_600_000_000 << 20) + (1 << 19), FRAME[:57], index=2),
            enhanced(order, 1_600_000_000_250, FRAME, option(order, 1, "näher".encode()), index=3),
            enhanced(order, 1_600_000_007, FRAME, index=4),
            obsolete(order, 1_600_000_000_000_999, FRAME),
            obsolete(order, 77, FRAME[:33], index=1),
            block(order, 3, struct.pack(f"{order}I", len(FRAME)) + FRAME[:40]),
            block(order, 3, struct.pack(f"{order}I", 21) + FRAME[:21]),
            section(other),
            interface(other, option(other, 2, b"second")),
            enhanced(other, 42, FRAME),
        )
    )


def pcap(order, magic, ticks, extra=b"", network=1):
    head = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, network)
    records = [
        struct.pack(f"{order}IIII", 1_600_000_000 + n, ticks * n, len(data), len(FRAME)) + extra + data
        for n, data in enumerate((FRAME, FRAME[:20], b""))
    ]
    return head + b"".join(records)


FILES = {
    "pcapng, little-endian": pcapng("<"),
    "pcapng, big-endian": pcapng(">"),
    "pcap": pcap("<", 0xA1B2C3D4, 499_999),
    "pcap, big-endian": pcap(">", 0xA1B2C3D4, 12_345),
    "pcap, nanoseconds": pcap("<", 0xA1B23C4D, 123_456_789),
    "pcap, nanoseconds, big-endian": pcap(">", 0xA1B23C4D, 1),
    "pcap, patched": pcap("<", 0xA1B2CD34, 10, extra=bytes(8)),
}


def by_tshark(path):
    """(seconds, captured length, comment) of each packet."""
    fields = itertools.chain.from_iterable(("-e", f) for f in ("frame.time_epoch", "frame.cap_len", "frame.comment"))
    printed = subprocess.run(
        ["tshark", "-r", str(path), "-T", "fields", *fields], capture_output=True, check=True, text=True
    ).stdout
    return [tuple(line.split("\t")) for line in printed.splitlines()]


@pytest.mark.interop
@pytest.mark.parametrize("kind", FILES)
def test_tshark_reads_the_same(kind, tmp_path):
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    path = tmp_path / "x.pcapng"
    path.write_bytes(FILES[kind])
    ours = list(read_packets(path))
    theirs = by_tshark(path)
    assert len(ours) == len(theirs)
    for packet, (seconds, length, comment) in zip(ours, theirs, strict=True):
        assert len(packet.data) == int(length)
        assert packet.comment == comment
        if packet.time_ns is not None:
            whole, _, fraction = seconds.partition(".")
            told = int(whole) * 10**9 + (-1 if seconds.startswith("-") else 1) * int(f"{fraction:0<9}"[:9])
            assert abs(packet.time_ns - told) <= 1000


def test_simple_packets_tell_no_time(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(pcapng("<"))
    times = [packet.time_ns for packet in read_packets(path)]
    assert times[7:9] == [None, None]
    assert times[1] == 1_700_000_005_000_000_001
    assert times[2] == 1_600_000_000_500_000_000
    assert times[3] == 1_599_996_400_250_000_000


@pytest.mark.parametrize("order", ORDERS)
def test_frame_check_sequences_are_no_part_of_a_frame(order, tmp_path):
    path = tmp_path / "x"
    flags = option(order, 2, struct.pack(f"{order}I", 2 << 5))
    path.write_bytes(
        section(order)
        + interface(order, option(order, 13, b"\x04"))
        + interface(order)
        + interface(order, option(order, 13, b"\x04"), link_type=101)
        + enhanced(order, 0, FRAME + b"FCS!")
        + enhanced(order, 0, FRAME + b"FC", flags, index=1)
        + enhanced(order, 0, FRAME, index=2)
    )
    assert [packet.data for packet in read_packets(path)] == [FRAME, FRAME, FRAME]
    path.write_bytes(pcap(order, 0xA1B2C3D4, 1, network=1 | 1 << 27 | 2 << 28))
    assert [packet.data for packet in read_packets(path)] == [FRAME[:-4], FRAME[:16], b""]


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
@pytest.mark.parametrize("kind", ["pcapng, little-endian", "pcap"])
def test_compressed_captures_are_read(pack, kind, tmp_path):
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.write_bytes(FILES[kind])
    packed.write_bytes(pack(FILES[kind]))
    assert list(read_packets(packed)) == list(read_packets(plain))
    packed.write_bytes(pack(pack(FILES[kind])))
    assert list(read_packets(packed)) == list(read_packets(plain))
    packed.write_bytes(pack(FILES[kind])[:-9])
    with pytest.raises(CaptureError, match=r"packed.*(cut short|damaged|unpacked)"):
        list(read_packets(packed))


@pytest.mark.parametrize("kind", FILES)
def test_every_cut_and_altered_octet_gives_packets_or_the_error(kind, tmp_path):
    octets, path = FILES[kind], tmp_path / "x"
    for at in range(0, len(octets), 11):
        for changed in (octets[:at], octets[:at] + bytes([octets[at] ^ 0xFF]) + octets[at + 1 :]):
            path.write_bytes(changed)
            try:
                list(read_packets(path))
            except CaptureError as error:
                assert "x" in str(error)


def test_a_packed_flood_is_read_block_by_block(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(section("<") + struct.pack("<II", 6, 0x0FFF_FFFC) + bytes(1 << 20)))
    with pytest.raises(CaptureError, match="a block of 268435452 octets"):
        list(read_packets(path))
