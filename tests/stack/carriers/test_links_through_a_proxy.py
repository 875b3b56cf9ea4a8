"""Three whole UEs over emulated radio: one serves as proxy, the others set their link up through it."""

from __future__ import annotations

from pathlib import Path

from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import CrowdPlan

FIRST_L2, L2_STEP = 0x5C1A01, 0x000101
L2_B, L2_PROXY = FIRST_L2 + L2_STEP, FIRST_L2 + 2 * L2_STEP


class ProxyPlan(CrowdPlan):
    """ue-a calls ue-b through ue-c."""

    @property
    def pairs(self):
        return ((self.names[0], self.names[1]),)

    def _pair_sections(self, name):
        a, b, c = self.names
        if name == c:
            return {"carriers": {"proxy": {"serve": True}}, "link": {"allow": []}}
        behind = {"proxy": {"proxies": [L2_PROXY]}}
        if name == b:
            return {"carriers": behind, "link": {"allow": [self.granted[a]]}, "traffic": {"push_octets": 0}}
        peers = [{"identity": self.granted[b], "l2_id": L2_B, "carrier": "proxy"}]
        traffic = {"pings": 2, "push_octets": 0}
        return {"carriers": behind, "link": {"peers": peers, "connect_after_s": 0.5}, "traffic": traffic}


def test_set_up_through_a_proxy_and_confirmed_by_radio():
    cell = Cell(ProxyPlan(seed=3, n_ues=3, group=False, folder=Path()), {})
    cell.run(8.0, until=lambda events: sum(event.record()["event"] == "ping-reply" for event in events) == 2)
    records = [one.record() for one in cell.events]

    def of(source, name):
        return [e for e in records if e["source"] == source and e["event"] == name]

    assert of("ue-a", "link-established") and of("ue-b", "link-established")
    assert len(of("ue-a", "ping-reply")) == 2
    assert not of("ue-c", "request-received"), "the proxy answers nothing"
    seen = [e for source in ("ue-a", "ue-b") for e in of(source, "pdu-seen") if e["layer"] == "pc5s"]
    by_proxy = {e["data"][:2] for e in seen if e["note"] == "carrier proxy"}
    by_radio = {e["data"][:2] for e in seen if e["note"] == ""}
    assert by_proxy == {"01", "02"}, "DCR and DCA"
    assert not by_proxy & by_radio and "04" in by_radio, "Confirm and what follows go by radio"
