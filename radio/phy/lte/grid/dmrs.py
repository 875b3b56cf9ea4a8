"""Demodulation reference signals of the sidelink channels (TS 36.211 9.8, 5.5.2.1.1).

A reference symbol is known to the receiver and fills every subcarrier of the allocation; dividing by it gives the
channel. It is a base sequence r_(u,0) with a cyclic shift (a phase slope over the subcarriers), times +1 or -1 from
symbol to symbol. Which of these depend on what differs by channel: PSSCH hops its group u with the subframe and takes
all three from the group destination id, so that two transmitters on the same PRBs seldom share a signal; PSBCH takes
them from the identity of the synchronisation source; PSCCH and PSDCH have one fixed signal, since a receiver has to
find them without knowing the transmitter. In modes 3 and 4 the transmitter of PSCCH draws the shift.

Each function gives the sequences of all reference symbols of a subframe: complex64, shape (n_reference_symbols,
12 * n_prb), unit modulus, read-only, cached.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Complexes, Places, Words64
from radio.phy.dsp.sequences import gold_sequence, gold_words, register_images
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
    """PSSCH over `n_prb` PRBs, complex64 (2 or 4, 12 * n_prb) (TS 36.211 9.8).

    `n_id_x` is n_ID^SA in modes 1 and 2, the CRC of the SCI in modes 3 and 4; `n_ssf` 0..9 is n_ssf^PSSCH.
    """
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


def pssch_dmrs_of(
    n_prb: int, n_id_xs: npt.NDArray[np.int64], n_ssfs: npt.NDArray[np.int64], mode: Mode
) -> npt.NDArray[np.complex64]:
    """`pssch_dmrs` of several transmissions, one after another: complex64 (n, n_reference_symbols, 12 n_prb)."""
    groups = pssch_groups_of(n_id_xs, mode)
    dmrs = np.empty((n_id_xs.size, groups.shape[2], n_prb * SUBCARRIERS_PER_PRB), dtype=np.complex64)
    _place_sequences(n_id_xs, n_ssfs, groups, _base_sequences(n_prb), _cyclic_shifts(), dmrs)
    return dmrs


def pssch_groups_of(n_id_xs: npt.NDArray[np.int64], mode: Mode) -> npt.NDArray[np.int64]:
    """`pssch_groups` of several identities, int64 (n, 10, n_reference_symbols)."""
    n_symbols, divisor = (2, 1) if mode is Mode.TM12 else (4, 16)
    groups = np.empty((n_id_xs.size, N_SSF, n_symbols), dtype=np.int64)
    _hop(n_id_xs, divisor, register_images(), groups)
    return groups


@lru_cache(maxsize=64)
def _base_sequences(n_prb: int) -> npt.NDArray[np.complex64]:
    """The base sequence of every group, complex64 (30, 12 n_prb)."""
    return np.array([base_sequence(u, n_prb) for u in range(N_GROUPS)])


@lru_cache(maxsize=1)
def _cyclic_shifts() -> npt.NDArray[np.complex64]:
    """exp(j 2 pi n_cs k / 12) of every cyclic shift over one PRB, complex64 (12, 12)."""
    k = np.arange(_N_CYCLIC_SHIFTS)
    return np.exp(2j * np.pi / _N_CYCLIC_SHIFTS * np.outer(k, k)).astype(np.complex64)


@njit(cache=True, nogil=True)
def _hop(n_id_xs: Places, divisor: int, images: Words64, groups: Places) -> None:
    """Sequence groups (TS 36.211 5.5.1.3, 9.8): eight bits of the Gold sequence for each slot, and the seed."""
    n, n_ssf, n_symbols = groups.shape
    n_slots = n_ssf * n_symbols
    words = np.empty((8 * n_slots + 27) // 28, dtype=np.uint64)
    for i in range(n):
        gold_words(n_id_xs[i] // 30, images, words)
        for slot in range(n_slots):
            octet = np.int64(0)
            for b in range(8):
                place = 8 * slot + b
                octet |= np.int64((words[place // 28] >> np.uint64(place % 28)) & np.uint64(1)) << b
            groups[i, slot // n_symbols, slot % n_symbols] = (octet % 30 + n_id_xs[i] // divisor) % 30


@njit(cache=True, nogil=True, fastmath=True)
def _place_sequences(
    n_id_xs: Places, n_ssfs: Places, groups: Places, sequences: Complexes, shifts: Complexes, dmrs: Complexes
) -> None:
    for i in range(dmrs.shape[0]):
        shift = shifts[n_id_xs[i] // 2 % 8]
        for d in range(dmrs.shape[1]):
            weight = np.float32(-1 if n_id_xs[i] % 2 and d % 2 else 1)
            sequence = sequences[groups[i, n_ssfs[i], d]]
            for first in range(0, dmrs.shape[2], 12):
                for k in range(12):
                    dmrs[i, d, first + k] = sequence[first + k] * (shift[k] * weight)


@lru_cache(maxsize=1024)
def psbch_dmrs(n_sl_id: int, mode: Mode) -> Dmrs:
    """PSBCH of the synchronisation source `n_sl_id`, complex64 (2 or 3, 72) (TS 36.211 9.8)."""
    n_symbols = 2 if mode is Mode.TM12 else 3
    weights = _orthogonal_weights(n_sl_id, n_symbols)
    return _stack([n_sl_id // 16 % N_GROUPS] * n_symbols, _PSBCH_PRBS, n_sl_id // 2 % 8, weights)


@lru_cache(maxsize=1)
def pscch_dmrs() -> Dmrs:
    """PSCCH of transmission modes 1 and 2: one PRB, complex64 (2, 12) (TS 36.211 9.8)."""
    return _stack([0, 0], 1, 0, [1, 1])


@lru_cache(maxsize=4)
def v2x_pscch_dmrs(n_cs: int) -> Dmrs:
    """PSCCH of transmission modes 3 and 4: two PRBs, complex64 (4, 24) (TS 36.211 9.8).

    `n_cs` is the cyclic shift that the transmitter drew from `V2X_PSCCH_CYCLIC_SHIFTS`.
    """
    return _stack([_V2X_PSCCH_GROUP] * 4, 2, n_cs, [1, 1, 1, 1])


@lru_cache(maxsize=1)
def psdch_dmrs() -> Dmrs:
    """PSDCH: two PRBs, complex64 (2, 24) (TS 36.211 9.8)."""
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
