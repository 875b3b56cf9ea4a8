"""What a run of many UEs is made of: who they are, where they stand, and what each is told to do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from string import ascii_lowercase
from typing import Any, Final

from lab_scripts.runs.lab_world import DISCOVERY_GROUP, LAB_UTC

MIN_UES: Final = 2
MAX_UES: Final = 16
DEFAULT_UES: Final = 6
PRECONFIGURATION: Final = "preconfigurations/first_light_5mhz.toml"
N_PRB: Final = 25
SAMPLE_RATE_HZ: Final = 7_680_000
GROUP_IDENTITY: Final = "tel:+447700900099"
GROUP_L2: Final = 0x5C9947
TX_POWER_DBM: Final = 23.0
_FIRST_L2: Final = 0x5C1A01
_L2_STEP: Final = 0x000101
"""Layer-2 ids differ in the octet that SCIs carry."""
_FIRST_USER_INFO: Final = 0x0000_0A00_0001
_FIELD_M: Final = 200.0
"""The UEs stand in a square of this side."""
_LOSS_AT_150_M_DB: Final = 92.0
_LOSS_PER_DECADE_DB: Final = 22.0
_NEAREST_M: Final = 20.0
_LATE_JOINER_ON_S: Final = 1.2
_ALONE_S: Final = 1.0
"""A UE that has heard nothing for so long is the last of its run."""
_JOIN_TIMEOUT_S: Final = 120
_PINGS, _PUSH_OCTETS = 5, 8 * 1024
_MESSAGE_OCTETS, _COPIES, _COPY_EVERY_S = 600, 5, 0.16


def ue_names(n_ues: int) -> tuple[str, ...]:
    """ue-a, ue-b, ... ue-z, ue-aa, ue-ab, ..."""
    letters = [*ascii_lowercase, *(a + b for a in ascii_lowercase for b in ascii_lowercase)]
    return tuple(f"ue-{name}" for name in letters[:n_ues])


def l2_id_of(place: int) -> int:
    """The link layer-2 id of the UE at a place in `ue_names`."""
    return _FIRST_L2 + place * _L2_STEP


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdPlan:
    """One run: a group with all UEs in it, or UEs in pairs.

    In a group ue-a is the keyer, the last UE joins late, and the second is removed in the end.
    """

    seed: int
    n_ues: int
    group: bool
    folder: Path

    @property
    def names(self) -> tuple[str, ...]:
        """The UEs of the run."""
        return ue_names(self.n_ues)

    @property
    def kms_group(self) -> tuple[str, tuple[str, ...]] | None:
        """The group that all UEs are members of, where there is one."""
        return (GROUP_IDENTITY, tuple(self.granted.values())) if self.group else None

    @property
    def key_times(self) -> tuple[datetime, ...]:
        """One contact with the KMS, at the start."""
        return (LAB_UTC,)

    @property
    def patience_s(self) -> float:
        """Many processes on few cores start and run slowly; air time does not notice."""
        return 60.0

    def air_options(self) -> list[str]:
        """The air waits for all UEs to come."""
        return ["--join-timeout", str(_JOIN_TIMEOUT_S)]

    def ue_options(self, name: str) -> list[str]:  # noqa: ARG002 - all UEs alike
        """None."""
        return []

    @property
    def granted(self) -> dict[str, str]:
        """The identity of each UE."""
        return {name: f"tel:+4477009000{i + 1:02d}" for i, name in enumerate(self.names)}

    @property
    def reference(self) -> str:
        """The synchronisation reference of all UEs."""
        return self.names[0]

    @property
    def keyer(self) -> str:
        """Who keys the group."""
        return self.names[0]

    @property
    def removed(self) -> str:
        """Who is removed from the group."""
        return self.names[1]

    @property
    def joiner(self) -> str:
        """The UE that joins late."""
        return self.names[-1]

    @property
    def joins_after_s(self) -> float:
        """How long after the others that is."""
        return _LATE_JOINER_ON_S

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Who connects to whom without a group."""
        return tuple(zip(self.names[::2], self.names[1::2], strict=True))

    def scenario(self) -> dict[str, Any]:
        """The air between the UEs: places, oscillators and switch-on times drawn from the seed."""
        from prose_link.randomness import generator

        rng = generator(self.seed, "crowd", "places")
        places = [(rng.uniform(0, _FIELD_M), rng.uniform(0, _FIELD_M)) for _ in self.names]
        ues = []
        for name in self.names:
            follows = name != self.reference
            on_s = rng.uniform(0.02, 0.06) if follows else 0.0
            if self.group and name == self.joiner:
                on_s += self.joins_after_s
            ues.append(
                {
                    "name": name,
                    "power_on_sample": round(on_s * SAMPLE_RATE_HZ),
                    "cfo_hz": round(rng.uniform(-2500, 2500) if follows else rng.uniform(-300, 300), 1),
                    "clock_ppm": round(rng.uniform(-1.5, 1.5) if follows else rng.uniform(-0.5, 0.5), 3),
                    "tx_power_dbm": TX_POWER_DBM,
                }
            )
        links = []
        for i, a in enumerate(self.names):
            for j in range(i):
                distance_m = max(_NEAREST_M, math.dist(places[i], places[j]))
                loss_db = _LOSS_AT_150_M_DB + _LOSS_PER_DECADE_DB * math.log10(distance_m / 150.0)
                links.append(
                    {
                        "between": [self.names[j], a],
                        "path_loss_db": round(loss_db, 2),
                        "distance_m": round(distance_m, 1),
                    }
                )
        return {"name": f"crowd-of-{self.n_ues}", "sample_rate_hz": SAMPLE_RATE_HZ, "ue": ues, "link": links}

    def ue_config(self, name: str, *, kms_url: str, ticket: Path, air: str, power_on_s: float) -> dict[str, Any]:
        """The configuration of one UE."""
        i = self.names.index(name)
        document: dict[str, Any] = {
            "name": name,
            "identity": self.granted[name],
            "l2_id": l2_id_of(i),
            "seed": self.seed,
            "lab_deterministic": True,
            "preconfiguration": PRECONFIGURATION,
            "utc_at_power_on": LAB_UTC + timedelta(seconds=power_on_s),
            "stop_after_s": 60.0,
            "radio": {"device": "zeromq", "address": air, "n_prb": N_PRB},
            "sync": {"role": "reference" if name == self.reference else "follow"},
            "kms": {"url": kms_url, "ticket": str(ticket), "store": str(self.folder / "stores" / name)},
            "discovery": {"group_id": DISCOVERY_GROUP, "user_info_id": _FIRST_USER_INFO + i},
        }
        if self.group:
            document["group"] = self.group_section(name)
        else:
            if name == self.reference:
                document["sync"]["stay_for_others_s"] = 1.0
            document |= self._pair_sections(name)
        if name != self.reference:
            document["stop_when_alone_s"] = _ALONE_S
        return document

    def group_section(self, name: str) -> dict[str, Any]:
        """The `[group]` section of one UE."""
        section: dict[str, Any] = {
            "identity": GROUP_IDENTITY,
            "l2_id": GROUP_L2,
            "keyers": [self.granted[self.keyer]],
            "message_octets": 0,
            "copies": _COPIES,
            "copy_every_s": _COPY_EVERY_S,
        }
        if name == self.speaker:
            section["message_octets"] = _MESSAGE_OCTETS
        if name != self.keyer:
            return section
        members = [
            entry | {"joins_late": entry["identity"] == self.granted.get(self.joiner)}
            for entry in self.member_entries()
            if entry["identity"] != self.granted[self.keyer]
        ]
        return section | {
            "message_octets": _MESSAGE_OCTETS,
            "backward_secrecy": False,
            "remove": self.granted[self.removed],
            "stop_when_done": True,
            "members": members,
        }

    def member_entries(self) -> list[dict[str, Any]]:
        """All UEs as entries of a keyer's list."""
        return [
            {"identity": self.granted[name], "user_info_id": _FIRST_USER_INFO + i} for i, name in enumerate(self.names)
        ]

    @property
    def speaker(self) -> str:
        """The member that speaks to the group too: one that stays, where there is one."""
        return self.names[2 if self.n_ues > 2 else 1]

    def _pair_sections(self, name: str) -> dict[str, Any]:
        i = self.names.index(name)
        initiator = i % 2 == 0
        peer = self.names[i + 1 if initiator else i - 1]
        link: dict[str, Any] = {"allow": [self.granted[peer]]}
        if initiator:
            link |= {"connect_to": self.granted[peer], "peer_user_info_id": _FIRST_USER_INFO + i + 1}
        traffic = {
            "pings": _PINGS if initiator else 0,
            "push_octets": _PUSH_OCTETS,
            "release_when_done": initiator,
        }
        return {"link": link, "traffic": traffic}
