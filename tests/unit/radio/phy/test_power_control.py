"""Open-loop power against numbers worked by hand from the formulas of TS 36.213 clause 14."""

from __future__ import annotations

import math

import pytest

from radio.phy.lte.pools.power_control import (
    PowerControlError,
    SlTxParameters,
    path_loss_db,
    pscch_power_dbm,
    psdch_power_dbm,
    pssch_power_dbm,
    slss_powers_dbm,
    v2x_powers_dbm,
)

PARTIAL = SlTxParameters(p0_dbm=-90, alpha=0.8)
FULL = SlTxParameters(p0_dbm=-100, alpha=1.0)


def test_pssch_makes_up_for_a_share_of_the_path_loss():
    assert pssch_power_dbm(10, PARTIAL, 100, 23) == pytest.approx(10 - 90 + 80)
    assert pssch_power_dbm(50, PARTIAL, 110, 23) == pytest.approx(16.9897 - 90 + 88, abs=1e-4)
    assert pssch_power_dbm(50, PARTIAL, 130, 23) == 23


def test_a_tpc_command_of_zero_asks_for_the_maximum():
    assert pssch_power_dbm(10, PARTIAL, 100, 23, tpc_command=0) == 23
    assert pscch_power_dbm(PARTIAL, 100, 23, tpc_command=0) == 23
    powers = slss_powers_dbm(PARTIAL, 100, 23, 20, tpc_command=0)
    assert (powers.psss_and_psbch_dbm, powers.ssss_dbm) == (23, 20)


def test_control_and_discovery_have_fixed_bandwidths():
    assert pscch_power_dbm(PARTIAL, 100, 23) == pytest.approx(-10)
    assert psdch_power_dbm(PARTIAL, 100, 23) == pytest.approx(-10 + 3.0103, abs=1e-4)


def test_slss_counts_six_prbs_and_ssss_has_its_own_maximum():
    powers = slss_powers_dbm(PARTIAL, 100, 23, 23)
    assert powers.psss_and_psbch_dbm == powers.ssss_dbm == pytest.approx(7.7815 - 10, abs=1e-4)
    limited = slss_powers_dbm(PARTIAL, 150, 23, 19)
    assert (limited.psss_and_psbch_dbm, limited.ssss_dbm) == (23, 19)


def test_v2x_control_gets_3_db_more_to_a_prb():
    """8 + 10^0.3 * 2 = 11.9905 weighted PRBs at 0 dBm each."""
    powers = v2x_powers_dbm(8, FULL, 100, 23)
    assert powers.pssch_dbm == pytest.approx(9.0309, abs=1e-4)
    assert powers.pscch_dbm == pytest.approx(6.0103, abs=1e-4)


@pytest.mark.parametrize(("max_tx_power_dbm", "total_dbm"), [(None, 23), (15, 15), (30, 23)])
def test_v2x_channels_share_the_maximum(max_tx_power_dbm, total_dbm):
    powers = v2x_powers_dbm(48, FULL, 140, 23, max_tx_power_dbm)
    total_mw = 10 ** (powers.pssch_dbm / 10) + 10 ** (powers.pscch_dbm / 10)
    assert 10 * math.log10(total_mw) == pytest.approx(total_dbm)
    per_prb = (powers.pssch_dbm - 10 * math.log10(48), powers.pscch_dbm - 10 * math.log10(2))
    assert per_prb[1] - per_prb[0] == pytest.approx(3)


def test_path_loss_of_the_serving_cell():
    assert path_loss_db(18, -92) == 110


@pytest.mark.parametrize(
    "make",
    [
        lambda: SlTxParameters(p0_dbm=-127, alpha=1.0),
        lambda: SlTxParameters(p0_dbm=32, alpha=1.0),
        lambda: SlTxParameters(p0_dbm=0, alpha=0.3),
        lambda: pssch_power_dbm(0, FULL, 100, 23),
        lambda: pssch_power_dbm(1, FULL, 100, 23, tpc_command=2),
        lambda: v2x_powers_dbm(0, FULL, 100, 23),
    ],
)
def test_what_rrc_cannot_carry_is_refused(make):
    with pytest.raises(PowerControlError):
        make()
