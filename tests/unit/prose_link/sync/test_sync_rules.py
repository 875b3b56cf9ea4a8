"""Every rule of TS 36.331 5.10.7 and 5.10.8 as a table."""

import math
from dataclasses import dataclass

import pytest

from prose_link.config.preconfiguration import rsrp_range_sl3_dbm
from prose_link.sync import rules
from prose_link.sync.rules import PriorityGroup, SyncParameters


@dataclass(frozen=True)
class Source:
    n_sl_id: int
    in_coverage: bool
    s_rsrp_dbm: float


PARAMETERS = SyncParameters(
    offset_indicators=(3, 17),
    tx_thresh_ooc_dbm=-90.0,
    ref_min_hyst_db=3.0,
    ref_diff_hyst_db=6.0,
    min_s_rsrp_dbm=-120.0,
)
LOWEST = SyncParameters(offset_indicators=(3, 17), min_s_rsrp_dbm=-120.0, ref_diff_hyst_db=6.0, lowest_id_wins=True)
IN, NET, OTHER = Source(30, True, -110.0), Source(31, False, -100.0), Source(200, False, -80.0)


@pytest.mark.parametrize(
    ("n_sl_id", "in_coverage", "relayed"),
    [
        (0, True, 0),
        (167, True, 167),
        (200, True, 200),
        (0, False, 168),
        (167, False, 335),
        (168, False, 168),
        (335, False, 335),
    ],
)
def test_slss_id_of_a_ue_with_sync_ref(n_sl_id: int, in_coverage: bool, relayed: int) -> None:
    assert rules.relayed_slss_id(Source(n_sl_id, in_coverage, 0.0)) == relayed


@pytest.mark.parametrize(("chance", "n_sl_id"), [(0.0, 168), (0.5, 252), (0.9999999, 335)])
def test_slss_id_of_a_ue_without_sync_ref(chance: float, n_sl_id: int) -> None:
    assert rules.own_slss_id(chance) == n_sl_id


@pytest.mark.parametrize(("offsets", "chance", "offset"), [((3, 17), 0.49, 3), ((3, 17), 0.5, 17), ((3,), 0.99, 3)])
def test_offset_of_a_ue_without_sync_ref(offsets: tuple[int, ...], chance: float, offset: int) -> None:
    assert rules.own_offset(offsets, chance) == offset


@pytest.mark.parametrize(
    ("offsets", "of_sync_ref", "own"), [((3, 17), 3, 17), ((3, 17), 17, 3), ((3, 17), 20, 3), ((3,), 3, None)]
)
def test_offset_of_a_ue_with_sync_ref(offsets: tuple[int, ...], of_sync_ref: int, own: int | None) -> None:
    assert rules.relay_offset(offsets, of_sync_ref) == own


@pytest.mark.parametrize(
    ("n_sl_id", "in_coverage", "group"),
    [
        (30, True, PriorityGroup.IN_COVERAGE),
        (200, True, PriorityGroup.IN_COVERAGE),
        (167, False, PriorityGroup.NETWORK_ID),
        (168, False, PriorityGroup.OTHER),
    ],
)
def test_priority_groups(n_sl_id: int, in_coverage: bool, group: PriorityGroup) -> None:
    assert rules.priority_group(Source(n_sl_id, in_coverage, 0.0)) is group


@pytest.mark.parametrize(("s_rsrp_dbm", "detected"), [(-117.0, False), (-116.9, True), (-120.0, False)])
def test_a_candidate_exceeds_the_minimum_by_sync_ref_min_hyst(s_rsrp_dbm: float, detected: bool) -> None:
    assert rules.is_detected(Source(200, False, s_rsrp_dbm), PARAMETERS) is detected


@pytest.mark.parametrize(("s_rsrp_dbm", "too_weak"), [(-120.1, True), (-120.0, False)])
def test_a_sync_ref_is_kept_down_to_the_minimum(s_rsrp_dbm: float, too_weak: bool) -> None:
    assert rules.is_too_weak(Source(200, False, s_rsrp_dbm), PARAMETERS) is too_weak


