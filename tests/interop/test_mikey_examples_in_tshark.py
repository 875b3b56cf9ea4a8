"""The worked MIKEY-SAKKE messages as stock tshark reads them: header, payload list, time, identities."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lab_scripts.capture.exported_pdu import MIKEY, exported_pdu
from lab_scripts.capture.pcapng import LINKTYPE_WIRESHARK_UPPER_PDU, Interface, PcapngWriter
from security.mikey.codec import MapType, decode
from security.mikey.payloads import Certificate
from tests.interop import tshark_json

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(tshark_json.TSHARK is None, reason="tshark is not installed"),
]
NAMES = {"General Extension": "ext"}
EXAMPLES = Path(__file__).parents[2] / "docs" / "mikey-examples"


def _in_tsharks_reach(path: Path) -> bool:
    """tshark 4.0 knows no GENERIC-ID map, and takes CERT's length from the octet before it."""
    message = decode(path.read_bytes())
    generic = message.header.map_type == MapType.GENERIC_ID
    return not generic and not any(isinstance(payload, Certificate) for payload in message.payloads)


def test_every_example_is_understood(tmp_path):
    paths = [path for path in sorted(EXAMPLES.glob("*.bin")) if _in_tsharks_reach(path)]
    assert len(paths) == 11
    capture = tmp_path / "examples.pcapng"
    with PcapngWriter(capture) as writer:
        for number, path in enumerate(paths):
            writer.write(
                Interface(name="x", link_type=LINKTYPE_WIRESHARK_UPPER_PDU),
                number,
                exported_pdu(MIKEY, path.read_bytes()),
            )
    for path, layers in zip(paths, tshark_json.dissect(capture), strict=True):
        message, shown = decode(path.read_bytes()), layers["mikey"]
        assert not any("malformed" in name for name in (*layers, *shown)), path.name
        header = shown["mikey.hdr"]
        assert int(header["mikey.csb_id"], 16) == message.header.csb_id
        assert int(header["mikey.type"]) == message.header.data_type
        assert int(header["mikey.cs_count"]) == len(message.header.crypto_sessions)
        assert shown["mikey.t"]["mikey.t.ntp"].startswith("Mar 15, 2026 12:00:00.000000000")
        names = {name: len(value) if isinstance(value, list) else 1 for name, value in shown.items()}
        payloads = Counter(NAMES.get(payload.NAME, payload.NAME.lower()) for payload in message.payloads)
        assert names == {"mikey.hdr": 1} | {f"mikey.{name}": count for name, count in payloads.items()}
        sign = shown["mikey.sign"]
        assert (sign["mikey.sign.type"], sign["mikey.sign.len"]) == ("2", "129")
