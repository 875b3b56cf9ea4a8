"""Round trips, speech and the transfer itself while one program sends by TCP as much as it can: two whole UEs."""

from __future__ import annotations

import pytest

from lab_scripts.benchmarks.link_cells import senders_capacity_bit_s
from lab_scripts.benchmarks.link_queues import loaded_link
from lab_scripts.runs.cell_plan import PRECONFIGURATION
from prose_link.config.preconfiguration import load_pools
from prose_link.config.ue import shipped_path

CAPACITY_BIT_S = senders_capacity_bit_s(load_pools(shipped_path(PRECONFIGURATION)).comm[0], 1)


def test_a_transfer_leaves_pings_and_speech_alone() -> None:
    figures = loaded_link(7, 3.0, CAPACITY_BIT_S, speaks=True)
    assert figures.ping_p95_ms <= 120
    assert figures.voice_p95_ms <= 80 and figures.voice_lost_percent <= 1
    assert figures.tcp_share >= 0.6, "the rest of 0.85 is speech, and the beginning of a transfer"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8, 11))
def test_a_transfer_gets_what_the_sender_can_carry(seed: int) -> None:
    figures = loaded_link(seed, 8.0, CAPACITY_BIT_S, speaks=False)
    assert figures.ping_p95_ms <= 120
    assert figures.tcp_share >= 0.85
