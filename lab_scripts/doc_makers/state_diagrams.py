"""Writes docs/state-machines.md from the state tables: `python -m lab_scripts.doc_makers.state_diagrams [FILE]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final

from prose_link.pc5s.core.timers import UNUSED_TIMERS, Timer
from prose_link.pc5s.groups.fsm import TO_GROUP, TO_MEMBER
from prose_link.pc5s.identity import tables as identity
from prose_link.pc5s.ts24334 import tables as ts24334

TABLES: Final[Mapping[str, Mapping[Any, Any]]] = {
    "initiator": identity.INITIATOR,
    "responder": identity.RESPONDER,
    "rekeying": identity.REKEYING,
    "ts24334 initiator": ts24334.INITIATOR,
    "ts24334 responder": ts24334.RESPONDER,
    "group key to a member": TO_MEMBER,
    "group key to a group": TO_GROUP,
}
"""Every table by name, those of the signalling and those of group keys."""
FILE: Final = Path("docs/state-machines.md")
_TITLES: Final = {
    "initiator": "Initiator, `identity` profile",
    "responder": "Responder, `identity` profile",
    "rekeying": "Rekeying, either end, `identity` profile",
    "ts24334 initiator": "Initiator, `ts24334` profile",
    "ts24334 responder": "Responder, `ts24334` profile",
    "group key to a member": "A group key's way to one member, at the keyer",
    "group key to a group": "A group key's way to a group identity, at the keyer",
}
_INTRODUCTION: Final = """# State machines of PC5 signalling

Drawn from the tables in `prose_link/pc5s/identity/tables.py`, `prose_link/pc5s/ts24334/tables.py`
and `prose_link/pc5s/groups/fsm.py` by `python -m lab_scripts.doc_makers.state_diagrams`; a test
holds this page and the tables equal. An event that a table does not list in a state is dropped and
counted. The actions of each transition stand in the table under its diagram, in the order in which
they are done.

"""


def page() -> str:
    """The whole page, Markdown with Mermaid diagrams."""
    return _INTRODUCTION + "\n".join(_section(name, table) for name, table in TABLES.items()) + "\n" + _timers()


def _timers() -> str:
    rows = [
        *(f"- `{timer.name}`: {timer.value}" for timer in Timer),
        *(f"- `{name}`: not used here; {why}" for name, why in UNUSED_TIMERS.items()),
    ]
    return "\n".join(["## Timers", "", "From `prose_link/pc5s/core/timers.py`, where their values are.", "", *rows, ""])


def _section(name: str, table: Mapping[Any, Any]) -> str:
    return "\n".join([f"## {_TITLES[name]}", "", *_diagram(table), "", *_rows(table), ""])


def _diagram(table: Mapping[Any, Any]) -> Iterator[str]:
    states: dict[Enum, None] = {}
    arrows: dict[tuple[Enum, Enum], list[str]] = {}
    for (state, event), transition in table.items():
        states |= {state: None, transition.next_state: None}
        arrows.setdefault((state, transition.next_state), []).append(event.value)
    first = next(iter(states))
    yield from ("```mermaid", "stateDiagram-v2", f"    [*] --> {first.name}")
    yield from (f'    state "{state.value}" as {state.name}' for state in states)
    for (state, following), events in arrows.items():
        yield f"    {state.name} --> {following.name}: {' / '.join(events)}"
    yield "```"


def _rows(table: Mapping[Any, Any]) -> Iterator[str]:
    yield from ("| state | event | actions | next state |", "|---|---|---|---|")
    for (state, event), transition in table.items():
        actions = "; ".join(action.value for action in transition.actions)
        yield f"| {state.value} | {event.value} | {actions} | {transition.next_state.value} |"


def main(arguments: list[str]) -> None:
    """Write the page."""
    file = Path(arguments[0]) if arguments else FILE
    file.write_text(page())
    print(f"{file}: {len(TABLES)} tables")


if __name__ == "__main__":
    main(sys.argv[1:])
