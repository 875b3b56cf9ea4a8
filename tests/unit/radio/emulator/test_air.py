import itertools

import numpy as np
import pytest

from radio.emulator.air import Air, TransmissionTooLate
from radio.emulator.scenario import InterferenceSource, RadioLink, Scenario, ScenarioError, UeRadio, fully_meshed
from radio.emulator.timeline import SampleTimeline
from radio.errors import RadioError

RATE = 1_920_000
BLOCK = 1920


def scenario(*ues, links=None, **changes):
    ues = ues or (UeRadio(name="a", noise_figure_db=None), UeRadio(name="b", noise_figure_db=None))
    links = fully_meshed(ues, path_loss_db=80.0) if links is None else links
    return Scenario(**({"name": "t", "seed": 1, "sample_rate_hz": RATE, "ues": ues, "links": links} | changes))


def run(air, blocks):
    heard = {ue.name: [] for ue in air.scenario.ues}
    for _ in range(blocks):
        for name in heard:
            air.declare_complete(name, (air.next_block + 6) * BLOCK)
        assert air.waiting_for() == ()
        for block in air.mix():
            heard[block.ue].append(block)
    return heard


def samples(blocks):
    return np.concatenate([block.iq for block in blocks])


def test_a_burst_arrives_after_its_delay_at_the_reference_level():
    ues = (UeRadio(name="a", noise_figure_db=None), UeRadio(name="b", noise_figure_db=None, power_on_sample=500))
    links = (RadioLink(between=("a", "b"), path_loss_db=95.0, delay_ns=10 / RATE * 1e9),)
    air = Air(scenario(*ues, links=links))
    burst = np.exp(2j * np.pi * 0.01 * np.arange(700)).astype(np.complex64)
    air.write("a", 3000, burst)
    heard = run(air, 4)
    b = samples(heard["b"])
    start = 3000 + 10 - 500
    assert np.allclose(b[start : start + 700], burst, atol=1e-5)
    assert not b[:start].any()
    assert not b[start + 700 :].any()
    assert not samples(heard["a"]).any()
    assert heard["b"][0].first_sample == 0


def test_snr_and_noise_floor_follow_the_power_convention():
    ues = (UeRadio(name="a"), UeRadio(name="b", noise_figure_db=7.0))
    plan = scenario(*ues, links=(RadioLink(between=("a", "b"), path_loss_db=100.0),))
    b = plan.ue("b")
    floor = -174 + 10 * np.log10(RATE) + 7
    assert plan.noise_floor_dbm(b) == pytest.approx(floor)
    assert plan.rx_reference_dbm(b) == pytest.approx(-77.0)
    noise = samples(run(Air(plan), 40)["b"])
    assert 10 * np.log10(np.mean(np.abs(noise) ** 2)) == pytest.approx(floor + 77.0, abs=0.1)


def test_clock_error_changes_how_many_samples_a_second_has():
    air = Air(scenario(UeRadio(name="a", clock_ppm=200.0), UeRadio(name="b", clock_ppm=-200.0)))
    heard = run(air, 100)
    assert abs(len(samples(heard["a"])) - 192_000 * (1 + 200e-6)) <= 1
    assert abs(len(samples(heard["b"])) - 192_000 * (1 - 200e-6)) <= 1
    for blocks in heard.values():
        for before, after in itertools.pairwise(blocks):
            assert after.first_sample == before.first_sample + len(before.iq)


def test_power_on_between_blocks():
    heard = run(Air(scenario(UeRadio(name="a"), UeRadio(name="b", power_on_sample=2 * BLOCK + 7))), 4)
    assert [(block.hub_block, block.first_sample, len(block.iq)) for block in heard["b"]] == [
        (2, 0, BLOCK - 7),
        (3, BLOCK - 7, BLOCK),
    ]


def test_who_is_waited_for_and_who_is_too_late():
    air = Air(scenario())
    assert air.waiting_for() == ("a", "b")
    air.declare_complete("a", 4 * BLOCK)
    assert air.waiting_for() == ("b",)
    with pytest.raises(TransmissionTooLate, match="7679"):
        air.write("a", 7679, np.ones(4, np.complex64))
    air.switch_off("b")
    assert air.waiting_for() == ()


