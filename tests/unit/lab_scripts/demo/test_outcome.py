"""The closing figures, from hand-made events."""

from typing import Any

from lab_scripts.demo.closing import ladder_steps, rows_of
from lab_scripts.demo.outcome import outcome_of
from lab_scripts.demo.plan import Fault
from lab_scripts.events.lab_events import ProgramEnded
from lab_scripts.exit_codes import ExitCode
from lab_scripts.runs.lab_world import LAB_UTC, to_toml
from prose_link.discovery.events import PeerDiscovered
from prose_link.event_stream import PduSeen, TimedEvent
from prose_link.pc5s.core.events import LinkEstablished, RequestRefused
from prose_link.ue.events import Connecting, FirstProtected, NodeStopped, PoweredOn
from prose_link.userplane.events import TrafficDone, TransferReceived, VoiceReceived
from radio.access.protocol import BlockReceived
from radio.phy.lte.channels.indications import Synchronised
from tests.samples.events import an_event, at

Timed = TimedEvent[object]


def event(kind: type[object], source: str, at_ms: float, **fields: Any) -> Timed:
    return at(an_event(kind, **fields), source, at_ms)


def pdu(source: str, at_ms: float, direction: str, octets: bytes) -> Timed:
    return event(PduSeen, source, at_ms, layer="pc5s", direction=direction, data=octets)


def block(n: int, ok_at: int) -> Timed:
    return event(BlockReceived, "ue-b", 1, n_transmissions=n, crc_ok=ok_at > 0, crc_ok_at=ok_at, snr_db=20.0)


STOPPED = [event(NodeStopped, name, 9000, live_contexts=0) for name in ("ue-a", "ue-b")]
GOOD = [
    event(PoweredOn, "ue-b", 50),
    event(Synchronised, "ue-b", 90, cfo_hz=123.44),
    event(PeerDiscovered, "ue-a", 200),
    event(Connecting, "ue-a", 200),
    pdu("ue-a", 201, "tx", b"\x01" + bytes(9)),
    pdu("ue-b", 260, "tx", b"\x02" + bytes(19)),
    pdu("ue-a", 301, "rx", b"\x02" + bytes(19)),
    event(LinkEstablished, "ue-b", 330),
    event(LinkEstablished, "ue-a", 370),
    event(FirstProtected, "ue-b", 410),
    event(TrafficDone, "ue-a", 500, ok=True),
    event(TrafficDone, "ue-b", 501, ok=True),
    event(TransferReceived, "ue-b", 480, octets=1000, started_s=1.0, finished_s=1.1),
    *STOPPED,
]


def test_the_figures_of_a_good_run() -> None:
    outcome = outcome_of(
        [*GOOD, block(1, 1), block(1, 1), block(2, 2), block(4, 0)], seed=1, fault=None, wall_s=3.14159
    )
    assert outcome.ok and outcome.exit_code is ExitCode.OK
    assert outcome.air_ms == {
        "sync": 40.0,
        "discovered": 150.0,
        "dcr_to_dca": 100.0,
        "connected": 170.0,
        "first_protected": 210.0,
    }
    assert outcome.octets == {"dcr": 10, "dca": 20}
    assert outcome.bler == {"1": 0.5, "2": 0.25, "3": 0.25, "4": 0.25}
    assert outcome.goodput_kbps == 80.0 and outcome.wall_s == 3.14


def test_an_unfinished_run_fails() -> None:
    outcome = outcome_of(GOOD[:5], seed=1, fault=None, wall_s=1.0)
    assert not outcome.ok and outcome.exit_code is ExitCode.FAILED
    assert outcome.air_ms["connected"] is None and outcome.document()["rejected"] is None


def test_a_key_that_survives_spoils_the_run() -> None:
    left = [event(NodeStopped, "ue-a", 9000, live_contexts=1), STOPPED[1]]
    assert not outcome_of([*GOOD[:-2], *left], seed=1, fault=None, wall_s=1.0).ok


