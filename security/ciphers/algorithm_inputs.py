"""Common parts of all 128-EEA and 128-EIA: checks of their inputs, lengths in bits, and batches of packets."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import ClassVar

from security.errors import USAGE, SecurityError


class AlgorithmError(SecurityError):
    """An algorithm number, key, counter or length is out of range."""

    exit_code: ClassVar[int] = USAGE


def check_inputs(count: int, bearer: int, direction: int, data: bytes, bit_length: int | None) -> int:
    """The message's length in bits; raises AlgorithmError for COUNT, BEARER, DIRECTION or a length out of range."""
    if not (0 <= count <= 0xFFFFFFFF and 0 <= bearer <= 31 and direction in (0, 1)):
        raise AlgorithmError(f"COUNT {count}, BEARER {bearer} or DIRECTION {direction} out of range")
    bits = 8 * len(data) if bit_length is None else bit_length
    if not 0 <= bits <= 8 * len(data):
        raise AlgorithmError(f"{bits} bits asked for in a message of {8 * len(data)}")
    return bits


def first_bits(octets: bytes, bits: int) -> bytes:
    """The octets that hold the first `bits` bits, the rest of the last one zero."""
    kept = octets[: (bits + 7) // 8]
    if bits % 8:
        kept = kept[:-1] + bytes([kept[-1] & (0xFF00 >> bits % 8) & 0xFF])
    return kept


def in_one_piece(
    apply: Callable[[Sequence[int], int, int, bytes, Sequence[int]], bytes],
    counts: Sequence[int],
    bearer: int,
    direction: int,
    packets: Sequence[bytes],
    *,
    alignment: int = 1,
) -> list[bytes]:
    """Join packets, each padded to `alignment` octets, for a cipher of batches.

    Returns COUNTs, BEARER, DIRECTION, the joined octets, and the end of each packet in it. Raises AlgorithmError.
    """
    check_batch(counts, bearer, direction, packets)
    laid = packets if alignment == 1 else [packet + bytes(-len(packet) % alignment) for packet in packets]
    ends = list(itertools.accumulate(map(len, laid)))
    done = apply(counts, bearer, direction, b"".join(laid), ends)
    starts = [0, *ends]
    return [done[start : start + len(packet)] for start, packet in zip(starts, packets, strict=False)]


def check_batch(counts: Sequence[int], bearer: int, direction: int, packets: Sequence[bytes]) -> None:
    """Raise AlgorithmError unless every packet has a COUNT (32 bits), and BEARER (5 bits) and DIRECTION (1 bit) fit."""
    if len(counts) != len(packets):
        raise AlgorithmError(f"{len(counts)} COUNTs for {len(packets)} packets")
    for count in counts:
        check_inputs(count, bearer, direction, b"", None)
