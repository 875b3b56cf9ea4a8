from __future__ import annotations

import pytest

from security.eccsi import eccsi, p256
from security.eccsi.eccsi import SignatureError, SigningKeyError


@pytest.fixture
def rfc(vectors):
    values = vectors("rfc6507_appendix_a.json")["values"]
    return {name: bytes.fromhex(value.rjust(len(value) + len(value) % 2, "0")) for name, value in values.items()}


def test_rfc6507_key_extraction(rfc):
    ksak, v = rfc["KSAK"].rjust(32, b"\0"), rfc["v"].rjust(32, b"\0")
    assert eccsi.public_authentication_key(ksak) == rfc["KPAK"]
    assert eccsi.extract_signing_keys(ksak, rfc["ID"], v) == (rfc["SSK"], rfc["PVT"])
    assert eccsi.hash_hs(rfc["KPAK"], rfc["ID"], rfc["PVT"]) == rfc["HS"]
    eccsi.validate_signing_keys(ssk=rfc["SSK"], pvt=rfc["PVT"], uid=rfc["ID"], kpak=rfc["KPAK"])


def test_rfc6507_signature_with_every_intermediate_value(rfc):
    j = int.from_bytes(rfc["j"], "big")
    assert p256.encode_point(p256.multiply_base(j)) == rfc["J"]
    r = int.from_bytes(rfc["r"], "big")
    assert eccsi.hash_he(rfc["HS"], r, rfc["M"]) == rfc["HE"]
    rs = eccsi.sign_with_nonce(rfc["M"], ssk=int.from_bytes(rfc["SSK"], "big"), hs=rfc["HS"], j=j)
    assert rs == rfc["r"] + rfc["s"]
    assert rs + rfc["PVT"] == rfc["Sig"]


def test_rfc6507_verification(rfc):
    assert p256.encode_point(eccsi.verification_point(rfc["PVT"], rfc["ID"], rfc["KPAK"])) == rfc["Y"]
    eccsi.verify(rfc["M"], rfc["Sig"], uid=rfc["ID"], kpak=rfc["KPAK"])


def test_slow_path_agrees_with_openssl(rfc):
    r, s, he = (int.from_bytes(rfc[name], "big") for name in ("r", "s", "HE"))
    y = p256.decode_point(rfc["Y"])
    eccsi.verify_modulo_p(r, s, he, y)
    with pytest.raises(SignatureError):
        eccsi.verify_modulo_p(r + 1, s, he, y)
    with pytest.raises(SignatureError):
        eccsi.verify_modulo_p(r, s, he + 1, y)


def test_r_between_q_and_p_takes_the_slow_path(rfc, monkeypatch):
    taken = []
    monkeypatch.setattr(eccsi, "verify_modulo_p", lambda *arguments: taken.append(arguments[0]))
    for r in (int(p256.Q), int(p256.P) - 1, 1):
        eccsi.verify(b"", r.to_bytes(32, "big") + rfc["s"] + rfc["PVT"], uid=rfc["ID"], kpak=rfc["KPAK"])
    assert taken == [int(p256.Q), int(p256.P) - 1, 1]


def test_every_flipped_octet_is_refused(rfc):
    for position in range(eccsi.SIGNATURE_OCTETS):
        altered = bytearray(rfc["Sig"])
        altered[position] ^= 1 << position % 8
        with pytest.raises(SignatureError):
            eccsi.verify(rfc["M"], bytes(altered), uid=rfc["ID"], kpak=rfc["KPAK"])


def test_every_truncation_is_refused(rfc):
    for length in range(eccsi.SIGNATURE_OCTETS):
        with pytest.raises(SignatureError):
            eccsi.verify(rfc["M"], rfc["Sig"][:length], uid=rfc["ID"], kpak=rfc["KPAK"])


