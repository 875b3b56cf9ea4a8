"""The lab's certificates: one CA, server certificates, client certificates; TLS 1.3 (RFC 8446) and nothing older.

The CA signs nothing but end entities (path length 0). Its own key and all that it signs are on P-256. A certificate
says what it may be used for: a client's can't serve, and a server's is no client.

Enrolment: the UE makes a key and a signing request (`ClientRequest`); the key never leaves the UE. The KMS checks that
the request is signed with its own key, which shows that the sender holds it, and takes only the public key from it: the
name is that of the ticket's user. The UE joins the certificate to the key, if it is for that key. From then on the KMS
knows the user by the certificate's fingerprint. There is no revocation list: the certificates are shown to the KMS, and
the KMS itself refuses a fingerprint whose user is revoked.

Contexts: the server asks for a client certificate but lets connections without one pass, because enrolment has none
yet; each handler says what it needs. A certificate that is shown must come from the lab CA. The server gives out no
session tickets, so that every connection shows its certificate anew. The client trusts the lab CA alone, no CA of the
system, and checks the server's name.

Certificates are valid from a day before they were made, for clocks that are late. Clients' are valid for 400 days; the
server's for 30, since the KMS issues itself the next one in time (`server_certificate`).

Python's `ssl` takes a private key from a file only. So the key is written encrypted, under a password that is drawn for
this one use and stays in memory, into a private folder that is removed at once.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import secrets
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from security.kms_wire.errors import TlsIdentityError

CA_LIFE = dt.timedelta(days=3650)
CLIENT_LIFE = dt.timedelta(days=400)
SERVER_LIFE = dt.timedelta(days=30)
CLOCK_TOLERANCE = dt.timedelta(days=1)
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsIdentity:
    """A certificate with its private key, both PEM."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate (DER), hex."""
        return fingerprint_of(x509.load_pem_x509_certificate(self.certificate_pem))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabCa:
    """The lab's certificate authority."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)

    @classmethod
    def create(cls, *, now: dt.datetime) -> Self:
        """Make a new authority with a key of its own."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("pc5lab lab CA")
        usage = _key_usage(key_cert_sign=True, crl_sign=True)
        builder = (
            _builder(name, name, key.public_key(), key.public_key(), now=now, life=CA_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        return cls(certificate_pem=_pem(builder.sign(key, hashes.SHA256())), key_pem=_key_pem(key))

    def issue_server(self, names: Sequence[str] = LOOPBACK_NAMES, *, now: dt.datetime) -> TlsIdentity:
        """Make a server certificate, with a fresh key, for host names and IP addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(
            key.public_key(), common_name="pc5lab KMS", usage=ExtendedKeyUsageOID.SERVER_AUTH, names=names, now=now
        )
        return TlsIdentity(certificate_pem=certificate, key_pem=_key_pem(key))

    def issue_client(self, csr_pem: bytes, *, user: str, now: dt.datetime) -> bytes:
        """Sign a UE's request for `user`, whatever name it asks for; returns PEM, raises TlsIdentityError."""
        try:
            csr = x509.load_pem_x509_csr(csr_pem)
            public_key = csr.public_key()
            genuine = csr.is_signature_valid
        except (ValueError, InvalidSignature, TypeError) as exc:
            raise TlsIdentityError("the certificate signing request can't be read") from exc
        if not isinstance(public_key, ec.EllipticCurvePublicKey) or not isinstance(public_key.curve, ec.SECP256R1):
            raise TlsIdentityError("the certificate signing request's key is not on P-256")
        if not genuine:
            raise TlsIdentityError("the certificate signing request's own signature does not verify")
        return self._sign(public_key, common_name=user, usage=ExtendedKeyUsageOID.CLIENT_AUTH, names=(), now=now)

    def _sign(
        self,
        public_key: ec.EllipticCurvePublicKey,
        *,
        common_name: str,
        usage: x509.ObjectIdentifier,
        names: Sequence[str],
        now: dt.datetime,
    ) -> bytes:
        ca_certificate = x509.load_pem_x509_certificate(self.certificate_pem)
        ca_key = _load_key(self.key_pem)
        life = CLIENT_LIFE if usage == ExtendedKeyUsageOID.CLIENT_AUTH else SERVER_LIFE
        builder = (
            _builder(_name(common_name), ca_certificate.subject, public_key, ca_key.public_key(), now=now, life=life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_san(name) for name in names]), critical=False)
        return _pem(builder.sign(ca_key, hashes.SHA256()))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRequest:
    """A UE's fresh key and the signing request for it."""

    csr_pem: bytes
    key_pem: bytes = field(repr=False)

    @classmethod
    def create(cls, user: str) -> Self:
        """Make a P-256 key and a request signed with it."""
        key = ec.generate_private_key(ec.SECP256R1())
        csr = x509.CertificateSigningRequestBuilder().subject_name(_name(user)).sign(key, hashes.SHA256())
        return cls(csr_pem=csr.public_bytes(serialization.Encoding.PEM), key_pem=_key_pem(key))

    def complete(self, certificate_pem: bytes) -> TlsIdentity:
        """Join the certificate to the key; raises TlsIdentityError if it is for another key or unreadable."""
        try:
            certificate = x509.load_pem_x509_certificate(certificate_pem)
        except ValueError as exc:
            raise TlsIdentityError("the certificate received can't be read") from exc
        if certificate.public_key() != _load_key(self.key_pem).public_key():
            raise TlsIdentityError("the certificate received is for another key than the one requested")
        return TlsIdentity(certificate_pem=certificate_pem, key_pem=self.key_pem)


def server_context(identity: TlsIdentity, ca_pem: bytes) -> ssl.SSLContext:
    """TLS 1.3 only. The server asks for a client certificate, which must come from the lab CA if it is shown."""
    context = _bare_server_context(ca_pem)
    _load_chain(context, identity)
    return context


def server_context_of_files(certificate: Path, key: Path, ca_pem: bytes) -> ssl.SSLContext:
    """Like `server_context`, with a certificate chain and key in files. Raises TlsIdentityError."""
    context = _bare_server_context(ca_pem)
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ssl.SSLError) as exc:
        raise TlsIdentityError(f"{certificate} and {key} can't be used together as certificate and key") from exc
    return context


