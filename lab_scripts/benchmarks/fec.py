"""Speed of the turbo code by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from lab_scripts.benchmarks.measure import Case
from radio.phy.fec.crc import CRC24A
from radio.phy.lte.channels.sl_sch import SlSchSoftBuffer, decode_transport_blocks, encode_sl_sch

_SEED: Final = 1
_LONG_K, _SHORT_K, _SHORT_BLOCKS = 6144, 256, 16
_ITERATIONS: Final = 5
_CODED_BITS_PER_BIT: Final = 3
_QM: Final = 2


def cases() -> list[Case]:
    """Decoders that go through all iterations, since their input is noise, and the encoder."""
    long_bits, short_bits = float(_LONG_K), float(_SHORT_K * _SHORT_BLOCKS)
    return [
        Case(
            name=f"turbo decoder, K {_LONG_K}, {_ITERATIONS} full iterations",
            unit="Mbit/s",
            work=long_bits,
            aim=60,
            prepare=lambda: _decode_noise(_LONG_K, 1),
        ),
        Case(
            name=f"turbo decoder, K {_SHORT_K}, {_SHORT_BLOCKS} blocks, {_ITERATIONS} full iterations",
            unit="Mbit/s",
            work=short_bits,
            aim=30,
            prepare=lambda: _decode_noise(_SHORT_K, _SHORT_BLOCKS),
        ),
        Case(name=f"turbo encoder, K {_LONG_K}", unit="Mbit/s", work=long_bits, prepare=_encode),
    ]


def _decode_noise(k: int, n_blocks: int) -> Callable[[], object]:
    """Blocks of nothing but noise never pass their CRC: no iteration is saved."""
    rng = np.random.default_rng(_SEED)
    buffers = [SlSchSoftBuffer(k - CRC24A.n_bits) for _ in range(n_blocks)]
    for buffer in buffers:
        buffer.combine(rng.standard_normal(_CODED_BITS_PER_BIT * k, dtype=np.float32), _QM, 0)
    return lambda: decode_transport_blocks(buffers, _ITERATIONS)


def _encode() -> Callable[[], object]:
    rng = np.random.default_rng(_SEED)
    tb = rng.integers(0, 2, _LONG_K - CRC24A.n_bits, dtype=np.uint8)
    return lambda: encode_sl_sch(tb, _CODED_BITS_PER_BIT * _LONG_K, _QM, 0)
