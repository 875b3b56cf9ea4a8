"""An IMS core for a run: stock Kamailio twice, in the roles of P-CSCF and S-CSCF, from the files in hw_configs/ims.

What it is: the two roles with Path, Service-Route, asserted identities and Digest. What it is not: an HSS with Cx, an
I-CSCF, IPsec, filter criteria, charging. Each run has addresses of its own in 127/8, so that several don't meet.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import IO, Final, Literal

from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.runs.supervisor import die_with_parent

DOMAIN: Final = "ims.test"
PORT: Final = 5060
TLS_PORT: Final = 5061
START_LIMIT_S: Final = 10.0
"""How long an instance may take until it answers on its control socket."""
STOP_LIMIT_S: Final = 5.0
HINT: Final = "`make interop` installs Debian's packages kamailio and sip-tester"

Role = Literal["pcscf", "scscf"]
ROLES: Final[tuple[Role, ...]] = ("scscf", "pcscf")
"""In the order of starting."""
Algorithm = Literal["MD5", "SHA-256", "both"]
_DEFINES: Final[dict[str, tuple[str, ...]]] = {"MD5": ("DIGEST_MD5",), "SHA-256": (), "both": ("DIGEST_BOTH",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """One subscription: a telephone number at the home domain."""

    number: str
    """E.164 with +."""
    password: str = field(repr=False)

    @property
    def user_name(self) -> str:
        """Its private identity (IMPI)."""
        return f"{self.number}@{DOMAIN}"

    @property
    def identities(self) -> tuple[str, ...]:
        """Its public identities (IMPU), the default first."""
        return f"tel:{self.number}", f"sip:{self.number}@{DOMAIN}"


def kamailio() -> str:
    """Where the program is. Raises LabError with the hint where it is missing."""
    found = shutil.which("kamailio") or shutil.which("kamailio", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise LabError("Kamailio is not installed", code=ExitCode.HARDWARE, hint=HINT)
    return found


class ImsCore:
    """One core. Use as a context manager: leaving it stops what runs. Raises LabError where Kamailio is missing.

    Args:
        folder: where its files and sockets are; a short path, since sockets have short names.
        logs: where its logs go.
        subscribers: who may register.
        block: third octet of its addresses, 0 to 255: 127.53.`block`.x.
        algorithm: what Digest challenges with.
        tls: whether the P-CSCF takes TLS; `folder` then has its certificate and key, p.pem and p.key.
        big_over_tcp: requests over 1300 octets leave the core by TCP (RFC 3261 18.1.1); UEs must listen there.
    """

    def __init__(
        self,
        folder: Path,
        logs: Path,
        subscribers: Sequence[Subscriber],
        *,
        block: int = 0,
        algorithm: Algorithm = "SHA-256",
        tls: bool = False,
        big_over_tcp: bool = True,
    ) -> None:
        self._program = kamailio()
        self._folder, self._logs = folder, logs
        self._network = f"127.53.{block}"
        self._defines = {
            "scscf": (*_DEFINES[algorithm], *(("BIG_OVER_TCP",) if big_over_tcp else ())),
            "pcscf": (*(("WITH_TLS",) if tls else ()), *(("BIG_OVER_TCP",) if big_over_tcp else ())),
        }
        self._running: dict[Role, subprocess.Popen[bytes]] = {}
        self._log_files: list[IO[bytes]] = []
        self._write_files(subscribers)

    @property
    def proxy(self) -> str:
        """Address of the P-CSCF."""
        return f"{self._network}.20"

    @property
    def registrar(self) -> str:
        """Address of the S-CSCF."""
        return f"{self._network}.30"

    def ue_address(self, place: int) -> str:
        """An address for a UE, by its place from 0."""
        return f"{self._network}.{100 + place}"

    def start(self, role: Role) -> None:
        """Start an instance and wait until it answers. Raises LabError."""
        self._logs.mkdir(parents=True, exist_ok=True)
        log = (self._logs / f"{role}.log").open("ab")
        self._log_files.append(log)
        control = self._folder / f"{role}.ctl"
        control.unlink(missing_ok=True)
        defines = [part for name in self._defines[role] for part in ("-A", name)]
        self._running[role] = subprocess.Popen(
            [self._program, "-f", f"{role}.cfg", "-Y", str(self._folder), "-m", "64", "-M", "8", "-DD", *defines],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        self._wait_for(role, control)

    def stop(self, role: Role) -> None:
        """Stop an instance in good order: all that it held in memory is gone."""
        process = self._running.pop(role)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> ImsCore:
        try:
            for role in ROLES:
                self.start(role)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop what runs."""
        for role in list(self._running):
            self.stop(role)
        for log in self._log_files:
            log.close()

    def _wait_for(self, role: Role, control: Path) -> None:
        deadline_s = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline_s:
            if self._running[role].poll() is not None:
                del self._running[role]
                words = (self._logs / f"{role}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
                raise LabError(
                    f"Kamailio as {role} did not start: {words[-1] if words else 'it said nothing'}",
                    hint=f"its log is {self._logs / role}.log",
                )
            if control.exists():
                time.sleep(0.2)  # its workers are forked after the socket is there
                return
            time.sleep(0.05)
        raise LabError(f"Kamailio as {role} does not answer", code=ExitCode.TIMEOUT, hint=f"logs are in {self._logs}")

    def _write_files(self, subscribers: Sequence[Subscriber]) -> None:
        shipped = resources.files("hw_configs") / "ims"
        for name in ("pcscf.cfg", "scscf.cfg"):
            (self._folder / name).write_text((shipped / name).read_text(encoding="utf-8"), encoding="utf-8")
        words = {
            "PCSCF_IP": self.proxy,
            "SCSCF_IP": self.registrar,
            "SIP_PORT": PORT,
            "TLS_PORT": TLS_PORT,
            "HOME_DOMAIN": DOMAIN,
            "RUN_DIR": self._folder,
            "LAB_SECRET": self._folder.name,
            "REG_MAX": 3600,
            "WORKERS": 2,
        }
        site = "".join(f'#!substdef "!{word}!{value}!g"\n' for word, value in words.items())
        (self._folder / "site.cfg").write_text(site, encoding="utf-8")
        lines = []
        for one in subscribers:
            identities = ", ".join(f"<{identity}>" for identity in one.identities)
            lines.append(f'$sht(cred=>{one.user_name}) = "{one.password}";')
            lines.append(f'$sht(impu=>{one.user_name}) = "{identities}";')
        (self._folder / "subscribers.cfg").write_text("\n".join(lines) + "\n", encoding="utf-8")
        tls = (shipped / "tls.cfg").read_text(encoding="utf-8").replace("RUN_DIR", str(self._folder))
        (self._folder / "tls.cfg").write_text(tls, encoding="utf-8")