def test_a_stopped_attack_ends_with_exit_code_5() -> None:
    refusal = event(RequestRefused, "ue-b", 300, step=4, cause=None, why="I_MESSAGE is not bound to this request")
    outcome = outcome_of([refusal, *STOPPED], seed=1, fault=Fault.TAMPERED, wall_s=1.0)
    assert outcome.exit_code is ExitCode.SECURITY and not outcome.ok
    assert outcome.document()["rejected"]["by"] == "ue-b"
    assert "silently at check 4" in outcome.sentence


def test_an_attack_that_gets_its_link_is_a_failure() -> None:
    refusal = event(RequestRefused, "ue-b", 300, step=4, cause=None, why="x")
    links = [event(LinkEstablished, name, 310) for name in ("ue-a", "ue-b")]
    outcome = outcome_of([refusal, *links, *STOPPED], seed=1, fault=Fault.TAMPERED, wall_s=1.0)
    assert outcome.exit_code is ExitCode.FAILED and "nothing stopped it" in outcome.sentence


def test_toml_round_trip() -> None:
    import tomllib

    document = {"a": 1, "b": 'x"y\\z', "c": True, "d": LAB_UTC, "e": [1, 2], "f": {"g": 0.5, "h": {"i": "j"}}}
    assert tomllib.loads(to_toml(document)) == document


def test_programs_over_tun_decide_a_run_of_theirs() -> None:
    def ended(ok: bool) -> Timed:
        return event(ProgramEnded, "ue-a", 500, program="ping", command="ping x", exit_code=0, ok=ok, summary="s")

    links = [one for one in GOOD if not isinstance(one.event, TrafficDone)]
    good = outcome_of([*links, ended(True)], seed=1, fault=None, wall_s=1.0, tun=True)
    assert good.ok and "network namespaces" in good.sentence
    assert good.document()["programs"] == [
        {"program": "ping", "command": "ping x", "exit_code": 0, "ok": True, "summary": "s"}
    ]
    assert not outcome_of([*links, ended(False)], seed=1, fault=None, wall_s=1.0, tun=True).ok
    assert not outcome_of(links, seed=1, fault=None, wall_s=1.0, tun=True).ok
    assert "programs" not in outcome_of(GOOD, seed=1, fault=None, wall_s=1.0).document()


def test_voice_stands_in_the_closing_table_of_the_ue_that_heard_it() -> None:
    heard = {
        "sent": 50, "received": 49, "lost": 1, "duplicates": 0, "loss_percent": 2.0, "jitter_ms": 8.0,
        "latency_p50_ms": 17.0, "latency_p95_ms": 38.0, "latency_p99_ms": 40.0, "latency_max_ms": 41.0,
    }  # fmt: skip
    outcome = outcome_of([*GOOD, event(VoiceReceived, "ue-b", 499, **heard)], seed=1, fault=None, wall_s=1.0)
    assert outcome.document()["voice"] == {"ue-b": heard}
    rows = dict(rows_of(outcome))
    assert rows["voice heard by ue-b"].startswith("49 of 50 datagrams, 2.0 % lost, latency 17 / 38 / 40 ms")


def test_the_ladder_has_messages_as_arrows_and_marks_as_dots() -> None:
    refusal = event(RequestRefused, "ue-b", 300, step=4, cause=2, why="not bound [to] this; request")
    steps = ladder_steps([*GOOD, refusal])
    arrows = [(step.sender, step.receiver, step.text) for step in steps if step.receiver]
    assert arrows == [
        ("ue-a", "ue-b", "Direct Connection Request (10 octets, LCID 0)"),
        ("ue-b", "ue-a", "Direct Connection Accept (20 octets, LCID 0)"),
    ]
    dots = [step for step in steps if not step.receiver]
    assert dots[0].text.startswith("radio on") and dots[0].time_ms == 50.0
    assert dots[-1].text == "refused with cause 0x02 at check 4: not bound [to] this"
    assert dots[-1].colour != dots[0].colour
    assert len(steps) == 2 + 8 + 1, "traffic that is done is told by its parts, a stop by nothing on the air"
