"""Every attack of the demo is mounted on the air, stopped by the check that should stop it, and leaves no key."""

from pathlib import Path

import pytest

from lab_scripts.events.selection import events_of
from prose_link.pc5s.core.events import LinkEstablished
from prose_link.ue.events import NodeStopped
from tests.emulated.demo_process import run_demo

pytestmark = pytest.mark.emulated

FAULTS = {
    "unprovisioned": (10, None, "signature"),
    "unauthorised": (8, 1, "not authorised"),
    "wrong-recipient": (2, None, "not for this identity"),
    "tampered": (4, None, "not bound"),
    "replayed": (7, None, "replay"),
    "stale-time": (6, 0x80, "window"),
    "expired-period": (6, 0x80, "key period"),
    "downgrade": (4, None, "not bound"),
    "impostor": (10, None, "signature"),
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
