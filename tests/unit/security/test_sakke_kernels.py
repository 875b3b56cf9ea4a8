"""The compiled kernels of SAKKE against the plain definitions, on edge values and on random ones."""

from __future__ import annotations

import numpy as np
import pytest
from gmpy2 import mpz
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from security import sakke
from security.sakke import field_kernels as kernels
from security.sakke import kem
from security.sakke.curve import GENERATOR, FixedBase, SakkePointError, multiply_plain, sum_points
from security.sakke.fast_tables import FastLines, FastPowersOfG, FastTable, sum_of_multiples
from security.sakke.montgomery import add, from_limbs, mul, mul_add_mul, sub, to_limbs
from security.sakke.pairing import PairingLines, PowersOfG, pairing_plain, power_plain
from security.sakke.parameters import G_PAIRING, P_MODULUS, Q_ORDER

P, Q = int(P_MODULUS), int(Q_ORDER)
EDGES = [0, 1, 2, P - 1, P - 2, (P - 1) // 2, (P + 1) // 2, 1 << 1023, (1 << 1023) - 1, P - (1 << 64), (1 << 64) - 1]
NUMBERS = st.one_of(st.sampled_from(EDGES), st.integers(0, P - 1))


@njit
def _all_three(left, right):
    """Product, sum and difference, and the product written over its own inputs."""
    out = np.empty((6, 16), np.uint64)
    mul(out[0], left, right)
    add(out[1], left, right)
    sub(out[2], left, right)
    out[3] = left
    mul(out[3], out[3], right)
    out[4] = left
    mul(out[4], out[4], out[4])
    out[5] = right
    mul_add_mul(out[5], left, left, out[5], left)
    return out


def check(x: int, y: int) -> None:
    """The two products of the last row are as great as they get where x = y = p - 1."""
    rows = _all_three(*to_limbs([mpz(x), mpz(y)]))
    expected = [x * y, x + y, x - y, x * y, x * x, (x + y) * x]
    assert [int(from_limbs(row)) for row in rows] == [value % P for value in expected]
    assert all(int.from_bytes(row.astype("<u8").tobytes(), "little") < P for row in rows)


def test_edges():
    for x in EDGES:
        for y in EDGES:
            check(x, y)


@settings(max_examples=300, deadline=None)
@given(x=NUMBERS, y=NUMBERS)
def test_field_operations(x, y):
    check(x, y)


def test_limbs_are_least_significant_first_in_montgomery_form():
    assert int.from_bytes(to_limbs([mpz(5)])[0].astype("<u8").tobytes(), "little") == (5 << 1024) % P
    assert kernels.is_zero(to_limbs([mpz(0)])[0]) and not kernels.is_zero(to_limbs([mpz(1)])[0])


@pytest.fixture(scope="module")
def points():
    return [multiply_plain(k, GENERATOR) for k in (1, 123_456_789, Q - 5, 2**700 + 11)]


def test_pairing_agrees_with_the_definition(points):
    for k in points:
        lines = FastLines(k)
        plain = PairingLines(k)
        for r in points:
            assert lines.pairing(r) == plain.pairing(r)
    assert FastLines(GENERATOR).pairing(GENERATOR) == G_PAIRING == pairing_plain(GENERATOR, GENERATOR)


def test_points_that_are_not_of_order_q_have_no_lines():
    y_zero = (mpz(0), mpz(0))
    x = mpz(2)
    while pow((x * x - 3) * x % P, (P - 1) // 2, P) != 1:
        x += 1
    whole_curve = (x, pow((x * x - 3) * x % P, (P + 1) // 4, P))
    for point in (y_zero, whole_curve, multiply_plain(Q, whole_curve)):
        with pytest.raises(SakkePointError):
            FastLines(point)
    with pytest.raises(SakkePointError):
        FastLines(GENERATOR).pairing(y_zero)


def test_powers_of_g_agree_with_the_definition():
    powers = FastPowersOfG(PowersOfG())
    for k in (0, 1, 63, 64, 65, Q - 1, Q // 3, 2**1000 + 1):
        assert powers.power(k) == power_plain(G_PAIRING, k)


def test_sums_of_multiples_agree_with_the_definition(points):
    tables = [FastTable(FixedBase(point)) for point in points[:2]]
    for one, other in ((0, 0), (1, 0), (0, 7), (Q - 1, 1), (Q // 5, 2**900 + 3), (32, 33), (2**1022, 2**1022)):
        expected = sum_points(
            [p for p in (multiply_plain(one, points[0]), multiply_plain(other, points[1])) if p is not None]
        )
        assert sum_of_multiples([(tables[0], one), (tables[1], other)]) == expected


def test_equal_and_opposite_terms_take_the_other_way():
    table = FastTable(FixedBase(GENERATOR))
    assert sum_of_multiples([(table, 5), (table, 5)]) == multiply_plain(10, GENERATOR)
    assert sum_of_multiples([(table, 5), (table, Q - 5)]) is None


@pytest.fixture
def both_ways(monkeypatch, world):
    """The same call with big integers and with the kernels."""
    sakke.prepare_tables(world.domain.z)
    assert kem._kernels() is not None
    with_kernels = list(kem._KERNELS)

    def run(call):
        answers = []
        for loaded in ([], with_kernels):
            monkeypatch.setattr(kem, "_KERNELS", loaded)
            sakke.forget_receiver_keys()
            try:
                answers.append(call())
            except sakke.DecapsulationError as error:
                answers.append(str(error))
        assert answers[0] == answers[1]
        return answers[0]

    yield run
    sakke.forget_receiver_keys()


def test_the_whole_mechanism_answers_alike(both_ways, world, random):
    bob, z = world.bob, world.domain.z
    for _ in range(3):
        ssv = random(16)
        sed = both_ways(lambda ssv=ssv: sakke.encapsulate(ssv, bob.uid, z))
        assert both_ways(lambda sed=sed: sakke.decapsulate(sed, rsk=bob.rsk, uid=bob.uid, z=z)) == ssv
        bad = sed[:-1] + bytes([sed[-1] ^ 1])
        refusal = both_ways(lambda bad=bad: sakke.decapsulate(bad, rsk=bob.rsk, uid=bob.uid, z=z))
        assert "not made for this identity" in refusal
    both_ways(lambda: sakke.validate_rsk(bob.rsk, bob.uid, z))


def test_lines_made_by_big_integers_give_way_to_compiled_ones(monkeypatch, world):
    monkeypatch.setattr(kem, "_KERNELS", [])
    sakke.forget_receiver_keys()
    sakke.validate_rsk(world.bob.rsk, world.bob.uid, world.domain.z)
    assert isinstance(kem._LINES[world.bob.rsk], PairingLines)
    sakke.prepare_tables(world.domain.z, world.bob.rsk)
    assert isinstance(kem._LINES[world.bob.rsk], FastLines)
    sakke.forget_receiver_keys()


def test_a_machine_that_can_not_compile_goes_on_with_big_integers(monkeypatch, world):
    def refuse(name):
        raise RuntimeError(f"cannot cache {name}")

    monkeypatch.setattr(kem, "_KERNELS", [])
    monkeypatch.setattr(kem, "import_module", refuse)
    sakke.prepare_tables(world.domain.z, world.bob.rsk)
    assert kem._kernels() is None
    sed = sakke.encapsulate(bytes(16), world.bob.uid, world.domain.z)
    assert sakke.decapsulate(sed, rsk=world.bob.rsk, uid=world.bob.uid, z=world.domain.z) == bytes(16)
    sakke.forget_receiver_keys()
