"""Hostile input to every decoder and verifier: only the packages' own errors, nothing forged taken, in bounded time."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path

import pytest
from gmpy2 import mpz
from hypothesis import given, settings
from hypothesis import strategies as st

from security import sakke
from security.ciphers.algorithms import eea, eia
from security.eccsi import eccsi, p256
from security.eccsi.eccsi import SignatureError, SigningKeyError
from security.errors import SecurityError
from security.keyfile import parse_key_file
from security.link.context import ContextError, IntegrityFailure, ReplayedPdu, SecurityContext
from security.mikey import MikeyError, parse_i_message, verify_i_message
from security.mikey.codec import annotate, decode, encode
from security.mikey.error_message import parse_error_message
from security.sakke import DecapsulationError, EncapsulationError, ReceiverKeyError
from security.sakke.curve import GENERATOR, add, encode_point, multiply_plain
from security.sakke.parameters import P_MODULUS, P_X, P_Y, Q_ORDER

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "mikey-examples"


def _targets():
    spec = importlib.util.spec_from_file_location("hostile_targets", ROOT / "tests" / "fuzz" / "targets.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


targets = _targets()
DOMAIN, ALICE, BOB = targets._world()
SEED = targets.signed_seed()
SIGNED = parse_i_message(SEED)
SED = SIGNED.sakke.data
MESSAGES = {path.stem: path.read_bytes() for path in sorted(EXAMPLES.glob("*.bin"))}


@pytest.fixture(scope="module", autouse=True)
def tables():
    sakke.prepare_tables(DOMAIN.z, BOB.rsk)


@pytest.mark.parametrize("name", list(targets.TARGETS))
def test_any_octets(name):
    @given(st.binary(max_size=700))
    @settings(max_examples=40, deadline=None)
    def anything(octets):
        targets.attempt(targets.TARGETS[name], octets)

    anything()


@st.composite
def mutations(draw, octets: bytes) -> bytes:
    """Octets cut, spliced, and overwritten in a few places."""
    altered = bytearray(octets)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(altered)))
        match draw(st.integers(0, 3)):
            case 0 if at < len(altered):
                altered[at] = draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFE, 0xFF)))
            case 1:
                del altered[at : at + draw(st.integers(1, 300))]
            case 2:
                altered[at:at] = draw(st.binary(max_size=40))
            case _:
                altered[at:at] = altered[at : at + draw(st.integers(1, 200))]
    return bytes(altered)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_mutated_messages(name):
    @given(mutations(MESSAGES[name]))
    @settings(max_examples=25, deadline=None)
    def mutated(octets):
        for target in (targets.mikey, targets.mikey_error, targets.mikey_profile, targets.mikey_responder):
            targets.attempt(target, octets)

    mutated()


@pytest.mark.parametrize(
    "name", ["tel-monthly", "mcx-client-server", "srtp-id-sha1", "error-policy", "profile-request"]
)
def test_each_bit_of_a_message_flipped(name):
    octets = MESSAGES[name]
    for position in range(8 * len(octets)):
        altered = bytearray(octets)
        altered[position >> 3] ^= 0x80 >> (position & 7)
        fields, message, error = annotate(bytes(altered))
        assert (message is None) is (error is not None)
        if message is not None:
            assert encode(message) == altered
            assert sum(field.length for field in fields) == len(octets)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_each_truncation_and_any_tail(name):
    octets = MESSAGES[name]
    for length in range(len(octets)):
        for read in (decode, parse_i_message, parse_error_message):
            with pytest.raises(MikeyError):
                read(octets[:length])
    with pytest.raises(MikeyError):
        decode(octets + b"\0")


def test_each_bit_of_a_signed_message_flipped_never_verifies():
    for position in range(8 * len(SEED)):
        altered = bytearray(SEED)
        altered[position >> 3] ^= 0x80 >> (position & 7)
        with pytest.raises(SecurityError):
            verify_i_message(parse_i_message(bytes(altered)), uid=ALICE.uid, kpak=DOMAIN.kpak)


def test_each_bit_of_encapsulated_data_flipped_never_opens():
    for position in range(8 * len(SED)):
        altered = bytearray(SED)
        altered[position >> 3] ^= 0x80 >> (position & 7)
        with pytest.raises(DecapsulationError):
            sakke.decapsulate(bytes(altered), rsk=BOB.rsk, uid=BOB.uid, z=DOMAIN.z)


def test_each_bit_of_ones_keys_flipped_is_found():
    """RSK bits cost a pairing only where the point is still on the curve, which no single flip is."""
    for position in range(8 * len(ALICE.rsk)):
        altered = bytearray(BOB.rsk)
        altered[position >> 3] ^= 0x80 >> (position & 7)
        with pytest.raises(ReceiverKeyError):
            sakke.validate_rsk(bytes(altered), BOB.uid, DOMAIN.z)
    keys = ALICE.ssk + ALICE.pvt
    for position in range(8 * len(keys)):
        altered = bytearray(keys)
        altered[position >> 3] ^= 0x80 >> (position & 7)
        with pytest.raises(SigningKeyError):
            eccsi.validate_signing_keys(
                ssk=bytes(altered[:32]), pvt=bytes(altered[32:]), uid=ALICE.uid, kpak=DOMAIN.kpak
            )


Q, P = int(p256.Q), int(p256.P)
EDGE_SCALARS = [0, 1, 2, Q - 1, Q, Q + 1, P - 1, P, P + 1, (1 << 256) - 1]


@pytest.mark.parametrize("r", EDGE_SCALARS)
@pytest.mark.parametrize("s", EDGE_SCALARS)
def test_edge_scalars_never_verify(r, s):
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + SIGNED.signature[64:]
    with pytest.raises(SignatureError):
        eccsi.verify(SIGNED.signed_part, signature, uid=ALICE.uid, kpak=DOMAIN.kpak)


@pytest.mark.parametrize("value", [0, Q, Q + 1, (1 << 256) - 1])
def test_scalars_out_of_range_are_refused_everywhere(value):
    octets = value.to_bytes(32, "big")
    for call in (
        lambda: eccsi.sign(b"", ssk=octets, pvt=ALICE.pvt, uid=b"", kpak=DOMAIN.kpak, entropy=bytes(32)),
        lambda: eccsi.extract_signing_keys(octets, b"uid", b"\1" * 32),
        lambda: eccsi.extract_signing_keys(b"\1" * 32, b"uid", octets),
        lambda: eccsi.public_authentication_key(octets),
        lambda: eccsi.validate_signing_keys(ssk=octets, pvt=ALICE.pvt, uid=ALICE.uid, kpak=DOMAIN.kpak),
    ):
        with pytest.raises(SigningKeyError):
            call()
    z_secret = 0 if value == 0 else int(Q_ORDER) + value - Q
    z_octets = z_secret.to_bytes(128, "big")
    with pytest.raises(ReceiverKeyError):
        sakke.public_master_key(z_octets)
    with pytest.raises(ReceiverKeyError):
        sakke.extract_rsk(z_octets, b"uid")


def _low_order_points() -> list[tuple[mpz, mpz]]:
    """Points of order 2 and 4 of the SAKKE curve (cofactor 4)."""
    points = [(mpz(0), mpz(0))]
    x = mpz(2)
    while len(points) < 3:
        square = (x * x - 3) * x % P_MODULUS
        y = pow(square, (P_MODULUS + 1) // 4, P_MODULUS)
        low = multiply_plain(int(Q_ORDER), (x, y)) if y * y % P_MODULUS == square else None
        if low is not None and low not in points:
            points.append(low)
        x += 1
    return points


def _hostile_sakke_points() -> dict[str, bytes]:
    generator = encode_point(GENERATOR)
    x, y, p = int(P_X), int(P_Y), int(P_MODULUS)
    low = _low_order_points()
    return {
        "infinity": b"\0",
        "infinity, padded": bytes(257),
        "compressed": b"\2" + generator[1:129],
        "compressed, padded": b"\2" + generator[1:],
        "hybrid": bytes([6 + (y & 1)]) + generator[1:],
        "off the curve": generator[:-1] + bytes([generator[-1] ^ 1]),
        "the twist": b"\4" + (p - x).to_bytes(128, "big") + generator[129:],
        "x = p": b"\4" + p.to_bytes(128, "big") + bytes(128),
        "coordinates of all ones": b"\4" + b"\xff" * 256,
        "one octet short": generator[:-1],
        "one octet long": generator + b"\0",
        "empty": b"",
        **{f"low order {number}": encode_point(point) for number, point in enumerate(low)},
        **{
            f"with a part of low order {number}": encode_point(add(GENERATOR, point))
            for number, point in enumerate(low)
        },
    }


SAKKE_POINTS = _hostile_sakke_points()


@pytest.mark.parametrize("name", list(SAKKE_POINTS))
def test_hostile_points_of_the_sakke_curve(name):
    point = SAKKE_POINTS[name]
    with pytest.raises(DecapsulationError):
        sakke.decapsulate(point + bytes(16), rsk=BOB.rsk, uid=BOB.uid, z=DOMAIN.z)
    with pytest.raises(ReceiverKeyError):
        sakke.decapsulate(SED, rsk=point, uid=BOB.uid, z=DOMAIN.z)
    with pytest.raises(ReceiverKeyError):
        sakke.validate_rsk(point, BOB.uid, DOMAIN.z)
    with pytest.raises(ReceiverKeyError):
        sakke.validate_rsk(BOB.rsk, BOB.uid, point)
    with pytest.raises(ReceiverKeyError):
        sakke.prepare_tables(point)
    with pytest.raises(EncapsulationError):
        sakke.encapsulate(bytes(16), BOB.uid, point)


G = p256.G_OCTETS
P256_POINTS = {
    "infinity": b"\0",
    "infinity, padded": bytes(65),
    "compressed": b"\3" + G[1:33],
    "hybrid": b"\7" + G[1:],
    "off the curve": G[:-1] + bytes([G[-1] ^ 1]),
    "origin": b"\4" + bytes(64),
    "x + p": b"\4" + ((5 + P) % (1 << 256)).to_bytes(32, "big") + G[33:],
    "y = p": G[:33] + P.to_bytes(32, "big"),
    "all ones": b"\4" + b"\xff" * 64,
    "short": G[:-1],
    "long": G + b"\0",
    "empty": b"",
}


@pytest.mark.parametrize("name", list(P256_POINTS))
def test_hostile_points_of_p256(name):
    point = P256_POINTS[name]
    for kpak, signature in (
        (DOMAIN.kpak, SIGNED.signature[:64] + point),
        (point, SIGNED.signature),
    ):
        with pytest.raises(SignatureError):
            eccsi.verify(SIGNED.signed_part, signature, uid=ALICE.uid, kpak=kpak)
    for pvt, kpak in ((point, DOMAIN.kpak), (ALICE.pvt, point)):
        with pytest.raises(SigningKeyError):
            eccsi.validate_signing_keys(ssk=ALICE.ssk, pvt=pvt, uid=ALICE.uid, kpak=kpak)


def test_y_at_infinity_is_refused():
    """PVT = -[1/HS]KPAK would make Y the point at infinity; HS hashes PVT, so only KPAK can be chosen to fit."""
    pvt = p256.encode_point(p256.multiply_base(7))
    for key in (b"\1" * 32, b"\2" * 32):
        kpak = eccsi.public_authentication_key(key)
        hs = int.from_bytes(eccsi.hash_hs(kpak, b"uid", pvt), "big")
        opposite = p256.multiply(-hs, p256.decode_point(pvt))
        assert p256.add(p256.multiply(hs, p256.decode_point(pvt)), opposite) is None
        with pytest.raises(SignatureError):
            eccsi.verify(
                b"m", bytes(31) + b"\1" + bytes(31) + b"\1" + pvt, uid=b"uid", kpak=p256.encode_point(opposite)
            )


COUNTS = {
    "255 crypto sessions of 127 policies": bytes.fromhex("011a000100000001ff02")
    + (b"\1\0\x7f" + bytes(127) + b"\xff\xff" + bytes(65)) * 255,
    "policy of 65535": bytes.fromhex("011a0a01000000010001") + b"\0\0\0\xff\xff" + b"\0\0" * 32_000,
    "64 empty payloads too many": bytes.fromhex("011a0b01000000010001") + b"\x0b\0" * 40_000,
    "longest message": bytes(65_536),
}


@pytest.mark.parametrize("name", list(COUNTS))
def test_huge_counts_cost_little(name):
    start = time.process_time()
    for read in (decode, parse_i_message, parse_error_message):
        with pytest.raises(MikeyError):
            read(COUNTS[name])
    annotate(COUNTS[name])
    assert time.process_time() - start < 0.5


@given(st.binary(max_size=60), st.integers(0, 0xFFFF), st.integers(0, 31), st.binary(max_size=5), st.binary(max_size=6))
@settings(max_examples=150, deadline=None)
def test_strangers_pdus_never_open(data, sn, lcid, header, mac_i):
    end = SecurityContext(kd_sess_id=1, pek=bytes(16), pik=b"k" * 16, eea=2, eia=2, direction=0)
    with pytest.raises((IntegrityFailure, ReplayedPdu, ContextError)):
        end.open(lcid, sn, header, data, mac_i)
    assert end.highest_received == 0


@given(
    st.sampled_from((0, 1, 2, 3)),
    st.integers(-1, 1 << 33),
    st.integers(-1, 33),
    st.integers(-1, 2),
    st.binary(max_size=40),
    st.one_of(st.none(), st.integers(-1, 400)),
)
@settings(max_examples=150, deadline=None)
def test_algorithms_refuse_or_answer(number, count, bearer, direction, data, bits):
    try:
        ciphered = eea(number, bytes(16), count, bearer, direction, data, bits)
        mac = eia(number, bytes(16), count, bearer, direction, data, bits)
    except SecurityError:
        return
    assert len(mac) == 4
    assert len(ciphered) == ((8 * len(data) if bits is None else bits) + 7) // 8


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("kms", "users", "uri", "z")), inner),
    max_leaves=8,
)


@given(JSON)
@settings(max_examples=150, deadline=None)
def test_key_files_of_any_shape(document):
    try:
        parse_key_file(json.dumps(document).encode())
    except SecurityError:
        return
