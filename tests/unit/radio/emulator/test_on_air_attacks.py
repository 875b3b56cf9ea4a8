"""Who sits between the antennas: what a jammed UE sends in its time is lost, and nothing else."""

import numpy as np
import pytest

from radio.emulator.actions import TxPiece
from radio.emulator.on_air_attacks import Jammer

BURST = np.ones(10, np.complex64)


def piece(ue, first_sample, iq=BURST):
    return TxPiece(ue=ue, first_sample=first_sample, n_samples=10, iq=iq, ahead=())


@pytest.mark.parametrize(
    ("ue", "first_sample", "is_heard"),
    [("ue-b", 90, True), ("ue-b", 100, False), ("ue-b", 190, False), ("ue-b", 200, True), ("ue-a", 150, True)],
)
def test_a_jammer_silences_one_ue_for_its_time(ue, first_sample, is_heard):
    jammer = Jammer("ue-b", 100, 200)
    heard = jammer.process(piece(ue, first_sample))
    assert (heard is BURST) if is_heard else (heard is None)
    assert jammer.jammed == (not is_heard)


def test_silence_is_not_counted_as_jammed():
    jammer = Jammer("ue-b", 0, 200)
    assert jammer.process(piece("ue-b", 50, None)) is None
    assert jammer.jammed == 0
