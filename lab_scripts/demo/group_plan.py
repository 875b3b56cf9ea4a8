"""The demo's group: two keyers, a member that is removed, one that is deaf for a while, and a keyer that dies.

By the air's time: all UEs but the last are on, the first keyer gives the group a key and speaks. A member goes out of
reach, and the first keyer removes another one, so that the first of the two misses that keying. It comes back, hears a
key that it does not hold, and asks for it. Then the first keyer's radio goes off in the middle of its work, without a
Release, as in a crash. The last UE comes on, asks the dead keyer in vain, and asks the second one, which takes over.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab_scripts.runs.cell_plan import CrowdPlan

MIN_GROUP_UES: Final = 5
"""Two keyers, one that is removed, one that is deaf, one that comes late."""
_USUAL_UES: Final = 6
_REMOVAL_S, _DEATH_S = 2.6, 5.6
_AWAY_BEFORE_S, _AWAY_AFTER_S, _AWAY_LONGER_S = 0.2, 1.3, 0.15
"""How long before the removal a member goes out of reach, how long after it it is back, and longer for each UE more."""
_LATE_S: Final = 0.05
"""After the keyer's death."""
_GIVES_UP_S: Final = 20.0
"""A second keyer that was never asked to take over switches off so long after its power-on."""
_KEYING_S, _TRANSMISSIONS, _ROUNDS = 0.5, 2, 1
"""A member that gives no receipt costs the keyer a second."""
_COPIES, _COPY_EVERY_S, _MESSAGE_OCTETS = 8, 0.16, 600
_ALONE_S: Final = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPlan(CrowdPlan):
    """One run. The second keyer is the synchronisation reference: the group is to outlive the first one.

    Times are longer for more than six UEs, since their keys and receipts take longer.
    """

    group: bool = True

    @property
    def keyers(self) -> tuple[str, str]:
        """The two keyers of the group: first the UE that dies, then the UE that takes over."""
        return self.names[0], self.names[1]

    @property
    def reference(self) -> str:
        """The second keyer."""
        return self.keyers[1]

    @property
    def removed(self) -> str:
        """The member that the first keyer removes from the group."""
        return self.names[2]

    @property
    def deaf(self) -> str:
        """The member that is out of reach while that happens."""
        return self.names[-2]

    @property
    def away_s(self) -> tuple[float, float]:
        """From when to when, in the air's time."""
        longer_s = _AWAY_LONGER_S * max(0, self.n_ues - _USUAL_UES)
        return self.removal_s - _AWAY_BEFORE_S, self.removal_s + _AWAY_AFTER_S + longer_s

    @property
    def removal_s(self) -> float:
        """When the removal is due."""
        return _REMOVAL_S * self._slower

    @property
    def death_s(self) -> float:
        """When the first keyer dies."""
        return _DEATH_S * self._slower

    @property
    def joins_after_s(self) -> float:
        """When the last UE comes on, once the first keyer is dead."""
        return self.death_s + _LATE_S

    @property
    def speaker(self) -> str:
        """The second keyer speaks too: as a member at first, in the first one's place in the end."""
        return self.keyers[1]

    @property
    def _slower(self) -> float:
        return max(1.0, self.n_ues / _USUAL_UES)

    def scenario(self) -> dict[str, Any]:
        """The air, with a member that is out of reach for a while."""
        document = CrowdPlan.scenario(self)
        radio = next(ue for ue in document["ue"] if ue["name"] == self.deaf)
        radio["out_of_reach_ms"] = [[round(1000 * at_s) for at_s in self.away_s]]
        return document

    def ue_config(self, name: str, *, kms_url: str, ticket: Path, air: str, power_on_s: float) -> dict[str, Any]:
        """The configuration of one UE."""
        document = CrowdPlan.ue_config(self, name, kms_url=kms_url, ticket=ticket, air=air, power_on_s=power_on_s)
        document["timers"] = {"keying_s": _KEYING_S, "n4100": _TRANSMISSIONS}
        document["stop_after_s"] = _GIVES_UP_S * self._slower
        if name == self.keyers[0]:
            document["stop_after_s"] = self.death_s - power_on_s
            document["group"]["remove_after_s"] = self.removal_s - power_on_s
        if name == self.deaf:
            document["stop_when_alone_s"] = self.away_s[1] - self.away_s[0] + _ALONE_S
        elif name != self.reference:
            document["stop_when_alone_s"] = _ALONE_S
        return document

    def group_section(self, name: str) -> dict[str, Any]:
        """The `[group]` section of one UE: both keyers know the same members.

        The first one founds the group, and asks for no key.
        """
        section = CrowdPlan.group_section(self, name) | {
            "keyers": [self.granted[keyer] for keyer in self.keyers],
            "copies": _COPIES,
            "copy_every_s": round(_COPY_EVERY_S * self._slower, 3),
        }
        if name not in self.keyers:
            return section
        first = name == self.keyers[0]
        return section | {
            "asks": not first,
            "deliver_when_heard": False,  # so that the deaf member has to ask
            "message_octets": _MESSAGE_OCTETS,
            "members": self.member_entries(),
            "set_up_after_s": 2.0 * self._slower,
            "delivery_rounds": _ROUNDS,
            "remove": self.granted[self.removed] if first else "",
            "stop_when_done": not first,
        }
