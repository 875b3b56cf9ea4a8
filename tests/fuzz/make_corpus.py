"""Writes the first inputs of each fuzz target to tests/fuzz/corpus: good ones, and ones at the edges by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1])]

from prose_link.carriers.ims.envelope import request_body  # noqa: E402
from security.sakke.curve import GENERATOR, encode_point  # noqa: E402
from tests.fuzz import targets  # noqa: E402
from tests.samples.pc5s_messages import of_profile  # noqa: E402

TORTURE = HERE.parent / "vectors" / "sip" / "rfc4475"
EXAMPLES = HERE.parents[1] / "docs" / "mikey-examples"
P_256_Q = bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")

REQUEST_XML = (
    b'<KmsRequest xmlns="urn:3gpp:ns:mcsecKMSInterface:1.0" Version="1.1.0"><UserUri>sip:a@b.example</UserUri>'
    b"<KmsUri>kms.example</KmsUri><Time>2026-03-15T12:00:00Z</Time>"
    b"<ClientReqUrl>https://kms.example/keymanagement/identity/v1/init</ClientReqUrl></KmsRequest>"
)


def header(follower: int, *, count: int = 0, kind: int = 1, data_type: int = 26) -> bytes:
    return bytes([1, data_type, follower, 1, 0x10, 0, 0, 1, count, kind])


def pc5s_samples(profile: str) -> dict[str, bytes]:
    """The messages of a profile, by file name."""
    return {sample.name.replace(" ", "-"): sample.octets for sample in of_profile(profile)}


def corpus() -> dict[str, dict[str, bytes]]:
    examples = {path.stem: path.read_bytes() for path in sorted(EXAMPLES.glob("*.bin"))}
    seed = targets.signed_seed()
    statement, signed_statement = targets.statement_seed().encode(), targets.signed_statement_seed()
    signature, sed = seed[-129:], seed[-129 - 2 - 273 : -131]
    point = encode_point(GENERATOR)
    p256_point = signature[64:]
    keys = json.loads((EXAMPLES / "keys.json").read_text())
    small = {"kms": keys["kms"][:1], "users": [dict(keys["users"][0], rsk=None)]}
    return {
        "mikey": {
            **{name: examples[name] for name in ("tel-monthly", "mcx-client-server", "srtp-id-sha1", "error-policy")},
            "most-crypto-sessions": header(0, count=255, kind=2) + bytes.fromhex("00000000000000") * 255,
            "sessions-without-a-map": header(0, count=255, kind=1),
            "longest-chain": header(11) + b"\x0b\x00" * 63 + b"\x00\x00",
            "chain-too-long": header(11) + b"\x0b\x00" * 64 + b"\x00\x00",
            "policy-longer-than-message": header(10) + bytes.fromhex("000000ffff") + b"\x00\xff" * 20,
            "identity-of-65535": header(14) + bytes.fromhex("000101ffff") + b"a" * 300,
            "signature-of-4095": header(4) + b"\x2f\xff" + bytes(300),
            "unknown-payload": header(200),
            "empty": b"",
        },
        "sip": {path.stem: path.read_bytes() for path in sorted(TORTURE.glob("*.dat"))},
        "sip_stream": {"two": (TORTURE / "dblreq.dat").read_bytes(), "no-length": (TORTURE / "ncl.dat").read_bytes()},
        "sip_user_agent": {
            name: (TORTURE / f"{name}.dat").read_bytes() for name in ("wsinv", "sdp01", "bcast", "inv2543")
        },
        "ims_body": {
            "request": request_body(pc5s_samples("identity")["request"], "192.0.2.1", 1, bytes).octets,
            "message": pc5s_samples("identity")["request"],
            "unended": b"--b\r\nContent-Type: application/sdp\r\n\r\n",
        },
        "mikey_error": {
            "signed": examples["error-policy"],
            "two-errors": header(5, data_type=6)
            + bytes.fromhex("0c000000000000000000")
            + bytes.fromhex("0c0000000000000000"),
        },
        "mikey_profile": {name: examples[name] for name in ("profile-request", "profile-accept", "tel-monthly")},
        "mikey_responder": {
            "wrong-signature": seed[:-1] + bytes([seed[-1] ^ 1]),
            "wrong-time": seed[:12] + b"\xff" + seed[13:],
            "profile-group": examples["profile-group"],
        },
        "eccsi_verify": {
            "signature": signature,
            "zero-r": bytes(32) + signature[32:],
            "zero-s": signature[:32] + bytes(32) + signature[64:],
            "s-is-q": signature[:32] + P_256_Q + signature[64:],
            "all-ones": b"\xff" * 64 + signature[64:],
            "pvt-at-zero": signature[:64] + b"\x04" + bytes(64),
            "pvt-at-infinity": signature[:64] + bytes(65),
            "pvt-compressed": signature[:64] + b"\x02" + p256_point[1:33] + bytes(32),
        },
        "eccsi_keys": {
            "zero-ssk": bytes(32) + p256_point,
            "ssk-is-q": P_256_Q + p256_point,
            "other": b"\x01" * 32 + p256_point,
        },
        "sakke_open": {
            "good": sed,
            "generator": point + bytes(16),
            "order-two": b"\x04" + bytes(256) + bytes(16),
            "infinity": bytes(273),
            "coordinates-not-below-p": b"\x04" + b"\xff" * 256 + bytes(16),
        },
        "points": {"generator": point, "p256": p256_point, "infinity": b"\x00", "ones": b"\x04" + b"\xff" * 64},
        "key_file": {
            "small.json": json.dumps(small).encode(),
            "nested.json": b"[" * 3000,
            "not-hex.json": b'{"kms":[{"uri":"a","z":"zz","kpak":"","uid_format":1}],"users":[]}',
            "huge-number.json": b'{"kms":[{"uri":"a","z":"","kpak":"","uid_format":' + b"9" * 5000 + b"}]}",
        },
        "identity": {
            "tel": b"tel:+447700900001",
            "sip": b"sip:alice@lab.example:5060",
            "nul": b"tel:+4477\x00tel:+44",
            "many-dots": b"sip:a@" + b"a." * 120 + b"-",
        },
        "context": {"zeros": bytes(40), "ones": b"\xff" * 40, "short": b"\x03"},
        "group_traffic": {
            "one-sender": b"".join(bytes.fromhex("0000a102000100") + bytes([sn]) + b"\x03abc" for sn in range(60)),
            "highest-numbers": bytes.fromhex("0000a102ffffffff03616263") * 20,
            "own-address": bytes.fromhex("000001020001000103616263") * 3,
        },
        "algorithms": {
            "odd-bits": bytes.fromhex("21070001030100ff") + bytes(range(64)),
            "no-bits": bytes.fromhex("ffffffff1f000000"),
            "bits-missing": bytes.fromhex("000000000000ffff"),
        },
        "kms_json": {
            "keys": b'{"uri":"tel:+447700900001"}',
            "enrol": b'{"token":"t","csr_pem":"-----BEGIN CERTIFICATE REQUEST-----"}',
            "nested": b'{"uri":' + b"[" * 5000,
            "huge-number": b'{"version":' + b"9" * 5000 + b"}",
        },
        "kms_xml": {
            "request.xml": REQUEST_XML,
            "entities.xml": b'<!DOCTYPE a [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;&a;">]><a>&b;</a>',
            "deep.xml": b"<a>" * 2000,
            "wide.xml": b"<a>" + b"<b/>" * 2000 + b"</a>",
            "not-utf-8.xml": b'<?xml version="1.0" encoding="utf-16"?><a/>',
        },
        "map_statement": {
            "statement": statement,
            "nobody": targets.statement_seed(nobody=True).encode(),
            "longest-number": targets.statement_seed(number="+123456789012345").encode(),
            "longest-identity": targets.statement_seed(identity="sip:" + "a" * 200 + "@lab.example").encode(),
            "another-version": statement.replace(b"map\x01", b"map\x02", 1),
            "length-beyond-the-end": statement[:23] + b"\xff\xff\xff\xff" + statement[27:],
            "unknown-use": statement[:-2] + b"\x80" + statement[-1:],
            "unknown-state": statement[:-1] + b"\x02",
            "fraction-of-a-second": statement.replace(bytes(4), b"\0\0\0\x01", 2),
            "octets-behind": statement + b"\0",
            "empty": b"",
        },
        "map_signed": {
            "wrong-signature": signed_statement[:-1] + bytes([signed_statement[-1] ^ 1]),
            "another-number": signed_statement.replace(b"+447700900002", b"+447700900003", 1),
            "signature-alone": signed_statement[-129:],
        },
        "sealed": {"none": b"", "zeros": bytes(80), "highest-cost": b"pc5lab-seal" + b"\xff" * 80},
        "pc5s": {
            **pc5s_samples("identity"),
            "request-without-end": bytes.fromhex("01000112") + b"\x01tel:+447700900001" + bytes(40) + b"\x78\xff\xff",
            "empty": b"",
        },
        "pc5s_ts24334": {**pc5s_samples("ts24334"), "kd-id-twice": bytes.fromhex("0d0001" + "0f0000" * 2)},
        "pc5s_relay": {
            **pc5s_samples("relay"),
            "no-hops": bytes.fromhex("f00009") + bytes(13),
            "no-lcid": bytes.fromhex("f100090400000001") + bytes(9),
        },
        "discovery": {"zeros": bytes(29), "ones": b"\xff" * 29, "short": bytes(28)},
        "layer_2": {
            "mac": bytes.fromhex("00000001000002") + bytes(40),
            "rlc-with-extensions": b"\x07" + b"\xff" * 60,
            "pdcp": bytes.fromhex("0021070001") + bytes(20),
            "hearing-report": bytes.fromhex("0101002a" + "0007004a2501" * 2),
            "hearing-report-too-long": bytes.fromhex("0101002a" + "0007004a2501" * 17),
        },
    }


def main() -> None:
    for target, files in corpus().items():
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, octets in files.items():
            (folder / name).write_bytes(octets)


if __name__ == "__main__":
    main()
