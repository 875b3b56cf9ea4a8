"""TUN interfaces in namespaces of their own: packets to the right link, spoofed ones out, nothing left behind."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab_scripts.demo.namespaces import Namespace, check_tun
from lab_scripts.exit_codes import ExitCode, LabError
from prose_link.instant import Instant
from prose_link.userplane import tun as tun_module
from prose_link.userplane.addresses import IpAddresses, own_addresses
from prose_link.userplane.events import PacketDropped
from prose_link.userplane.netns import NetnsError, inside
from prose_link.userplane.tun import (
    MAX_QUEUED_PACKETS,
    TunConfig,
    TunEnd,
    TunError,
    TunInterface,
    TunLost,
    destination_of,
    is_multicast,
    source_of,
)

NOW = Instant(0.0, 0.0)
OWN, B, C = (own_addresses(l2_id, ipv4=True) for l2_id in (0x5C1A01, 0x5C1B02, 0x5C1C03))
L2_B, L2_C = 0x5C1B02, 0x5C1C03


def obstacle() -> str:
    """Why this machine cannot make TUN interfaces; empty where it can."""
    try:
        check_tun()
    except LabError as error:
        return str(error)
    return ""


needs_tun = pytest.mark.skipif(bool(obstacle()), reason=f"no TUN interface can be made: {obstacle()}")


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    made = Namespace()
    yield made
    made.close()


@pytest.fixture
def interface(namespace: Namespace) -> Iterator[TunInterface]:
    made = TunInterface(TunConfig(name="pc5", netns=namespace.path, mtu=1400), OWN)
    yield made
    made.close()


def ip(namespace: Namespace, *arguments: str) -> str:
    with inside(namespace.path):
        return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout


def send(namespace: Namespace, peer: IpAddresses, data: bytes) -> None:
    """One UDP datagram over IPv4 from within the namespace."""
    with inside(namespace.path), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(data, (str(peer.ipv4), 9))


def packets(end: TunEnd, room: int = 64) -> list[bytes]:
    """What is for one link, the kernel's own multicast chatter left out."""
    return [packet for packet in end.pdus_to_send(NOW, room=room) if not is_multicast(destination_of(packet))]


@needs_tun
def test_the_interface_has_addresses_and_mtu(namespace: Namespace, interface: TunInterface) -> None:
    told = ip(namespace, "address", "show", "dev", "pc5")
    assert "mtu 1400" in told and "fe80::200:ff:fe5c:1a01/64" in told and "10.92.26.1/32" in told
    assert told.count("inet6") == 1


@needs_tun
def test_packets_go_to_the_link_of_their_destination(namespace: Namespace, interface: TunInterface) -> None:
    to_b, to_c = interface.attach(L2_B, B), interface.attach(L2_C, C)
    send(namespace, C, b"for C")
    send(namespace, B, b"for B")
    assert [packet[28:] for packet in packets(to_b)] == [b"for B"]
    assert [packet[28:] for packet in packets(to_c)] == [b"for C"]


@needs_tun
def test_a_link_that_is_over_has_no_route(namespace: Namespace, interface: TunInterface) -> None:
    end = interface.attach(L2_B, B)
    assert "10.92.27.2 dev pc5" in ip(namespace, "route")
    end.close(NOW)
    assert "10.92.27.2" not in ip(namespace, "route")


@needs_tun
def test_packets_come_out_in_the_namespace_only_from_the_peers_address(
    namespace: Namespace, interface: TunInterface
) -> None:
    end = interface.attach(L2_B, B)
    with inside(namespace.path):
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.settimeout(2.0)
    listener.bind((str(OWN.ipv4), 5000))
    end.receive(udp_over_ipv4(C, OWN, b"spoofed"), NOW)
    end.receive(udp_over_ipv4(B, OWN, b"honest"), NOW)
    assert listener.recv(100) == b"honest"
    listener.close()
    event = end.next_event()
    assert isinstance(event, PacketDropped) and "source" in event.why and end.next_event() is None
    end.receive(b"", NOW)
    assert end.next_event() is not None


