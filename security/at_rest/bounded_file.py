"""Reads files whose path comes from a user or another program: never more octets than a file of their kind can have."""

from __future__ import annotations

import errno
from pathlib import Path


def read_bounded(path: Path, max_octets: int) -> bytes:
    """The octets of a file. Raises OSError, EFBIG if there are more than `max_octets`."""
    with path.open("rb") as file:
        octets = file.read(max_octets + 1)
    if len(octets) > max_octets:
        raise OSError(errno.EFBIG, f"more than {max_octets} octets, so no file of this kind", str(path))
    return octets
