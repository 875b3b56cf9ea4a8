"""The services behind a run: a KMS, founded and serving, and compiled kernels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lab_scripts.events.undated import UndatedEvent
from lab_scripts.kernel_cache import is_warm
from lab_scripts.runs.lab_world import DISCOVERY_GROUP, KMS_URI, LAB_UTC, NAMESPACE
from lab_scripts.runs.supervisor import SILENCE_LIMIT_S, Supervisor, Take
from prose_link.event_stream import TimedEvent
from radio.emulator.events import AirStarted, UeBackInReach, UeOutOfReach
from security.kms.events import KmsEnrolled, KmsKeysIssued, KmsRefused, KmsServing

_BACKSTAGE: Final[Mapping[type, str]] = {
    KmsEnrolled: "kms",
    KmsKeysIssued: "kms",
    KmsRefused: "kms",
    AirStarted: "air",
    UeOutOfReach: "air",
    UeBackInReach: "air",
}
"""Events that are not dated and belong to a run, and the source that the run names for them."""
_NS = 1_000_000_000
_NS_OF_A_BLOCK = 1_000_000
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
        folder: folder of the KMS.
        seed: seed of its demo master keys.
        granted: user -> identity.
        ticket: user -> file.
        group: a group identity and its members, if there is one.
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
    supervisor: Supervisor, folder: Path, at: datetime, name: str, take: Take, patience_s: float = SILENCE_LIMIT_S
) -> str:
    """Start the KMS's server at a fixed lab time; returns its URL once it serves."""
    supervisor.start(name, ["kms", "serve", str(folder), "--fixed-utc", at.isoformat()])
    for said in supervisor.lines(f"{name} to serve", patience_s):
        if said.name == name and isinstance(said.event, UndatedEvent) and isinstance(said.event.event, KmsServing):
            return said.event.event.url
        take(said.name, said.event)
    raise AssertionError("a supervisor's lines do not end")


def start_warm_up(supervisor: Supervisor) -> bool:
    """Start a process that compiles the hot kernels, if they are not compiled yet. Returns whether one was started."""
    if is_warm():
        return False
    supervisor.start("warm-up", ["warm-up", "--json"])
    return True


def wait_for_warm_up(supervisor: Supervisor, take: Take) -> None:
    """Wait until the hot kernels are compiled."""
    if is_warm():
        return
    for said in supervisor.lines("the kernels to be compiled", patience_s=_COMPILING_S):
        take(said.name, said.event)
        if is_warm():
            return


def _block_of(event: object) -> int:
    """The block of the air that an event tells of; 0 for what happens before virtual time runs."""
    return event.hub_block if isinstance(event, UeOutOfReach | UeBackInReach) else 0


def backstage_event(undated: UndatedEvent) -> TimedEvent[object] | None:
    """A line of the KMS or the emulator as an event of the run, dated by the lab's clock.

    None for lines about wall-clock time only, such as the emulator's block at which a process left.
    """
    source = _BACKSTAGE.get(type(undated.event))
    if source is None:
        return None
    at_ns = round(LAB_UTC.timestamp() * _NS) + _NS_OF_A_BLOCK * _block_of(undated.event)
    seq = json.dumps(undated.record(), sort_keys=True)
    return TimedEvent(utc_ns=at_ns, source=source, seq=seq, event=undated.event)
