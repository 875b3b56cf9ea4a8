"""What a run needs behind the stage: a KMS founded and serving, and compiled kernels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab_scripts.kernel_cache import is_warm
from lab_scripts.runs.lab_world import DISCOVERY_GROUP, KMS_URI, LAB_UTC, NAMESPACE
from lab_scripts.runs.supervisor import Supervisor

Record = Mapping[str, Any]
_BACKSTAGE_EVENTS = {"kms-enrolled": "kms", "kms-keys-issued": "kms", "kms-refused": "kms", "air-started": "air"}
_NS = 1_000_000_000
_COMPILING_S = 300.0


def found_kms(
    folder: Path,
    *,
    seed: int,
    granted: Mapping[str, str],
    ticket: Callable[[str], Path],
    group: tuple[str, tuple[str, ...]] | None = None,
) -> None:
    """Found a demo KMS and write an enrolment ticket for each user.

    Args:
        folder: where the KMS lives.
        seed: of its demo master keys.
        granted: user -> identity.
        ticket: user -> file.
        group: a group identity and its members, where there is one.
    """
    from security.at_rest.atomic_file import replace_file
    from security.identifiers import UidScheme
    from security.kms.home import KmsHome, KmsPlan
    from security.kms.operator_orders import EnrolmentOrder, add_to_group, enrol
    from security.kms.service import Clocks
    from security.kms_wire.protocol import encode

    now = datetime.now(UTC)
    kms = KmsPlan(uri=KMS_URI, namespace=(NAMESPACE,), uid_scheme=UidScheme.MONTHLY_TEL, demo_seed=seed)
    home = KmsHome.found(folder, kms, passphrase_file=None, database_url=None, now=now)
    clocks = Clocks(wall=lambda: datetime.now(UTC), lab_ntp_s=lambda: 0)
    service = home.unseal(passphrase_file=None, clocks=clocks)
    for name, identity in granted.items():
        order = EnrolmentOrder(user=name, identities=(identity,), discovery_groups=(f"{DISCOVERY_GROUP:06x}",))
        replace_file(ticket(name), encode(enrol(service, order)))
    if group is not None:
        add_to_group(service, *group)


def serve_kms(
    supervisor: Supervisor, folder: Path, at: datetime, name: str, take: Callable[[str, Record | None], None]
) -> str:
    """Start the KMS's server at a fixed lab time; returns its URL once it serves."""
    supervisor.start(name, ["kms", "serve", str(folder), "--fixed-utc", at.isoformat()])
    for said in supervisor.lines(f"{name} to serve"):
        if said.name == name and said.record and said.record["event"] == "kms-serving":
            return str(said.record["url"])
        take(said.name, said.record)
    raise AssertionError("a supervisor's lines do not end")


def start_warm_up(supervisor: Supervisor) -> bool:
    """Have the hot kernels compiled by a process of their own, where they are not yet; True where one was started."""
    if is_warm():
        return False
    supervisor.start("warm-up", ["warm-up", "--json"])
    return True


def wait_for_warm_up(supervisor: Supervisor, take: Callable[[str, Record | None], None]) -> None:
    """Wait until the hot kernels are compiled."""
    if is_warm():
        return
    for said in supervisor.lines("the kernels to be compiled", patience_s=_COMPILING_S):
        take(said.name, said.record)
        if is_warm():
            return


def backstage_event(record: Record) -> Record | None:
    """A line of the KMS or the emulator as an event of the run, dated by the lab's clock; None for those that tell of
    wall-clock time only, such as the block the emulator was at when a process said goodbye."""
    source = _BACKSTAGE_EVENTS.get(record["event"])
    if source is None:
        return None
    at_ns = round(LAB_UTC.timestamp() * _NS)
    return {**record, "utc_ns": at_ns, "source": source, "seq": json.dumps(record, sort_keys=True)}
