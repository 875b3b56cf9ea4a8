"""I_MESSAGEs in other people's captures: every link type, fragments, TCP segments; scapy writes the frames."""

from __future__ import annotations

import base64
import random
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, fragment6
from scapy.layers.l2 import CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether, Loopback
from scapy.layers.ppp import PPP
from scapy.packet import Raw

from lab_scripts.capture.errors import CaptureError
from lab_scripts.capture.exported_pdu import exported_pdu
from lab_scripts.capture.i_messages import captured_i_messages
from lab_scripts.capture.pcapng import Interface, PcapngWriter

CASES = Path(__file__).parents[3] / "vectors" / "cases"
OCTETS = bytes.fromhex((CASES / "mikey-hex-stream.txt").read_text())
B64 = base64.b64encode(OCTETS)
SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\na=key-mgmt:mikey " + B64 + b"\r\nm=audio 9000 RTP/SAVP 0\r\n"
SIP = (
    b"INVITE sip:b@example.org SIP/2.0\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(SDP) + SDP
)
MULTIPART = (
    b"MESSAGE sip:b@example.org SIP/2.0\r\nContent-Type: multipart/mixed;boundary=x\r\n\r\n"
    b"--x\r\nContent-Type: application/mikey\r\nContent-Transfer-Encoding: base64\r\n\r\n" + B64 + b"\r\n--x--\r\n"
)
RAW = IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=40000, dport=2269) / Raw(OCTETS)
RAW6 = IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=5060, dport=5060) / Raw(SIP)
MACS = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}


def found(tmp_path: Path, link_type: int, *frames: object) -> list[bytes]:
    path = tmp_path / "x.pcapng"
    with PcapngWriter(path) as writer:
        for number, frame in enumerate(frames):
            writer.write(Interface(name="", link_type=link_type), number, bytes(frame))  # type: ignore[call-overload]
    return [message.octets for message in captured_i_messages(path)]


LINKS = {
    "Ethernet": (1, lambda ip: Ether(**MACS) / ip),
    "VLAN": (1, lambda ip: Ether(**MACS) / Dot1Q(vlan=5) / ip),
    "stacked VLAN": (1, lambda ip: Ether(**MACS) / Dot1AD(vlan=5) / Dot1Q(vlan=7) / ip),
    "Ethernet with trailer": (1, lambda ip: bytes(Ether(**MACS) / ip) + b"padding"),
    "SLL": (113, lambda ip: CookedLinux(proto=0x800 if ip.version == 4 else 0x86DD) / ip),
    "SLL2": (276, lambda ip: CookedLinuxV2(proto=0x800 if ip.version == 4 else 0x86DD) / ip),
    "raw": (101, lambda ip: ip),
    "DLT_RAW": (12, lambda ip: ip),
    "BSD loopback": (0, lambda ip: Loopback(type=2 if ip.version == 4 else 30) / ip),
    "OpenBSD loopback": (108, lambda ip: bytes(Loopback(type=2)) + bytes(ip)),
    "PPP": (9, lambda ip: PPP(proto=0x21 if ip.version == 4 else 0x57) / ip),
    "exported IP": (252, lambda ip: exported_pdu("ip", bytes(ip))),
}


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("ip", [RAW, RAW6], ids=["IPv4 UDP 2269", "IPv6 SIP"])
def test_every_link_type(link: str, ip: IP, tmp_path: Path) -> None:
    link_type, wrapped = LINKS[link]
    assert found(tmp_path, link_type, wrapped(ip)) == [OCTETS]


@pytest.mark.parametrize("text", [SDP, SIP, MULTIPART, SIP.replace(b"\r\n", b"\n")], ids=["SDP", "SIP", "MIME", "LF"])
def test_texts_that_carry_it(text: bytes, tmp_path: Path) -> None:
    ip = IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=1234, dport=5555) / Raw(text)
    assert found(tmp_path, 101, ip) == [OCTETS]
    assert found(tmp_path, 252, exported_pdu("sip", text)) == [OCTETS]


