"""Demodulation reference signals of the sidelink channels (TS 36.211 9.8, 5.5.2.1.1).

Each function gives the sequences of all reference symbols of a subframe: complex64, shape (n_reference_symbols,
12 * n_prb), unit modulus, read-only.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from radio.phy.dsp.sequences import gold_sequence
from radio.phy.lte.grid.base_sequences import N_GROUPS, base_sequence
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB

Dmrs = npt.NDArray[np.complex64]

V2X_PSCCH_CYCLIC_SHIFTS = (0, 3, 6, 9)
"""n_CS a V2X transmitter draws from (TS 36.211 9.8)."""
_N_CYCLIC_SHIFTS = 12
_V2X_PSCCH_GROUP = 8
_PSBCH_PRBS = 6
N_SSF = 10
"""Values of n_ssf^PSSCH (TS 36.211 9.2.4)."""
_MOST_SYMBOLS = 4
"""Reference symbols of a subframe in modes 3 and 4."""


@lru_cache(maxsize=1024)
def pssch_dmrs(n_prb: int, n_id_x: int, n_ssf: int, mode: Mode) -> Dmrs:
    """PSSCH over `n_prb` PRBs: n_id_x is n_ID^SA (modes 1, 2) or the CRC of the SCI (modes 3, 4)."""
    groups = pssch_groups(n_id_x, mode)[n_ssf].tolist()
    return _stack(groups, n_prb, n_id_x // 2 % 8, _orthogonal_weights(n_id_x, len(groups)))


@lru_cache(maxsize=1024)
def pssch_groups(n_id_x: int, mode: Mode) -> npt.NDArray[np.int64]:
    """Sequence group u of each reference symbol of PSSCH by n_ssf, int64 (10, n_reference_symbols), read-only.

    Group hopping is always on for PSSCH: u = (f_gh(n_s) + f_ss) mod 30 (TS 36.211 5.5.1.3, 9.8).
    """
    n_symbols, seed = (2, n_id_x) if mode is Mode.TM12 else (4, n_id_x // 16)
    result = (_hopping(n_id_x // N_GROUPS)[: N_SSF * n_symbols] + seed).reshape(N_SSF, n_symbols) % N_GROUPS
    result.setflags(write=False)
    return result


@lru_cache(maxsize=1024)
def psbch_dmrs(n_sl_id: int, mode: Mode) -> Dmrs:
    """PSBCH of the synchronisation source `n_sl_id`."""
    n_symbols = 2 if mode is Mode.TM12 else 3
    weights = _orthogonal_weights(n_sl_id, n_symbols)
    return _stack([n_sl_id // 16 % N_GROUPS] * n_symbols, _PSBCH_PRBS, n_sl_id // 2 % 8, weights)


@lru_cache(maxsize=1)
def pscch_dmrs() -> Dmrs:
    """PSCCH of transmission modes 1 and 2: one PRB."""
    return _stack([0, 0], 1, 0, [1, 1])


@lru_cache(maxsize=4)
def v2x_pscch_dmrs(n_cs: int) -> Dmrs:
    """PSCCH of transmission modes 3 and 4: two PRBs, `n_cs` as the transmitter drew it."""
    return _stack([_V2X_PSCCH_GROUP] * 4, 2, n_cs, [1, 1, 1, 1])


@lru_cache(maxsize=1)
def psdch_dmrs() -> Dmrs:
    """PSDCH: two PRBs."""
    return _stack([0, 0], 2, 0, [1, 1])


@lru_cache(maxsize=4096)
def _hopping(c_init: int) -> npt.NDArray[np.int64]:
    """f_gh of every slot that n_ssf reaches, int64 (40,): eight bits of the Gold sequence each (TS 36.211 5.5.1.3)."""
    octets = np.packbits(gold_sequence(c_init, 8 * N_SSF * _MOST_SYMBOLS), bitorder="little")
    return octets.astype(np.int64) % N_GROUPS


def _orthogonal_weights(identity: int, n_symbols: int) -> list[int]:
    """All ones for an even identity, alternating for an odd one."""
    return [-1 if identity % 2 and i % 2 else 1 for i in range(n_symbols)]


def _stack(groups: list[int], n_prb: int, n_cs: int, weights: list[int]) -> Dmrs:
    result = np.array([_row(u, n_prb, n_cs, weight) for u, weight in zip(groups, weights, strict=True)])
    result.setflags(write=False)
    return result


@lru_cache(maxsize=2048)
def _row(u: int, n_prb: int, n_cs: int, weight: int) -> npt.NDArray[np.complex64]:
    shift = np.exp(2j * np.pi * n_cs / _N_CYCLIC_SHIFTS * np.arange(n_prb * SUBCARRIERS_PER_PRB))
    return np.asarray(weight * shift * base_sequence(u, n_prb), dtype=np.complex64)
