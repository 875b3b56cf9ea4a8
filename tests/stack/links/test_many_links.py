"""One UE with links to several others: whole UEs over emulated radio in one process, each link with its own context."""

from pathlib import Path
from typing import Any, ClassVar

import pytest

from lab_scripts.events.selection import events_of
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import CrowdPlan
from prose_link.config.ue import ConfigError
from prose_link.pc5s.core.events import LinkEstablished, LinkFailed, LinkReleased
from prose_link.ue.events import Connecting, FirstProtected, WeakLinksAllowed
from prose_link.userplane.events import PingReply, TrafficDone

PUSH_OCTETS = 1024
FIRST_USER_INFO = 0x0000_0A00_0001


class HubPlan(CrowdPlan):
    """ue-a calls all others; `with_peer` changes what it does with some of them."""

    with_peer: ClassVar[dict[str, dict[str, Any]]] = {}

    @property
    def pairs(self):
        return tuple((self.names[0], other) for other in self.names[1:])

    def _pair_sections(self, name):
        hub, *others = self.names
        if name != hub:
            return {"link": {"allow": [self.granted[hub]]}, "traffic": {"push_octets": PUSH_OCTETS}}
        peers = [
            {"identity": self.granted[other], "user_info_id": FIRST_USER_INFO + i, **self.with_peer.get(other, {})}
            for i, other in enumerate(others, start=1)
        ]
        traffic = {"push_octets": PUSH_OCTETS, "pings": 2, "release_when_done": True}
        return {"link": {"peers": peers}, "traffic": traffic}


class OneLeaves(HubPlan):
    """ue-b's link is released at once, ue-c and ue-d get more to do, ue-e's link is left to stand."""

    with_peer: ClassVar[dict[str, dict[str, Any]]] = {
        "ue-b": {"pings": 1},
        "ue-c": {"pings": 40},
        "ue-d": {"pings": 40},
        "ue-e": {"release_when_done": False},
    }


def peer_of(told):
    """Whom an event is about: its line says it, or the event itself."""
    return told.peer or getattr(told.event, "peer", None)


def of(events, kind, source, peer=None):
    return [e for e in events_of(events, kind, source) if peer in (None, peer_of(e))]


def test_a_hub_carries_traffic_with_four_and_releases_one_while_the_others_stay():
    plan = OneLeaves(seed=4, n_ues=5, group=False, folder=Path())
    cell = Cell(plan, {})
    hub = cell.node("ue-a")

    def over(events):
        released = {e.event.peer for e in of(events, LinkReleased, "ue-a")}
        return len(released) == 3 and of(events, TrafficDone, "ue-a", plan.granted["ue-e"])

    cell.run(25.0, until=over)
    links = {e.event.peer: e for e in of(cell.events, LinkEstablished, "ue-a")}
    assert links.keys() == {plan.granted[name] for name in plan.names[1:]}
    assert len({(e.event.peer_l2, e.event.kd_sess_id) for e in links.values()}) == 4
    assert len({e.event.kd_sess_id >> 8 for e in links.values()}) == 4, "an MSB is unique among its contexts"
    for name in plan.names[1:]:
        peer = plan.granted[name]
        (done,) = of(cell.events, TrafficDone, "ue-a", peer)
        (there,) = of(cell.events, TrafficDone, name)
        asked = OneLeaves.with_peer[name].get("pings", 2)
        assert done.event.ok
        assert done.event.pings_answered + done.event.pings_lost == asked
        assert (done.event.pushed_octets, done.event.taken_octets) == (PUSH_OCTETS, PUSH_OCTETS)
        assert there.event.ok
        assert peer_of(there) == plan.granted["ue-a"]
        assert len(of(cell.events, FirstProtected, name)) == 1
    assert len(of(cell.events, FirstProtected, "ue-a")) == 4
    (first_release,) = of(cell.events, LinkReleased, "ue-a", plan.granted["ue-b"])
    for name in ("ue-c", "ue-d"):
        later = [e for e in of(cell.events, PingReply, "ue-a", plan.granted[name]) if e.seq > first_release.seq]
        assert later, f"{name} was spoken with after ue-b's link was released"
    assert cell.node("ue-b").done == "the link is released"
    assert not hub.done, "the link with ue-e is left to stand"
    assert hub.shut_down() == 0


