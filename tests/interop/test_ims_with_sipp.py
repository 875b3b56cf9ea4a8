"""sipp as the other user agent, in both directions: it parses and answers by scenarios that know nothing of the lab.

Bodies are written into the scenarios octet by octet (`\\xHH`), so that sipp sends what the lab would; what the lab
sends, sipp checks by its own regular expressions.
"""

from __future__ import annotations

import base64
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab_scripts.runs.ims_core import ImsCore, Subscriber
from prose_link.carriers.ims.envelope import cut
from prose_link.carriers.ims.events import ImsBodyRefused, ImsCallRefused, SipMessageSeen
from prose_link.sip.message import parse
from tests.benches.ims_bench import ACCEPT, I_MESSAGE, KAMAILIO, REQUEST, SIPP, A, B, Ue, run, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.skipif(SIPP is None, reason="sipp (sip-tester) is not installed")]

SIPP_AT, UE_AT = "127.53.62.1", "127.53.62.2"
HEAD = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<!DOCTYPE scenario SYSTEM "sipp.dtd">
<scenario name="{name}">
{steps}
</scenario>
"""
CALL = """Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <tel:+447700900001>;tag=[pid]s[call_number]
To: <sip:[remote_ip]:[remote_port]>{to_tag}
Call-ID: [call_id]
CSeq: {number} {method}
Contact: <sip:[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
"""


def escaped(octets: bytes) -> str:
    return "".join(f"\\x{octet:02x}" for octet in octets)


def body_of(message: bytes, i_message_line: bool = True) -> str:
    """The envelope of a Request or Accept, written by this test and not by the product."""
    rest, i_message = cut(message)
    key = f"a=key-mgmt:mikey {base64.b64encode(i_message).decode()}\n" if i_message and i_message_line else ""
    return f"""--sipp-boundary
Content-Type: application/sdp

v=0
o=- 1 1 IN IP4 {SIPP_AT}
s=-
c=IN IP4 {SIPP_AT}
t=0 0
{key}
--sipp-boundary
Content-Type: application/vnd.pc5lab.pc5s

{escaped(rest)}
--sipp-boundary--
"""


MULTIPART = "Content-Type: multipart/mixed;boundary=sipp-boundary\nContent-Length: [len]\n\n"


def request(method: str, number: int, to_tag: str = "", body: str = "Content-Length: 0\n\n", retrans: str = "") -> str:
    head = CALL.format(method=method, number=number, to_tag=to_tag)
    line = f"{method} sip:[remote_ip]:[remote_port] SIP/2.0"
    return f"<send{retrans}><![CDATA[\n{line}\n{head}{body}]]></send>"


def caller(body: str, final: str) -> str:
    """INVITE, final response, ACK, BYE."""
    after = request("ACK", 1, "[peer_tag_param]")
    if final == "200":
        after += "<pause milliseconds='100'/>" + request("BYE", 2, "[peer_tag_param]", retrans=" retrans='500'")
        after += "<recv response='200'/>"
    steps = request("INVITE", 1, body=MULTIPART + body, retrans=" retrans='500'")
    steps += "<recv response='100' optional='true'/><recv response='180' optional='true'/>"
    return HEAD.format(name="caller", steps=steps + f"<recv response='{final}'/>" + after)


def callee(response: str, expected: bytes) -> str:
    """Check the offer by a regular expression, answer, and take what follows."""
    line = base64.b64encode(expected).decode().replace("+", "[+]")
    check = f"<ereg regexp='a=key-mgmt:mikey {line}' search_in='body' check_it='true' assign_to='1'/>"
    copied = "[last_Via:]\n[last_From:]\n[last_To:];tag=[pid]c[call_number]\n[last_Call-ID:]\n[last_CSeq:]\n"
    contact = "[last_Record-Route:]\nContact: <sip:[local_ip]:[local_port];transport=[transport]>\n"
    steps = f"<recv request='INVITE' crlf='true' rrs='true'><action>{check}</action></recv>"
    steps += f"<send><![CDATA[\nSIP/2.0 180 Ringing\n{copied}{contact}Content-Length: 0\n\n]]></send>"
    steps += f"<send retrans='500'><![CDATA[\n{response}\n{copied}{contact}"
    if response.endswith("200 OK"):
        steps += f"{MULTIPART}{body_of(ACCEPT)}]]></send><recv request='ACK'/><recv request='BYE'/>"
        steps += (
            "<send><![CDATA[\nSIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n"
        )
        steps += "Content-Length: 0\n\n]]></send>"
    else:
        steps += "Content-Length: 0\n\n]]></send><recv request='ACK'/>"
    return HEAD.format(name="callee", steps=steps + "<Reference variables='1'/>")


class Sipp:
    """One run of sipp."""

    def __init__(self, folder: Path, scenario: str, *arguments: str) -> None:
        path = folder / f"scenario-{time.monotonic_ns()}.xml"
        # sipp takes attributes in double quotes only.
        path.write_text(re.sub(r"(\w)='([^']*)'", r'\1="\2"', scenario), encoding="utf-8")
        self._process = subprocess.Popen(
            [
                SIPP,
                "-sf",
                str(path),
                "-nostdin",
                "-m",
                "1",
                "-timeout",
                "20s",
                "-timeout_error",
                "-trace_err",
                *arguments,
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    @property
    def is_over(self) -> bool:
        return self._process.poll() is not None

    def check(self) -> None:
        out, _ = self._process.communicate(timeout=20)
        assert self._process.returncode == 0, out.decode(errors="replace")[-1500:]


@pytest.fixture
def ue():
    one = Ue(B, host=UE_AT, port=5060, peers={f"tel:{A}": f"sip:{SIPP_AT}:5060"}, hold_s=0.3)
    yield one
    one.carrier.close()


def finish(sipp: Sipp, ue: Ue, do: Callable[[], None] = lambda: None) -> None:
    ends_s = time.monotonic() + 20
    while not sipp.is_over and time.monotonic() < ends_s:
        run([ue], 0.01)
        do()
    sipp.check()


@pytest.mark.parametrize("transport", ["u1", "t1"])
def test_sipp_calls_and_is_answered(tmp_path: Path, ue: Ue, transport: str) -> None:
    sipp = Sipp(tmp_path, caller(body_of(REQUEST), "200"), "-i", SIPP_AT, "-t", transport, f"{UE_AT}:5060")
    taken: list[bytes] = []

    def answer() -> None:
        if ue.brought:
            message, carried = ue.take()
            taken.append(message)
            ue.send(ACCEPT, carried.via)

    finish(sipp, ue, answer)
    assert taken == [REQUEST]
    assert [one.data[:4] for one in ue.told_of(SipMessageSeen) if one.direction == "rx"] == [b"INVI", b"ACK ", b"BYE "]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (body_of(REQUEST, i_message_line=False), "without key-mgmt"),
        (body_of(REQUEST).replace("mikey", "other"), "mikey"),
    ],
)
def test_sipp_offers_without_mikey_and_is_refused_by_488(tmp_path: Path, ue: Ue, body: str, why: str) -> None:
    finish(Sipp(tmp_path, caller(body, "488"), "-i", SIPP_AT, "-t", "u1", f"{UE_AT}:5060"), ue)
    assert ue.brought == [] and why in ue.told_of(ImsBodyRefused)[0].why


@pytest.mark.parametrize("transport", ["u1", "t1"])
def test_sipp_is_called_and_answers(tmp_path: Path, ue: Ue, transport: str) -> None:
    # By UDP the request is made short enough to stay there.
    message = REQUEST if transport == "t1" else cut(REQUEST)[0] + bytes([0x78, 0, 60]) + I_MESSAGE[:60]
    expected = cut(message)[1]
    assert expected is not None
    sipp = Sipp(tmp_path, callee("SIP/2.0 200 OK", expected), "-i", SIPP_AT, "-t", transport, "-p", "5060")
    time.sleep(0.3)
    ue.call(A, message)
    finish(sipp, ue)
    assert [ue.take()[0] for _ in list(ue.brought)] == [ACCEPT]
    (invite,) = {one.transport for one in ue.told_of(SipMessageSeen) if one.data.startswith(b"INVITE")}
    assert invite == ("tcp" if transport == "t1" else "udp")


def test_sipp_is_called_and_refuses(tmp_path: Path, ue: Ue) -> None:
    sipp = Sipp(tmp_path, callee("SIP/2.0 486 Busy Here", I_MESSAGE), "-i", SIPP_AT, "-t", "t1", "-p", "5060")
    time.sleep(0.3)
    ue.call(A)
    finish(sipp, ue)
    assert [(one.status, one.why) for one in ue.told_of(ImsCallRefused)] == [(486, "Busy Here")]


REGISTER = """<send retrans="500"><![CDATA[
REGISTER sip:ims.test SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+447700900001@ims.test>;tag=r[call_number]
To: <sip:+447700900001@ims.test>
Call-ID: [call_id]
CSeq: {number} REGISTER
Contact: <sip:[local_ip]:[local_port]>
Expires: 120
Supported: path
Max-Forwards: 70
{authorization}Content-Length: 0

]]></send>"""


@pytest.mark.skipif(KAMAILIO is None, reason="Kamailio is not installed")
def test_sipp_registers_at_the_core_and_is_called_through_it(tmp_path: Path) -> None:
    subscribers = [Subscriber(number=A, password="secret-a"), Subscriber(number=B, password="secret-b")]
    with ImsCore(tmp_path, tmp_path / "logs", subscribers, block=62, algorithm="MD5", big_over_tcp=False) as core:
        steps = REGISTER.format(number=1, authorization="") + "<recv response='401' auth='true'/>"
        authorization = f"[authentication username={A}@ims.test password=secret-a]\n"
        steps += REGISTER.format(number=2, authorization=authorization) + "<recv response='200'/>"
        register = HEAD.format(name="register", steps=steps)
        Sipp(tmp_path, register, "-i", SIPP_AT, "-p", "5060", "-t", "u1", f"{core.proxy}:5060").check()
        one = Ue(B, proxy=core.proxy, host=UE_AT, port=5060, password="secret-b", hold_s=0.3)
        try:
            wait_until(lambda: one.carrier.is_registered, [one])
            sipp = Sipp(tmp_path, callee("SIP/2.0 200 OK", I_MESSAGE), "-i", SIPP_AT, "-t", "u1", "-p", "5060")
            time.sleep(0.3)
            one.call(A)
            finish(sipp, one)
            message, carried = one.take()
            assert message == ACCEPT and carried.named_sender == f"tel:{A}"
            answer = next(
                parse(seen.data)
                for seen in one.told_of(SipMessageSeen)
                if b" 200 OK" in seen.data[:16] and b"INVITE" in seen.data
            )
            assert len(answer.headers.values("Record-Route")) >= 2
        finally:
            one.carrier.close()
