"""MCS adaptation: what is remembered of peers' signals, and the MCS that follows, for data and for signalling."""

from __future__ import annotations

import math

import pytest

from radio.l2.lte_mode2.config import Mode2Config
from radio.l2.lte_mode2.link_quality import LinkQuality, capacity_snr_db
from radio.phy.lte.grid.tbs import transport_block_size

A, B = 0x0A0001, 0x0B0002
CONFIG = Mode2Config(max_mcs=20, unmeasured_mcs=10, robust_mcs=5, snr_margin_db=4.0)
EPSILON_DB = 1e-6
APART = [mcs for mcs in range(21) if mcs not in (10, 11)]
"""MCSs that differ in size from their neighbours below; 10 and 11 carry the same octets, by QPSK and by 16QAM."""


def quality_of(*snrs_db: float, peer: int = A, config: Mode2Config = CONFIG) -> LinkQuality:
    quality = LinkQuality(config)
    for snr_db in snrs_db:
        quality.note(peer, snr_db)
    return quality


def test_capacity_is_shannons_for_25_prbs_of_11_symbols() -> None:
    for mcs in range(21):
        bits_per_re = transport_block_size(mcs, 25) / (25 * 12 * 11)
        assert math.log2(1 + 10 ** (capacity_snr_db(mcs) / 10)) == pytest.approx(bits_per_re)


def test_of_two_mcss_for_the_same_octets_the_higher_one_is_taken() -> None:
    assert capacity_snr_db(10) == capacity_snr_db(11)
    least_db = capacity_snr_db(10) + 4.0
    assert [quality_of(least_db + delta_db).mcs_limit(A) for delta_db in (-EPSILON_DB, EPSILON_DB)] == [9, 11]


@pytest.mark.parametrize("mcs", APART)
def test_data_goes_at_the_highest_mcs_that_the_channel_carries_with_the_margin(mcs: int) -> None:
    least_db = capacity_snr_db(mcs) + 4.0
    assert quality_of(least_db + EPSILON_DB).mcs_limit(A) == mcs
    assert quality_of(least_db - EPSILON_DB).mcs_limit(A) == max(mcs - 1, 0)


def test_the_limit_of_the_settings_holds() -> None:
    assert quality_of(99.0).mcs_limit(A) == 20
    assert quality_of(99.0, config=Mode2Config(max_mcs=7, unmeasured_mcs=5, robust_mcs=3)).mcs_limit(A) == 7
    assert quality_of(-99.0).mcs_limit(A) == 0


def test_a_peer_that_was_never_measured() -> None:
    quality = quality_of(99.0, peer=B)
    assert (quality.mcs_limit(A), quality.signalling_mcs_limit(A)) == (10, 5)


def test_the_best_of_the_last_eight_measurements_counts_for_data() -> None:
    quality = quality_of(30.0, *[-20.0] * 7)
    assert quality.mcs_limit(A) == 20
    quality.note(A, -20.0)
    assert quality.mcs_limit(A) == 0
    quality.note(A, 30.0)
    assert quality.mcs_limit(A) == 20


@pytest.mark.parametrize("snr_db", [math.nan, math.inf, -math.inf])
def test_what_is_no_measurement_is_passed_over(snr_db: float) -> None:
    quality = quality_of(snr_db)
    quality.note_anyone(snr_db)
    assert (quality.mcs_limit(A), quality.signalling_mcs_limit(A)) == (10, 5)


def test_256_peers_are_remembered_and_the_one_longest_unheard_goes_first() -> None:
    quality = LinkQuality(CONFIG)
    for peer in range(256):
        quality.note(peer, 99.0)
    assert {quality.mcs_limit(peer) for peer in range(256)} == {20}
    quality.note(0, 99.0)
    quality.note(256, 99.0)
    assert [quality.mcs_limit(peer) for peer in (0, 1, 2, 256)] == [20, 10, 20, 20]


@pytest.mark.parametrize("mcs", APART[6:])
def test_signalling_leaves_the_robust_mcs_upwards_with_a_margin_for_fading(mcs: int) -> None:
    least_db = capacity_snr_db(mcs) + 10.0
    assert quality_of(least_db + EPSILON_DB).signalling_mcs_limit(A) == mcs
    assert quality_of(least_db - EPSILON_DB).signalling_mcs_limit(A) == mcs - 1


@pytest.mark.parametrize("mcs", range(1, 6))
def test_signalling_leaves_the_robust_mcs_downwards_where_four_transmissions_do_not_carry_it(mcs: int) -> None:
    least_db = capacity_snr_db(mcs) + 4.0 - 6.0
    assert quality_of(least_db + EPSILON_DB).signalling_mcs_limit(A) == mcs
    assert quality_of(least_db - EPSILON_DB).signalling_mcs_limit(A) == mcs - 1


def test_the_median_counts_for_signalling() -> None:
    high_db, low_db = capacity_snr_db(12) + 11.0, capacity_snr_db(2) - 1.9
    assert quality_of(high_db, high_db, low_db).signalling_mcs_limit(A) == 12
    assert quality_of(low_db, low_db, high_db).signalling_mcs_limit(A) == 2
    quality = quality_of(high_db, *[low_db] * 8)
    assert quality.signalling_mcs_limit(A) == 2


def test_a_peer_never_measured_is_taken_for_the_weakest_heard_of_late() -> None:
    high_db, low_db = capacity_snr_db(12) + 11.0, capacity_snr_db(2) - 1.9
    quality = LinkQuality(CONFIG)
    quality.note_anyone(high_db)
    assert quality.signalling_mcs_limit(A) == 12
    quality.note_anyone(low_db)
    assert quality.signalling_mcs_limit(A) == 2
    assert quality.mcs_limit(A) == 10
    quality.note(B, high_db)
    assert (quality.signalling_mcs_limit(A), quality.signalling_mcs_limit(B)) == (2, 12)
    for _ in range(7):
        quality.note_anyone(high_db)
    assert quality.signalling_mcs_limit(A) == 2
    quality.note_anyone(high_db)
    assert quality.signalling_mcs_limit(A) == 12