def test_a_ue_switches_off_when_all_its_links_are_done():
    plan = HubPlan(seed=6, n_ues=3, group=False, folder=Path())
    cell = Cell(plan, {})
    cell.run(20.0)
    released = of(cell.events, LinkReleased, "ue-a")
    assert {e.event.peer for e in released} == {plan.granted["ue-b"], plan.granted["ue-c"]}
    assert all(cell.node(name).done == "the link is released" for name in plan.names)


def test_a_peer_that_vanishes_is_called_again_while_the_others_stay():
    """The radio of ue-b dies without a word; short timers let ue-a notice soon."""

    class Vanishing(HubPlan):
        with_peer: ClassVar[dict[str, dict[str, Any]]] = {
            "ue-b": {"release_when_done": False},
            "ue-c": {"release_when_done": False},
        }

    plan = Vanishing(seed=6, n_ues=3, group=False, folder=Path())
    timers = {"t4100_s": 0.2, "n4100": 3, "t4101_s": 0.15, "n4101": 4, "t4102_s": 0.4, "t4108_s": 1}
    cell = Cell(plan, {"timers": timers})
    gone, there = plan.granted["ue-b"], plan.granted["ue-c"]

    def called_again(events):
        if of(events, TrafficDone, "ue-a", gone):
            cell.node("ue-b").done = "its battery was taken out"
        return len(of(events, LinkFailed, "ue-a")) == 2

    cell.run(20.0, until=called_again)
    (lost,) = of(cell.events, LinkReleased, "ue-a")
    assert (lost.event.peer, lost.event.agreed) == (gone, False)
    assert [e.event.peer for e in of(cell.events, Connecting, "ue-a")] in (
        [gone, there, gone, gone],
        [there, gone, gone, gone],
    )
    assert of(cell.events, TrafficDone, "ue-a", there)
    assert not cell.node("ue-a").done
    assert not cell.node("ue-c").done


def test_two_that_call_each_other_get_one_link():
    class Mutual(HubPlan):
        def _pair_sections(self, name):
            document = super()._pair_sections(name)
            if name == "ue-b":
                hub = self.granted["ue-a"]
                document["link"] |= {"connect_to": hub, "peer_user_info_id": FIRST_USER_INFO}
            return document

    plan = Mutual(seed=8, n_ues=2, group=False, folder=Path())
    cell = Cell(plan, {})
    cell.run(15.0)
    for name in plan.names:
        assert of(cell.events, Connecting, name)
        assert of(cell.events, LinkEstablished, name)
        assert of(cell.events, TrafficDone, name)[-1].event.ok
        assert cell.node(name).done == "the link is released"


def test_timers_too_short_for_the_pool_are_a_configuration_error():
    plan = HubPlan(seed=6, n_ues=2, group=False, folder=Path())
    with pytest.raises(ConfigError, match=r"t4103_s = 0\.05 is too short for an SC period of 40 ms"):
        Cell(plan, {"timers": {"t4103_s": 0.05}})


@pytest.mark.parametrize("rules", [[], [{"peers": "tel:+447700900003", "mutual_ask": "required"}]])
def test_the_terms_are_those_of_the_strictest_rule(rules):
    """ue-b and ue-c give no proof of their own: a peer that requires it gets no link, the others a one-way link."""

    class Terms(HubPlan):
        def _pair_sections(self, name):
            document = super()._pair_sections(name)
            if name == "ue-a":
                document["link"] |= {"policy": rules, "ciphering": [1], "allow_null_integrity": True}
                document["traffic"]["stop_when_refused"] = True
            else:
                document["link"] |= {"mutual_give": "never", "integrity": [], "allow_null_integrity": True}
            return document

    plan = Terms(seed=6, n_ues=3, group=False, folder=Path())
    cell = Cell(plan, {})
    cell.run(15.0)
    links = of(cell.events, LinkEstablished, "ue-a")
    strict = {plan.granted["ue-c"]} if rules else set()
    assert {e.event.peer for e in links} == {plan.granted["ue-b"], plan.granted["ue-c"]} - strict
    assert {(e.event.mutual, e.event.eea, e.event.eia, e.event.null_algorithm) for e in links} == {(False, 1, 0, True)}
    (told,) = of(cell.events, WeakLinksAllowed, "ue-a")
    assert told.event.keys[0] == "link.allow_null_integrity"
    refused = of(cell.events, LinkFailed, "ue-a")
    assert {(e.event.peer, e.event.cause) for e in refused} == {(peer, 0x81) for peer in strict}
