"""Kinds of carriers and traits: plug-ins, configurations that can't be, and lengths."""

from __future__ import annotations

import dataclasses
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import pytest

from prose_link.carriers.protocol import CarrierKind, CarrierNotFound
from prose_link.carriers.proxy.carrier import ProxyOptions
from prose_link.carriers.proxy.frames import FRAME_OCTETS
from prose_link.carriers.registry import ENTRY_POINT_GROUP, carrier_kind, carrier_names, open_carrier
from prose_link.config.carriers import CarriersSection
from prose_link.pc5s.wire.party import MAX_SDU_OCTETS, CarrierError
from radio.l2.pdcp import MAX_SDU_OCTETS as MAX_PDCP_SDU_OCTETS
from tests.benches.carrier_bench import L2_A, OWN_KINDS, B, parts, wired
from tests.doubles import udp_carrier
from tests.doubles.udp_carrier import UdpOptions


@pytest.mark.parametrize("name", OWN_KINDS)
def test_every_kind_has_a_name_and_documented_options(name: str) -> None:
    kind = carrier_kind(name)
    assert isinstance(kind, CarrierKind) and kind.name == name and name in carrier_names()
    assert dataclasses.is_dataclass(kind.options) and kind.options.__doc__
    opened = open_carrier(name, kind.options(), parts(L2_A, wired(L2_A)[1]))
    assert opened.name == name


def plug_in(patch: pytest.MonkeyPatch, loaded: object, name: str = "udp") -> None:
    point = SimpleNamespace(name=name, value="udp_carrier:KIND", load=lambda: loaded)
    found = lambda group, name=None: [point] if group == ENTRY_POINT_GROUP and name in (None, point.name) else []  # noqa: E731
    patch.setattr(metadata, "entry_points", found)


def test_a_plug_in_opens_from_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, udp_carrier.KIND)
    section = CarriersSection.model_validate({"udp": {"peers": {B: 4000}}, "proxy": {"serve": True}})
    assert section.options["udp"].peers == {B: 4000} and section.options["proxy"].serve
    opened = open_carrier("udp", section.options["udp"], parts(L2_A, wired(L2_A)[1]))
    found = opened.reaches(B, None)
    opened.close()
    assert found is not None and found.via.address == ("127.0.0.1", 4000) and found.l2_id is None


@pytest.mark.parametrize("name", ["udp", "direct"])
@pytest.mark.parametrize("loaded", [object(), SimpleNamespace(name="other", options=int, open=print)])
def test_a_plug_in_that_is_no_kind_of_that_name_is_named(
    monkeypatch: pytest.MonkeyPatch, loaded: object, name: str
) -> None:
    plug_in(monkeypatch, loaded, name)
    with pytest.raises(CarrierError, match="udp_carrier:KIND"):
        carrier_kind(name)


def test_a_carrier_that_calls_itself_otherwise_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    stranger = SimpleNamespace(name="x", traits=udp_carrier.TRAITS, close=lambda: closed.append(True))
    plug_in(monkeypatch, SimpleNamespace(name="udp", options=UdpOptions, open=lambda *_: stranger))
    with pytest.raises(CarrierError, match="calls itself 'x'"):
        open_carrier("udp", UdpOptions(), parts(L2_A, wired(L2_A)[1]))
    assert closed


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ({"pigeon": {}}, "no kind of carrier is called 'pigeon'; there are ims, proxy"),
        ({"direct": {}}, "no kind of carrier is called 'direct'"),
        ({"proxy": {"colour": "red"}}, r"proxy\.colour"),
        ({"proxy": {"proxies": [-1]}}, r"proxy\.proxies"),
        ({"proxy": {"proxies": [0xFFFFFF]}}, r"proxy\.proxies"),
        ({"proxy": 7}, "proxy"),
    ],
)
def test_tables_that_can_not_be(tables: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        CarriersSection.model_validate(tables)


def test_an_unknown_carrier_is_named() -> None:
    with pytest.raises(CarrierNotFound, match="pigeon"):
        carrier_kind("pigeon")


def test_a_proxy_is_somebody_else() -> None:
    with pytest.raises(CarrierError, match="this UE itself"):
        open_carrier("proxy", ProxyOptions(proxies=(L2_A,)), parts(L2_A, wired(L2_A)[1]))


@pytest.mark.parametrize(
    "changed",
    [
        {"name": ""},
        {"t4100_s": 0.0},
        {"t4111_s": -1.0},
        {"max_pdu_octets": 0},
        {"max_pdu_octets": MAX_SDU_OCTETS + 1},
        {"n4100": 0},
        {"n4100": 1, "repeats_by_itself": False},
    ],
)
def test_traits_that_can_not_be(changed: dict[str, Any]) -> None:
    with pytest.raises(CarrierError):
        dataclasses.replace(udp_carrier.TRAITS, **changed)


def test_lengths_agree_with_those_of_pdcp_and_of_the_frame() -> None:
    assert MAX_SDU_OCTETS == MAX_PDCP_SDU_OCTETS
    assert carrier_kind("proxy").open(ProxyOptions(), parts(L2_A, wired(L2_A)[1])).traits.max_pdu_octets == (
        MAX_SDU_OCTETS - FRAME_OCTETS
    )
