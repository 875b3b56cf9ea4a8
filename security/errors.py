"""The base of everything the security package raises."""

from __future__ import annotations


class SecurityError(Exception):
    """Base class of the errors the security package raises."""
