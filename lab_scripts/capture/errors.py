"""Errors of captures: what the user is told about a file that can't be used."""

from __future__ import annotations

from lab_scripts.exit_codes import LabError


class CaptureError(LabError):
    """A capture can't be read: not pcapng, cut short, or damaged."""


class KeyLogError(LabError):
    """A key log holds a line that is none."""


class InterceptExportError(LabError):
    """A file is no interception export."""