@pytest.mark.parametrize(
    "r_s",
    [
        bytes(64),
        bytes(32) + b"\x01" * 32,
        b"\x01" * 32 + bytes(32),
        b"\x01" * 32 + int(p256.Q).to_bytes(32, "big"),
        b"\x01" * 32 + b"\xff" * 32,
        int(p256.P).to_bytes(32, "big") + b"\x01" * 32,
        b"\xff" * 64,
    ],
)
def test_scalars_out_of_range_are_refused(rfc, r_s):
    with pytest.raises(SignatureError):
        eccsi.verify(rfc["M"], r_s + rfc["PVT"], uid=rfc["ID"], kpak=rfc["KPAK"])


@pytest.mark.parametrize(
    "pvt",
    [
        bytes(65),
        b"\x04" + bytes(64),
        b"\x00" * 65,
        b"\x04" + b"\xff" * 64,
        b"\x04" + int(p256.P).to_bytes(32, "big") + int(p256.B).to_bytes(32, "big"),
        b"\x02" + p256.G_OCTETS[1:33] + bytes(32),
        b"\x06" + p256.G_OCTETS[1:],
    ],
)
def test_hostile_pvt_is_refused(rfc, pvt):
    with pytest.raises(SignatureError):
        eccsi.verify(rfc["M"], rfc["Sig"][:64] + pvt, uid=rfc["ID"], kpak=rfc["KPAK"])
    with pytest.raises(SigningKeyError):
        eccsi.validate_signing_keys(ssk=rfc["SSK"], pvt=pvt, uid=rfc["ID"], kpak=rfc["KPAK"])


def test_malleated_signature_verifies_as_the_rfc_has_it(rfc):
    s = int(p256.Q) - int.from_bytes(rfc["s"], "big")
    eccsi.verify(rfc["M"], rfc["r"] + s.to_bytes(32, "big") + rfc["PVT"], uid=rfc["ID"], kpak=rfc["KPAK"])


def test_other_identity_message_or_kms_is_refused(rfc, world):
    for message, uid, kpak in (
        (rfc["M"] + b"x", rfc["ID"], rfc["KPAK"]),
        (rfc["M"], rfc["ID"] + b"x", rfc["KPAK"]),
        (rfc["M"], rfc["ID"], world.domain.kpak),
    ):
        with pytest.raises(SignatureError):
            eccsi.verify(message, rfc["Sig"], uid=uid, kpak=kpak)


def _sign(world, message: bytes, entropy: bytes) -> bytes:
    keys = world.alice
    return eccsi.sign(message, ssk=keys.ssk, pvt=keys.pvt, uid=keys.uid, kpak=world.domain.kpak, entropy=entropy)


def test_nonce_differs_with_message_and_entropy(world):
    signatures = [_sign(world, message, entropy) for message in (b"a", b"b") for entropy in (bytes(32), b"\x01" * 32)]
    assert len({signature[:32] for signature in signatures}) == 4
    assert _sign(world, b"a", bytes(32)) == signatures[0]
    eccsi.verify(b"a", signatures[0], uid=world.alice.uid, kpak=world.domain.kpak)


def test_malformed_signing_input_is_refused(world):
    with pytest.raises(SigningKeyError):
        _sign(world, b"a", bytes(31))
    for ssk in (bytes(32), b"\xff" * 32, b"\x01"):
        with pytest.raises(SigningKeyError):
            eccsi.sign(b"", ssk=ssk, pvt=world.alice.pvt, uid=b"", kpak=b"", entropy=bytes(32))


def test_signing_keys_of_another_user_are_refused(world):
    with pytest.raises(SigningKeyError):
        eccsi.validate_signing_keys(ssk=world.alice.ssk, pvt=world.alice.pvt, uid=world.bob.uid, kpak=world.domain.kpak)


def test_multiply_agrees_with_double_and_add(random):
    point = p256.multiply_base(7)
    scalars = [0, 1, 2, 3, int(p256.Q) - 2, int(p256.Q) - 1, int(p256.Q), int(p256.Q) + 5]
    scalars += [int.from_bytes(random(32), "big") for _ in range(8)]
    for k in scalars:
        assert p256.multiply(k, point) == p256.multiply_plain(k, point)