@pytest.mark.parametrize(
    ("heard", "chosen"),
    [
        ([OTHER, NET, IN], IN),
        ([OTHER, NET], NET),
        ([OTHER, Source(201, False, -79.0)], Source(201, False, -79.0)),
        ([Source(30, True, -117.0), OTHER], OTHER),
        ([Source(30, True, -119.0)], None),
        ([], None),
    ],
)
def test_selection_goes_by_group_then_strength(heard: list[Source], chosen: Source | None) -> None:
    assert rules.select(heard, PARAMETERS) == chosen


@pytest.mark.parametrize(
    ("sync_ref", "heard", "chosen"),
    [
        (OTHER, [Source(201, False, -74.0)], None),
        (OTHER, [Source(201, False, -73.9)], Source(201, False, -73.9)),
        (OTHER, [NET], NET),
        (NET, [OTHER], None),
        (NET, [IN, OTHER], IN),
        (IN, [NET, OTHER], None),
        (OTHER, [], None),
    ],
)
def test_reselection_needs_a_higher_group_or_sync_ref_diff_hyst(
    sync_ref: Source, heard: list[Source], chosen: Source | None
) -> None:
    assert rules.reselect(sync_ref, heard, PARAMETERS) == chosen


def test_an_infinite_hysteresis_keeps_a_ue_within_its_group() -> None:
    forever = SyncParameters(offset_indicators=(0,), ref_diff_hyst_db=math.inf)
    assert rules.reselect(OTHER, [Source(201, False, 0.0)], forever) is None
    assert rules.reselect(OTHER, [NET], forever) == NET


@pytest.mark.parametrize(
    ("sync_ref", "heard", "chosen"),
    [
        (OTHER, [Source(199, False, -115.0)], Source(199, False, -115.0)),
        (OTHER, [Source(201, False, -20.0)], None),
        (OTHER, [Source(200, False, -75.0)], None),
        (OTHER, [Source(200, False, -73.0)], Source(200, False, -73.0)),
        (OTHER, [Source(199, False, -90.0), NET], NET),
    ],
)
def test_where_the_lowest_id_wins_strength_counts_within_an_island(
    sync_ref: Source, heard: list[Source], chosen: Source | None
) -> None:
    assert rules.reselect(sync_ref, heard, LOWEST) == chosen


@pytest.mark.parametrize(
    ("heard", "parameters", "gives_way"),
    [
        ([OTHER], PARAMETERS, True),
        ([Source(200, False, -119.0)], PARAMETERS, False),
        ([], PARAMETERS, False),
        ([Source(249, False, -115.0)], LOWEST, True),
        ([Source(250, False, -115.0)], LOWEST, True),
        ([Source(251, False, -60.0)], LOWEST, False),
        ([NET], LOWEST, True),
    ],
)
def test_a_reference_gives_way(heard: list[Source], parameters: SyncParameters, gives_way: bool) -> None:
    assert (rules.give_way(250, heard, parameters) is not None) is gives_way


@pytest.mark.parametrize(
    ("sync_ref", "transmits"),
    [
        (None, True),
        (Source(30, True, -90.1), True),
        (Source(30, True, -90.0), False),
        (Source(200, False, -60.0), False),
    ],
)
def test_slss_are_transmitted_without_sync_ref_or_below_the_threshold(sync_ref: Source | None, transmits: bool) -> None:
    assert rules.transmits_slss(sync_ref, PARAMETERS) is transmits


def test_an_infinite_threshold_makes_every_ue_transmit() -> None:
    assert rules.transmits_slss(Source(30, True, 50.0), SyncParameters(offset_indicators=(0, 1)))


@pytest.mark.parametrize(
    ("previous", "measured", "coefficient", "result"),
    [(None, -80.0, 8, -80.0), (-100.0, -80.0, 0, -80.0), (-100.0, -80.0, 4, -90.0), (-100.0, -80.0, 8, -95.0)],
)
def test_layer_3_filter(previous: float | None, measured: float, coefficient: int, result: float) -> None:
    assert rules.filtered(previous, measured, coefficient) == pytest.approx(result)


@pytest.mark.parametrize(("value", "dbm"), [(0, -110.0), (1, -105.0), (10, -60.0), (11, math.inf)])
def test_rsrp_range_sl3(value: int, dbm: float) -> None:
    assert rsrp_range_sl3_dbm(value) == dbm
