from __future__ import annotations

import hashlib

import pytest
from gmpy2 import mpz

from security import sakke
from security.sakke import DecapsulationError, EncapsulationError, ReceiverKeyError, kem
from security.sakke.curve import (
    GENERATOR,
    FixedBase,
    SakkePointError,
    add,
    decode_point,
    encode_field,
    encode_point,
    multiply_plain,
    signed_digits,
    sum_points,
)
from security.sakke.deviations import decapsulate_short_values
from security.sakke.hashing import hash_to_integer_range
from security.sakke.pairing import PairingLines, PowersOfG, pairing_plain, power_plain
from security.sakke.parameters import G_PAIRING, P_MODULUS, P_X, P_Y, Q_ORDER


@pytest.fixture(scope="module")
def rfc(vectors):
    return vectors("rfc6508_appendix_a.json")["values"]


def _point(rfc, name):
    return b"\x04" + bytes.fromhex(rfc[f"{name}x"] + rfc[f"{name}y"])


@pytest.fixture(scope="module")
def uid(rfc):
    return bytes.fromhex(rfc["b"])


@pytest.fixture(scope="module")
def z_secret(rfc):
    return int(rfc["z"], 16).to_bytes(128, "big")


@pytest.fixture(scope="module")
def sed(rfc):
    return _point(rfc, "Rb") + bytes.fromhex(rfc["H"])


def test_parameter_set_1(vectors):
    values = {
        name: int(value, 16) for name, value in vectors("rfc6509_appendix_a_parameter_set_1.json")["values"].items()
    }
    assert [values[name] for name in ("p", "q", "Px", "Py", "g")] == [P_MODULUS, Q_ORDER, P_X, P_Y, G_PAIRING]
    assert P_MODULUS == 4 * Q_ORDER - 1
    assert multiply_plain(int(Q_ORDER), GENERATOR) is None


def test_pairing_of_the_generator_is_g():
    assert pairing_plain(GENERATOR, GENERATOR) == G_PAIRING
    assert PairingLines(GENERATOR).pairing(GENERATOR) == G_PAIRING


def test_fast_pairing_agrees_with_the_definition_and_is_symmetric():
    k, r = multiply_plain(123_456_789, GENERATOR), multiply_plain(987_654_321, GENERATOR)
    value = pairing_plain(r, k)
    assert PairingLines(k).pairing(r) == value == PairingLines(r).pairing(k)
    assert value == power_plain(G_PAIRING, 123_456_789 * 987_654_321)


def test_rfc6508_keys(rfc, uid, z_secret):
    z = _point(rfc, "Z")
    assert sakke.public_master_key(z_secret) == z
    rsk = sakke.extract_rsk(z_secret, uid)
    assert rsk == _point(rfc, "Kb")
    sakke.validate_rsk(rsk, uid, z)


def test_rfc6508_hash_to_integer_range_with_every_intermediate_value(rfc):
    message = bytes.fromhex(rfc["htir_M"])
    a = hashlib.sha256(message).digest()
    assert a.hex() == rfc["A"]
    h = bytes.fromhex(rfc["h0"])
    for number in (1, 2, 3, 4):
        h = hashlib.sha256(h).digest()
        assert h.hex() == rfc[f"h{number}"]
        assert hashlib.sha256(h + a).hexdigest() == rfc[f"v{number}"]
    assert hash_to_integer_range(message, int(Q_ORDER)) == int(rfc["htir_v_mod_q"], 16) == int(rfc["r"], 16)


def test_rfc6508_encapsulation_with_every_intermediate_value(rfc, uid, sed):
    ssv, r = bytes.fromhex(rfc["SSV"]), int(rfc["r"], 16)
    assert kem.sender_scalar(ssv, uid) == r
    power = PowersOfG().power(r)
    assert encode_field(power).hex() == rfc["g^r"].zfill(256)
    assert power == power_plain(G_PAIRING, r)
    assert hash_to_integer_range(encode_field(power), 1 << 128) == int(rfc["mask"], 16)
    assert sakke.encapsulate(ssv, uid, _point(rfc, "Z")) == sed


def test_rfc6508_decapsulation_with_every_intermediate_value(rfc, uid, sed):
    rsk, z = _point(rfc, "Kb"), _point(rfc, "Z")
    w = PairingLines(decode_point(rsk)).pairing(decode_point(sed[:257]))
    assert encode_field(w).hex() == rfc["w"].zfill(256)
    assert w == pairing_plain(decode_point(sed[:257]), decode_point(rsk))
    assert encode_point(kem.receiver_multiple(int(rfc["r"], 16), uid, z)) == _point(rfc, "TEST")
    assert sakke.decapsulate(sed, rsk=rsk, uid=uid, z=z).hex() == rfc["SSV"]


def test_tables_agree_with_double_and_add(random):
    table = FixedBase(GENERATOR)
    for k in (0, 1, 2, 31, 32, 33, 63, 64, 2**1021 + 12345, int(Q_ORDER) - 1):
        assert table.multiply(k) == multiply_plain(k, GENERATOR)
    assert table.multiply(int(Q_ORDER)) is None
    k = int.from_bytes(random(128), "big") % int(Q_ORDER)
    assert sum(digit << 6 * place for place, digit in enumerate(signed_digits(k, 171))) == k
    assert table.multiply(k) == multiply_plain(k, GENERATOR)


