"""Two entities over an air that loses, repeats, delays and flips, from a seed."""

import random

import pytest

from prose_link.pc5s.core.events import LinkEstablished
from tests.benches.pc5s_bench import pair


def hostile(seed, air, loss=0.3):
    draw = random.Random(seed)

    def pass_on(frame):
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            if draw.random() < loss:
                continue
            altered = frame
            if draw.random() < 0.05:
                position = draw.randrange(len(frame.data))
                data = bytearray(frame.data)
                data[position] ^= 1 << draw.randrange(8)
                altered = type(frame)(**{**vars(frame), "data": bytes(data)})
            air.inject(altered, after_s=draw.uniform(0.005, 0.3))
        return []

    return pass_on


@pytest.mark.parametrize("seed", range(30))
def test_one_link_both_agree_on_or_none(seed):
    a, b, air = pair(seed=str(seed))
    air.pass_on = hostile(seed, air)
    air.connect(a, b)
    if seed % 3 == 0:
        air.connect(b, a)
    air.run(12)
    air.pass_on = lambda frame: [frame]
    air.run(65)
    assert a.states() == b.states()
    if a.states():
        assert a.states() == ["established"]
        (link_a,), (link_b,) = a.entity.links, b.entity.links
        assert (bytes(link_a.keys.kd_next), link_a.keys.tx, link_a.keys.current_id) == (
            bytes(link_b.keys.kd_next),
            link_b.keys.tx,
            link_b.keys.current_id,
        )
        assert air.send_user_data(a, b, b"x") and air.send_user_data(b, a, b"y")
        air.run(0.1)
        assert (a.user_data, b.user_data) == ([b"y"], [b"x"])
    assert all(frame.kd_sess_id for frame in air.log if frame.lcid != 28)


def test_most_attempts_succeed_under_thirty_percent_loss():
    up = 0
    for seed in range(40):
        a, b, air = pair(seed=f"loss {seed}")
        air.pass_on = hostile(f"loss {seed}", air)
        air.connect(a, b)
        air.run(12)
        up += bool(a.of(LinkEstablished) and b.of(LinkEstablished))
    assert up >= 39
