"""A real server over loopback whose enrolled client shares its address with a thousand attacking connections."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives import serialization

from security.device.kms_client import KmsClient
from security.kms.door import DoorLimits, Stage
from security.kms.events import KmsCertificateNotRenewed, KmsCertificateRenewed, KmsEvent, KmsRefusals, KmsRefused
from security.kms.server import KmsServer, ServerOptions
from security.kms.server_certificate import CertificateFiles
from security.kms.service import Clocks
from security.kms_wire.protocol import PATH_ENROL, PATH_KEYS
from security.kms_wire.tls import SERVER_LIFE, LabCa, TlsIdentity, client_context

ALICE = "tel:+447700900001"
COUNT = 1000
JUNK = b"\x16\x03\x01\x40\x00\x01" + bytes(5000)
MakeKms = Callable[..., Any]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Served:
    """A running server, its enrolled client, what it said, and a clock of its own for certificates."""

    kms: Any
    server: KmsServer
    url: str
    events: list[KmsEvent] = field(default_factory=list)
    ahead: dt.timedelta = dt.timedelta()

    @property
    def port(self) -> int:
        return int(urlsplit(self.url).port or 0)

    async def fetch(self) -> None:
        ca_pem = self.kms.service.ca.certificate_pem
        await KmsClient(url=self.url, ca_pem=ca_pem, identity=self.kms.users["alice"]).fetch(ALICE)

    async def open(self, *, tls: bool = True, identity: TlsIdentity | None = None) -> Streams:
        context = client_context(self.kms.service.ca.certificate_pem, identity) if tls else None
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=context)

    def closed(self) -> dict[str, int]:
        told: dict[str, int] = {}
        for event in self.events:
            for why, count in event.connections_closed.items() if isinstance(event, KmsRefusals) else ():
                told[why] = told.get(why, 0) + count
        return told

    def held(self, stage: Stage) -> int:
        return self.server._door.count(stage)


@asynccontextmanager
async def serving(make_kms: MakeKms, *, ahead: dt.timedelta = dt.timedelta(), **options: Any) -> AsyncIterator[Served]:
    kms = make_kms()
    kms.enrol("alice", ALICE)
    served = Served(kms=kms, server=None, url="", ahead=ahead)
    clocks = Clocks(wall=lambda: dt.datetime.now(dt.UTC) + served.ahead, lab_ntp_s=kms.ntp_s)
    service = replace(kms.service, clocks=clocks)
    served.server = KmsServer(service, emit=served.events.append, options=ServerOptions(**options))
    served.url = await served.server.start(host="127.0.0.1", port=0)
    try:
        yield served
    finally:
        await served.server.stop()


def in_server(make_kms: MakeKms, trial: Callable[[Served], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with serving(make_kms, **options) as served:
            await trial(served)

    asyncio.run(run())


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.02)


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, Any]]:
    """The next HTTP answer on a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    return int(head.split()[1]), json.loads(await reader.readexactly(int(fields["content-length"])))


def client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    "first",
    [b"", client_hello(), JUNK],
    ids=["idle", "idle in the handshake", "junk that begins as TLS"],
)
def test_a_thousand_connections_without_tls_leave_an_enrolled_client_its_keys(make_kms: MakeKms, first: bytes) -> None:
    async def trial(served: Served) -> None:
        attackers = []
        for _ in range(COUNT):
            attackers.append(await served.open(tls=False))
            attackers[-1][1].write(first)
        await served.fetch()
        most = {stage: DoorLimits().share(stage).of_one for stage in (Stage.SILENT, Stage.HANDSHAKING)}
        assert all(served.held(stage) <= most[stage] for stage in most)
        await served.fetch()
        for _, writer in attackers:
            writer.close()
        await served.server.stop()
        assert sum(served.closed().values()) >= COUNT - sum(most.values())

    in_server(make_kms, trial)


def test_what_is_not_tls_is_closed_at_its_first_octets_and_counted(make_kms: MakeKms) -> None:
    async def trial(served: Served) -> None:
        for octets in (b"GET / HTTP/1.1\r\n\r\n", b"\x00", b"\x16\x02\x01", b"\x16\x03\x01\x00\x05\x02") * 5:
            reader, writer = await served.open(tls=False)
            writer.write(octets)
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
        await until(lambda: served.closed().get("not-tls") == 20)
        assert len([event for event in served.events if isinstance(event, KmsRefusals)]) <= 3

    in_server(make_kms, trial)


