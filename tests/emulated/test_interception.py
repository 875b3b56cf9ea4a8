"""The whole way of an interception: a demo's capture, two operators' order at its KMS, the export, what it opens."""

import base64
import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab_scripts.capture.capture_file import read_packets
from lab_scripts.capture.pcapng import PcapngWriter
from lab_scripts.cli.main import run
from lab_scripts.demo.plan import IDENTITY_A, IDENTITY_B
from lab_scripts.runs.lab_world import KMS_URI, LAB_UTC, NAMESPACE
from security.identifiers import NTP_EPOCH, UidScheme, UserKeys
from security.kms.authority import Authority, MasterSecrets
from security.mikey.i_message import extract_ssv, parse_i_message
from tests.emulated.demo_process import DemoRun, run_demo

pytestmark = pytest.mark.emulated
SEED = "7"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A finished demo, what an outsider captured of it, and its KMS with two operators."""

    demo: DemoRun
    capture: Path
    kms: Path
    folder: Path

    def kms_order(self, *arguments: str, by: str) -> None:
        step, *rest = arguments
        order = ["kms", "intercept", step, str(self.kms), *rest, "--operator", by, "--key", str(self.folder / by)]
        assert run(order) == 0

    def exported(self, number: int, *identities: str) -> Path:
        """An order about these identities, from the list of I_MESSAGEs to the export."""
        messages, out = self.folder / f"messages-{number}.txt", self.folder / f"sessions-{number}.json"
        to = [word for uri in identities for word in ("--to", uri)]
        assert run(["capture", "i-messages", str(self.capture), *to, "--out", str(messages)]) == 0
        named = [word for uri in identities for word in ("--identity", uri)]
        about = ["--warrant", f"W-{number}", "--message", str(messages), "--at", LAB_UTC.isoformat()]
        self.kms_order("request", *named, *about, by="carol")
        self.kms_order("approve", str(number), by="dave")
        shares = sorted((self.kms / "interception-shares").iterdir())
        given = [word for share in shares for word in ("--share", str(share))]
        self.kms_order("export", str(number), "--out", str(out), *given, by="carol")
        return out


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("interception")
    demo = run_demo(folder / "runs", "--seed", SEED)
    assert demo.exit_code == 0, demo.talk
    kms = folder / "kms"
    founding = ["--demo-seed", SEED, "--uri", KMS_URI, "--namespace", NAMESPACE, "--uid-scheme", "1"]
    assert run(["kms", "init", str(kms), *founding]) == 0
    for name in ("carol", "dave"):
        assert run(["kms", "operator", "add", str(kms), name, "--key", str(folder / name)]) == 0
    yield Case(demo=demo, capture=heard_on_the_air(demo, folder / "air.pcapng"), kms=kms, folder=folder)


def heard_on_the_air(demo: DemoRun, out: Path) -> Path:
    """The capture without what only the UEs themselves see: nothing above PDCP."""
    with PcapngWriter(out) as writer:
        for packet in read_packets(demo.folder / "capture.pcapng"):
            if packet.interface.name.endswith((".mac", ".pdcp")):
                writer.write(packet.interface, packet.time_ns, packet.data, packet.comment)
    return out


def decrypted(case: Case, export: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], Path]:
    out = export.with_suffix(".pcapng")
    capsys.readouterr()
    code = run(["capture", "decrypt", str(case.capture), "--intercept", str(export), "--out", str(out), "--json"])
    return code, json.loads(capsys.readouterr().out), out


def test_both_ends_named_opens_every_protected_pdu(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    export = case.exported(1, IDENTITY_A, IDENTITY_B)
    code, report, out = decrypted(case, export, capsys)
    assert code == 0
    assert report["decrypted"] == report["protected"] > 280
    (exchange,) = report["exchanges"]
    assert (exchange["asker"], exchange["answerer"]) == (IDENTITY_A, IDENTITY_B)
    assert (exchange["keying"], exchange["verdict"]) == ("mutual", "opened")
    sent = set(case.demo.packets("ip"))
    found = [packet.data for packet in read_packets(out) if packet.interface.name.endswith(".ip-decrypted")]
    assert len(sent) > 140 and set(found) == sent
    assert holds_no_private_key(export) and holds_no_private_key(out)


def test_one_end_named_opens_nothing(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    export = case.exported(2, IDENTITY_B)
    assert len(json.loads(export.read_text())["sessions"]) == 1
    code, report, out = decrypted(case, export, capsys)
    assert code == 5
    assert report["decrypted"] == 0 and report["without_key"] == report["protected"] > 280
    assert report["exchanges"][0]["verdict"].endswith("no session key of the answer's I_MESSAGE")
    assert len(list(read_packets(out))) == len(list(read_packets(case.capture)))
    assert holds_no_private_key(export)


@functools.cache
def authority() -> Authority:
    """The KMS of the demo."""
    return Authority.found(
        MasterSecrets.from_demo_seed(int(SEED)),
        uri=KMS_URI,
        uid_scheme=UidScheme.MONTHLY_TEL,
        key_period_s=0,
        key_period_offset_s=0,
        namespace=(NAMESPACE,),
    )


@functools.cache
def private_keys() -> dict[str, UserKeys]:
    """The keys it gave to its two users."""
    period = authority().domain.period_of((LAB_UTC - NTP_EPOCH).total_seconds())
    return {uri: authority().extract(uri, period) for uri in (IDENTITY_A, IDENTITY_B)}


def test_the_keys_searched_for_are_those_that_open(case: Case) -> None:
    export = json.loads(case.exported(3, IDENTITY_B).read_text())
    (line,) = (case.folder / "messages-3.txt").read_text().splitlines()
    i_message = parse_i_message(base64.b64decode(line.removeprefix("mikey ")))
    keys = private_keys()[IDENTITY_B]
    ssv = extract_ssv(i_message, rsk=keys.rsk, uid=keys.uid, z=authority().domain.z)
    assert [session["ssv"] for session in export["sessions"]] == [ssv.hex()]


def holds_no_private_key(path: Path) -> bool:
    """Whether no private key of either end, nor half of a receiver's, stands in a file: raw, hex or base64."""
    content = path.read_bytes()
    secrets = [
        secret for keys in private_keys().values() for secret in (keys.rsk, keys.rsk[1:129], keys.rsk[129:], keys.ssk)
    ]
    forms = [form for secret in secrets for form in (secret, secret.hex().encode(), secret.hex().upper().encode())]
    forms += [base64.b64encode(secret[at:])[:-4] for secret in secrets for at in range(3)]
    return not any(form in content for form in forms)
