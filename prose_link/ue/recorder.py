"""Keeps the last received samples and equalised symbols of a UE, for pictures after the run."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np

from radio.arrays import Iq

MAX_TRANSMISSIONS = 16


class Recorder:
    """A bounded memory of what a UE received.

    Args:
        n_blocks: how many of the latest blocks of samples to keep.
    """

    def __init__(self, n_blocks: int) -> None:
        self._blocks: deque[Iq] = deque(maxlen=n_blocks)
        self._first_sample = 0
        self._blocks_left: int | None = None
        self._symbols: deque[Iq] = deque(maxlen=MAX_TRANSMISSIONS)

    def take_samples(self, iq: Iq, first_sample: int) -> None:
        """Keep a block of samples, complex64 (n,), and where it began; the oldest makes room."""
        if self._blocks_left == 0 or self._blocks.maxlen == 0:
            return
        if self._blocks_left is not None:
            self._blocks_left -= 1
        self._blocks.append(iq.copy())
        self._first_sample = first_sample + len(iq)

    def take_symbols(self, symbols: Iq) -> None:
        """Equalised data symbols of one received transmission; those of the widest ones are kept."""
        widest = max((len(kept) for kept in self._symbols), default=0)
        if len(symbols) > widest:
            self._symbols.clear()
        if len(symbols) >= widest:
            self._symbols.append(symbols.copy())

    def freeze_after(self, n_blocks: int) -> None:
        """Take that many more blocks of samples, then keep them as they are."""
        if self._blocks_left is None:
            self._blocks_left = n_blocks

    def save(self, path: Path, sample_rate_hz: float) -> None:
        """Write samples and symbols to a NumPy archive."""
        iq = np.concatenate(list(self._blocks)) if self._blocks else np.zeros(0, np.complex64)
        symbols = np.concatenate(list(self._symbols)) if self._symbols else np.zeros(0, np.complex64)
        np.savez(
            path,
            iq=iq,
            first_sample=self._first_sample - len(iq),
            sample_rate_hz=sample_rate_hz,
            symbols=symbols,
        )
