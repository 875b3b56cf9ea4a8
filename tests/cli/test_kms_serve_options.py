"""Options of `pc5lab kms serve` for clients of the XML face, tokens and transport keys, as commands."""

from __future__ import annotations

import hashlib
import http.client
import json
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from lxml import etree

from lab_scripts.cli.main import run
from security.kms_wire.tls import client_context

NAMESPACES = {"k": "urn:3gpp:ns:mcsecKMSInterface:1.0"}
Order = Callable[..., tuple[int, str, str]]


@pytest.fixture
def order(capfd: pytest.CaptureFixture[str]) -> Order:
    """A command run in this process: exit code, stdout, stderr."""

    def run_here(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run(["kms", *arguments])
        said = capfd.readouterr()
        return code, said.out, said.err

    return run_here


@pytest.fixture
def home(tmp_path: Path, order: Order) -> Path:
    folder = tmp_path / "kms"
    assert order("init", str(folder), "--demo-seed", "7", "--namespace", "sip:*")[0] == 0
    assert order("enrol", str(folder), "alice", "--identity", "sip:alice@example.org")[0] == 0
    return folder


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "lab_scripts.cli.main", "kms", "serve", str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def test_a_token_of_the_command_gets_keys_from_serve_under_a_printed_transport_key(
    home: Path, tmp_path: Path, order: Order
) -> None:
    file = tmp_path / "tokens.json"
    token = order("access-token", str(file), "alice")[1].strip()
    second = json.loads(order("access-token", str(file), "bob", "--hours", "1", "--json")[1])
    assert (len(token), second["user"]) == (43, "bob")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = json.loads(file.read_text())["tokens"]
    assert [line["sha256"] for line in kept] == [
        hashlib.sha256(t.encode()).hexdigest() for t in (token, second["token"])
    ]
    assert token not in file.read_text()
    keys = json.loads(order("transport-key", str(home), "alice")[1])
    assert (keys["trk_id"], keys["ink_id"], len(keys["trk"]), len(keys["ink"])) == ("tk.1.alice", "ink.1.alice", 64, 64)
    assert order("transport-key", str(home), "nobody")[0] != 0
    options = ("--access-tokens", str(file), "--xml-key-wrap", "padded", "--xml-content-type", "text/xml")
    with serving(home, *options) as ready:
        context = client_context((home / "ca.pem").read_bytes(), None)
        connection = http.client.HTTPSConnection(urlsplit(ready["url"]).netloc, context=context, timeout=20)
        connection.request("POST", "/keymanagement/identity/v1/keyprov", b"", {"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        document = etree.fromstring(response.read())
        assert (response.status, response.getheader("Content-Type")) == (200, "text/xml; charset=utf-8")
        assert document.findtext("k:TrK-ID", namespaces=NAMESPACES) == keys["trk_id"]
        connection.close()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--xml-key-wrap", "rot13"), "clear, without-04, padded"),
        (("--xml-signing", "rsa"), "none, ink, trk"),
        (("--xml-group-signing", "all"), "members-own, empty"),
        (("--xml-group-signing", "group"), "no SSK is issued for a group identity"),
        (("--xml-content-type", "text/plain"), "application/xml, text/xml"),
        (("--access-tokens", "/nowhere", "--introspection-url", "https://x"), "exclude each other"),
        (("--introspection-scope", "kms"), "need --introspection-url"),
        (("--introspection-url", "http://issuer.example"), "https only"),
        (("--access-tokens", "/nowhere/tokens.json"), "No such file"),
        (("--certificate", "/nowhere/chain.pem"), "go together"),
        (("--certificate", "/nowhere/chain.pem", "--certificate-key", "/nowhere/key.pem"), "No such file"),
    ],
)
def test_options_that_can_not_be_are_named(home: Path, order: Order, options: tuple[str, ...], why: str) -> None:
    code, out, err = order("serve", str(home), *options)
    assert code != 0 and why in err + out
    assert "Traceback" not in err
