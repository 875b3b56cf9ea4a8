"""The base of everything the radio raises."""

from __future__ import annotations


class RadioError(Exception):
    """Base class of the errors the radio raises: bad configuration, bad input, a device that failed."""
