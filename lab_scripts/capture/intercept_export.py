"""Reads the file of `pc5lab kms intercept export`: session keys, each with the name of its I_MESSAGE."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lab_scripts.capture.errors import InterceptExportError
from radio.text_file import TextError, read_text
from security.kms.intercept_forms import InterceptProduct
from security.kms_wire.errors import KmsProtocolError
from security.kms_wire.protocol import decode

_MAX_OCTETS = 64 << 20


def read_exports(paths: Iterable[Path]) -> dict[bytes, bytes]:
    """SHA-256 of an I_MESSAGE's signed part -> SSV, of all exports. Raises InterceptExportError, OSError."""
    ssvs = {}
    for path in paths:
        try:
            product = decode(InterceptProduct, read_text(path, max_octets=_MAX_OCTETS).encode())
        except (KmsProtocolError, TextError) as error:
            raise InterceptExportError(f"{path} is no interception export: {error}") from None
        for session in product.sessions:
            ssvs[bytes.fromhex(session.signed_part_sha256)] = bytes.fromhex(session.ssv)
    return ssvs
