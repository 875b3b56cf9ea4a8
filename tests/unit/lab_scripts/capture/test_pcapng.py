"""pcapng files: what the writer wrote, what others write, and damaged ones."""

import struct

import pytest

from lab_scripts.capture.capture_file import read_packets
from lab_scripts.capture.errors import CaptureError
from lab_scripts.capture.pcapng import LINKTYPE_RAW, LINKTYPE_WIRESHARK_UPPER_PDU, Interface, PcapngWriter

MAC = Interface(name="ue-a.mac", link_type=LINKTYPE_WIRESHARK_UPPER_PDU, description="MAC of ue-a")
IP = Interface(name="ue-a.ip", link_type=LINKTYPE_RAW)
PACKETS = [(MAC, 1_759_448_872_250_000_001, b"abc", "first"), (IP, 2, b"", ""), (MAC, 3, b"12345678", "naïve")]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "x.pcapng"
    with PcapngWriter(path) as writer:
        for packet in PACKETS:
            writer.write(*packet)
    return path


def test_reads_what_the_writer_wrote(path):
    packets = list(read_packets(path))
    assert [(one.interface, one.time_ns, one.data, one.comment) for one in packets] == PACKETS
    assert [one.number for one in packets] == [1, 2, 3]


def test_scapy_reads_what_the_writer_wrote(path):
    from scapy.utils import RawPcapNgReader

    with RawPcapNgReader(str(path)) as reader:
        assert [data for data, _ in reader] == [data for _, _, data, _ in PACKETS]


def test_cut_short_at_every_octet(path, tmp_path):
    octets = path.read_bytes()
    cut = tmp_path / "cut.pcapng"
    whole = 0
    for length in range(1, len(octets)):
        cut.write_bytes(octets[:length])
        packets = []
        try:
            packets.extend(read_packets(cut))
            whole += 1
        except CaptureError as error:
            assert str(cut) in str(error)
        assert [one.data for one in packets] == [data for _, _, data, _ in PACKETS][: len(packets)]
    assert whole == 5, "only between two blocks is nothing missing"


def test_every_octet_altered_gives_packets_or_the_error(path, tmp_path):
    octets = path.read_bytes()
    altered = tmp_path / "altered.pcapng"
    for i in range(len(octets)):
        for flip in (0xFF, 0x01, 0x80):
            altered.write_bytes(octets[:i] + bytes([octets[i] ^ flip]) + octets[i + 1 :])
            try:
                list(read_packets(altered))
            except CaptureError:
                continue


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"not a capture at all", "not a pcapng file"),
        (bytes.fromhex("d4c3b2a1020004000000000000000000"), "cut short"),
        (b"\x28\xb5\x2f\xfd" + bytes(20), "compressed with zstd"),
        (b"\x04\x22\x4d\x18" + bytes(20), "compressed with lz4"),
        (b"PK\x03\x04" + bytes(20), "zip archive"),
        (b"\x0a\x0d\x0d\x0a", "cut short"),
        (b"\x0a\x0d\x0d\x0a\x1c\0\0\0\0\0\0\0" + bytes(20), "byte order"),
    ],
)
def test_other_files_are_named(tmp_path, octets, words):
    path = tmp_path / "other"
    path.write_bytes(octets)
    with pytest.raises(CaptureError, match=words):
        list(read_packets(path))


def test_an_empty_file_is_named(tmp_path):
    path = tmp_path / "empty"
    path.write_bytes(b"")
    with pytest.raises(CaptureError, match="empty"):
        list(read_packets(path))


def block(order, kind, body):
    total = len(body) + 12
    return struct.pack(f"{order}II", kind, total) + body + struct.pack(f"{order}I", total)


def test_big_endian_microseconds_and_simple_packets(tmp_path):
    section = block(">", 0x0A0D0D0A, struct.pack(">IHHq", 0x1A2B3C4D, 1, 0, -1))
    interface = block(">", 1, struct.pack(">HHI", 101, 0, 0))
    enhanced = block(">", 6, struct.pack(">IIIII", 0, 0, 1_500_000, 2, 2) + b"hi\0\0")
    simple = block(">", 3, struct.pack(">I", 3) + b"abc\0")
    unknown = block(">", 0xBAD, b"skip me!")
    path = tmp_path / "big.pcapng"
    path.write_bytes(section + interface + unknown + enhanced + simple)
    first, second = read_packets(path)
    assert (first.data, first.time_ns, first.interface.link_type) == (b"hi", 1_500_000_000, 101)
    assert (second.data, second.time_ns) == (b"abc", None)
