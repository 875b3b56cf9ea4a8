"""A real KMS server and real clients over loopback TLS: enrolment, and who is let in."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import ssl
from pathlib import Path

import pytest

from security.device.kms_client import KmsClient
from security.kms_wire.errors import KmsProtocolError, KmsRefusal, KmsUnreachable
from security.kms_wire.protocol import PATH_ENROL, PATH_KEYS, PATH_PARAMETERS
from security.kms_wire.tls import LabCa, client_context
from tests.benches.kms_bench import ALICE, Lab, in_lab, raw, refused


def test_wrong_token_is_refused(tmp_path: Path) -> None:
    async def trial(kms: Lab) -> None:
        kms.ticket()
        await refused(kms.client().enrol("A" * 43), "token-invalid")

    in_lab(tmp_path, trial)


def test_a_token_serves_once(tmp_path: Path) -> None:
    async def trial(kms: Lab) -> None:
        token = kms.ticket().token
        await kms.client().enrol(token)
        await refused(kms.client().enrol(token), "token-invalid")

    in_lab(tmp_path, trial)


def test_two_at_once_with_one_token_get_one_certificate(tmp_path: Path) -> None:
    async def trial(kms: Lab) -> None:
        token = kms.ticket().token
        results = await asyncio.gather(*(kms.client().enrol(token) for _ in range(4)), return_exceptions=True)
        assert sum(isinstance(result, KmsRefusal) for result in results) == 3

    in_lab(tmp_path, trial)


def test_a_bad_signing_request_does_not_use_up_the_token(tmp_path: Path) -> None:
    async def trial(kms: Lab) -> None:
        token = kms.ticket().token
        body = {"token": token, "csr_pem": "-----BEGIN CERTIFICATE REQUEST-----\n" + "A" * 64}
        status, answer = await raw(kms, "POST", PATH_ENROL, json.dumps(body).encode())
        assert (status, answer["refusal"]) == (400, "bad-request")
        await kms.client().enrol(token)

    in_lab(tmp_path, trial)


def test_nothing_without_a_client_certificate(tmp_path: Path) -> None:
    async def trial(kms: Lab) -> None:
        kms.ticket()
        await refused(kms.client().fetch(ALICE), "certificate-needed")
        for method, path in (("GET", PATH_PARAMETERS), ("POST", PATH_KEYS)):
            status, answer = await raw(kms, method, path, b'{"uri":"%s"}' % ALICE.encode())
            assert (status, answer["refusal"]) == (401, "certificate-needed")

    in_lab(tmp_path, trial)


def test_a_certificate_of_another_ca_is_refused(tmp_path: Path) -> None:
    async def trial(kms: Lab) -> None:
        impostor = LabCa.create(now=dt.datetime.now(dt.UTC)).issue_server(now=dt.datetime.now(dt.UTC))
        with pytest.raises(KmsUnreachable):
            await KmsClient(url=kms.url, ca_pem=kms.service.ca.certificate_pem, identity=impostor).fetch(ALICE)

    in_lab(tmp_path, trial)


def test_a_certificate_that_was_never_recorded_is_refused(tmp_path: Path) -> None:
    async def trial(kms: Lab) -> None:
        stray = kms.service.ca.issue_server(now=dt.datetime.now(dt.UTC))
        client = KmsClient(url=kms.url, ca_pem=kms.service.ca.certificate_pem, identity=stray)
        with pytest.raises((KmsUnreachable, KmsRefusal)):
            await client.fetch(ALICE)

    in_lab(tmp_path, trial)


def test_the_client_accepts_only_its_lab_ca(tmp_path: Path) -> None:
    async def trial(kms: Lab) -> None:
        other = LabCa.create(now=dt.datetime.now(dt.UTC))
        with pytest.raises(KmsUnreachable, match="lab CA"):
            await KmsClient(url=kms.url, ca_pem=other.certificate_pem).enrol(kms.ticket().token)

    in_lab(tmp_path, trial)


def test_tls_1_2_is_refused(tmp_path: Path) -> None:
    async def trial(kms: Lab) -> None:
        context = client_context(kms.service.ca.certificate_pem, None)
        _, writer = await asyncio.open_connection("127.0.0.1", int(kms.url.rsplit(":", 1)[1]), ssl=context)
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        writer.close()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await asyncio.open_connection("127.0.0.1", int(kms.url.rsplit(":", 1)[1]), ssl=context)

    in_lab(tmp_path, trial)


def test_an_absent_kms_is_named(tmp_path: Path) -> None:
    async def trial(kms: Lab) -> None:
        absent = KmsClient(url="https://127.0.0.1:1", ca_pem=kms.service.ca.certificate_pem)
        with pytest.raises(KmsUnreachable, match=r"127\.0\.0\.1:1.*kms serve"):
            await absent.enrol("token")

    in_lab(tmp_path, trial)


@pytest.mark.parametrize("token", ["", "x" * 200])
def test_an_impossible_token_is_refused_at_home(tmp_path: Path, token: str) -> None:
    async def trial(kms: Lab) -> None:
        with pytest.raises(KmsProtocolError, match="token"):
            await kms.client().enrol(token)
        assert kms.events == []

    in_lab(tmp_path, trial)
