"""Every attack of the demo is mounted on the air, stopped by the check that should stop it, and leaves no key."""

from pathlib import Path

import pytest

from lab_scripts.events.selection import events_of
from prose_link.pc5s.core.events import LinkEstablished
from prose_link.ue.events import NodeStopped
from prose_link.userplane.events import TrafficDone
from tests.emulated.demo_process import run_demo

pytestmark = pytest.mark.emulated

FAULTS = {
    "unprovisioned": (10, None, "signature"),
    "unauthorised": (8, 1, "not authorised"),
    "wrong-recipient": (2, None, "not for this identity"),
    "tampered": (4, None, "not bound"),
    "replayed": (7, None, "replay"),
    "stale-time": (6, 0x80, "window"),
    "expired-period": (5, None, "no keys held"),
    "downgrade": (4, None, "not bound"),
    "impostor": (10, None, "signature"),
    "stale-clock": (6, 0x80, "time floor"),
}
"""Fault -> the responder's check (PROFILE 6), the cause on the air, a word of the reason."""


@pytest.mark.parametrize("fault", FAULTS)
def test_the_attack_is_stopped(fault: str, tmp_path: Path) -> None:
    run = run_demo(tmp_path / "runs", "--seed", "11", "--fault", fault)
    step, cause, reason = FAULTS[fault]
    assert run.exit_code == 5, run.talk
    rejected = run.document["rejected"]
    assert (rejected["by"], rejected["step"], rejected["cause"]) == ("ue-b", step, cause)
    assert reason in rejected["why"]
    stopped = events_of(run.events(), NodeStopped)
    assert [one.event.live_contexts for one in stopped] == [0, 0]
    established = events_of(run.events(), LinkEstablished)
    assert len(established) == (2 if fault == "replayed" else 0)
    assert run.document["sentence"].endswith(".") and run.document["fault"] == fault


def test_a_receipt_in_another_members_name_is_dropped(tmp_path: Path) -> None:
    run = run_demo(tmp_path / "runs", "--seed", "11", "--fault", "forged-receipt")
    assert run.exit_code == 5, run.talk
    rejected, victim = run.document["rejected"], run.document["victim"]
    assert rejected["by"] == "ue-a" and rejected["times"] >= 1
    assert rejected["why"] == "shows nothing of the member it names"
    assert victim["key_shown_ms"] > victim["key_held_ms"] > 1000, "the deaf member has the key late, and says so then"
    assert run.document["heard_by"] == ["ue-b", "ue-c"]
    assert {one.event.live_contexts for one in events_of(run.events(), NodeStopped)} == {0}
    assert run.document["sentence"].endswith("had said so itself.")


BESIDE_A_LINK = {
    "old-context": ("ue-b", None, "the context before takes user data only", 1),
    "forged-accepts": ("ue-a", 6, "key confirmation differs", 16),
}
"""Fault -> the UE that stops it, its check, the reason it gives first, and how often at least."""


@pytest.mark.parametrize("fault", BESIDE_A_LINK)
def test_the_attack_is_stopped_and_the_genuine_link_goes_on(fault: str, tmp_path: Path) -> None:
    run = run_demo(tmp_path / "runs", "--seed", "11", "--fault", fault)
    by, step, why, times = BESIDE_A_LINK[fault]
    assert run.exit_code == 5, run.talk
    rejected = run.document["rejected"]
    assert (rejected["by"], rejected["step"], rejected["cause"], rejected["why"]) == (by, step, None, why)
    assert rejected["times"] >= times
    assert {one.event.live_contexts for one in events_of(run.events(), NodeStopped)} == {0}
    assert sorted(one.source for one in events_of(run.events(), LinkEstablished)) == ["ue-a", "ue-b"]
    assert all(one.event.ok for one in events_of(run.events(), TrafficDone))
    assert "carried its traffic" in run.document["sentence"]
