"""Two whole UEs over emulated radio, joined by two Kamailios: the Request is sent by SIP, Confirm and link by radio."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab_scripts.capture.sink import write_capture
from lab_scripts.demo.closing import ladder_steps
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import CrowdPlan
from lab_scripts.runs.ims_core import ImsCore, Subscriber
from tests.benches.ims_bench import KAMAILIO
from tests.interop.tshark_json import TSHARK, dissect, find

pytestmark = [pytest.mark.interop, pytest.mark.skipif(KAMAILIO is None, reason="Kamailio is not installed")]


class ImsPlan(CrowdPlan):
    """ue-a calls ue-b by IMS."""

    core: ImsCore

    @property
    def pairs(self):
        return ((self.names[0], self.names[1]),)

    def _pair_sections(self, name):
        a, b = self.names
        table = {"proxy": self.core.proxy, "host": self.core.ue_address(self.names.index(name)), "password": "secret"}
        carriers = {"ims": table}
        if name == b:
            return {"carriers": carriers, "link": {"allow": [self.granted[a]]}, "traffic": {"push_octets": 0}}
        peers = [{"identity": self.granted[b], "carrier": "ims"}]
        return {"carriers": carriers, "link": {"peers": peers}, "traffic": {"pings": 2, "push_octets": 0}}


def test_set_up_by_ims_and_confirmed_by_radio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ImsPlan(seed=3, n_ues=2, group=False, folder=tmp_path)
    subscribers = [Subscriber(number=plan.granted[name].removeprefix("tel:"), password="secret") for name in plan.names]
    (tmp_path / "ims").mkdir()
    with ImsCore(tmp_path / "ims", tmp_path / "logs", subscribers, block=63) as core:
        monkeypatch.setattr(ImsPlan, "core", core, raising=False)
        cell = Cell(plan, {})
        cell.run(8.0, until=lambda events: sum(one.record()["event"] == "ping-reply" for one in events) == 2)
    records = [one.record() for one in cell.events]

    def of(source, name):
        return [one for one in records if one["source"] == source and one["event"] == name]

    assert of("ue-a", "ims-registered") and of("ue-b", "ims-registered")
    assert of("ue-a", "link-established") and of("ue-b", "link-established")
    assert len(of("ue-a", "ping-reply")) == 2 and not of("ue-a", "carrier-mismatch")
    seen = [one for source in ("ue-a", "ue-b") for one in of(source, "pdu-seen") if one["layer"] == "pc5s"]
    by_ims = [one for one in seen if one["note"] == "carrier ims"]
    assert {one["data"][:2] for one in by_ims} == {"01", "02"}, "DCR and DCA"
    assert "04" in {one["data"][:2] for one in seen if one["note"] == ""}, "Confirm and what follows go by radio"
    for kind in ("01", "02"):
        sent, came = (
            [one["data"] for one in by_ims if (one["data"][:2], one["direction"]) == (kind, way)]
            for way in ("tx", "rx")
        )
        assert sent[:1] == came[:1], "octet for octet"
    steps = ladder_steps(cell.events)
    texts = [step.text for step in steps]
    invites = [(step.sender, step.receiver) for step in steps if step.text.startswith("INVITE")]
    assert invites == [("ue-a", "p-cscf"), ("p-cscf", "s-cscf"), ("s-cscf", "p-cscf"), ("p-cscf", "ue-b")]
    assert any(text.startswith("INVITE") for text in texts) and "200 OK (INVITE)" in texts
    if TSHARK is not None:
        write_capture(tmp_path / "run.pcapng", cell.events)
        packets = [layers for layers in dissect(tmp_path / "run.pcapng") if "sip" in layers]
        methods = {method for layers in packets for method in find(layers["sip"], "sip.Method")}
        assert {"REGISTER", "INVITE", "ACK"} <= methods
        assert not any(list(find(layers, "_ws.malformed")) for layers in packets)
        keyed = [layers for layers in packets if "sip.Method" in str(layers) and "mikey.type" in str(layers)]
        assert keyed, "the I_MESSAGE inside SDP is dissected"
