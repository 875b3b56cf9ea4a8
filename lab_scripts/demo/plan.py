"""The plan of a demo run: two UEs, their KMS, the air between them, and the attack."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from lab_scripts.runs.lab_world import DISCOVERY_GROUP, LAB_UTC
from lab_scripts.runs.supervisor import SILENCE_LIMIT_S

IDENTITY_A = "tel:+447700900001"
IDENTITY_B = "tel:+447700900002"
IDENTITY_C = "tel:+447700900003"
IDENTITY_E = "tel:+447700900066"
USER_INFO = {"ue-a": 0x0000_000A_0001, "ue-b": 0x0000_000B_0002}
L2_IDS = {"ue-a": 0x5C1A01, "ue-b": 0x5C1B02}
SCENARIO = "first_light"
UES = ("ue-a", "ue-b")
INTRUDER = "ue-x"
"""A third UE within reach of both, in runs whose fault takes a radio of its own."""
PINGS = 20
PUSH_OCTETS = 64 * 1024
REPLAY_DELAY_PERIODS = 75
"""SC periods of 40 ms after which the replayer sends the recorded request again: 3 s, after the link's release."""
CLOCK_SET_AT_S = 0.3
"""When UE-B's clock is set back, in seconds after its power-on: before the request comes."""
JAMMED_S = (0.4, 1.6)
"""When nothing of UE-B comes through, in seconds after its power-on: UE-A asks at about 0.5 s."""
_LONGEST_RUN_S = 30.0
_LONGEST_TUN_RUN_S = 900.0
_ALONE_S = 1.0
"""UE-B ends after this time without a signal: UE-A has gone."""
_PINGS_BESIDE_A_FAULT, _OCTETS_BESIDE_A_FAULT = 5, 8 * 1024
_INTRUDERS_USER_INFO = 0x0000_000E_0066
_INTRUDERS_LOSS_DB, _INTRUDERS_DISTANCE_M = 92.0, 150.0


class Fault(enum.Enum):
    """The attacks the demo can mount."""

    UNPROVISIONED = "unprovisioned"
    UNAUTHORISED = "unauthorised"
    WRONG_RECIPIENT = "wrong-recipient"
    TAMPERED = "tampered"
    REPLAYED = "replayed"
    STALE_TIME = "stale-time"
    EXPIRED_PERIOD = "expired-period"
    DOWNGRADE = "downgrade"
    IMPOSTOR = "impostor"
    STALE_CLOCK = "stale-clock"
    OLD_CONTEXT = "old-context"
    FORGED_ACCEPTS = "forged-accepts"
    FORGED_RECEIPT = "forged-receipt"