@pytest.mark.parametrize("seed", range(5))
def test_fragments_in_any_order(seed: int, tmp_path: Path) -> None:
    parts = fragment(RAW, fragsize=200)
    v6 = IPv6(src="2001:db8::1", dst="2001:db8::2") / IPv6ExtHdrHopByHop() / IPv6ExtHdrFragment(id=9)
    parts6 = fragment6(v6 / UDP(sport=5060, dport=5060) / Raw(SIP), 400)
    random.Random(seed).shuffle(parts)
    random.Random(seed + 1).shuffle(parts6)
    assert len(parts) > 2
    assert len(parts6) > 2
    assert found(tmp_path, 101, *parts) == [OCTETS]
    assert found(tmp_path, 101, *parts6) == [OCTETS]
    with pytest.raises(CaptureError) as caught:
        found(tmp_path, 101, *parts[1:])
    assert "1 datagrams with fragments missing" in caught.value.hint


def segments(data: bytes, size: int, first_seq: int) -> list[IP]:
    ends = IP(src="192.0.2.1", dst="192.0.2.2")
    syn = ends / TCP(sport=40001, dport=5060, seq=(first_seq - 1) % 2**32, flags="S")
    return [syn] + [
        ends / TCP(sport=40001, dport=5060, seq=(first_seq + at) % 2**32, flags="PA") / Raw(data[at : at + size])
        for at in range(0, len(data), size)
    ]


@pytest.mark.parametrize("first_seq", [1, 2**32 - 300, 2**31 - 5])
@pytest.mark.parametrize("seed", range(3))
def test_sip_over_tcp_segments(first_seq: int, seed: int, tmp_path: Path) -> None:
    parts = segments(SIP + SIP.replace(b"INVITE", b"UPDATE"), 97, first_seq)
    again = [*parts, *parts[2:5]]
    random.Random(seed).shuffle(again)
    assert found(tmp_path, 101, *again) == [OCTETS]


def test_mikey_over_tcp(tmp_path: Path) -> None:
    parts = segments(OCTETS, 100, 7)
    for part in parts:
        part[TCP].dport = 2269
    assert found(tmp_path, 101, *parts) == [OCTETS]


def test_what_was_looked_into_is_told(tmp_path: Path) -> None:
    tls = IP(src="192.0.2.1", dst="192.0.2.2") / TCP(sport=40001, dport=5061, seq=1) / Raw(b"\x16\x03\x03")
    with pytest.raises(CaptureError) as caught:
        found(tmp_path, 101, tls)
    assert "TLS" in caught.value.hint
    broken = IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=1, dport=2269) / Raw(OCTETS[:100])
    with pytest.raises(CaptureError) as caught:
        found(tmp_path, 101, broken)
    assert "1 MIKEY messages of another kind, or damaged" in caught.value.hint


@pytest.mark.parametrize("link_type", [0, 1, 9, 12, 101, 108, 113, 228, 229, 252, 276])
def test_hostile_frames_give_messages_or_the_error(link_type: int, tmp_path: Path) -> None:
    rng = random.Random(link_type)
    frames = []
    good = [bytes(frame) for frame in (RAW, RAW6, Ether(**MACS) / RAW, *segments(SIP, 90, 1)[:3])]
    for _ in range(300):
        whole = bytearray(rng.choice(good))
        for _ in range(rng.randrange(1, 9)):
            whole[rng.randrange(min(60, len(whole)))] = rng.randrange(256)
        frames.append(bytes(whole[: rng.randrange(len(whole))]))
    try:
        messages = found(tmp_path, link_type, b"", b"\x45", b"\x60", bytes(60), *frames)
    except CaptureError as error:
        assert "no I_MESSAGE" in str(error)
    else:
        assert all(message[:1] == b"\x01" for message in messages)
