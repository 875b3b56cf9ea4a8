"""What the demo with proxies is made of: UE-A and UE-B out of each other's range, and proxies in a row between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab_scripts.runs.cell_plan import CrowdPlan, l2_id_of

INITIATOR, RESPONDER = "ue-a", "ue-b"
PROXIES: Final = ("ue-p", "ue-q")
MAX_PROXIES: Final = len(PROXIES)
_NEIGHBOURS_LOSS_DB, _NEIGHBOURS_M = 92.0, 150.0
_OUT_OF_RANGE_LOSS_DB: Final = 165.0
"""23 dBm and this loss are 35 dB below the noise of the receiver: nothing comes through."""
_CALL_AFTER_S: Final = 1.0
_ALONE_S: Final = 1.0
_TWO_PROXIES_STAY_S: Final = 12.0
PINGS, PUSH_OCTETS = 5, 2 * 1024
_RELAYED_SYNC: Final = "preconfigurations/relayed_sync.toml"
_RELAYED_N_PRB, _RELAYED_RATE_HZ = 50, 15_360_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyPlan(CrowdPlan):
    """UE-A - proxy - UE-B, or UE-A - proxy - proxy - UE-B, in a row; each hears its neighbours only.

    The first proxy is the synchronisation reference. UE-B does not hear it where there is a second proxy: that one
    chooses its source by the procedure for UEs out of coverage, and relays it.

    `relay_data`: the link lives by the proxies too. Without it the set-up alone goes through them.
    """

    group: bool = False
    relay_data: bool = True

    @property
    def proxies(self) -> tuple[str, ...]:
        """The proxies, from UE-A to UE-B."""
        return PROXIES[: self.n_ues - 2]

    @property
    def names(self) -> tuple[str, ...]:
        """The reference first."""
        return (*self.proxies, INITIATOR, RESPONDER)

    @property
    def row(self) -> tuple[str, ...]:
        """The UEs as they stand."""
        return (INITIATOR, *self.proxies, RESPONDER)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The one link."""
        return ((INITIATOR, RESPONDER),)

    def l2_id(self, name: str) -> int:
        """The layer-2 id of a UE."""
        return l2_id_of(self.names.index(name))

    def scenario(self) -> dict[str, Any]:
        """The air of a crowd, with the UEs in a row."""
        document = CrowdPlan.scenario(self)
        if self._relays_sync:
            document["sample_rate_hz"] = _RELAYED_RATE_HZ
        for link in document["link"]:
            i, j = (self.row.index(name) for name in link["between"])
            if abs(i - j) == 1:
                link |= {"path_loss_db": _NEIGHBOURS_LOSS_DB, "distance_m": _NEIGHBOURS_M}
            else:
                link |= {"path_loss_db": _OUT_OF_RANGE_LOSS_DB, "distance_m": abs(i - j) * _NEIGHBOURS_M}
        return {**document, "name": f"row-with-{len(self.proxies)}-proxies"}

    def ue_config(self, name: str, *, kms_url: str, ticket: Path, air: str, power_on_s: float) -> dict[str, Any]:
        """The configuration of one UE; a proxy stays on while it hears the others."""
        document = CrowdPlan.ue_config(self, name, kms_url=kms_url, ticket=ticket, air=air, power_on_s=power_on_s)
        if self._relays_sync:
            document["preconfiguration"] = _RELAYED_SYNC
            document["radio"]["n_prb"] = _RELAYED_N_PRB
            if name == self.proxies[1]:
                document["sync"] = {"role": "auto", "listen_s": 0.3}
        if name in self.proxies:
            document["stop_when_alone_s"] = _ALONE_S
            # Two proxies hear each other, and would stay on for one another.
            document["stop_after_s"] = _TWO_PROXIES_STAY_S if self._relays_sync else document["stop_after_s"]
        return document

    @property
    def _relays_sync(self) -> bool:
        return len(self.proxies) > 1

    def _pair_sections(self, name: str) -> dict[str, Any]:
        place = self.row.index(name)
        relay = {"relay_data": self.relay_data}
        if name in self.proxies:
            # A proxy asks the next one in the row for UEs that it has not heard.
            beyond = [self.l2_id(other) for other in self.row[place + 1 :] if other in self.proxies]
            proxy = {"serve": True, "serve_for": [self.l2_id(end) for end in (INITIATOR, RESPONDER)], **relay}
            return {"carriers": {"proxy": {**proxy, "proxies": beyond}}, "link": {"allow": []}}
        peer = RESPONDER if name == INITIATOR else INITIATOR
        link: dict[str, Any] = {"allow": [self.granted[peer]]}
        proxy = dict(relay)
        if name == INITIATOR:
            called = {"identity": self.granted[peer], "l2_id": self.l2_id(peer), "carrier": "proxy"}
            link |= {"peers": [called], "connect_after_s": _CALL_AFTER_S}
            proxy |= {"proxies": [self.l2_id(self.proxies[0])]}
        return {
            "carriers": {"proxy": proxy},
            "link": link,
            "traffic": {
                "pings": PINGS if name == INITIATOR else 0,
                "push_octets": PUSH_OCTETS,
                "release_when_done": name == INITIATOR,
            },
        }


def proxy_plan(seed: int, n_proxies: int, folder: Path, *, relay_data: bool = True) -> ProxyPlan:
    """The plan of the demo with so many proxies."""
    return ProxyPlan(seed=seed, n_ues=2 + n_proxies, folder=folder, relay_data=relay_data)
