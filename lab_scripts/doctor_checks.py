"""The checks of `pc5lab doctor`.

They need the standard library only, and each check is independent: a package that is missing, or belongs to another
program, spoils one finding only. Names and libraries are checked before any module of the lab is imported.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from lab_scripts.foreign_packages import HOME, foreign_packages, way_out
from lab_scripts.kernel_cache import use_kernel_cache
from lab_scripts.runs.scratch_folder import leftovers

_TUN_DEVICE = Path("/dev/net/tun")
_NEEDED = (
    "numpy",
    "numba",
    "scipy",
    "zmq",
    "cryptography",
    "gmpy2",
    "scapy",
    "serial",
    "aiohttp",
    "sqlalchemy",
    "typer",
)
_INSTALL_HINT = "install the lab into an environment of its own: make demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check. `missing` is for things that the lab can do without."""

    subject: str
    verdict: Literal["ok", "missing", "bad"]
    detail: str
    hint: str = ""


def examine() -> list[Finding]:
    """Make all checks; a check that fails itself is a finding."""
    return [finding for check in _CHECKS for finding in _looked_at(check)]


def all_well(findings: list[Finding]) -> bool:
    """Whether the lab can work."""
    return all(finding.verdict != "bad" for finding in findings)


def plain_report(findings: list[Finding], *, as_json: bool) -> str:
    """The findings as one JSON document, or as lines."""
    if as_json:
        return json.dumps({"ok": all_well(findings), "findings": [asdict(finding) for finding in findings]}, indent=2)
    return "\n".join(
        f"{finding.verdict:<8} {finding.subject}: {finding.detail}" + (f" ({finding.hint})" if finding.hint else "")
        for finding in findings
    )


def _looked_at(check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except Exception as error:
        subject = check.__name__.removeprefix("_").replace("_", " ")
        return [Finding(subject=subject, verdict="bad", detail=f"{type(error).__name__}: {error}", hint=_INSTALL_HINT)]


def _python() -> list[Finding]:
    version = sys.version.split()[0]
    return [Finding(subject="python", verdict="ok" if sys.version_info >= (3, 11) else "bad", detail=version)]


def _libraries() -> list[Finding]:
    findings = []
    for name in _NEEDED:
        try:
            importlib.import_module(name)
            findings.append(Finding(subject=f"library {name}", verdict="ok", detail="imports"))
        except Exception as error:  # a library that is half installed raises anything
            detail = str(error) or type(error).__name__
            findings.append(Finding(subject=f"library {name}", verdict="bad", detail=detail, hint=_INSTALL_HINT))
    fftw = importlib.util.find_spec("pyfftw") is not None
    findings.append(
        Finding(
            subject="library pyfftw",
            verdict="ok" if fftw else "missing",
            detail="FFTW transforms" if fftw else "scipy.fft is used instead, 3 to 6 times slower transforms",
            hint="" if fftw else "pip install 'pc5lab[fftw]'",
        )
    )
    return findings


def _package_names() -> list[Finding]:
    """The import names `radio` and `security` are generic: another distribution may have taken them."""
    foreign = foreign_packages()
    if not foreign:
        return [Finding(subject="package names", verdict="ok", detail=f"all of pc5lab is in {HOME}")]
    return [Finding(subject="package names", verdict="bad", detail="; ".join(foreign), hint=way_out())]


def _radios() -> list[Finding]:
    findings = []
    for module, packages in (("uhd", "python3-uhd uhd-host"), ("SoapySDR", "python3-soapysdr")):
        found = importlib.util.find_spec(module) is not None
        findings.append(
            Finding(
                subject=f"radio binding {module}",
                verdict="ok" if found else "missing",
                detail="found" if found else "not in this environment: the emulator still works",
                hint="" if found else f"from the operating system: apt-get install {packages}",
            )
        )
    return findings


def _serial_ports() -> list[Finding]:
    from serial.tools import list_ports

    ports = [port.device for port in list_ports.comports()]
    verdict: Literal["ok", "missing"] = "ok" if ports else "missing"
    return [Finding(subject="serial ports", verdict=verdict, detail=", ".join(ports) or "none: no bench gear attached")]


def _permissions() -> list[Finding]:
    tun = _TUN_DEVICE.exists() and os.access(_TUN_DEVICE, os.W_OK)
    return [
        Finding(
            subject="TUN interface",
            verdict="ok" if tun else "missing",
            detail=str(_TUN_DEVICE) if tun else "no permission: the in-process IP endpoint is used",
        ),
        _kernel_cache(),
        _temporary_files(),
    ]


def _kernel_cache() -> Finding:
    kernels = use_kernel_cache()
    passed_over = "; ".join(kernels.passed_over)
    hint = "set NUMBA_CACHE_DIR to a folder that you may write to" if passed_over else ""
    if kernels.folder is None:
        detail = f"no folder can be written to ({passed_over}): kernels compile at every start, about a minute"
        return Finding(subject="kernel cache", verdict="missing", detail=detail, hint=hint)
    detail = f"{kernels.folder} (not {passed_over})" if passed_over else str(kernels.folder)
    return Finding(subject="kernel cache", verdict="missing" if passed_over else "ok", detail=detail, hint=hint)


def _temporary_files() -> Finding:
    hint = "set TMPDIR to a folder that you may write to"
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as error:
        detail = f"{error.strerror}: the demo needs a temporary folder"
        return Finding(subject="temporary files", verdict="missing", detail=detail, hint=hint)
    left = leftovers(folder)
    if left:
        names = ", ".join(path.name for path in left)
        detail = f"{folder} holds what killed runs left, keys among it: {names}"
        return Finding(subject="temporary files", verdict="missing", detail=detail, hint="the next demo removes it")
    return Finding(subject="temporary files", verdict="ok", detail=str(folder))


def _programs() -> list[Finding]:
    found = shutil.which("tshark")
    detail = found or "not installed: only interop tests need it"
    hint = "" if found else "make interop"
    return [Finding(subject="tshark", verdict="ok" if found else "missing", detail=detail, hint=hint)]


def _self_test() -> list[Finding]:
    """One SCI through coding, waveform and back: the PHY's own verdict on this machine."""
    import numpy as np

    from radio.phy.lte.channels import pscch
    from radio.phy.lte.channels.sci import SciFormat0
    from radio.phy.lte.grid import scfdma
    from radio.phy.lte.grid.numerology import Carrier

    carrier = Carrier(25)
    sci = SciFormat0(hopping=False, riv=3, i_trp=40, mcs=5, timing_advance=0, group_destination_id=77)
    grid = np.zeros((carrier.n_symbols, carrier.n_subcarriers), np.complex64)
    pscch.map_pscch(grid, carrier, sci, 7)
    heard = pscch.receive_pscch(carrier, scfdma.demodulate(carrier, scfdma.modulate(carrier, grid)), range(25))
    good = [found.sci for found in heard] == [sci]
    detail = "an SCI through PSCCH and back" if good else f"sent {sci}, heard {heard}"
    return [Finding(subject="self-test", verdict="ok" if good else "bad", detail=detail)]


_CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    _python,
    _package_names,
    _libraries,
    _radios,
    _serial_ports,
    _permissions,
    _programs,
    _self_test,
)
