"""Resource indication values: a start and a length in one number (TS 36.213 8.1.1, 14.1.1.4C)."""

from __future__ import annotations

from radio.errors import RadioError


class RivError(RadioError):
    """An allocation that does not fit its bandwidth, or a value that stands for none."""


def riv_width(n: int) -> int:
    """Bits of a RIV over `n` units: ceil(log2(n(n+1)/2))."""
    return (n * (n + 1) // 2 - 1).bit_length()


def encode_riv(first: int, length: int, n: int) -> int:
    """RIV of `length` contiguous units from `first` of `n`. Raises RivError."""
    if length < 1 or first < 0 or first + length > n:
        raise RivError(f"allocation of {length} from {first} does not fit in {n}")
    if length - 1 <= n // 2:
        return n * (length - 1) + first
    return n * (n - length + 1) + n - 1 - first


def decode_riv(riv: int, n: int) -> tuple[int, int]:
    """(first, length) that `riv` over `n` units stands for. Raises RivError."""
    if not 0 <= riv < n * (n + 1) // 2:
        raise RivError(f"RIV {riv} stands for no allocation of {n}")
    row, column = divmod(riv, n)
    if row + column < n:
        return column, row + 1
    return n - 1 - column, n - row + 1
