"""Certificates of the lab CA: what is signed, and what is not."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from security.kms_wire.errors import TlsIdentityError
from security.kms_wire.tls import ClientRequest, LabCa, client_context, server_context

NOW = dt.datetime(2026, 3, 11, tzinfo=dt.UTC)
CA = LabCa.create(now=NOW)


def csr_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_the_certificate_names_the_user_whatever_the_request_said() -> None:
    request = ClientRequest.create("somebody-else")
    identity = request.complete(CA.issue_client(request.csr_pem, user="alice", now=NOW))
    certificate = x509.load_pem_x509_certificate(identity.certificate_pem)
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "alice"
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(CA.certificate_pem))


@pytest.mark.parametrize(
    "request_pem",
    [
        b"",
        b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        csr_pem(ec.generate_private_key(ec.SECP384R1())),
        csr_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        CA.certificate_pem,
    ],
    ids=["empty", "garbage", "other curve", "RSA", "a certificate"],
)
def test_other_requests_are_not_signed(request_pem: bytes) -> None:
    with pytest.raises(TlsIdentityError):
        CA.issue_client(request_pem, user="alice", now=NOW)


def test_a_request_with_a_broken_signature_is_not_signed() -> None:
    request = x509.load_pem_x509_csr(ClientRequest.create("alice").csr_pem)
    der = bytearray(request.public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    broken = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(TlsIdentityError, match="does not verify"):
        CA.issue_client(broken, user="alice", now=NOW)


def test_a_certificate_for_another_key_is_not_taken() -> None:
    request, other = ClientRequest.create("alice"), ClientRequest.create("alice")
    with pytest.raises(TlsIdentityError, match="another key"):
        request.complete(CA.issue_client(other.csr_pem, user="alice", now=NOW))
    with pytest.raises(TlsIdentityError, match="can't be read"):
        request.complete(b"nonsense")


def test_contexts_speak_nothing_below_tls_1_3() -> None:
    for context in (
        server_context(CA.issue_server(now=NOW), CA.certificate_pem),
        client_context(CA.certificate_pem, None),
    ):
        assert context.minimum_version == context.maximum_version
        assert context.minimum_version.name == "TLSv1_3"


def test_private_keys_do_not_show() -> None:
    for holder in (CA, ClientRequest.create("alice"), CA.issue_server(now=NOW)):
        assert "PRIVATE KEY" not in repr(holder)
    with pytest.raises(TlsIdentityError):
        client_context(b"nonsense", None)
