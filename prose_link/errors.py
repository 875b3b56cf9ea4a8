"""The base of everything the direct link raises."""

from __future__ import annotations


class ProseLinkError(Exception):
    """Base class of the errors the direct link raises."""
