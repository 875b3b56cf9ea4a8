"""Traits of carriers that can't be, and what a way by a carrier is compared by."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prose_link.pc5s.wire.party import MAX_SDU_OCTETS, CarrierError, CarrierTraits, Party, Via, by_radio

PATIENT = CarrierTraits(
    name="mail", addresses_count=False, knows_sources=True, repeats_by_itself=True, bears_links=False
)
PLAIN = CarrierTraits(
    name="direct", addresses_count=True, knows_sources=False, repeats_by_itself=False, bears_links=True
)


@pytest.mark.parametrize(
    "changes",
    [
        {"t4100_s": 0.001},
        {"t4111_s": 0.001},
        {"max_pdu_octets": 1},
        {"max_pdu_octets": MAX_SDU_OCTETS},
        {"n4100": 1},
    ],
)
def test_the_least_and_the_most_that_a_carrier_can_have(changes: dict[str, float]) -> None:
    made = replace(PATIENT, **changes)
    assert all(getattr(made, name) == value for name, value in changes.items())


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"t4100_s": 0.0},
        {"t4111_s": 0.0},
        {"t4111_s": -1.0},
        {"max_pdu_octets": 0},
        {"max_pdu_octets": MAX_SDU_OCTETS + 1},
        {"n4100": 0},
    ],
)
def test_traits_that_can_not_be(changes: dict[str, float | str]) -> None:
    with pytest.raises(CarrierError):
        replace(PATIENT, **changes)


def test_a_carrier_that_repeats_nothing_needs_a_second_transmission() -> None:
    assert replace(PLAIN, n4100=2).n4100 == 2
    with pytest.raises(CarrierError, match="n4100 = 1"):
        replace(PLAIN, n4100=1)


def test_a_way_is_that_of_its_carrier_and_address() -> None:
    direct, mail = Via(traits=PLAIN, address=7), Via(traits=PATIENT, address=7, source="box")
    assert (direct.carrier, direct.is_direct, direct.bucket) == ("direct", True, ("direct", 7))
    assert (mail.carrier, mail.is_direct, mail.bucket) == ("mail", False, ("mail", "box"))
    assert Via(traits=PATIENT, address=7, source=0).bucket == ("mail", 0)


def test_a_party_of_the_sidelink_has_its_layer_2_id_as_address() -> None:
    assert by_radio(PLAIN, "tel:+441", 0xABC) == Party(
        identity="tel:+441", l2_id=0xABC, via=Via(traits=PLAIN, address=0xABC)
    )
