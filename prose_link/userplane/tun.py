"""A TUN interface: unmodified programs of a network namespace talk over the links of a UE.

One interface serves all links of a UE. Its link-local IPv6 address, and its IPv4 address if there is one, follow from
the UE's layer-2 id. So the kernel makes no address of its own, and does not look for a duplicate. Each link adds a host
route to the peer's IPv4 address.

Out: packets are read when a link asks for some, and each goes into the queue of the link whose peer holds the
destination address; multicast goes to every link. A packet read for one link may belong to another, so queues are per
link and bounded. The kernel's own queue is kept short: a program that sends too fast loses packets early, as on a slow
link, and TCP slows down, where a long queue would only add delay.

In: a packet is written only if its source is an address of the peer at the link's other end. PDCP has verified which UE
sent it, so a peer can't speak under the address of another one. A peer with an address that this UE or another peer has
already may send nothing, and gets no packet for that address: the first one keeps it.

Reading and writing never block: the descriptor is non-blocking, and a call reads a bounded number of packets. The
namespace is entered to make and to configure the interface, and to set routes; packets need the descriptor only.

The interface lives as long as its descriptor is open: however the UE ends, the kernel takes the interface, its
addresses and its routes away. An interface that another program removes ends the UE with an error of hardware.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import subprocess
from collections import deque
from dataclasses import dataclass
from typing import ClassVar

from prose_link.errors import HARDWARE, ProseLinkError
from prose_link.instant import Instant
from prose_link.userplane.addresses import IpAddresses
from prose_link.userplane.events import PacketDropped
from prose_link.userplane.netns import inside
from prose_link.userplane.packet_end import PACKETS_AT_ONCE

DEVICE = "/dev/net/tun"
MAX_QUEUED_PACKETS = 64
"""Packets of one link that wait here because those of another link were read first."""
MAX_READS_AT_ONCE = 32
MAX_QUEUED_EVENTS = 256
KERNEL_QUEUE_PACKETS = 50
"""Packets the kernel holds before it drops: at a Mbit/s half a second's worth, so that TCP feels the air."""
_TUNSETIFF = 0x400454CA
"""ioctl: _IOW('T', 202, int) of linux/if_tun.h."""
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
"""linux/if_tun.h: IP packets without Ethernet, and without a header of the interface's own."""
_IFREQ = struct.Struct("16sH22x")
"""struct ifreq as far as TUNSETIFF reads it (netdevice(7))."""
_GONE = frozenset({errno.EBADFD, errno.ENODEV})


class TunError(ProseLinkError):
    """The interface cannot be made or configured."""


class TunLost(TunError):
    """The interface was there and has been taken away."""

    exit_code: ClassVar[int] = HARDWARE


@dataclass(frozen=True, slots=True, kw_only=True)
class TunConfig:
    """One interface: its name, the namespace it is in (see `netns.inside`), and its MTU in octets."""

    name: str
    netns: str
    mtu: int


class TunInterface:
    """The interface of one UE, shared by its links: packets go to the link whose peer holds the destination address.

    Args:
        config: what to make.
        own: the addresses the interface gets.

    Raises:
        TunError: no permission, no TUN device, a name that is taken, or `ip` failed.
        NetnsError: the namespace cannot be entered.
    """

    def __init__(self, config: TunConfig, own: IpAddresses) -> None:
        self.name = config.name
        self._config = config
        self._own = own
        self._ends: dict[int, TunEnd] = {}
        with inside(config.netns):
            self._descriptor = _open_interface(config.name)
        try:
            self._configure()
        except ProseLinkError:
            self.close()
            raise

    def attach(self, peer_l2: int, peer: IpAddresses) -> TunEnd:
        """Give a link its share; a peer with an address that is taken already gets none of that address's packets."""
        end = TunEnd(self, peer_l2, peer, taken=self._is_taken(peer))
        self._ends[peer_l2] = end
        if peer.ipv4 is not None and not end.taken:
            self._ip("route", "replace", f"{peer.ipv4}/32", "dev", self.name, "src", str(self._own.ipv4))
        return end

    def detach(self, peer_l2: int) -> None:
        """Remove a link's share with its route; after the interface is closed this does nothing."""
        end = self._ends.pop(peer_l2)
        if end.peer.ipv4 is not None and not end.taken and self._descriptor >= 0:
            self._ip("route", "del", f"{end.peer.ipv4}/32", "dev", self.name)

    def read_into_queues(self, end: TunEnd, room: int) -> None:
        """Read packets from the interface until `end` has `room` of them, or there are no more."""
        for _ in range(MAX_READS_AT_ONCE):
            if len(end.queue) >= room:
                return
            try:
                packet = os.read(self._descriptor, self._config.mtu)
            except BlockingIOError:
                return
            except OSError as error:
                raise self._lost(error) from error
            self._sort(packet)

    def write(self, packet: bytes) -> str:
        """Write a packet to the namespace. Returns the reason if that fails, else an empty text."""
        try:
            os.write(self._descriptor, packet)
        except BlockingIOError:
            return "the interface takes nothing more"
        except OSError as error:
            if error.errno in _GONE:
                raise self._lost(error) from error
            return f"the interface refuses it: {error.strerror}"
        return ""

    def close(self) -> None:
        """Remove the interface. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _configure(self) -> None:
        name, own = self.name, self._own
        self._ip("link", "set", "dev", name, "addrgenmode", "none")
        self._ip("link", "set", "dev", name, "mtu", str(self._config.mtu), "txqueuelen", str(KERNEL_QUEUE_PACKETS))
        self._ip("address", "add", f"{own.link_local}/64", "dev", name, "nodad")
        if own.ipv4 is not None:
            self._ip("address", "add", f"{own.ipv4}/32", "dev", name)
        self._ip("link", "set", "dev", name, "up")

    def _sort(self, packet: bytes) -> None:
        destination = destination_of(packet)
        everybody = is_multicast(destination)
        for end in self._ends.values():
            if everybody or (end.peer.holds(destination) and not end.taken):
                end.put(packet)

    def _is_taken(self, peer: IpAddresses) -> bool:
        others = [self._own, *(end.peer for end in self._ends.values())]
        return any(other.link_local == peer.link_local for other in others)

    def _ip(self, *arguments: str) -> None:
        """Run iproute2's `ip` within the namespace."""
        command = ["ip", *arguments]
        try:
            with inside(self._config.netns):
                done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise TunError("the `ip` command is not installed (Debian package iproute2)") from None
        if done.returncode != 0:
            raise TunError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")

    def _lost(self, error: OSError) -> TunLost:
        return TunLost(f"interface {self.name} is gone: {error.strerror}")


