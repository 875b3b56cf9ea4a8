"""An outsider's capture of links, opened with the session keys a KMS gives out: set-ups, rekeys, forged answers."""

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from lab_scripts.capture.capture_file import read_packets
from lab_scripts.capture.decrypt import DecryptionCounts, decrypt_capture
from lab_scripts.capture.errors import CaptureError
from lab_scripts.capture.i_messages import captured_i_messages
from lab_scripts.capture.intercept_export import read_exports
from lab_scripts.capture.intercepted import Intercepted, Verdict, follow_exchanges
from lab_scripts.capture.keylog import KeyLog
from lab_scripts.capture.signalling import Signalling, read_signalling
from lab_scripts.capture.sink import write_capture
from lab_scripts.cli.main import run
from prose_link.event_stream import EventStream, PduSeen
from prose_link.instant import Instant
from prose_link.pc5s.core.policy import LinkPolicy, RekeyContribution
from prose_link.pc5s.wire.messages import ChosenAlgorithms, Kdf, Mutual
from security.mikey import extract_ssv
from security.mikey.i_message import parse_i_message
from security.mikey.numbers import Role
from tests.benches.pc5s_bench import A, B, Frame, linked, make_kms, pair, reencoded

ONE_WAY = LinkPolicy(mutual_ask=Mutual.NOT_WANTED)
NONCES = LinkPolicy(rekey_contribution=RekeyContribution.NONCE_ONLY)
FIRST, SECOND, THIRD = (b"\x45" + word * 40 for word in (b"first", b"second", b"third"))


def captured(frames: list[Frame], path: Path) -> Path:
    """The capture of a listener on the air without keys."""
    records = []
    stream = EventStream("air", records.append)
    for number, frame in enumerate(frames):
        pdu = PduSeen(
            layer="pdcp",
            direction="rx",
            subframe=number,
            data=frame.header + frame.data + frame.mac_i,
            src_l2=frame.src_l2,
            dst_l2=frame.dst_l2,
            lcid=frame.lcid,
        )
        stream.emit(pdu, Instant(number, number))
    write_capture(path, records)
    return path


def ssvs(path: Path, *responders: str) -> dict[bytes, bytes]:
    """What the KMS's export holds of the I_MESSAGEs to some identities."""
    kms, found = make_kms(), {}
    try:
        messages = captured_i_messages(path, responders)
    except CaptureError:
        return found
    for message in messages:
        i_message = parse_i_message(message.octets)
        keys = kms.keys(i_message.role_uri(Role.RESPONDER), kms.domain.period_of(i_message.timestamp.ntp_s))
        ssv = extract_ssv(i_message, rsk=keys.rsk, uid=keys.uid, z=kms.domain.z)
        found[hashlib.sha256(i_message.signed_part).digest()] = ssv
    return found


def opened(path: Path, keys: dict[bytes, bytes]) -> tuple[Intercepted, DecryptionCounts, Path]:
    intercepted = follow_exchanges(read_signalling(read_packets(path)), keys)
    out = path.with_suffix(".opened")
    return intercepted, decrypt_capture(path, KeyLog(intercepted.contexts), out), out


def user_data(path: Path) -> list[bytes]:
    return [packet.data for packet in read_packets(path) if packet.interface.name == "air.ip-decrypted"]


@pytest.mark.parametrize("kdf", list(Kdf))
def test_row_46_a_one_way_link_opens_with_the_responders_keys_alone(tmp_path, kdf):
    a, b, air = linked(a={"policy": replace(ONE_WAY, kdfs=(kdf,))})
    assert air.send_user_data(a, b, FIRST) and air.send_user_data(b, a, SECOND)
    path = captured(air.log, tmp_path / "x")
    intercepted, counts, out = opened(path, ssvs(path, B))
    assert [(e.asker, e.answerer, e.keying, e.verdict) for e in intercepted.exchanges] == [(A, B, "one-way", "opened")]
    assert counts.decrypted == counts.protected == 4
    assert user_data(out) == [FIRST, SECOND]
    nothing, counts, _ = opened(path, ssvs(path, A))
    assert [e.verdict for e in nothing.exchanges] == [Verdict.NO_KEY] and not counts.decrypted


@pytest.mark.parametrize(
    ("named", "verdict"),
    [((A, B), Verdict.OPENED), ((B,), Verdict.NO_ANSWER_KEY), ((A,), Verdict.NO_REQUEST_KEY), ((), Verdict.NO_KEY)],
)
def test_row_46_a_mutual_link_takes_the_keys_of_both_ends(tmp_path, named, verdict):
    a, b, air = linked()
    assert air.send_user_data(a, b, FIRST)
    path = captured(air.log, tmp_path / "x")
    intercepted, counts, out = opened(path, ssvs(path, *named) if named else {})
    assert [(e.keying, e.verdict) for e in intercepted.exchanges] == [("mutual", verdict)]
    assert counts.decrypted == (counts.protected if verdict is Verdict.OPENED else 0)
    assert user_data(out) == ([FIRST] if verdict is Verdict.OPENED else [])


def rekeyed_link(path: Path) -> Path:
    """A mutual link: a rekey by nonces that A asks for, then one with I_MESSAGEs that B asks for."""
    a, b, air = linked(policy=NONCES)
    assert air.send_user_data(a, b, FIRST)
    a.entity.rekey(B, air.now)
    air.run()
    assert air.send_user_data(b, a, SECOND)
    b.entity.rekey(A, air.now, new_kd=True)
    air.run()
    assert air.send_user_data(a, b, THIRD)
    return captured(air.log, path)


