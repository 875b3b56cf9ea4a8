"""The certificate that a serving KMS shows, and when it changes: issued by the lab CA, or an operator's files."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography import x509

from security.at_rest.bounded_file import read_bounded
from security.kms_wire.errors import TlsIdentityError
from security.kms_wire.tls import LabCa, fingerprint_of, server_context, server_context_of_files

MAX_PEM_OCTETS = 1 << 20

RENEW_AT = 1 / 3
"""Part of a certificate's life that remains when the next one is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCertificate:
    """A TLS context, and the data of its certificate."""

    context: ssl.SSLContext
    certificate: x509.Certificate

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate (DER), hex."""
        return fingerprint_of(self.certificate)


class CertificateSource(Protocol):
    """Source of the server's certificate."""

    def renewed(self) -> ShownCertificate | None:
        """A newer certificate for new connections, None if there is none. Raises TlsIdentityError."""


class IssuedCertificate:
    """Certificates for `names` issued by the lab CA, each replaced when a third of its life is left."""

    def __init__(self, ca: LabCa, names: Sequence[str], *, wall: Callable[[], dt.datetime]) -> None:
        self._ca = ca
        self._names = tuple(names)
        self._wall = wall
        self._renew_at: dt.datetime | None = None

    def renewed(self) -> ShownCertificate | None:
        """A fresh certificate when the last one is due, or there was none."""
        now = self._wall()
        if self._renew_at is not None and now < self._renew_at:
            return None
        identity = self._ca.issue_server(self._names, now=now)
        certificate = x509.load_pem_x509_certificate(identity.certificate_pem)
        context = server_context(identity, self._ca.certificate_pem)
        end = certificate.not_valid_after_utc
        self._renew_at = end - (end - now) * RENEW_AT
        return ShownCertificate(context=context, certificate=certificate)


class CertificateFiles:
    """A certificate chain and key in files (PEM), taken again when either changes."""

    def __init__(self, certificate: Path, key: Path, *, ca_pem: bytes) -> None:
        self._certificate = certificate
        self._key = key
        self._ca_pem = ca_pem
        self._seen: tuple[object, ...] | None = None

    def renewed(self) -> ShownCertificate | None:
        """The files' certificate if they have changed; bad files are read again only after another change."""
        try:
            states = [path.stat() for path in (self._certificate, self._key)]
            seen = tuple((state.st_ino, state.st_mtime_ns, state.st_size) for state in states)
            if seen == self._seen:
                return None
            self._seen = seen
            certificate = x509.load_pem_x509_certificate(read_bounded(self._certificate, MAX_PEM_OCTETS))
        except OSError as exc:
            raise TlsIdentityError(f"{exc.filename}: {exc.strerror}") from exc
        except ValueError as exc:
            raise TlsIdentityError(f"{self._certificate}: no certificate in PEM") from exc
        context = server_context_of_files(self._certificate, self._key, self._ca_pem)
        return ShownCertificate(context=context, certificate=certificate)
