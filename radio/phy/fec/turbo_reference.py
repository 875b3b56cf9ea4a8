"""Max-log-MAP turbo decoding in floating point: the definition that the tests compare the fast decoder with.

It is written for reading: whole trellises, no windows, no fixed point, a fixed number of iterations. `turbo_decoder`
may differ from it in single bits near the limit of what can be decoded, but not in block error rate; tests compare
both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from radio.arrays import Bits
from radio.phy.fec.qpp import permutation
from radio.phy.fec.turbo import N_STATES, step

EXTRINSIC_SCALE = 0.75
"""Damping that makes up for the optimism of the max-log approximation."""

Metrics = npt.NDArray[np.float64]

_STATES = np.arange(N_STATES)
_NEXT = np.array([[step(s, u)[0] for u in (0, 1)] for s in range(N_STATES)])
_PARITY = np.array([[step(s, u)[1] for u in (0, 1)] for s in range(N_STATES)])


def _branch_metrics(x: Metrics, y: Metrics) -> Metrics:
    """Metric of leaving each state with bit 0 and bit 1, (batch, 8, 2): half the LLR, signed by the bit."""
    sign_u = np.array([1.0, -1.0])
    sign_p = 1.0 - 2.0 * _PARITY
    return 0.5 * (x[:, None, None] * sign_u + y[:, None, None] * sign_p)


def _constituent(x: Metrics, y: Metrics, n_bits: int) -> Metrics:
    """A posteriori LLRs (batch, n_bits) of one terminated trellis; x and y are (batch, n_bits + 3)."""
    batch, n = x.shape
    alpha = np.empty((n + 1, batch, N_STATES))
    alpha[0] = np.where(_STATES == 0, 0.0, -1e9)
    for k in range(n):
        branch = alpha[k][:, :, None] + _branch_metrics(x[:, k], y[:, k])
        after = np.full((batch, N_STATES), -np.inf)
        for u in (0, 1):
            after[:, _NEXT[:, u]] = np.maximum(after[:, _NEXT[:, u]], branch[:, :, u])
        alpha[k + 1] = after
    beta = np.broadcast_to(np.where(_STATES == 0, 0.0, -1e9), (batch, N_STATES))
    posterior = np.empty((batch, n))
    for k in range(n - 1, -1, -1):
        to_end = _branch_metrics(x[:, k], y[:, k]) + beta[:, _NEXT]
        whole = (alpha[k][:, :, None] + to_end).max(axis=1)
        posterior[:, k] = whole[:, 0] - whole[:, 1]
        beta = to_end.max(axis=2)
    return posterior[:, :n_bits]


def decode(llrs: npt.NDArray[np.floating], iterations: int, n_filler: int = 0) -> Bits:
    """Decode turbo code blocks.

    `llrs` (batch, 3, K + 4): ln P(0)/P(1) of d(0), d(1), d(2) with tail bits, 0 where nothing was received;
    the first `n_filler` bits are known to be zero. Returns uint8 (batch, K). TS 36.212 5.1.3.2.
    """
    batch, _, n = llrs.shape
    k = n - 4
    pi = permutation(k)
    streams = llrs.astype(np.float64)
    streams[:, :2, :n_filler] = 1e4
    tail = streams[:, :, k:].transpose(0, 2, 1).reshape(batch, 2, 3, 2)
    systematic = streams[:, 0, :k]
    parities = [np.concatenate([streams[:, 1 + c, :k], tail[:, c, :, 1]], axis=1) for c in (0, 1)]
    extrinsic_2 = np.zeros((batch, k))
    posterior = np.zeros((batch, k))
    for _ in range(iterations):
        x = systematic + extrinsic_2
        posterior = _constituent(np.concatenate([x, tail[:, 0, :, 0]], axis=1), parities[0], k)
        x = (systematic + EXTRINSIC_SCALE * (posterior - x))[:, pi]
        posterior_2 = _constituent(np.concatenate([x, tail[:, 1, :, 0]], axis=1), parities[1], k)
        extrinsic_2[:, pi] = EXTRINSIC_SCALE * (posterior_2 - x)
        posterior[:, pi] = posterior_2
    return (posterior < 0).astype(np.uint8)
