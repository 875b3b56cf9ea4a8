"""Time resource patterns of PSSCH (TS 36.213 14.1.1.1.1, 14.1.1.3).

A grant does not name its subframes. It names a pattern, I_TRP: a bitmap of N_TRP (6, 7 or 8) bits that is repeated over
the subframes of the pool, k_TRP ones in each. A denser pattern carries more in an SC period and collides with more
others. Patterns with the same k_TRP overlap in different places, so that two UEs that chose different ones meet in
some subframes only, and each hears the other in the rest: this is what lets half-duplex UEs hear each other's control.
"""

from __future__ import annotations

from functools import lru_cache

from radio.errors import RadioError

_N_TRP_OF_TDD_CONFIG = {None: 8, 0: 7, 1: 8, 2: 8, 3: 6, 4: 8, 5: 8, 6: 6}
_MODE_2_K_TRP = {8: (1, 2, 4), 7: (1, 2, 3, 4, 5), 6: (1, 2, 3, 4)}
"""TS 36.213 Table 14.1.1.3-1, by N_TRP."""


class TrptError(RadioError):
    """An I_TRP that is reserved."""


def n_trp(tdd_config: int | None) -> int:
    """N_TRP of an uplink-downlink configuration 0..6, None for FDD."""
    return _N_TRP_OF_TDD_CONFIG[tdd_config]


@lru_cache(maxsize=3)
def trp_bitmaps(n_trp: int) -> tuple[tuple[int, ...] | None, ...]:
    """Bitmaps (b'_0 .. b'_(N_TRP-1)) by I_TRP, None where reserved (TS 36.213 Tables 14.1.1.1.1-1 to -3).

    For N_TRP = 8 the patterns of k_TRP = 1, 2, 4 and 8 stand in ascending order of the number whose LSB is b'_0; for
    7 and 6 that number is I_TRP itself.
    """
    numbers: list[int] = list(range(1 << n_trp))
    if n_trp == 8:
        numbers = [number for k in (1, 2, 4, 8) for number in numbers if number.bit_count() == k]
    return tuple(tuple(number >> i & 1 for i in range(n_trp)) if number else None for number in numbers)


def trp_bitmap(i_trp: int, n_trp: int = 8) -> tuple[int, ...]:
    """Bitmap of one I_TRP. Raises TrptError where it is reserved."""
    bitmaps = trp_bitmaps(n_trp)
    bitmap = bitmaps[i_trp] if 0 <= i_trp < len(bitmaps) else None
    if bitmap is None:
        raise TrptError(f"I_TRP {i_trp} is reserved for N_TRP = {n_trp}")
    return bitmap


@lru_cache(maxsize=64)
def mode_2_i_trps(n_trp: int = 8, trpt_subset: str | None = None) -> tuple[int, ...]:
    """I_TRP values a UE may choose in transmission mode 2; `trpt_subset` is trpt-Subset as text, a_0 first.

    Raises TrptError where the subset has the wrong length.
    """
    k_values = _MODE_2_K_TRP[n_trp]
    subset = "1" * len(k_values) if trpt_subset is None else trpt_subset
    if len(subset) != len(k_values) or set(subset) - {"0", "1"}:
        raise TrptError(f"trpt-Subset {subset!r} is not {len(k_values)} binary digits")
    allowed = {k for k, bit in zip(k_values, subset, strict=True) if bit == "1"}
    return tuple(i for i, bitmap in enumerate(trp_bitmaps(n_trp)) if bitmap is not None and sum(bitmap) in allowed)
