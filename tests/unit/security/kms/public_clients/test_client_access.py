"""Clients of others at the XML face: certificates and access tokens, and the user that each stands for."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from security.kms.access_tokens import AccessTokenPlan, TokenFile
from security.kms.events import KmsFailed
from security.kms.operator_orders import add_to_group, revoke_user
from security.kms.server import KmsServer, ServerOptions
from security.kms_wire.errors import KmsConfigError
from security.kms_wire.protocol import encode
from tests.benches.annex_d_client import ALICE, BOB, NS, ROOT, TEAM, TOKEN, client, serving, token_file


@pytest.mark.parametrize("body", [True, False], ids=["KmsRequest", "empty body"])
def test_with_a_client_certificate(kms: Any, body: bool) -> None:
    with serving(kms) as url:
        client(kms, url, identity=kms.users["alice"], body=body).all_keys(kms)


@pytest.mark.parametrize("body", [True, False], ids=["KmsRequest", "empty body"])
def test_with_a_token_of_the_file(kms: Any, tmp_path: Path, body: bool) -> None:
    file = token_file(tmp_path, (TOKEN, "alice"))
    with serving(kms, tokens=AccessTokenPlan(token_file=file)) as url:
        mine = client(kms, url, token=TOKEN, body=body)
        mine.all_keys(kms)
        file.write_bytes(encode(TokenFile(tokens=())))
        status, answer = mine.post(f"{ROOT}/keyprov")
        assert (status, answer.findtext("k:KmsError/k:ErrorCode", namespaces=NS)) == (401, "401")
        assert mine.challenge == 'Bearer realm="KMS", error="invalid_token"'
        client(kms, url, identity=kms.users["alice"]).all_keys(kms)
    assert kms.actions().count("extract") == 2
    said = repr(kms.events)
    assert TOKEN not in said and hashlib.sha256(TOKEN.encode()).hexdigest() not in said


@pytest.mark.parametrize("holder", ["alice", ALICE], ids=["user", "identity"])
def test_with_a_token_that_its_issuer_vouches_for(kms: Any, tmp_path: Path, holder: str) -> None:
    (tmp_path / "secret").write_text("kms-secret\n")
    asked: list[dict[str, str]] = []
    verdict: dict[str, Any] = {"active": True, "mcptt_id": holder, "scope": "3gpp:mc:ptt_key_management_service other"}

    async def introspect(request: web.Request) -> web.Response:
        form = await request.post()
        asked.append({**{name: str(value) for name, value in form.items()}, "as": request.headers["Authorization"]})
        return web.json_response(verdict if form["token"] == TOKEN else {"active": False})

    with issuer(introspect) as issuer_url:
        plan = AccessTokenPlan(
            introspection_url=issuer_url,
            client_id="kms",
            client_secret_file=tmp_path / "secret",
            claim="mcptt_id",
            scope="3gpp:mc:ptt_key_management_service",
        )
        with serving(kms, tokens=plan) as url:
            client(kms, url, token=TOKEN, body=False).all_keys(kms)
            assert len(asked) == 1
            credentials = "Basic " + base64.b64encode(b"kms:kms-secret").decode()
            assert asked[0] == {"token": TOKEN, "token_type_hint": "access_token", "as": credentials}
            assert client(kms, url, token="another").post(f"{ROOT}/init")[0] == 401


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        ({"active": False}, 401),
        ({"active": "true", "username": "alice"}, 401),
        ({"active": True}, 401),
        ({"active": True, "username": "alice", "exp": 1}, 401),
        ({"active": True, "username": "alice", "exp": "soon"}, 401),
        ({"active": True, "username": 5}, 401),
        ({"active": True, "username": "alice", "scope": "wanted-not"}, 401),
        ({"active": True, "username": "carol", "scope": "wanted"}, 403),
        ({"active": True, "username": "sip:carol@example.org", "scope": "wanted"}, 403),
        ({"active": True, "username": "alice", "scope": "wanted more", "exp": 4_000_000_000}, 200),
        (["active"], 503),
        (None, 503),
    ],
)
def test_only_a_clear_yes_of_the_issuer_counts(kms: Any, verdict: Any, status: int) -> None:
    async def introspect(request: web.Request) -> web.Response:
        return web.Response(status=500) if verdict is None else web.json_response(verdict)

    with issuer(introspect) as issuer_url:
        plan = AccessTokenPlan(introspection_url=issuer_url, scope="wanted")
        with serving(kms, tokens=plan) as url:
            assert client(kms, url, token=TOKEN).post(f"{ROOT}/keyprov")[0] == status


@contextmanager
def issuer(handler: Any) -> Iterator[str]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> tuple[web.AppRunner, str]:
        application = web.Application()
        application.router.add_post("/introspect", handler)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/introspect"

    runner, url = asyncio.run_coroutine_threadsafe(start(), loop).result(20)
    try:
        yield url
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.mark.parametrize("path", ["init", "certcache", "keyprov"])
def test_a_foreign_user_uri_is_refused(kms: Any, tmp_path: Path, path: str) -> None:
    add_to_group(kms.service, TEAM, (ALICE,))
    with serving(kms, tokens=AccessTokenPlan(token_file=token_file(tmp_path, (TOKEN, "alice")))) as url:
        for shown in ({"identity": kms.users["alice"]}, {"token": TOKEN}):
            for foreign in (BOB, TEAM, "sip:nobody@example.org"):
                status, answer = client(kms, url, user_uri=foreign, **shown).post(f"{ROOT}/{path}")
                assert (status, answer.findtext("k:UserUri", namespaces=NS)) == (403, foreign)
            assert client(kms, url, user_uri="nonsense", **shown).post(f"{ROOT}/{path}")[0] == 400
        assert client(kms, url, body=False, token=TOKEN).post(f"{ROOT}/keyprov/{BOB}")[0] == 403
    assert "extract" not in kms.actions()


def test_who_shows_nothing_or_something_bad(kms: Any, tmp_path: Path) -> None:
    ended = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    with serving(kms) as url:
        nobody = client(kms, url)
        assert nobody.post(f"{ROOT}/init")[0] == 401 and nobody.challenge is None
        assert client(kms, url, token=TOKEN).post(f"{ROOT}/init")[0] == 401
        assert nobody.post(f"{ROOT}/keyprov/{ALICE}", b"")[1].findtext("k:UserUri", namespaces=NS) == ALICE
    with serving(kms, tokens=AccessTokenPlan(token_file=token_file(tmp_path, (TOKEN, "alice")))) as url:
        for token in ("x", TOKEN + "x", TOKEN[:-1], "a" * 8001):
            assert client(kms, url, token=token).post(f"{ROOT}/init")[0] in (400, 401) or len(token) > 8000
        assert client(kms, url).post(f"{ROOT}/init")[0] == 401
        revoke_user(kms.service, "alice")
        assert client(kms, url, token=TOKEN).post(f"{ROOT}/init")[0] == 403
    file = token_file(tmp_path, (TOKEN, "bob"), not_after=ended)
    with serving(kms, tokens=AccessTokenPlan(token_file=file)) as url:
        assert client(kms, url, token=TOKEN, user_uri=BOB).post(f"{ROOT}/init")[0] == 401


def test_a_user_with_several_identities_names_one(kms: Any) -> None:
    kms.enrol("carol", "sip:carol@example.org", "sip:carol-at-work@example.org")
    with serving(kms) as url:
        mine = client(kms, url, identity=kms.users["carol"], body=False)
        assert mine.post(f"{ROOT}/keyprov")[0] == 400
        for uri in ("sip:carol@example.org", "sip:carol-at-work@example.org"):
            status, answer = mine.post(f"{ROOT}/keyprov/{uri}")
            assert (status, answer.findtext("k:UserUri", namespaces=NS)) == (200, uri)


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (AccessTokenPlan(), "name one"),
        (AccessTokenPlan(token_file=Path("/nowhere/tokens.json")), "No such file"),
        (AccessTokenPlan(introspection_url="http://issuer.example/x"), "https only"),
        (AccessTokenPlan(introspection_url="https://issuer.example/x", client_id="kms"), "secret file"),
        (AccessTokenPlan(introspection_url="https://issuer.example/x", ca_file=Path("/nowhere")), "CA certificates"),
    ],
)
def test_plans_that_can_not_work_are_named_at_the_start(kms: Any, plan: AccessTokenPlan, why: str) -> None:
    with pytest.raises(KmsConfigError, match=why):
        KmsServer(kms.service, emit=kms.events.append, options=ServerOptions(access_tokens=plan))


def test_a_damaged_token_file_is_named_and_lets_nobody_in(kms: Any, tmp_path: Path) -> None:
    file = token_file(tmp_path, (TOKEN, "alice"))
    with serving(kms, tokens=AccessTokenPlan(token_file=file)) as url:
        mine = client(kms, url, token=TOKEN)
        assert mine.post(f"{ROOT}/init")[0] == 200
        file.write_bytes(b'{"tokens":[')
        assert mine.post(f"{ROOT}/init")[0] == 500
        assert str(file) in next(event.message for event in kms.events if isinstance(event, KmsFailed))
        file.unlink()
        assert mine.post(f"{ROOT}/init")[0] == 500
