"""Milenage: f1 to f5* of authentication and key agreement, as octets in and octets out (TS 35.206).

E_K is AES-128 under the subscriber key K. TEMP = E_K(RAND xor OP_C); each function is E_K of TEMP (for f1: of TEMP and
of SQN || AMF twice), rotated by r_i bits and changed by c_i, xor OP_C.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KEY_OCTETS: Final = 16
RAND_OCTETS: Final = 16

_ROTATIONS: Final = {1: 64, 2: 0, 3: 32, 4: 64, 5: 96}
"""r1 to r5, bits (TS 35.206 4.1)."""
_CONSTANTS: Final = {1: 0, 2: 1, 3: 2, 4: 4, 5: 8}
"""c1 to c5."""


@dataclass(frozen=True, slots=True)
class Macs:
    """f1 and f1*: MAC-A and MAC-S, 8 octets each."""

    mac_a: bytes
    mac_s: bytes


@dataclass(frozen=True, slots=True)
class Vector:
    """f2 to f5: RES (8 octets), CK and IK (16 each), AK (6)."""

    res: bytes = field(repr=False)
    ck: bytes = field(repr=False)
    ik: bytes = field(repr=False)
    ak: bytes = field(repr=False)


def opc_of(k: bytes, op: bytes) -> bytes:
    """OP_C = OP xor E_K(OP), 16 octets (TS 35.206 4.1)."""
    return _xor(op, _aes(k, op))


class Milenage:
    """The functions under one subscriber's K and OP_C, 16 octets each. Raises ValueError for other lengths."""

    def __init__(self, k: bytes, opc: bytes) -> None:
        if len(k) != KEY_OCTETS or len(opc) != KEY_OCTETS:
            raise ValueError(f"K and OPc have {KEY_OCTETS} octets, not {len(k)} and {len(opc)}")
        self._k, self._opc = k, opc

    def f1(self, rand: bytes, sqn: bytes, amf: bytes) -> Macs:
        """MAC-A and MAC-S of RAND (16 octets), SQN (6) and AMF (2). Raises ValueError for other lengths."""
        if len(sqn) != 6 or len(amf) != 2:
            raise ValueError(f"SQN has 6 octets and AMF 2, not {len(sqn)} and {len(amf)}")
        in1 = (sqn + amf) * 2
        changed = _xor(self._temp(rand), _rotated(_xor(in1, self._opc), _ROTATIONS[1]))
        out = _xor(_aes(self._k, changed), self._opc)
        return Macs(mac_a=out[:8], mac_s=out[8:])

    def f2345(self, rand: bytes) -> Vector:
        """RES, CK, IK and AK of RAND (16 octets)."""
        out2 = self._out(rand, 2)
        return Vector(res=out2[8:], ck=self._out(rand, 3), ik=self._out(rand, 4), ak=out2[:6])

    def f5_star(self, rand: bytes) -> bytes:
        """AK of resynchronisation, 6 octets."""
        return self._out(rand, 5)[:6]

    def _temp(self, rand: bytes) -> bytes:
        if len(rand) != RAND_OCTETS:
            raise ValueError(f"RAND has {RAND_OCTETS} octets, not {len(rand)}")
        return _aes(self._k, _xor(rand, self._opc))

    def _out(self, rand: bytes, i: int) -> bytes:
        turned = bytearray(_rotated(_xor(self._temp(rand), self._opc), _ROTATIONS[i]))
        turned[15] ^= _CONSTANTS[i]
        return _xor(_aes(self._k, bytes(turned)), self._opc)


def _aes(key: bytes, block: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # one block at a time
    return encryptor.update(block) + encryptor.finalize()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _rotated(block: bytes, bits: int) -> bytes:
    """Rotated towards the most significant bit; `bits` is a multiple of 8."""
    return block[bits // 8 :] + block[: bits // 8]
