"""SL-Preconfiguration-r12 in unaligned PER, as RRC carries it: the only file that knows pycrate, which is LGPL."""

from __future__ import annotations

import importlib
from typing import Any

from lab_scripts.exit_codes import ExitCode, LabError

_HINT = "pip install pycrate; or use the value form: --form json"
MAX_OCTETS = 4096
"""Four pools of each kind have a few hundred octets."""


def encode_uper(value: dict[str, Any]) -> bytes:
    """The octets of an ASN.1 value. Raises LabError: no pycrate, or a value that the ASN.1 does not allow."""
    asn1 = _preconfiguration_type()
    try:
        asn1.set_val(value)
        return bytes(asn1.to_uper())
    except Exception as error:  # pycrate has no one base for what it raises
        raise LabError(f"SL-Preconfiguration does not allow this value: {error}") from error


def decode_uper(octets: bytes) -> dict[str, Any]:
    """The ASN.1 value of octets, which must be all of it. Raises LabError."""
    if len(octets) > MAX_OCTETS:
        raise LabError(f"{len(octets)} octets are too many for an SL-Preconfiguration: {MAX_OCTETS} at most")
    asn1 = _preconfiguration_type()
    try:
        asn1.from_uper(octets)
        value: dict[str, Any] = asn1.get_val()
        whole = bytes(asn1.to_uper())
    except Exception as error:
        raise LabError(f"no SL-Preconfiguration in UPER: {error or type(error).__name__}") from error
    if whole != octets:
        raise LabError(f"no SL-Preconfiguration in UPER: its value has {len(whole)} octets, the file {len(octets)}")
    return value


def _preconfiguration_type() -> Any:
    try:
        rrc = importlib.import_module("pycrate_asn1dir.RRCLTE")
    except ImportError as error:
        raise LabError("UPER needs pycrate, which is not installed", code=ExitCode.USAGE, hint=_HINT) from error
    return rrc.EUTRA_Sidelink_Preconf.SL_Preconfiguration_r12
