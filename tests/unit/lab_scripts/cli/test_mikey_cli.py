from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest

from lab_scripts.cli.main import run

VECTORS = Path(__file__).parents[3] / "vectors" / "security"


@pytest.fixture(scope="module")
def published():
    return json.loads((VECTORS / "streamwide_imessages.json").read_text())


@pytest.fixture
def keys(published, tmp_path):
    kms = published["kms"]
    document = {
        "kms": [
            {
                "uri": kms["KmsUri"],
                "z": kms["PubEncKey"],
                "kpak": kms["PubAuthKey"],
                "uid_format": 2,
                "key_period_s": 16_777_215,
                "key_period_offset_s": 0,
            }
        ],
        "users": [
            {
                "uri": user["UserUri"],
                "kms": kms["KmsUri"],
                "uid": user["UserID"],
                "key_period_no": 236,
                "rsk": user["UserDecryptKey"],
                "ssk": user["UserSigningKeySSK"],
                "pvt": user["UserPubTokenPVT"],
            }
            for user in published["users"].values()
        ],
    }
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(document))
    return path


def _json(capsys):
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("form", ["mikey", "base64", "raw", "wrapped"])
def test_published_messages_open(published, keys, tmp_path, capsys, number, form):
    case = published["cases"][number]
    text = case["I-MESSAGE"].removeprefix("mikey ")
    wrapped = "a=key-mgmt:mikey " + "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    content = {"mikey": f"mikey {text}\n".encode(), "base64": text.encode(), "raw": base64.b64decode(text)}
    path = tmp_path / "message"
    path.write_bytes(content.get(form, wrapped.encode()))
    assert run(["mikey", "open", "--keys", str(keys), "--in", str(path), "--json"]) == 0
    opened = _json(capsys)
    assert opened["ok"] is True
    assert opened["error"] is None
    assert opened["kd"] == case["expected_key"]
    assert (opened["initiator"], opened["responder"]) == (case["Initiator URI"], case["Responder URI"])
    assert opened["csb_id"] == case["header"]["csb_id"]
    assert opened["time"] == "2025-10-02T23:47:52Z"
    assert opened["uid_scheme"] == 2
    assert opened["purpose"].startswith("33.180")


@pytest.mark.parametrize("names", ["--uids", "--uris"])
def test_created_message_opens_and_shows(keys, tmp_path, capsys, names):
    path, kd = tmp_path / "message.bin", "80" + "00" * 15
    ends = ["--from", "sip:alice@streamwide.com", "--to", "sip:bob@streamwide.com"]
    arguments = ["--keys", str(keys), *ends, "--time", "2025-10-02T01:02:03Z", "--kd", kd, "--csb-id", "d0000001"]
    assert run(["mikey", "create", *arguments, "--out", str(path), names, "--json"]) == 0
    created = _json(capsys)
    assert created["kd"] == kd
    assert run(["mikey", "open", "--keys", str(keys), "--in", str(path), "--json"]) == 0
    opened = _json(capsys)
    assert (opened["kd"], opened["csb_id"], opened["time"]) == (kd, "d0000001", "2025-10-02T01:02:03Z")
    assert (opened["initiator"], opened["responder"]) == ("sip:alice@streamwide.com", "sip:bob@streamwide.com")
    assert opened["purpose"] == "pc5lab link request"
    assert run(["mikey", "show", str(path), "--keys", str(keys), "--json"]) == 0
    shown = _json(capsys)
    assert sum(field["length"] for field in shown["fields"]) == shown["octets"] == created["octets"]
    assert len(shown["checks"]) == 3
    assert run(["mikey", "show", str(path)]) == 0
    assert "ECCSI" in capsys.readouterr().out


def test_stdin_and_stdout(keys, capsys, monkeypatch):
    ends = ["--from", "sip:alice@streamwide.com", "--to", "sip:bob@streamwide.com", "--time", "2025-10-02T00:00:00"]
    assert run(["mikey", "create", "--keys", str(keys), *ends, "--out", "-"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("mikey AR")

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(line.encode())))
    assert run(["mikey", "open", "--keys", str(keys), "--in", "-", "--json"]) == 0
    assert _json(capsys)["ok"]


@pytest.mark.parametrize("change", ["signature", "sed", "cut", "text", "empty", "receiver-unknown", "no-rsk"])
def test_bad_messages_end_with_a_security_failure(published, keys, tmp_path, capsys, change):
    octets = bytearray(base64.b64decode(published["cases"][2]["I-MESSAGE"].removeprefix("mikey ")))
    document = json.loads(keys.read_text())
    bob = next(user for user in document["users"] if user["uri"] == "sip:bob@streamwide.com")
    if change == "signature":
        octets[-100] ^= 1
    elif change == "sed":
        octets[300] ^= 1
    elif change == "cut":
        del octets[-1]
    elif change == "text":
        octets = bytearray(b"mikey not base64!")
    elif change == "empty":
        octets = bytearray()
    elif change == "receiver-unknown":
        document["users"].remove(bob)
    else:
        del bob["rsk"]
    keys.write_text(json.dumps(document))
    path = tmp_path / "message"
    path.write_bytes(bytes(octets))
    assert run(["mikey", "open", "--keys", str(keys), "--in", str(path), "--json"]) == 5
    opened = _json(capsys)
    assert opened["ok"] is False
    assert opened["kd"] is None
    assert opened["error"]
    assert run(["mikey", "show", str(path), "--keys", str(keys)]) == 5
    assert "Traceback" not in capsys.readouterr().err


def test_signer_that_is_not_in_the_file_is_verified_from_the_message(published, keys, tmp_path, capsys):
    document = json.loads(keys.read_text())
    document["users"] = [user for user in document["users"] if user["uri"] == "sip:bob@streamwide.com"]
    keys.write_text(json.dumps(document))
    path = tmp_path / "message"
    path.write_text(published["cases"][2]["I-MESSAGE"])
    assert run(["mikey", "open", "--keys", str(keys), "--in", str(path), "--json"]) == 0
    assert _json(capsys)["initiator"] == f"UID {published['users']['Alice']['UserID']}"


@pytest.mark.parametrize(
    "arguments",
    [
        ["open", "--keys", "{missing}", "--in", "{keys}"],
        ["open", "--keys", "{keys}", "--in", "{missing}"],
        ["open", "--keys", "{folder}", "--in", "{keys}"],
        ["create", "--keys", "{keys}", "--from", "sip:nobody@x", "--to", "sip:bob@streamwide.com", "--out", "-"],
        ["create", "--keys", "{keys}", "--from", "sip:alice@streamwide.com", "--to", "sip:x@y", "--out", "-"],
        ["create", "--keys", "{keys}", "--from", "a", "--to", "b", "--out", "-", "--kd", "00"],
        ["create", "--keys", "{keys}", "--from", "a", "--to", "b", "--out", "-", "--time", "yesterday"],
        ["open", "--keys", "{keys}"],
        ["open", "--keys", "{keys}", "--in", "-", "--tolerate", "everything"],
    ],
)
def test_usage_errors(keys, tmp_path, capsys, arguments):
    names = {"keys": keys, "missing": tmp_path / "missing", "folder": tmp_path}
    assert run(["mikey", *(argument.format(**names) for argument in arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_key_files_of_any_encoding(published, keys, tmp_path, capsys, encoding):
    keys.write_bytes(keys.read_text().replace("{", "{\r\n").encode(encoding))
    path = tmp_path / "message"
    path.write_text(published["cases"][0]["I-MESSAGE"])
    assert run(["mikey", "open", "--keys", str(keys), "--in", str(path), "--json"]) == 0
    assert _json(capsys)["ok"]