def test_rekeys_are_followed_as_their_i_messages_come_to_light(tmp_path):
    path = rekeyed_link(tmp_path / "x")
    set_up_keys = ssvs(path, A, B)
    intercepted, counts, out = opened(path, set_up_keys)
    assert [(e.rekey, e.asker, e.keying, e.verdict) for e in intercepted.exchanges] == [
        (False, A, "mutual", Verdict.OPENED),
        (True, A, "nonces alone", Verdict.OPENED),
        (True, B, "mutual", Verdict.NO_KEY),
    ]
    assert user_data(out) == [FIRST, SECOND] and 0 < counts.without_key < counts.decrypted
    rekey_keys = ssvs(out, A, B)
    assert set_up_keys.items() < rekey_keys.items()
    intercepted, counts, out = opened(path, rekey_keys)
    assert {e.verdict for e in intercepted.exchanges} == {Verdict.OPENED}
    assert len({e.kd_sess_id for e in intercepted.exchanges}) == len(intercepted.contexts) == 3
    assert counts.decrypted == counts.protected and user_data(out) == [FIRST, SECOND, THIRD]


def test_the_order_of_a_capture_does_not_matter(tmp_path):
    path = rekeyed_link(tmp_path / "x")
    found = read_signalling(read_packets(path))
    backwards = Signalling(messages=found.messages[::-1], protected=found.protected[::-1], i_messages=())
    keys = ssvs(path, A, B)
    assert follow_exchanges(backwards, keys) == follow_exchanges(found, keys)


def test_forged_answers_give_no_context_and_hide_none(tmp_path):
    a, b, air = pair()
    air.connect(a, b)
    air.run()
    (request,), (answer,) = [[f for f in air.log if f.lcid == 28 and f.data[0] == kind] for kind in (1, 2)]
    assert a.states() == b.states() == ["established"]
    forged = [
        replace(answer, data=reencoded(answer.data, confirmation=bytes(16))),
        replace(answer, data=reencoded(answer.data, i_message=None, key_proof=None)),
        replace(answer, data=reencoded(answer.data, i_message=b"\x01 no I_MESSAGE")),
        replace(answer, data=reencoded(answer.data, request_hash=bytes(32))),
        replace(answer, data=answer.data[:-1]),
        replace(request, data=reencoded(request.data, i_message=bytes(40))),
        replace(request, data=b""),
    ]
    path = captured([request, *forged, *air.log], tmp_path / "x")
    intercepted, counts, _ = opened(path, ssvs(path, A, B))
    assert sorted(e.verdict for e in intercepted.exchanges) == [*[Verdict.NOT_CONFIRMED] * 2, Verdict.OPENED]
    assert len(intercepted.contexts) == 1 and counts.decrypted == counts.protected


def test_an_answer_with_an_algorithm_nobody_knows_is_told(tmp_path):
    _, _, air = linked()
    frames = [f for f in air.log if f.lcid == 28]
    unknown = reencoded(frames[1].data, algorithms=ChosenAlgorithms(eea=7, eia=2))
    path = captured([frames[0], replace(frames[1], data=unknown)], tmp_path / "x")
    assert [e.verdict for e in opened(path, ssvs(path, A, B))[0].exchanges] == [Verdict.UNKNOWN_ALGORITHM]


def test_the_command_lists_i_messages_for_an_order_and_reads_exports(tmp_path, capsys):
    path, listed, out = rekeyed_link(tmp_path / "x"), tmp_path / "messages.txt", tmp_path / "out"
    assert run(["capture", "i-messages", str(path), "--to", B, "--out", str(listed), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["initiator"], told["responder"], told["time"][:11]) == (A, B, "2026-09-21T")
    octets = base64.b64decode(listed.read_text().removeprefix("mikey "))
    signed = parse_i_message(octets).signed_part
    assert told["signed_part_sha256"] == hashlib.sha256(signed).hexdigest()
    assert run(["capture", "i-messages", str(path), "--to", "tel:+44"]) == 2
    assert "no I_MESSAGE to tel:+44" in capsys.readouterr().err
    exports = [write_export(tmp_path / name, ssvs(path, who)) for name, who in (("a", A), ("b", B))]
    decrypt = ["capture", "decrypt", str(path), "--out", str(out)]
    assert run([*decrypt, "--intercept", str(exports[1])]) == 5
    said = capsys.readouterr()
    assert "no session key of the answer's I_MESSAGE" in said.out and "both ends' I_MESSAGEs" in said.err
    assert run([*decrypt, "--intercept", str(exports[0]), "--intercept", str(exports[1])]) == 0
    assert f"rekey {A} > {B}, nonces alone" in capsys.readouterr().out
    assert run(decrypt) == 2 and "needs keys" in capsys.readouterr().err
    assert run([*decrypt, "--intercept", str(listed)]) == 2
    assert "is no interception export" in capsys.readouterr().err
    assert run([*decrypt, "--intercept", str(tmp_path / "none")]) == 2


def write_export(path: Path, keys: dict[bytes, bytes]) -> Path:
    sessions = [
        {
            "signed_part_sha256": name.hex(),
            "csb_id": 1,
            "time_ntp_s": 1,
            "initiator": None,
            "responder": A,
            "signature": "verified",
            "ssv": ssv.hex(),
        }
        for name, ssv in keys.items()
    ]
    product = {"kms": "kms.x", "order": 1, "warrant": "W", "requested_by": "x", "approved_by": "y"}
    path.write_text(json.dumps({**product, "sessions": sessions}))
    assert read_exports([path]) == keys
    return path