def test_outcome_does_not_depend_on_when_things_are_written():
    ues = (UeRadio(name="a", cfo_hz=100, clock_ppm=1), UeRadio(name="b", clock_ppm=-1, cfo_hz=-50))
    plan = scenario(*ues)
    burst = np.exp(2j * np.pi * 0.02 * np.arange(BLOCK)).astype(np.complex64)
    early, late = Air(plan), Air(plan)
    early.write("a", 8 * BLOCK, burst)
    first = run(early, 10)
    second = run(late, 2)
    late.write("a", 8 * BLOCK, burst)
    for name, blocks in run(late, 8).items():
        second[name] += blocks
    for name in first:
        assert np.array_equal(samples(first[name]), samples(second[name]))


def test_seed_changes_the_noise():
    one, two = run(Air(scenario(UeRadio(name="a"))), 1), run(Air(scenario(UeRadio(name="a"), seed=2)), 1)
    assert not np.array_equal(one["a"][0].iq, two["a"][0].iq)


class Doubler:
    """Doubles the first burst it sees, repeats it two blocks later and notes what it was shown."""

    lookahead_blocks = 1

    def __init__(self):
        self.pieces = []
        self.copy = None

    def process(self, piece):
        self.pieces.append((piece.ue, piece.first_sample, piece.n_samples, piece.iq is not None, len(piece.ahead)))
        if piece.iq is not None:
            self.copy = piece.iq
            return piece.iq * 2
        if self.copy is not None and piece.first_sample == 4 * BLOCK and piece.ue == "a":
            return np.pad(self.copy, (0, piece.n_samples - len(self.copy)))
        return None


def test_an_action_sees_bursts_as_written_and_may_change_and_add():
    action = Doubler()
    ues = (UeRadio(name="a", noise_figure_db=None), UeRadio(name="b", noise_figure_db=None))
    air = Air(scenario(*ues), actions=[action])
    burst = np.ones(500, np.complex64)
    air.write("a", 2 * BLOCK + 100, burst)
    heard = samples(run(air, 6)["b"])
    assert heard[2 * BLOCK + 300] == pytest.approx(2.0, abs=1e-5)
    assert heard[4 * BLOCK + 300] == pytest.approx(1.0, abs=1e-5)
    of_a = [piece for piece in action.pieces if piece[0] == "a"]
    assert of_a[:5] == [
        ("a", 0, BLOCK, False, 0),
        ("a", BLOCK, BLOCK, False, 1),
        ("a", 2 * BLOCK, 100, False, 0),
        ("a", 2 * BLOCK + 100, 500, True, 0),
        ("a", 2 * BLOCK + 600, BLOCK - 600, False, 0),
    ]


def test_actions_may_not_look_further_ahead_than_the_lead():
    action = Doubler()
    action.lookahead_blocks = 3
    with pytest.raises(RadioError, match="must be at least 6, it is 4"):
        Air(scenario(), actions=[action])


def test_an_action_of_the_wrong_length_is_named():
    class Short:
        lookahead_blocks = 0

        def process(self, piece):
            return np.ones(3, np.complex64)

    air = Air(scenario(), actions=[Short()])
    with pytest.raises(RadioError, match="Short made 3 samples of a piece of 1920"):
        air.declare_complete("a", 4 * BLOCK)


def test_interferers_are_heard_by_whom_they_concern():
    sources = (
        InterferenceSource(name="radar", kind="noise", power_dbm=-50.0, on_ms=1.0, period_ms=3.0, hears=("b",)),
        InterferenceSource(name="carrier", kind="tone", power_dbm=-60.0, frequency_hz=192_000.0, hears=("a",)),
    )
    ues = (
        UeRadio(name="a", noise_figure_db=None, rx_reference_dbm=-60.0),
        UeRadio(name="b", noise_figure_db=None, rx_reference_dbm=-60.0),
    )
    heard = run(Air(scenario(*ues, interferers=sources)), 6)
    powers = [np.mean(np.abs(block.iq) ** 2) for block in heard["b"]]
    assert powers[0] == pytest.approx(10.0, rel=0.1)
    assert powers[1] == powers[2] == 0
    assert powers[3] == pytest.approx(10.0, rel=0.1)
    spectrum = np.abs(np.fft.fft(samples(heard["a"])))
    assert np.argmax(spectrum) == len(spectrum) // 10
    assert np.mean(np.abs(samples(heard["a"])) ** 2) == pytest.approx(1.0, rel=1e-3)


