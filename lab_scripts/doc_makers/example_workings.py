"""Every intermediate value of an example, computed by the definitions alone: no tables, no OpenSSL shortcuts."""

from __future__ import annotations

import hashlib

from lab_scripts.doc_makers.example_keys import NTP_S, ExampleWorld
from lab_scripts.doc_makers.example_messages import Example
from lab_scripts.exit_codes import ExitCode, LabError
from security.eccsi import eccsi, p256
from security.mikey import parse_i_message
from security.mikey.key_derivation import KeyConstant, derive_key
from security.sakke.curve import GENERATOR, add, decode_point, encode_field, encode_point, multiply_plain
from security.sakke.hashing import hash_to_integer_range
from security.sakke.pairing import pairing_plain, power_plain
from security.sakke.parameters import G_PAIRING, POINT_OCTETS, Q_ORDER, SSV_BITS


class ExampleError(LabError):
    """An example is not what it should be."""

    exit_code = ExitCode.FAILED


def workings(example: Example, octets: bytes, world: ExampleWorld) -> dict[str, str]:
    """Names of the RFCs -> values in hex, found from the message and both ends' keys; raises ExampleError."""
    return {
        **_eccsi_values(example, octets, world),
        **_sakke_values(example, octets, world),
        **_derived_keys(example),
        **example.values,
    }


def _eccsi_values(example: Example, octets: bytes, world: ExampleWorld) -> dict[str, str]:
    """RFC 6507 5.2.2, step by step."""
    i_message = parse_i_message(octets)
    uid = world.domain_of(example.initiator).uid(example.initiator, NTP_S)
    kpak = world.domain_of(example.initiator).kpak
    r, s, pvt = i_message.signature[:32], i_message.signature[32:64], i_message.signature[64:]
    hs = hashlib.sha256(p256.G_OCTETS + kpak + uid + pvt).digest()
    he = hashlib.sha256(hs + r + i_message.signed_part).digest()
    y = p256.add(p256.multiply_plain(int.from_bytes(hs, "big"), p256.decode_point(pvt)), p256.decode_point(kpak))
    inner = p256.add(
        p256.multiply_plain(int.from_bytes(he, "big"), p256.G), p256.multiply_plain(int.from_bytes(r, "big"), y)
    )
    j = p256.multiply_plain(int.from_bytes(s, "big"), inner)
    if y is None or j is None or j[0] != int.from_bytes(r, "big"):
        raise ExampleError(f"{example.name}: the signature does not verify")
    return {
        "initiator_uid": uid.hex(),
        "HS": hs.hex(),
        "r": r.hex(),
        "s": s.hex(),
        "HE": he.hex(),
        "Y": p256.encode_point(y).hex(),
        "Jx": int(j[0]).to_bytes(eccsi.SCALAR_OCTETS, "big").hex(),
    }


def _sakke_values(example: Example, octets: bytes, world: ExampleWorld) -> dict[str, str]:
    """RFC 6508 6.2.1 with the SSV, and 6.2.2 with the receiver's RSK: both must meet in the message."""
    sed = parse_i_message(octets).sakke.data
    domain = world.domain_of(example.responder)
    uid = domain.uid(example.responder, NTP_S)
    r = hash_to_integer_range(example.ssv + uid, int(Q_ORDER))
    receiver = add(multiply_plain(int.from_bytes(uid, "big") % int(Q_ORDER), GENERATOR), decode_point(domain.z))
    point = multiply_plain(r, receiver)
    power = encode_field(power_plain(G_PAIRING, r))
    mask = hash_to_integer_range(power, 1 << SSV_BITS)
    h = (int.from_bytes(example.ssv, "big") ^ mask).to_bytes(16, "big")
    rsk = decode_point(world.users[example.responder].rsk)
    w = encode_field(pairing_plain(decode_point(sed[:POINT_OCTETS]), rsk))
    if point is None or encode_point(point) + h != sed or w != power:
        raise ExampleError(f"{example.name}: the encapsulated data is not that of the SSV, or opens to something else")
    return {
        "responder_uid": uid.hex(),
        "SSV": example.ssv.hex(),
        "r_sakke": r.to_bytes(128, "big").hex(),
        "g^r": power.hex(),
        "mask": mask.to_bytes(16, "big").hex(),
        "H": h.hex(),
        "w": w.hex(),
    }


def _derived_keys(example: Example) -> dict[str, str]:
    """TEK and salt of each crypto session (RFC 3830 4.1.3)."""
    kinds = (("TEK", KeyConstant.TEK, 16), ("auth", KeyConstant.AUTHENTICATION, 20), ("salt", KeyConstant.SALT, 14))
    return {
        f"{name}_cs_{cs_id}": derive_key(
            example.ssv,
            constant=constant,
            cs_id=cs_id,
            csb_id=example.csb_id,
            rand=example.rand,
            length=length,
            function=example.prf,
        ).hex()
        for cs_id in example.cs_ids
        for name, constant, length in kinds
    }


def check_leading_zeros(values: dict[str, str]) -> None:
    """The example of that name has leading zero octets where implementations lose them; raises ExampleError."""
    for name in ("g^r", "H", "r", "s"):
        if not values[name].startswith("00"):
            raise ExampleError(f"leading-zeros: {name} has no leading zero octet")