ON_THE_AIR = {Fault.TAMPERED, Fault.REPLAYED, Fault.DOWNGRADE, Fault.FORGED_ACCEPTS}
"""Faults that the emulator has a part in, between the antennas."""
BREAKERS: Final[Mapping[Fault, tuple[str, ...]]] = {
    Fault.UNPROVISIONED: ("ue-a",),
    Fault.IMPOSTOR: ("ue-a",),
    Fault.STALE_TIME: ("ue-a",),
    Fault.EXPIRED_PERIOD: ("ue-a",),
    Fault.STALE_CLOCK: UES,
    Fault.OLD_CONTEXT: ("ue-a",),
    Fault.FORGED_ACCEPTS: (INTRUDER,),
}
"""Fault -> the UEs that break the rules, or whose clocks are wrong."""
POSING: Final = {
    Fault.UNPROVISIONED,
    Fault.IMPOSTOR,
    Fault.STALE_TIME,
    Fault.EXPIRED_PERIOD,
    Fault.STALE_CLOCK,
}
"""Faults for which UE-A uses another identity, other keys or another record than those in its store."""
KEEPS_OLD_KEYS: Final = {Fault.EXPIRED_PERIOD}
"""Faults for which UE-A does not contact its KMS, since a contact would wipe the keys of periods that are over."""
CLOCK_ERROR_S = {
    Fault.STALE_TIME: -timedelta(minutes=10).total_seconds(),
    Fault.EXPIRED_PERIOD: -timedelta(days=15).total_seconds(),
    Fault.STALE_CLOCK: -timedelta(minutes=10).total_seconds(),
}
"""Error of UE-A's clock, from the start."""
_PEER_IS_KNOWN: Final = {
    Fault.UNPROVISIONED,
    Fault.STALE_TIME,
    Fault.EXPIRED_PERIOD,
    Fault.STALE_CLOCK,
    Fault.FORGED_ACCEPTS,
}
"""UE-A calls UE-B, at a layer-2 id it knows beforehand, half a second after power-on."""
LINK_COMES_UP: Final = {Fault.OLD_CONTEXT, Fault.FORGED_ACCEPTS}
"""Faults beside which the genuine link comes up and carries all its traffic, or the attack counts as not stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """One run: its seed, its fault if any, and its folder."""

    seed: int
    fault: Fault | None
    folder: Path
    pings: int = PINGS
    push_octets: int = PUSH_OCTETS
    voice_s: float = 0.0
    userplane: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Each UE's `[userplane]` section where programs run over TUN interfaces; without one the UEs make the traffic."""
    keylog: Path | None = None
    """Where UE-A leaves the link's keys, if anywhere."""
    ims: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Each UE's `[carriers.ims]` table, where the Request is sent by IMS."""

    @property
    def tun(self) -> bool:
        """Whether the traffic is that of programs outside the UEs."""
        return bool(self.userplane)

    @property
    def names(self) -> tuple[str, ...]:
        """Both UEs, and the intruder where there is one."""
        return (*UES, INTRUDER) if INTRUDER in self._breakers else UES

    @property
    def _breakers(self) -> tuple[str, ...]:
        return BREAKERS.get(self.fault, ()) if self.fault else ()

    @property
    def kms_group(self) -> tuple[str, tuple[str, ...]] | None:
        """None: there is no group."""
        return None

    @property
    def patience_s(self) -> float:
        """How long all processes may be silent."""
        return SILENCE_LIMIT_S

    def scenario(self) -> Mapping[str, Any] | str:
        """The shipped scenario the run is played in; the intruder is as far from either UE as they are apart."""
        if INTRUDER not in self.names:
            return SCENARIO
        from prose_link.config.ue import read_toml, shipped_path

        document = read_toml(shipped_path(f"scenarios/{SCENARIO}.toml"))
        links = [
            {"between": [name, INTRUDER], "path_loss_db": _INTRUDERS_LOSS_DB, "distance_m": _INTRUDERS_DISTANCE_M}
            for name in UES
        ]
        radio = {"name": INTRUDER, "power_on_sample": document["ue"][1]["power_on_sample"]}
        return {**document, "ue": [*document["ue"], radio], "link": [*document["link"], *links]}

    def air_options(self) -> list[str]:
        """The option for an attack that the emulator mounts."""
        return ["--attack", str(self.fault.value)] if self.fault in ON_THE_AIR and self.fault else []

    def ue_options(self, name: str) -> list[str]:
        """Recordings for the report; UE-A's key log; and the fault, for the UEs that take part in it."""
        options = ["--recording", str(self.folder / f"{name}.npz")]
        if name == UES[0] and self.keylog is not None:
            options += ["--keylog", str(self.keylog.resolve())]
        if self.fault and name in self._breakers:
            options += ["--fault", str(self.fault.value)]
        return options

    @property
    def granted(self) -> dict[str, str]:
        """The identity that each UE's owner gets keys for; UE-A may use another one."""
        stranger = self.fault in (Fault.UNPROVISIONED, Fault.IMPOSTOR)
        granted = {"ue-a": IDENTITY_E if stranger else IDENTITY_A, "ue-b": IDENTITY_B, INTRUDER: IDENTITY_E}
        return {name: granted[name] for name in self.names}

    @property
    def key_times(self) -> tuple[datetime, ...]:
        """UTC of the contacts with the KMS: one a key period, the last at the start of the run."""
        if self.fault is Fault.EXPIRED_PERIOD:
            return (LAB_UTC + timedelta(seconds=CLOCK_ERROR_S[self.fault]), LAB_UTC)
        return (LAB_UTC,)

    def ue_config(self, name: str, *, kms_url: str, ticket: Path, air: str, power_on_s: float) -> dict[str, Any]:
        """The configuration of one UE, ready to be written as TOML."""
        if name == INTRUDER:
            return self._intruders_config(kms_url=kms_url, ticket=ticket, air=air, power_on_s=power_on_s)
        initiator = name == "ue-a"
        attacked = self.fault is not None
        traffic: dict[str, Any] = {
            "push_octets": self.push_octets,
            "pings": self.pings if initiator else 0,
            "voice_s": self.voice_s,
        }
        if self.tun:
            traffic = {}
        if self.fault in LINK_COMES_UP:
            traffic = {"push_octets": _OCTETS_BESIDE_A_FAULT, "pings": _PINGS_BESIDE_A_FAULT if initiator else 0}
        if self.fault is Fault.REPLAYED:
            traffic = {"push_octets": 0, "pings": 3 if initiator else 0}
        return {
            "name": name,
            "identity": self.granted[name]
            if self.fault is Fault.IMPOSTOR
            else (IDENTITY_A if initiator else IDENTITY_B),
            "l2_id": L2_IDS[name],
            "seed": self.seed,
            "lab_deterministic": True,
            "utc_at_power_on": LAB_UTC + timedelta(seconds=power_on_s),
            "clock_error_s": CLOCK_ERROR_S.get(self.fault, 0.0) if initiator and self.fault else 0.0,
            "stop_after_s": _LONGEST_TUN_RUN_S if self.tun else _LONGEST_RUN_S + self.voice_s,
            "stop_when_alone_s": 0.0 if initiator else _ALONE_S,
            "radio": {"device": "zeromq", "address": air},
            "sync": {"role": "reference" if initiator else "follow"},
            "kms": {
                "url": kms_url,
                "ticket": str(ticket),
                "store": str(self.folder / "stores" / name),
            },
            "discovery": {
                "group_id": DISCOVERY_GROUP,
                "user_info_id": USER_INFO[name],
                "announce": not (initiator and self.fault is Fault.UNPROVISIONED),
            },
            "link": self._link_section(name),
            "traffic": {
                **traffic,
                "release_when_done": initiator,
                "linger_s": 4.0 if self.fault is Fault.REPLAYED else 0.2,
                "stop_when_refused": initiator and attacked,
            },
            **({"userplane": dict(self.userplane[name])} if self.tun else {}),
            **({"carriers": {"ims": dict(self.ims[name])}} if name in self.ims else {}),
        }

    def _link_section(self, name: str) -> dict[str, Any]:
        if name == "ue-b":
            return {"allow": [IDENTITY_C if self.fault is Fault.UNAUTHORISED else IDENTITY_A]}
        target = IDENTITY_C if self.fault is Fault.WRONG_RECIPIENT else IDENTITY_B
        section: dict[str, Any] = {
            "connect_to": target,
            "peer_user_info_id": USER_INFO["ue-b"],
            "allow": [IDENTITY_B, IDENTITY_C],
        }
        if self.ims:
            return {"peers": [{"identity": target, "carrier": "ims"}], "allow": [IDENTITY_B]}
        if self.fault in _PEER_IS_KNOWN:
            section["peer_l2"] = L2_IDS["ue-b"]
        return section

    def _intruders_config(self, *, kms_url: str, ticket: Path, air: str, power_on_s: float) -> dict[str, Any]:
        """A provisioned UE that uses UE-B's layer-2 id: it hears the PDUs to UE-B, and sends in its place."""
        return {
            "name": INTRUDER,
            "identity": IDENTITY_E,
            "l2_id": L2_IDS["ue-b"],
            "seed": self.seed,
            "lab_deterministic": True,
            "utc_at_power_on": LAB_UTC + timedelta(seconds=power_on_s),
            "stop_after_s": _LONGEST_RUN_S,
            "radio": {"device": "zeromq", "address": air},
            "sync": {"role": "follow"},
            "kms": {"url": kms_url, "ticket": str(ticket), "store": str(self.folder / "stores" / INTRUDER)},
            "discovery": {"group_id": DISCOVERY_GROUP, "user_info_id": _INTRUDERS_USER_INFO, "announce": False},
        }


def poses_as_another(fault: Fault | None, name: str) -> bool:
    """Whether a UE uses another identity than the one in its own store."""
    return fault in POSING and name == UES[0]