def test_a_ue_that_comes_back_starts_its_clock_anew():
    air = Air(scenario())
    run(air, 3)
    air.switch_off("b")
    air.declare_complete("a", 20 * BLOCK)
    assert [block.ue for block in air.mix()] == ["a"]
    air.switch_on("b")
    air.declare_complete("b", 4 * BLOCK)
    back = [block for block in air.mix() if block.ue == "b"]
    assert [(block.first_sample, len(block.iq)) for block in back] == [(0, BLOCK)]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"ues": ()}, "no UE"),
        ({"ues": (UeRadio(name="a"), UeRadio(name="a"))}, "two UEs named 'a'"),
        ({"links": (RadioLink(between=("a", "c"), path_loss_db=1.0),)}, "no UE is named 'c'"),
        ({"links": (RadioLink(between=("a", "a"), path_loss_db=1.0),)}, "two different"),
        ({"sample_rate_hz": 1_920_001}, "whole number"),
        ({"tx_lead_blocks": 2}, "at least 3"),
        ({"links": (RadioLink(between=("a", "b"), path_loss_db=1.0, loss=1.1),)}, "share from 0 to 1"),
        ({"links": (RadioLink(between=("a", "b"), path_loss_db=1.0, loss_ms=0),)}, "loss_ms is 0"),
        ({"ues": (UeRadio(name="a", power_on_sample=-1), UeRadio(name="b"))}, "below 0"),
        ({"ues": (UeRadio(name="a", out_of_reach_ms=((5, 5),)), UeRadio(name="b"))}, "from 5 to 5 is no stretch"),
    ],
)
def test_a_scenario_that_does_not_hold_together(changes, complaint):
    with pytest.raises(ScenarioError, match=complaint):
        scenario(**({"links": ()} | changes)) if "ues" not in changes else Scenario(
            name="t", seed=1, sample_rate_hz=RATE, links=(), **changes
        )


def test_timeline_lets_the_later_burst_win():
    line = SampleTimeline()
    line.add(10, np.full(10, 1, np.complex64))
    line.add(15, np.full(10, 2, np.complex64))
    line.add(12, np.full(2, 3, np.complex64))
    line.add(40, np.full(3, 4, np.complex64))
    window = line.window(8, 45)
    assert window.real.astype(int).tolist() == [0, 0, 1, 1, 3, 3, 1, *[2] * 10, *[0] * 15, 4, 4, 4, 0, 0]
    assert line.window(25, 40) is None
    line.forget_before(25)
    assert line.window(0, 25) is None
    assert line.window(40, 43) is not None


def blocks_lost(air, n):
    """Which of n blocks of `a` did not come through to `b`."""
    air.write("a", 0, np.ones(n * BLOCK, np.complex64))
    return [not block.iq.any() for block in run(air, n)["b"]]


def test_a_share_of_the_time_is_lost_in_stretches_drawn_from_the_seed():
    links = (RadioLink(between=("a", "b"), path_loss_db=80.0, loss=0.3, loss_ms=4),)
    lost = blocks_lost(Air(scenario(links=links)), 4000)
    assert lost == blocks_lost(Air(scenario(links=links)), 4000)
    assert lost != blocks_lost(Air(scenario(links=links, seed=2)), 4000)
    assert np.mean(lost) == pytest.approx(0.3, abs=0.05)
    assert all(len(set(lost[k : k + 4])) == 1 for k in range(0, 4000, 4))


def test_each_direction_loses_by_itself_and_no_loss_is_none():
    links = (RadioLink(between=("a", "b"), path_loss_db=80.0, loss=0.5),)
    air = Air(scenario(links=links))
    for name in "ab":
        air.write(name, 0, np.ones(200 * BLOCK, np.complex64))
    heard = run(air, 200)
    assert [block.iq.any() for block in heard["a"]] != [block.iq.any() for block in heard["b"]]
    assert not any(blocks_lost(Air(scenario()), 50))
    everything = (RadioLink(between=("a", "b"), path_loss_db=80.0, loss=1.0),)
    assert all(blocks_lost(Air(scenario(links=everything)), 50))


def test_a_ue_out_of_reach_hears_nobody_and_nobody_hears_it():
    away = UeRadio(name="a", noise_figure_db=None, out_of_reach_ms=((10, 20), (30, 31)))
    others = (UeRadio(name="b", noise_figure_db=None), UeRadio(name="c", noise_figure_db=None))
    air = Air(scenario(away, *others))
    for name in "ab":
        air.write(name, 0, np.ones(40 * BLOCK, np.complex64))
    told = []
    heard = {"a": [], "b": [], "c": []}
    for _ in range(40):
        told.append(air.out_of_reach)
        for name, blocks in run(air, 1).items():
            heard[name] += [block.iq.any() for block in blocks]
    reached = [not (10 <= block < 20 or block == 30) for block in range(40)]
    assert told == [frozenset() if is_reached else frozenset("a") for is_reached in reached]
    assert heard == {"a": reached, "b": reached, "c": [True] * 40}
