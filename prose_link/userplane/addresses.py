"""The IP addresses of a link's two ends: link-local IPv6 from the DCR and DCA, IPv4 formed from layer-2 ids."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from prose_link.userplane.ipv6 import link_local_address

_IPV4_NET = 10 << 24
"""10.0.0.0/8 (RFC 1918): its 24 bits of host take a layer-2 id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IpAddresses:
    """The addresses of one end; `ipv4` is None where the link carries IPv6 only."""

    link_local: IPv6Address
    ipv4: IPv4Address | None = None

    def holds(self, address: bytes) -> bool:
        """Whether a packed address, 4 or 16 octets, is this end's."""
        if len(address) == 16:
            return address == self.link_local.packed
        return self.ipv4 is not None and address == self.ipv4.packed


def own_addresses(l2_id: int, *, ipv4: bool) -> IpAddresses:
    """The addresses a UE gives itself: both follow from its layer-2 id."""
    return IpAddresses(link_local=link_local_address(l2_id), ipv4=ipv4_address(l2_id) if ipv4 else None)


def peer_addresses(l2_id: int, link_local: bytes | None, *, ipv4: bool) -> IpAddresses:
    """The addresses of a peer: the link-local one it sent; a missing or other one is replaced by one formed here."""
    told = IPv6Address(link_local) if link_local else link_local_address(l2_id)
    return IpAddresses(
        link_local=told if told.is_link_local else link_local_address(l2_id),
        ipv4=ipv4_address(l2_id) if ipv4 else None,
    )


def ipv4_address(l2_id: int) -> IPv4Address:
    """The IPv4 address that goes with a 24-bit layer-2 id: 10.x.y.z."""
    return IPv4Address(_IPV4_NET | l2_id)
