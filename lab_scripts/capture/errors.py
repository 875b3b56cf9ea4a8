"""Errors of captures: unusable files."""

from __future__ import annotations

from lab_scripts.exit_codes import LabError


class CaptureError(LabError):
    """A capture can't be read: not pcapng, cut short, or damaged."""


class KeyLogError(LabError):
    """A line of a key log is malformed."""


class InterceptExportError(LabError):
    """A file is no interception export."""