def _bare_server_context(ca_pem: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0
    context.load_verify_locations(cadata=ca_pem.decode("ascii"))
    return context


def client_context(ca_pem: bytes, identity: TlsIdentity | None) -> ssl.SSLContext:
    """TLS 1.3 only, trusting the lab CA alone; raises TlsIdentityError if the certificates are unusable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cadata=ca_pem.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError) as exc:
        raise TlsIdentityError("the lab CA's certificate can't be read") from exc
    if identity is not None:
        _load_chain(context, identity)
    return context


def fingerprint_of(certificate: x509.Certificate) -> str:
    """SHA-256 of a certificate (DER), hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def _load_chain(context: ssl.SSLContext, identity: TlsIdentity) -> None:
    """Give a context its certificate. The key is written to the disk only encrypted, under a password that is not."""
    password = secrets.token_hex(16).encode()
    encrypted = _load_key(identity.key_pem).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )
    with tempfile.TemporaryDirectory(prefix="pc5lab-tls-") as folder:
        chain = Path(folder) / "chain.pem"
        chain.write_bytes(encrypted + identity.certificate_pem)
        try:
            context.load_cert_chain(chain, password=password)
        except ssl.SSLError as exc:
            raise TlsIdentityError("the certificate and its key can't be used together") from exc


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    *,
    now: dt.datetime,
    life: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_key(key_pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError) as exc:
        raise TlsIdentityError("the private key can't be read") from exc
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TlsIdentityError("the private key is not an elliptic curve key")
    return key
