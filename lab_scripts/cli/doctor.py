"""`pc5lab doctor`: what of the lab works on this machine, and what to do about the rest."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from lab_scripts.exit_codes import ExitCode

app = typer.Typer()

_TUN_DEVICE = Path("/dev/net/tun")
_OUR_PACKAGES = ("radio", "security", "prose_link", "hw_configs", "lab_scripts")
_NEEDED = ("numpy", "numba", "scipy", "zmq", "cryptography", "gmpy2", "scapy", "serial", "aiohttp", "sqlalchemy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at. `missing` is for what the lab can do without."""

    subject: str
    verdict: Literal["ok", "missing", "bad"]
    detail: str
    hint: str = ""


@app.callback(invoke_without_command=True)
def doctor(as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False) -> int:
    """Check libraries, radios, serial gear, permissions, and run a self-test. Example: pc5lab doctor"""
    findings = [finding for check in _CHECKS for finding in check()]
    if as_json:
        print(json.dumps({"ok": _all_well(findings), "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        _print(findings)
    return int(ExitCode.OK if _all_well(findings) else ExitCode.FAILED)


def _all_well(findings: list[Finding]) -> bool:
    return all(finding.verdict != "bad" for finding in findings)


def _python() -> list[Finding]:
    version = sys.version.split()[0]
    return [Finding(subject="python", verdict="ok" if sys.version_info >= (3, 11) else "bad", detail=version)]


def _libraries() -> list[Finding]:
    findings = []
    for name in _NEEDED:
        try:
            importlib.import_module(name)
            findings.append(Finding(subject=f"library {name}", verdict="ok", detail="imports"))
        except ImportError as error:
            hint = "install the lab into an environment of its own: make demo"
            findings.append(Finding(subject=f"library {name}", verdict="bad", detail=str(error), hint=hint))
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
    home = Path(__file__).resolve().parents[2]
    strangers = []
    for name in _OUR_PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None or home not in Path(spec.origin).resolve().parents:
            strangers.append(f"{name} is {spec.origin if spec else 'missing'}")
    if not strangers:
        return [Finding(subject="package names", verdict="ok", detail=f"all of pc5lab is in {home}")]
    hint = "install the lab into an environment of its own"
    return [Finding(subject="package names", verdict="bad", detail="; ".join(strangers), hint=hint)]


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
    cache = Path(os.environ.get("NUMBA_CACHE_DIR", Path(__file__).resolve().parents[2] / "radio"))
    writable = os.access(cache if cache.exists() else cache.parent, os.W_OK)
    return [
        Finding(
            subject="TUN interface",
            verdict="ok" if tun else "missing",
            detail=str(_TUN_DEVICE) if tun else "no permission: the in-process IP endpoint is used",
        ),
        Finding(
            subject="kernel cache",
            verdict="ok" if writable else "missing",
            detail=str(cache) if writable else f"{cache} is not writable: kernels compile at every start",
            hint="" if writable else "set NUMBA_CACHE_DIR to a folder of yours",
        ),
    ]


def _programs() -> list[Finding]:
    found = shutil.which("tshark")
    detail = found or "not installed: only interop tests need it"
    hint = "" if found else "make interop"
    return [Finding(subject="tshark", verdict="ok" if found else "missing", detail=detail, hint=hint)]


def _self_test() -> list[Finding]:
    """One SCI through coding, waveform and back: the PHY's own verdict on this machine."""
    import numpy as np

    from radio.phy import pscch, scfdma
    from radio.phy.numerology import Carrier
    from radio.phy.sci import SciFormat0

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
    _libraries,
    _package_names,
    _radios,
    _serial_ports,
    _permissions,
    _programs,
    _self_test,
)


def _print(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table

    colours = {"ok": "green", "missing": "yellow", "bad": "red"}
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "found", "hint"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        colour = colours[finding.verdict]
        table.add_row(f"[{colour}]{finding.verdict}[/]", finding.subject, finding.detail, finding.hint)
    Console().print(table)