def test_slow_heads_of_a_thousand_anonymous_connections_leave_an_enrolled_client_its_keys(make_kms: MakeKms) -> None:
    async def trial(served: Served) -> None:
        attackers: list[Streams] = []
        context = client_context(served.kms.service.ca.certificate_pem, None)

        async def attack(count: int) -> None:
            for _ in range(count):
                with suppress(OSError):
                    attackers.append(await asyncio.open_connection("127.0.0.1", served.port, ssl=context))
                    attackers[-1][1].write(b"POST /pc5lab/v1/enrol HTTP/1.1\r\nHost: x\r\nX-Slow: ")

        async def trickle() -> None:
            while True:
                for _, writer in attackers:
                    writer.write(b"a")
                await asyncio.sleep(0.2)

        slow = asyncio.create_task(trickle())
        flood = [asyncio.create_task(attack(COUNT // 20)) for _ in range(20)]
        await served.fetch()
        await asyncio.gather(*flood)
        await served.fetch()
        assert served.held(Stage.ANONYMOUS) <= DoorLimits().anonymous.of_one
        slow.cancel()
        for _, writer in attackers:
            writer.transport.abort()

    in_server(make_kms, trial)


SHORT = DoorLimits(
    hello_s=0.3, handshake_s=0.3, header_s=0.3, body_s=0.3, answer_s=5.0, reading_s=0.3, next_request_s=0.3
)
ENROL = f"POST {PATH_ENROL} HTTP/1.1\r\nHost: x\r\n".encode()


@pytest.mark.parametrize(
    ("tls", "first", "trickle", "why"),
    [
        (False, b"", b"", "hello-timeout"),
        (False, client_hello(), b"", "handshake-timeout"),
        (True, b"", b"", "header-timeout"),
        (True, ENROL + b"X: ", b"a", "header-timeout"),
        (True, ENROL, b"a: b\r\n", "header-timeout"),
        (True, ENROL + b"Content-Length: 16000\r\n\r\n", b"a", "body-timeout"),
        (True, ENROL + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", "body-timeout"),
    ],
    ids=["idle", "hello", "no request", "slow field", "slow fields", "slow body", "endless chunks"],
)
def test_no_trickle_moves_a_deadline(make_kms: MakeKms, tls: bool, first: bytes, trickle: bytes, why: str) -> None:
    async def trial(served: Served) -> None:
        reader, writer = await served.open(tls=tls)
        writer.write(first)

        async def drip() -> None:
            while True:
                await asyncio.sleep(0.02)
                writer.write(trickle)

        dripping = asyncio.create_task(drip())
        with suppress(ConnectionResetError, ssl.SSLError):
            async with asyncio.timeout(20):
                while await reader.read(65536):
                    pass
        dripping.cancel()
        writer.transport.abort()
        await until(lambda: served.closed().get(why) == 1)
        assert len(served.server._door) == 0

    in_server(make_kms, trial, limits=SHORT)


def test_a_client_that_does_not_read_its_answer_is_closed(make_kms: MakeKms, monkeypatch: pytest.MonkeyPatch) -> None:
    from security.kms import server as server_module

    monkeypatch.setattr(server_module, "encode", lambda message: bytes(8 * 1024 * 1024))

    async def trial(served: Served) -> None:
        reader, writer = await served.open(identity=served.kms.users["alice"])
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        body = json.dumps({"uri": ALICE}).encode()
        writer.write(f"POST {PATH_KEYS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await until(lambda: served.closed().get("reading-timeout") == 1)
        assert len(served.server._door) == 0
        writer.transport.abort()
        del reader

    in_server(make_kms, trial, limits=SHORT)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 5000 + b"\r\n",
        b"nonsense\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ENROL + b"Content-Length: -1\r\n\r\n",
        ENROL + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["long line", "long field", "many fields", "nonsense", "HTTP/2", "negative length", "two lengths"],
)
def test_heads_that_are_too_long_or_no_http_get_a_refusal_and_an_event(
    make_kms: MakeKms, head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def trial(served: Served) -> None:
        reader, writer = await served.open()
        writer.write(head)
        status, said = await answer(reader)
        assert (status, said["refusal"]) == (400, "bad-request")
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        assert [event.refusal for event in served.events if isinstance(event, KmsRefused)] == ["bad-request"]
        await served.fetch()

    in_server(make_kms, trial)
    assert not [record for record in caplog.records if record.name.startswith("aiohttp")]


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 20000\r\n\r\n" + b"x" * 20_000,
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b"x" * 4096 + b"\r\n",
        b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["large", "chunks without end", "compressed", "malformed chunk"],
)
def test_bodies_are_bounded(make_kms: MakeKms, body: bytes) -> None:
    async def trial(served: Served) -> None:
        reader, writer = await served.open()
        writer.write(ENROL + body + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * (20 if b"1000\r\n" in body else 0))
        status, said = await answer(reader)
        assert (status, said["refusal"]) == (400, "bad-request")
        writer.close()

    in_server(make_kms, trial)


def test_pipelined_requests_are_answered_in_order_and_without_a_certificate_at_a_pace(make_kms: MakeKms) -> None:
    async def trial(served: Served) -> None:
        reader, writer = await served.open(identity=served.kms.users["alice"])
        good, bad = json.dumps({"uri": ALICE}).encode(), b'{"uri":"tel:+441"}'
        for body in (good, bad) * 4:
            writer.write(f"POST {PATH_KEYS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        assert [(await answer(reader))[0] for _ in range(8)] == [200, 403] * 4
        writer.close()
        anonymous = [await served.open() for _ in range(40)]
        for _, other in anonymous:
            other.write((ENROL + b"Content-Length: 2\r\n\r\n{}") * 50)
        await served.fetch()
        for _, other in anonymous:
            other.transport.abort()

    in_server(make_kms, trial)


def shown(streams: Streams) -> bytes:
    certificate: bytes = streams[1].get_extra_info("ssl_object").getpeercert(binary_form=True)
    return certificate


def test_the_certificate_is_renewed_while_serving_and_old_connections_live_on(make_kms: MakeKms) -> None:
    async def trial(served: Served) -> None:
        before = await served.open(identity=served.kms.users["alice"])
        assert not served.server.look_at_certificate()
        served.ahead = SERVER_LIFE * -0.1
        assert not served.server.look_at_certificate()
        served.ahead = dt.timedelta()
        assert served.server.look_at_certificate()
        after = await served.open()
        assert shown(after) != shown(before)
        (event,) = (event for event in served.events if isinstance(event, KmsCertificateRenewed))
        assert dt.datetime.fromisoformat(event.not_after) > dt.datetime.now(dt.UTC) + SERVER_LIFE * 0.99
        body = json.dumps({"uri": ALICE}).encode()
        before[1].write(f"POST {PATH_KEYS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        assert (await answer(before[0]))[0] == 200
        assert not served.server.look_at_certificate()
        for _, writer in (before, after):
            writer.close()

    in_server(make_kms, trial, ahead=SERVER_LIFE * -0.7)


def test_a_renewal_that_fails_is_told_and_tried_again(make_kms: MakeKms, monkeypatch: pytest.MonkeyPatch) -> None:
    from security.kms import server_certificate
    from security.kms_wire.tls import server_context

    def full(*_: Any) -> ssl.SSLContext:
        raise OSError("No space left on device")

    async def trial(served: Served) -> None:
        before = await served.open()
        served.ahead = dt.timedelta()
        monkeypatch.setattr(server_certificate, "server_context", full)
        assert not served.server.look_at_certificate()
        assert served.events[-1] == KmsCertificateNotRenewed(why="No space left on device")
        again = await served.open()
        assert shown(again) == shown(before)
        monkeypatch.setattr(server_certificate, "server_context", server_context)
        assert served.server.look_at_certificate()
        after = await served.open()
        assert shown(after) != shown(before)
        for _, writer in (before, again, after):
            writer.close()

    in_server(make_kms, trial, ahead=SERVER_LIFE * -0.7)


def write_identity(folder: Path, ca: LabCa) -> tuple[Path, Path]:
    identity = ca.issue_server(now=dt.datetime.now(dt.UTC))
    key = serialization.load_pem_private_key(identity.key_pem, None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files = folder / "chain.pem", folder / "key.pem"
    for file, octets in zip(files, (identity.certificate_pem, key), strict=True):
        file.write_bytes(octets)
    return files


def test_certificate_files_are_taken_again_when_they_change_and_bad_ones_are_not(
    make_kms: MakeKms, tmp_path: Path
) -> None:
    ca = LabCa.create(now=dt.datetime.now(dt.UTC))
    files = write_identity(tmp_path, ca)

    async def trial(served: Served) -> None:
        async def presented() -> bytes:
            context = client_context(ca.certificate_pem, None)
            streams = await asyncio.open_connection("127.0.0.1", served.port, ssl=context)
            streams[1].close()
            return shown(streams)

        first = await presented()
        files[0].write_bytes(b"half written")
        assert not served.server.look_at_certificate()
        assert isinstance(served.events[-1], KmsCertificateNotRenewed)
        assert await presented() == first
        write_identity(tmp_path, ca)
        assert served.server.look_at_certificate()
        assert await presented() != first
        assert isinstance(served.server._certificates, CertificateFiles)

    in_server(make_kms, trial, certificate_files=files)
