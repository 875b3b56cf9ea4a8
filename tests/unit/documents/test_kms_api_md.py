"""Every request of docs/kms-api.md is sent to a real server, in order, and gets the answer that stands there."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from lxml import etree

from security.at_rest.sealing import Seal
from security.identifiers import NTP_EPOCH, UidScheme
from security.kms.door import DoorLimits, Stage
from security.kms.home import KmsHome, KmsPlan
from security.kms.number_map import map_number
from security.kms.operator_orders import EnrolmentOrder, add_to_group, enrol, revoke_identity
from security.kms.server import KmsServer
from security.kms.service import Clocks, KmsService
from security.kms_wire.protocol import HTTP_STATUS, EnrolRequest, Refusal
from security.kms_wire.tls import ClientRequest, TlsIdentity, client_context

TEXT = (Path(__file__).parents[3] / "docs" / "kms-api.md").read_text()
AT = dt.datetime(2026, 3, 11, 12, tzinfo=dt.UTC)
EXCHANGE = re.compile(
    r"^Request: `(?P<method>GET|POST) (?P<path>\S+)`, (?P<shown>without a certificate|with alice's certificate)"
    r"(?:, without a body\.|:\n\n```\w+\n(?P<body>.*?)```)\n\n"
    r"Answer, (?P<status>\d+):\n\n```(?P<kind>json|xml)\n(?P<answer>.*?)```",
    re.MULTILINE | re.DOTALL,
)
EXCHANGES = [found.groupdict() for found in EXCHANGE.finditer(TEXT)]


def like(got: Any, wanted: Any) -> bool:
    """Whether an answer is what the page says; ... stands for the rest of a text."""
    if isinstance(wanted, dict):
        return isinstance(got, dict) and list(got) == list(wanted) and all(like(got[key], wanted[key]) for key in got)
    if isinstance(wanted, list):
        return isinstance(got, list) and len(got) == len(wanted) and all(map(like, got, wanted))
    if isinstance(wanted, str) and wanted.endswith("..."):
        return isinstance(got, str) and got.startswith(wanted[:-3]) and len(got) > len(wanted) - 3
    return bool(got == wanted)


def as_lists(element: Any) -> list[Any]:
    """An XML element with its attributes and children, without white space between elements."""
    return [element.tag, dict(element.attrib), (element.text or "").strip(), [as_lists(child) for child in element]]


def certificate(service: KmsService, user: str, *identities: str, **more: Any) -> TlsIdentity:
    ticket = enrol(service, EnrolmentOrder(user=user, identities=identities, **more))
    request = ClientRequest.create(user)
    answer = service.enrol(EnrolRequest(token=ticket.token, csr_pem=request.csr_pem.decode()))
    return request.complete(answer.certificate_pem.encode())


def test_every_example_is_answered_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Seal.create.__func__.__kwdefaults__, "log2_n", 4)  # type: ignore[attr-defined]
    plan = KmsPlan(uri="kms.example", namespace=("sip:*", "tel:+44*"), uid_scheme=UidScheme.HASHED_UID, demo_seed=7)
    now = dt.datetime.now(dt.UTC)
    home = KmsHome.found(tmp_path / "kms", plan, passphrase_file=None, database_url=None, now=now)
    clocks = Clocks(wall=lambda: dt.datetime.now(dt.UTC), lab_ntp_s=lambda: int((AT - NTP_EPOCH).total_seconds()))
    service = home.unseal(passphrase_file=None, clocks=clocks)
    alice = certificate(service, "alice", "sip:alice@example.org", discovery_groups=("chess-club",))
    certificate(service, "bob", "sip:bob@example.org")
    add_to_group(service, "sip:team@example.org", ("sip:alice@example.org",))
    revoke_identity(service, "sip:bob@example.org")
    map_number(service, "+447700900077", "sip:alice@example.org")
    ticket = enrol(service, EnrolmentOrder(user="carol", identities=("sip:carol@example.org",)))
    filled = {"<token>": ticket.token, "<csr_pem>": json.dumps(ClientRequest.create("carol").csr_pem.decode())[1:-1]}

    async def ask(url: str, exchange: dict[str, str]) -> tuple[int, bytes]:
        body = exchange["body"] or ""
        for mark, value in filled.items():
            body = body.replace(mark, value)
        identity = alice if exchange["shown"] == "with alice's certificate" else None
        connector = aiohttp.TCPConnector(ssl=client_context(service.ca.certificate_pem, identity))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(exchange["method"], url + exchange["path"], data=body.encode() or None) as response,
        ):
            return response.status, await response.read()

    async def run() -> None:
        server = KmsServer(service, emit=lambda event: None)
        url = await server.start(host="127.0.0.1", port=0)
        try:
            for exchange in EXCHANGES:
                status, octets = await ask(url, exchange)
                assert status == int(exchange["status"]), exchange["path"]
                if exchange["kind"] == "json":
                    assert like(json.loads(octets), json.loads(exchange["answer"])), (exchange["path"], octets[:2000])
                else:
                    wanted = etree.fromstring(exchange["answer"].encode())
                    assert like(as_lists(etree.fromstring(octets)), as_lists(wanted)), octets.decode()[:3000]
        finally:
            await server.stop()
            service.database.close()

    asyncio.run(run())


def test_the_page_has_every_path_and_every_refusal() -> None:
    assert len(EXCHANGES) == TEXT.count("Request: `") == TEXT.count("Answer, ") == 8
    for refusal in Refusal:
        (row,) = (line for line in TEXT.splitlines() if line.startswith("| ") and f"`{refusal}`" in line)
        assert row.startswith(f"| {HTTP_STATUS[refusal]} |")


def test_the_page_has_the_shares_of_the_door() -> None:
    shares = [DoorLimits().share(stage).in_all for stage in Stage]
    words = "silent {}, in the handshake {}, without a certificate {}, with one {}".format(*shares)
    assert words in " ".join(TEXT.split())