@needs_tun
def test_nobody_takes_over_an_address(interface: TunInterface) -> None:
    interface.attach(L2_B, B)
    assert interface.attach(L2_C, IpAddresses(link_local=B.link_local)).taken
    assert interface.attach(L2_C + 1, IpAddresses(link_local=OWN.link_local)).taken


@needs_tun
def test_queues_are_bounded(namespace: Namespace, interface: TunInterface) -> None:
    to_b, to_c = interface.attach(L2_B, B), interface.attach(L2_C, C)
    for _ in range(6):
        for _ in range(40):
            send(namespace, C, b"x")
        packets(to_b)
    assert len(to_c.queue) <= MAX_QUEUED_PACKETS and to_c.next_event() is not None


@needs_tun
def test_an_interface_taken_away_is_said(namespace: Namespace, interface: TunInterface) -> None:
    end = interface.attach(L2_B, B)
    ip(namespace, "link", "delete", "pc5")
    with pytest.raises(TunLost, match="pc5 is gone"):
        end.pdus_to_send(NOW, room=4)


@needs_tun
def test_nothing_is_left_when_it_is_closed(namespace: Namespace, interface: TunInterface) -> None:
    assert "pc5" in ip(namespace, "link")
    interface.close()
    interface.close()
    assert "pc5" not in ip(namespace, "link")


@needs_tun
def test_a_name_that_is_taken(namespace: Namespace, interface: TunInterface) -> None:
    with pytest.raises(TunError, match="pc5"):
        TunInterface(TunConfig(name="pc5", netns=namespace.path, mtu=1400), OWN)


@needs_tun
def test_a_failed_set_up_leaves_nothing(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(TunError, match="iproute2"):
        TunInterface(TunConfig(name="pc5", netns=namespace.path, mtu=1400), OWN)
    monkeypatch.undo()
    assert "pc5" not in ip(namespace, "link")


@needs_tun
def test_a_closed_namespace_is_gone_with_all_that_ran_inside(namespace: Namespace, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        stubborn = namespace.start(["sh", "-c", "trap '' TERM; sleep 60 & sleep 60"], log)
    assert stubborn.pid in namespace.processes()
    namespace.close()
    assert stubborn.wait(timeout=5) != 0
    assert not Path(namespace.path).exists() and namespace.processes() == []


def test_a_namespace_that_is_not_there() -> None:
    with pytest.raises(NetnsError, match="no-such-namespace"), inside("no-such-namespace"):
        pass


def test_without_the_device_the_error_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tun_module, "DEVICE", "/dev/net/no-such-device")
    with pytest.raises(TunError, match="no-such-device: No such file"):
        TunInterface(TunConfig(name="pc5", netns="", mtu=1400), OWN)


@pytest.mark.skipif(os.geteuid() != 0, reason="drops root to see what is said without it")
def test_without_permission_it_is_a_matter_of_usage() -> None:
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setuid(65534)
        try:
            check_tun()
        except LabError as error:
            os._exit(0 if error.exit_code is ExitCode.USAGE and "root" in error.hint else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("packet", [b"", b"\x45", b"\x60" + bytes(38), b"\x00" * 60, b"\xf0" * 60])
def test_octets_that_are_no_packet_have_no_address(packet: bytes) -> None:
    assert source_of(packet) == destination_of(packet) == b"" and not is_multicast(b"")


def udp_over_ipv4(source: IpAddresses, destination: IpAddresses, data: bytes) -> bytes:
    """A UDP packet to port 5000, without UDP checksum (RFC 768 allows 0)."""
    assert source.ipv4 is not None and destination.ipv4 is not None
    length = 28 + len(data)
    head = b"\x45\0" + length.to_bytes(2) + b"\0\0\0\0\x40\x11\0\0" + source.ipv4.packed + destination.ipv4.packed
    total = sum(int.from_bytes(head[i : i + 2]) for i in range(0, 20, 2))
    checksum = ~(total + (total >> 16)) & 0xFFFF
    head = head[:10] + checksum.to_bytes(2) + head[12:]
    return head + (9).to_bytes(2) + (5000).to_bytes(2) + (8 + len(data)).to_bytes(2) + b"\0\0" + data
