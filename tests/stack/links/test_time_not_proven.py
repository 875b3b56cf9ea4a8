"""A UE whose clock nothing vouches for: what it says, what it refuses, and what a contact with its KMS changes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from lab_scripts.events.selection import events_of
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import CrowdPlan
from lab_scripts.runs.lab_world import DISCOVERY_GROUP, LAB_UTC
from lab_scripts.runs.nearby_kms import NearbyKms
from prose_link.pc5s.core.events import KeysWiped, LinkEstablished
from prose_link.ue.events import KeysLeftOnDisk, TimeNotProven
from prose_link.ue.key_renewal import KeyRenewal
from security.device.renewal import RenewalWaits
from security.errors import SecurityError

E = TypeVar("E")


def cell_of(require_kms: str) -> Cell:
    plan = CrowdPlan(seed=7, n_ues=2, group=False, folder=Path())
    changes: dict[str, Any] = {"time": {"require_kms": require_kms}, "stop_after_s": 4.0}
    return Cell(plan, changes)


def of(cell: Cell, kind: type[E]) -> list[E]:
    return [timed.event for timed in events_of(cell.events, kind)]


@pytest.mark.parametrize("require_kms", ["after-loss", "after-start", "never"])
def test_a_start_without_the_kms_says_what_that_means(require_kms):
    cell = cell_of(require_kms)
    cell.run(3.0, until=lambda _events: bool(of(cell, LinkEstablished)))
    said = {(one.require_kms, one.set_ups_refused) for one in of(cell, TimeNotProven)}
    assert (
        said
        == {"after-loss": set(), "after-start": {(require_kms, True)}, "never": {(require_kms, False)}}[require_kms]
    )
    assert bool(of(cell, LinkEstablished)) is (require_kms != "after-start")


def test_a_contact_with_the_kms_opens_set_ups():
    cell = cell_of("after-start")
    kms = NearbyKms(cell.authority, lambda: cell.node("ue-a").now.ntp_s)
    for name in ("ue-a", "ue-b"):
        renewal = kms.renewal(cell.identity(name), key_sets=(f"{DISCOVERY_GROUP:06x}",), first_wait_s=0.1)
        cell.renew(name, renewal)
    cell.run(4.0, until=lambda _events: len(of(cell, LinkEstablished)) == 2)
    assert len(of(cell, LinkEstablished)) == 2 and len(of(cell, TimeNotProven)) == 2


def test_wiped_keys_leave_the_disk_and_a_disk_that_fails_is_told():
    cell = cell_of("never")
    node, identity = cell.node("ue-a"), cell.identity("ue-a")
    asked = []

    def wipe(kms, period):
        asked.append((kms, period))
        raise SecurityError("the disk is full")

    renewal = KeyRenewal(
        identity.uri,
        fetch=lambda: pytest.fail("no contact is due"),
        keep=lambda _got: pytest.fail("nothing was fetched"),
        wipe=wipe,
        waits=RenewalWaits(identity.uri, cell.authority.domain),
        first_wait_s=timedelta(days=1).total_seconds(),
        in_background=False,
    )
    cell.renew("ue-a", renewal)
    period = cell.authority.domain.period_of(LAB_UTC.timestamp() + 2_208_988_800)
    gone = KeysWiped(kms=cell.authority.domain.uri, key_period=period)
    node._pc5s._desk.outbox.emit(gone)
    cell.run(0.1)
    assert asked == [(gone.kms, period)]
    assert [(one.kms, one.why) for one in of(cell, KeysLeftOnDisk)] == [(gone.kms, "the disk is full")]
