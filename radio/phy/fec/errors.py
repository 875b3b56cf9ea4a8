"""Errors of the channel coding."""

from __future__ import annotations

from radio.errors import RadioError


class CodingError(RadioError):
    """A block size, a number of bits or a redundancy version that TS 36.212 does not define."""
