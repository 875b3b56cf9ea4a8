"""A KMS server and clients of it over loopback TLS; shared by their tests."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from security.device.kms_client import KmsClient
from security.identifiers import NTP_EPOCH, UidScheme
from security.kms.events import KmsEvent
from security.kms.home import KmsHome, KmsPlan
from security.kms.operator_orders import (
    EnrolmentOrder,
    enrol,
)
from security.kms.server import KmsServer
from security.kms.service import Clocks, KmsService
from security.kms_wire.errors import KmsRefusal
from security.kms_wire.protocol import Ticket
from security.kms_wire.tls import client_context

ALICE = "tel:+447700900001"
MID_MONTH = dt.datetime(2026, 3, 11, 12, tzinfo=dt.UTC)


@dataclass
class Lab:
    """A running KMS and what it said."""

    url: str
    service: KmsService
    events: list[KmsEvent] = field(default_factory=list)

    def ticket(self, user: str = "alice", identity: str = ALICE, **more: Any) -> Ticket:
        return enrol(self.service, EnrolmentOrder(user=user, identities=(identity,), **more))

    def client(self) -> KmsClient:
        return KmsClient(url=self.url, ca_pem=self.service.ca.certificate_pem)

    async def enrolled(self, user: str = "alice", identity: str = ALICE, **more: Any) -> KmsClient:
        tls_identity = await self.client().enrol(self.ticket(user, identity, **more).token)
        return KmsClient(url=self.url, ca_pem=self.service.ca.certificate_pem, identity=tls_identity)

    def audit(self) -> list[dict[str, Any]]:
        with self.service.database.read() as records:
            return [line.fields for line in records.audit_lines()]


def ntp_s(moment: dt.datetime) -> int:
    return int((moment - NTP_EPOCH).total_seconds())


@asynccontextmanager
async def lab(
    folder: Path, *, lab_time: dt.datetime = MID_MONTH, scheme: UidScheme = UidScheme.MONTHLY_TEL, seed: int | None = 7
) -> AsyncIterator[Lab]:
    now = dt.datetime.now(dt.UTC)
    plan = KmsPlan(uri="kms.example", namespace=("tel:+44*",), uid_scheme=scheme, demo_seed=seed)
    home = KmsHome.found(folder / "kms", plan, passphrase_file=None, database_url=None, now=now)
    clocks = Clocks(wall=lambda: dt.datetime.now(dt.UTC), lab_ntp_s=lambda: ntp_s(lab_time))
    service = home.unseal(passphrase_file=None, clocks=clocks)
    events: list[KmsEvent] = []
    server = KmsServer(service, emit=events.append)
    url = await server.start(host="127.0.0.1", port=0)
    try:
        yield Lab(url=url, service=service, events=events)
    finally:
        await server.stop()
        home.database.close()
        service.database.close()


def in_lab(folder: Path, trial: Callable[[Lab], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with lab(folder, **options) as running:
            await trial(running)

    asyncio.run(run())


async def refused(awaitable: Awaitable[object], code: str) -> str:
    with pytest.raises(KmsRefusal) as caught:
        await awaitable
    assert caught.value.code == code
    return str(caught.value)


async def raw(kms: Lab, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """A request as no client of ours would send it."""
    connector = aiohttp.TCPConnector(ssl=client_context(kms.service.ca.certificate_pem, None))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(method, kms.url + path, data=body) as response,
    ):
        return response.status, await response.json()