class TunEnd:
    """One link's share of an interface; see `PacketEnd`."""

    def __init__(self, interface: TunInterface, peer_l2: int, peer: IpAddresses, *, taken: bool) -> None:
        self.peer = peer
        self.taken = taken
        """Whether this UE or another peer already has the peer's address: nothing is then sent to it or accepted from
        it.
        """
        self.queue: deque[bytes] = deque()
        self._interface = interface
        self._peer_l2 = peer_l2
        self._events: deque[PacketDropped] = deque(maxlen=MAX_QUEUED_EVENTS)

    def next_timer(self) -> None:
        """None: programs send when they like, so no timer runs here."""

    def handle_timer(self, now: Instant) -> None:
        """Nothing is ever due."""

    @property
    def held_back_octets(self) -> int:
        """None: what programs will send is theirs to know."""
        return 0

    def pdus_to_send(self, now: Instant, /, *, room: int = PACKETS_AT_ONCE) -> list[bytes]:  # noqa: ARG002
        """Hand out what programs sent to this peer, so that it waits where it can be told apart, not in the kernel."""
        self._interface.read_into_queues(self, PACKETS_AT_ONCE)
        return [self.queue.popleft() for _ in range(min(PACKETS_AT_ONCE, len(self.queue)))]

    def receive(self, packet: bytes, now: Instant) -> None:  # noqa: ARG002
        """Write a packet of the peer to the namespace, if it comes from the peer's own address."""
        source = source_of(packet)
        if self.taken or not self.peer.holds(source):
            self._events.append(PacketDropped(why="its source is not an address of the peer's"))
        elif why := self._interface.write(packet):
            self._events.append(PacketDropped(why=why))

    def next_event(self) -> PacketDropped | None:
        """Give out the next event, None where there is none."""
        return self._events.popleft() if self._events else None

    def close(self, now: Instant) -> None:  # noqa: ARG002
        """Take no more packets for this peer."""
        self._interface.detach(self._peer_l2)

    def put(self, packet: bytes) -> None:
        """Queue a packet for this peer; it is dropped if the queue is full."""
        if len(self.queue) < MAX_QUEUED_PACKETS:
            self.queue.append(packet)
        else:
            self._events.append(PacketDropped(why=f"{MAX_QUEUED_PACKETS} packets wait for the link already"))


def destination_of(packet: bytes) -> bytes:
    """The packed destination address of an IP packet; empty if there is none."""
    return _address(packet, at_in_ipv4=16, at_in_ipv6=24)


def source_of(packet: bytes) -> bytes:
    """The packed source address of an IP packet; empty if there is none."""
    return _address(packet, at_in_ipv4=12, at_in_ipv6=8)


def is_multicast(address: bytes) -> bool:
    """Whether a packed address is a multicast address."""
    if len(address) == 16:
        return address[0] == 0xFF
    return len(address) == 4 and address[0] >> 4 == 0xE


def _address(packet: bytes, *, at_in_ipv4: int, at_in_ipv6: int) -> bytes:
    version = packet[0] >> 4 if packet else 0
    if version == 6 and len(packet) >= 40:
        return packet[at_in_ipv6 : at_in_ipv6 + 16]
    if version == 4 and len(packet) >= 20:
        return packet[at_in_ipv4 : at_in_ipv4 + 4]
    return b""


def _open_interface(name: str) -> int:
    """Make a TUN interface in the current namespace; returns its descriptor, which doesn't block."""
    try:
        descriptor = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise TunError(f"{DEVICE}: {error.strerror}; a TUN interface needs that device and root") from error
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, _IFREQ.pack(name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError as error:
        os.close(descriptor)
        why = "no permission (it takes root, or CAP_NET_ADMIN)" if error.errno == errno.EPERM else error.strerror
        raise TunError(f"TUN interface {name}: {why}") from error
    return descriptor