def test_sums_with_equal_and_opposite_points():
    two = add(GENERATOR, GENERATOR)
    opposite = (P_X, P_MODULUS - P_Y)
    assert sum_points([GENERATOR, GENERATOR]) == two
    assert sum_points([GENERATOR, opposite]) is None
    assert sum_points([GENERATOR, opposite, two]) == two
    assert sum_points([]) is None


def test_values_with_leading_zero_octets_are_hashed_at_full_length(world):
    uid, domain = world.bob.uid, world.domain
    for number in range(4000):
        ssv = number.to_bytes(16, "big")
        value = kem.powers_of_g().power(kem.sender_scalar(ssv, uid))
        if value < 1 << 1016:
            break
    sed = sakke.encapsulate(ssv, uid, domain.z)
    octets = int(value).to_bytes(128, "big")
    assert octets[0] == 0
    mask = int.from_bytes(
        hashlib.sha256(hashlib.sha256(bytes(32)).digest() + hashlib.sha256(octets).digest()).digest(), "big"
    )
    assert int.from_bytes(sed[257:], "big") ^ mask % (1 << 128) == number
    assert sakke.decapsulate(sed, rsk=world.bob.rsk, uid=uid, z=domain.z) == ssv
    short = hash_to_integer_range(octets.lstrip(b"\0"), 1 << 128)
    departed = sed[:257] + (number ^ short).to_bytes(16, "big")
    with pytest.raises(DecapsulationError):
        sakke.decapsulate(departed, rsk=world.bob.rsk, uid=uid, z=domain.z)
    assert decapsulate_short_values(departed, rsk=world.bob.rsk, uid=uid, z=domain.z) == ssv


def test_other_receiver_can_not_open(world):
    sed = sakke.encapsulate(bytes(range(16)), world.bob.uid, world.domain.z)
    with pytest.raises(DecapsulationError):
        sakke.decapsulate(sed, rsk=world.alice.rsk, uid=world.alice.uid, z=world.domain.z)
    with pytest.raises(DecapsulationError):
        sakke.decapsulate(sed, rsk=world.alice.rsk, uid=world.bob.uid, z=world.domain.z)


def test_damaged_data_is_refused(world):
    sed = sakke.encapsulate(bytes(range(16)), world.bob.uid, world.domain.z)

    def refused(octets: bytes) -> None:
        with pytest.raises(DecapsulationError):
            sakke.decapsulate(octets, rsk=world.bob.rsk, uid=world.bob.uid, z=world.domain.z)

    for length in range(len(sed)):
        refused(sed[:length])
    refused(sed + b"\0")
    for position in range(len(sed)):
        altered = bytearray(sed)
        altered[position] ^= 1 << position % 8
        refused(bytes(altered))


def _small_order_points() -> list[bytes]:
    cofactor = int(P_MODULUS + 1) // int(Q_ORDER)
    points = [b"\x04" + bytes(256)]
    x = mpz(2)
    while len(points) < 3:
        square = (x * x - 3) * x % P_MODULUS
        y = pow(square, (P_MODULUS + 1) // 4, P_MODULUS)
        if y * y % P_MODULUS == square:
            low = multiply_plain(int(Q_ORDER), (x, y))
            if low is not None:
                assert multiply_plain(cofactor, low) is None
                points.append(encode_point(low))
        x += 1
    return points


def test_hostile_points_are_refused(world):
    p = int(P_MODULUS)
    hostile = [
        bytes(257),
        b"\x04" + b"\xff" * 256,
        b"\x04" + p.to_bytes(128, "big") + bytes(128),
        b"\x02" + encode_point(GENERATOR)[1:],
        b"\x04" + int(P_X).to_bytes(128, "big") + (int(P_Y) ^ 1).to_bytes(128, "big"),
        b"\x04" + (int(P_X) + p).to_bytes(129, "big")[1:] + int(P_Y).to_bytes(128, "big"),
        *_small_order_points(),
    ]
    mixed = add(decode_point(world.bob.rsk), decode_point(_small_order_points()[1]))
    for point in [*hostile, encode_point(mixed)]:
        with pytest.raises(DecapsulationError):
            sakke.decapsulate(point + bytes(16), rsk=world.bob.rsk, uid=world.bob.uid, z=world.domain.z)
        with pytest.raises(ReceiverKeyError):
            sakke.validate_rsk(point, world.bob.uid, world.domain.z)
        with pytest.raises(ReceiverKeyError):
            sakke.validate_rsk(world.bob.rsk, world.bob.uid, point)
        with pytest.raises(EncapsulationError):
            sakke.encapsulate(bytes(16), world.bob.uid, point)


def test_rsk_of_another_identity_is_refused(world):
    with pytest.raises(ReceiverKeyError):
        sakke.validate_rsk(world.alice.rsk, world.bob.uid, world.domain.z)


def test_ranges(world):
    for length in (0, 15, 17, 32):
        with pytest.raises(EncapsulationError):
            sakke.encapsulate(bytes(length), world.bob.uid, world.domain.z)
    for z_secret in (bytes(128), b"\xff" * 128, b"\x01"):
        with pytest.raises(ReceiverKeyError):
            sakke.extract_rsk(z_secret, world.bob.uid)
    uid = int((Q_ORDER - int.from_bytes(world.z_secret, "big")) % Q_ORDER).to_bytes(128, "big")
    with pytest.raises(ReceiverKeyError):
        sakke.extract_rsk(world.z_secret, uid)


def test_decode_point_refuses_what_is_no_point():
    for octets in (b"", b"\x00", b"\x04", bytes(256), bytes(258)):
        with pytest.raises(SakkePointError):
            decode_point(octets)
