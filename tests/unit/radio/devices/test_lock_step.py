import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from radio.emulator.lock_step import LockStepClock


@given(st.lists(st.integers(1, 50), max_size=20), st.lists(st.integers(1, 50), max_size=20))
def test_samples_come_out_in_order_whatever_the_cuts(pushes, pulls):
    clock = LockStepClock(10, 4)
    total = 0
    for n in pushes:
        clock.push(np.arange(total, total + n).astype(np.complex64))
        total += n
    position = 0
    for n in pulls:
        if n > clock.n_buffered:
            break
        iq, first = clock.pull(n)
        assert first == position
        assert iq.real.astype(int).tolist() == list(range(position, position + n))
        position += n
    assert clock.n_buffered == total - position


def test_the_edge_of_writing_moves_with_the_block_that_is_read():
    clock = LockStepClock(10, 4)
    assert clock.complete_to == 40
    assert clock.advance_to(9) == 40
    assert clock.advance_to(10) == 50
    assert clock.advance_to(5) == 50
