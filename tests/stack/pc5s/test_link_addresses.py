"""IP configuration as the DCR and DCA carry it: each end learns the other's addresses from the signalling."""

from ipaddress import IPv6Address

import pytest

from prose_link.pc5s.core.events import LinkEstablished, RequestRefused
from prose_link.pc5s.wire.messages import Cause, IpAddressConfig
from tests.benches.pc5s_bench import pair

LINK_LOCAL = {"a": IPv6Address("fe80::aaaa").packed, "b": IPv6Address("fe80::bbbb").packed}
BOTH_VERSIONS = IpAddressConfig.DHCPV4_SERVER_AND_IPV6_ROUTER


def linked(a_config: IpAddressConfig, b_config: IpAddressConfig, **link_local: bytes | None):
    """Two UEs after a connection was tried."""
    options = {
        name: {"ip_address_config": config, "link_local": link_local.get(name, LINK_LOCAL[name])}
        for name, config in (("a", a_config), ("b", b_config))
    }
    a, b, air = pair(**options)
    air.connect(a, b)
    air.run(1.0)
    return a, b


def test_each_end_learns_the_others_link_local_address():
    a, b = linked(IpAddressConfig.NOT_SUPPORTED, IpAddressConfig.NOT_SUPPORTED)
    assert a.of(LinkEstablished)[0].peer_link_local == LINK_LOCAL["b"]
    assert b.of(LinkEstablished)[0].peer_link_local == LINK_LOCAL["a"]


def test_an_end_may_leave_it_out():
    a, b = linked(IpAddressConfig.NOT_SUPPORTED, IpAddressConfig.NOT_SUPPORTED, b=None)
    assert a.of(LinkEstablished)[0].peer_link_local is None
    assert b.of(LinkEstablished)[0].peer_link_local == LINK_LOCAL["a"]


@pytest.mark.parametrize(
    ("a_config", "b_config", "versions"),
    [
        (BOTH_VERSIONS, BOTH_VERSIONS, {4, 6}),
        (BOTH_VERSIONS, IpAddressConfig.NOT_SUPPORTED, {6}),
        (IpAddressConfig.NOT_SUPPORTED, BOTH_VERSIONS, {6}),
        (IpAddressConfig.DHCPV4_SERVER, BOTH_VERSIONS, {4}),
    ],
)
def test_the_link_carries_what_both_offer(a_config, b_config, versions):
    a, b = linked(a_config, b_config)
    assert a.of(LinkEstablished)[0].ip_versions == b.of(LinkEstablished)[0].ip_versions == versions


def test_no_version_in_common_is_refused():
    a, b = linked(IpAddressConfig.DHCPV4_SERVER, IpAddressConfig.NOT_SUPPORTED)
    assert b.of(RequestRefused)[0].cause == Cause.IP_VERSION_MISMATCH
    assert not a.of(LinkEstablished)
