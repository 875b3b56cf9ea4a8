"""What is read of IP packets for their queues, held against Scapy's packets."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6

from prose_link.userplane.queueing.ip_header import dscp, flow_hash, with_congestion_mark

KEY = b"perturbation"


def ipv6(**fields):
    return bytes(IPv6(src="fe80::1", dst="fe80::2", **fields) / UDP(sport=5004, dport=5004) / b"data")


def ipv4(**fields):
    return bytes(IP(src="10.0.0.1", dst="10.0.0.2", **fields) / UDP(sport=5004, dport=5004) / b"data")


@pytest.mark.parametrize("code_point", [0, 8, 46, 63])
@pytest.mark.parametrize("ecn", range(4))
def test_dscp_of_both_versions(code_point, ecn):
    assert dscp(ipv6(tc=code_point << 2 | ecn)) == dscp(ipv4(tos=code_point << 2 | ecn)) == code_point


def test_a_flow_is_known_by_addresses_protocol_and_ports():
    def segment(**ports):
        return bytes(IP(src="10.0.0.1", dst="10.0.0.2") / TCP(**{"sport": 1, "dport": 2, **ports}) / b"more")

    same = {flow_hash(segment(seq=seq), KEY) for seq in range(5)}
    assert len(same) == 1
    others = {
        flow_hash(segment(sport=7), KEY),
        flow_hash(segment(dport=7), KEY),
        flow_hash(bytes(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2)), KEY),
        flow_hash(bytes(IP(src="10.0.0.1", dst="10.0.0.3") / TCP(sport=1, dport=2)), KEY),
        flow_hash(bytes(IP(src="10.0.0.1", dst="10.0.0.2") / ICMP()), KEY),
        flow_hash(bytes(IPv6(src="fe80::1", dst="fe80::2") / TCP(sport=1, dport=2)), KEY),
    }
    assert len(same | others) == 7


def test_pings_of_one_pair_are_one_flow_whatever_their_identifier():
    packets = [bytes(IPv6(src="fe80::1", dst="fe80::2") / ICMPv6EchoRequest(id=n, seq=n)) for n in range(3)]
    assert len({flow_hash(packet, KEY) for packet in packets}) == 1


def test_fragments_of_a_datagram_keep_together():
    first, *later = (bytes(part) for part in IP(ipv4()[:28] + bytes(3000)).fragment(1400))
    assert len({flow_hash(part, KEY) for part in (first, *later)}) == 1


def test_nobody_can_foretell_which_flows_meet():
    packets = [ipv6(fl=1, hlim=9), ipv4()]
    assert [flow_hash(packet, b"one") for packet in packets] != [flow_hash(packet, b"two") for packet in packets]


@pytest.mark.parametrize("ecn", [1, 2, 3])
def test_a_mark_changes_nothing_else_and_the_checksum_holds(ecn):
    for code_point in (0, 46):
        field = code_point << 2
        assert with_congestion_mark(ipv6(tc=field | ecn)) == ipv6(tc=field | 3)
        assert with_congestion_mark(ipv4(tos=field | ecn, id=77)) == ipv4(tos=field | 3, id=77)


def test_what_knows_no_ecn_can_t_be_marked():
    assert with_congestion_mark(ipv6(tc=46 << 2)) is None
    assert with_congestion_mark(ipv4(tos=46 << 2)) is None


@pytest.mark.parametrize(
    "octets", [b"", b"\x60", b"\x45" + bytes(18), b"\x6f\xff" + bytes(37), b"\x00" * 60, b"\xff" * 60, b"\x4f" * 20]
)
def test_odd_octets_have_a_flow_and_no_more(octets):
    assert 0 <= flow_hash(octets, KEY) < 1 << 32
    assert 0 <= dscp(octets) <= 63
    marked = with_congestion_mark(octets)
    assert marked is None or len(marked) == len(octets)
