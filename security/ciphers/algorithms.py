"""128-EEA0..3 and 128-EIA0..3 of TS 33.401 Annex B over bit lengths, one-shot and keyed once for many messages.

All take the same inputs: a key of 16 octets, COUNT (32 bits), BEARER (5 bits), DIRECTION (1 bit) and a message, whose
length is counted in bits. A 128-EEA is a keystream, so ciphering and deciphering are the same; a 128-EIA gives MAC-I of
4 octets. Number 1 is SNOW 3G, 2 is AES (counter mode and CMAC, by OpenSSL), 3 is ZUC; number 0 changes nothing and
proves nothing, and is used only where a policy names it.

`ciphering` and `integrity` key an algorithm once; its object then serves every PDU of a context. `apply_batch` takes
many packets of one bearer in one call, for links with many small ones. The octets of a message that end in parts of an
octet keep their other bits zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.cmac import CMAC

from security.ciphers.algorithm_inputs import AlgorithmError, check_batch, check_inputs, first_bits, in_one_piece

KEY_OCTETS = 16
MAC_OCTETS = 4
BLOCK_OCTETS = 16


class Eea(IntEnum):
    """Ciphering algorithms (TS 33.401 5.1.3.2)."""

    EEA0_NULL = 0
    EEA1_SNOW3G = 1
    EEA2_AES = 2
    EEA3_ZUC = 3


class Eia(IntEnum):
    """Integrity algorithms (TS 33.401 5.1.4.2)."""

    EIA0_NULL = 0
    EIA1_SNOW3G = 1
    EIA2_AES = 2
    EIA3_ZUC = 3


class Ciphering(Protocol):
    """A keyed 128-EEA."""

    def apply(self, count: int, bearer: int, direction: int, data: bytes, bit_length: int | None = None) -> bytes:
        """Cipher or decipher the first `bit_length` bits of `data`. Returns the octets that hold them.

        Raises AlgorithmError.
        """
        ...

    def apply_batch(self, counts: Sequence[int], bearer: int, direction: int, packets: Sequence[bytes]) -> list[bytes]:
        """Cipher or decipher whole packets (octets) of one bearer in one call, each under its COUNT of 32 bits.

        Raises AlgorithmError.
        """
        ...


class Integrity(Protocol):
    """A keyed 128-EIA."""

    def mac(self, count: int, bearer: int, direction: int, data: bytes, bit_length: int | None = None) -> bytes:
        """MAC-I, 4 octets, over the first `bit_length` bits. Raises AlgorithmError."""
        ...


def ciphering(algorithm: int, key: bytes) -> Ciphering:
    """Key a 128-EEA: number 0..3, key of 16 octets (TS 33.401 B.1). Raises AlgorithmError.

    SNOW 3G and ZUC load their compiled kernels at their first use.
    """
    _check_key(key)
    if algorithm == Eea.EEA0_NULL:
        return _NullCiphering()
    if algorithm == Eea.EEA1_SNOW3G:
        from security.ciphers.snow3g import Snow3gCiphering

        return Snow3gCiphering(key)
    if algorithm == Eea.EEA2_AES:
        return _AesCiphering(key)
    if algorithm == Eea.EEA3_ZUC:
        from security.ciphers.zuc import ZucCiphering

        return ZucCiphering(key)
    raise AlgorithmError(f"128-EEA{algorithm} is not known")


def integrity(algorithm: int, key: bytes) -> Integrity:
    """Key a 128-EIA: number 0..3, key of 16 octets (TS 33.401 B.2). Raises AlgorithmError.

    SNOW 3G and ZUC load their compiled kernels at their first use.
    """
    _check_key(key)
    if algorithm == Eia.EIA0_NULL:
        return _NullIntegrity()
    if algorithm == Eia.EIA1_SNOW3G:
        from security.ciphers.snow3g import Snow3gIntegrity

        return Snow3gIntegrity(key)
    if algorithm == Eia.EIA2_AES:
        return _AesIntegrity(key)
    if algorithm == Eia.EIA3_ZUC:
        from security.ciphers.zuc import ZucIntegrity

        return ZucIntegrity(key)
    raise AlgorithmError(f"128-EIA{algorithm} is not known")


def eea(
    algorithm: int, key: bytes, count: int, bearer: int, direction: int, data: bytes, bit_length: int | None = None
) -> bytes:
    """Cipher or decipher once (TS 33.401 B.1).

    `algorithm` 0..3; `key` 16 octets; `count` 32 bits, `bearer` 5 bits, `direction` 1 bit; `bit_length` is the length
    of `data` in bits, None for all of it. Returns the octets that hold these bits. Raises AlgorithmError.
    """
    return ciphering(algorithm, key).apply(count, bearer, direction, data, bit_length)


def eia(
    algorithm: int, key: bytes, count: int, bearer: int, direction: int, data: bytes, bit_length: int | None = None
) -> bytes:
    """MAC-I of one message, 4 octets (TS 33.401 B.2); arguments as of `eea`. Raises AlgorithmError."""
    return integrity(algorithm, key).mac(count, bearer, direction, data, bit_length)


def _check_key(key: bytes) -> None:
    if len(key) != KEY_OCTETS:
        raise AlgorithmError(f"a key has {KEY_OCTETS} octets, got {len(key)}")


def _header(count: int, bearer: int, direction: int) -> bytes:
    """COUNT || BEARER || DIRECTION || 26 zero bits (TS 33.401 B.1.3, B.2.3)."""
    return ((count << 32) | (bearer << 27) | (direction << 26)).to_bytes(8, "big")


class _NullCiphering:
    """128-EEA0: a keystream of zeros."""

    def apply(self, count: int, bearer: int, direction: int, data: bytes, bit_length: int | None = None) -> bytes:
        return first_bits(data, check_inputs(count, bearer, direction, data, bit_length))

    def apply_batch(self, counts: Sequence[int], bearer: int, direction: int, packets: Sequence[bytes]) -> list[bytes]:
        check_batch(counts, bearer, direction, packets)
        return list(packets)


class _NullIntegrity:
    """128-EIA0: a MAC-I of zeros."""

    def mac(self, count: int, bearer: int, direction: int, data: bytes, bit_length: int | None = None) -> bytes:
        check_inputs(count, bearer, direction, data, bit_length)
        return bytes(MAC_OCTETS)


class _AesCiphering:
    """128-EEA2: AES in counter mode (TS 33.401 B.1.3). One encryptor serves all messages, each with its counter."""

    def __init__(self, key: bytes) -> None:
        self._encryptor = Cipher(AES128(key), modes.CTR(bytes(16))).encryptor()
        self._blocks = Cipher(AES128(key), modes.ECB()).encryptor()

    def apply(self, count: int, bearer: int, direction: int, data: bytes, bit_length: int | None = None) -> bytes:
        bits = check_inputs(count, bearer, direction, data, bit_length)
        self._encryptor.reset_nonce(_header(count, bearer, direction) + bytes(8))
        return first_bits(self._encryptor.update(data), bits)

    def apply_batch(self, counts: Sequence[int], bearer: int, direction: int, packets: Sequence[bytes]) -> list[bytes]:
        return in_one_piece(self._apply, counts, bearer, direction, packets, alignment=BLOCK_OCTETS)

    def _apply(self, counts: Sequence[int], bearer: int, direction: int, data: bytes, ends: Sequence[int]) -> bytes:
        """Encrypt all counter blocks at once: those of a packet are its header and 0, 1, 2, ..."""
        block_ends = np.array(ends, np.int64) // BLOCK_OCTETS
        block_starts = np.append(0, block_ends)[:-1]
        n_blocks = block_ends - block_starts
        headers = np.array(counts, np.uint64) << np.uint64(32) | np.uint64(bearer << 27 | direction << 26)
        blocks = np.empty((len(data) // BLOCK_OCTETS, 2), ">u8")
        blocks[:, 0] = np.repeat(headers, n_blocks)
        blocks[:, 1] = np.arange(len(blocks)) - np.repeat(block_starts, n_blocks)
        stream = self._blocks.update(blocks.tobytes())
        return (np.frombuffer(data, np.uint64) ^ np.frombuffer(stream, np.uint64)).tobytes()


class _AesIntegrity:
    """128-EIA2: AES-CMAC, its four most significant octets (TS 33.401 B.2.3)."""

    def __init__(self, key: bytes) -> None:
        self._cmac = CMAC(AES128(key))
        self._cipher = Cipher(AES128(key), modes.CBC(bytes(16)))

    def mac(self, count: int, bearer: int, direction: int, data: bytes, bit_length: int | None = None) -> bytes:
        bits = check_inputs(count, bearer, direction, data, bit_length)
        message = _header(count, bearer, direction) + data[: (bits + 7) // 8]
        if bits % 8:
            return self._mac_of_bits(message, 64 + bits)
        cmac = self._cmac.copy()
        cmac.update(message)
        return cmac.finalize()[:MAC_OCTETS]

    def _mac_of_bits(self, message: bytes, bits: int) -> bytes:
        """CMAC of a message that ends inside an octet: padded by 1 and zeros, masked with K2 (SP 800-38B 6.2)."""
        padded = int.from_bytes(message, "big") >> (8 * len(message) - bits) << 1 | 1
        blocks = -(-(bits + 1) // 128)
        padded = padded << (128 * blocks - bits - 1) ^ self._subkey_k2()
        encryptor = self._cipher.encryptor()
        return encryptor.update(padded.to_bytes(16 * blocks, "big"))[-16:][:MAC_OCTETS]

    def _subkey_k2(self) -> int:
        return _double(_double(int.from_bytes(self._cipher.encryptor().update(bytes(16)), "big")))


def _double(block: int) -> int:
    """Times x in GF(2^128) of CMAC (SP 800-38B 6.1)."""
    return block << 1 & (1 << 128) - 1 ^ (0x87 if block >> 127 else 0)
