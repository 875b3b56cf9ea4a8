"""The catalogue: every class of event that the lab knows, by the part that emits it.

Each room keeps its events in files of its own, with a union of its classes at the end. The catalogue is made of these
unions, so that it has every new class of a union. Its page is docs/events.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from lab_scripts.events.json_forms import fields_in_json
from lab_scripts.events.lab_events import LabEvent
from prose_link.carriers.events import CarrierEvent
from prose_link.carriers.ims.events import ImsEvent
from prose_link.discovery.events import DiscoveryEvent
from prose_link.event_stream import event_name
from prose_link.pc5s.core.events import Event
from prose_link.pc5s.core.group_events import GroupEvent
from prose_link.sync.events import SyncEvent
from prose_link.ue.events import NodeEvent, RadioEvent, UeEvent
from prose_link.userplane.events import GroupMessageEvent, UserPlaneEvent
from radio.emulator.events import HubEvent
from security.kms.events import KmsEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """The events of one part of the lab."""

    title: str
    words: str
    classes: tuple[type, ...]


def _chapter(title: str, words: str, union: Any, *, without: Any = None) -> Chapter:
    left_out = get_args(without)
    return Chapter(title=title, words=words, classes=tuple(one for one in get_args(union) if one not in left_out))


CHAPTERS: Final = (
    _chapter("A UE as a whole", "What a UE tells about itself, its keys and its part in a group.", NodeEvent),
    _chapter("Radio access", "What a UE's radio access found, and the PDUs that crossed its layers.", RadioEvent),
    _chapter("Synchronisation", "What became of the SyncRef procedure.", SyncEvent),
    _chapter("Discovery", "What direct discovery heard, sends and lost.", DiscoveryEvent),
    _chapter(
        "Links", "What PC5 signalling tells: requests, links, rekeying, clocks. No event holds a key.", Event,
        without=GroupEvent,
    ),
    _chapter("Carrier IMS", "What a UE's IMS carrier tells: registration, refusals, SIP messages.", ImsEvent),
    _chapter("Carriers", "What carriers beside direct radio tell.", CarrierEvent),
    _chapter("Group keys", "What the keyer and the members of a group tell.", GroupEvent),
    _chapter("User plane", "IP over a link, and the traffic that a UE was told to make.", UserPlaneEvent),
    _chapter("Group messages", "Messages to a group over IP multicast.", GroupMessageEvent),
    _chapter("RF emulator", "What `pc5lab rf serve --json` tells, without time and source.", HubEvent),
    _chapter("KMS", "What `pc5lab kms serve` tells, without time and source. No event holds a key.", KmsEvent),
    _chapter("Lab", "What the lab's own commands tell.", LabEvent),
)  # fmt: skip


def _by_name() -> Mapping[str, type]:
    """Name -> class. Raises TypeError: two classes share a name, or a field has no JSON form."""
    found: dict[str, type] = {}
    for chapter in CHAPTERS:
        for kind in chapter.classes:
            name = event_name(kind)
            if found.setdefault(name, kind) is not kind:
                raise TypeError(f"two classes of events are called {name}")
            fields_in_json(kind)
    if left_out := set(get_args(UeEvent)) - set(found.values()):
        raise TypeError(f"no chapter has {', '.join(sorted(one.__name__ for one in left_out))}")
    return found


CATALOGUE: Final = _by_name()
"""Every class by the name of its events."""
