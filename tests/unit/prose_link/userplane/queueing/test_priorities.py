"""From DSCP to priority, and from priority to logical channel; the section that says it."""

import pytest
from pydantic import ValidationError

from prose_link.config.queues import QueuesSection
from prose_link.userplane.ipv6 import Datagram, encode_datagram, link_local_address
from prose_link.userplane.queueing.link_queue import LinkQueue
from prose_link.userplane.queueing.priorities import DSCP_NAMES, PRIORITIES, PriorityRule

HERE, THERE = link_local_address(1), link_local_address(2)


def datagram(dscp, port=7):
    return encode_datagram(HERE, THERE, Datagram(source_port=port, destination_port=port, data=b"x"), dscp=dscp)


@pytest.mark.parametrize(
    ("name", "number"),
    [("EF", 46), ("VA", 44), ("LE", 1), ("DF", 0), ("CS1", 8), ("CS6", 48), ("AF11", 10), ("AF23", 22), ("AF41", 34)],
)
def test_names_are_those_of_the_rfcs(name, number):
    assert DSCP_NAMES[name] == number


@pytest.mark.parametrize(
    ("name", "pppp"),
    [
        *(("CS7", 1), ("EF", 2), ("VA", 2), ("CS5", 3), ("AF42", 4), ("CS4", 4), ("AF31", 5), ("AF21", 6)),
        *(("CS2", 6), ("DF", 7), ("AF11", 7), ("CS1", 8), ("LE", 8)),
    ],
)
def test_each_service_class_has_its_priority(name, pppp):
    assert PriorityRule().pppp(DSCP_NAMES[name]) == pppp


def test_an_unknown_dscp_is_ordinary():
    assert PriorityRule().pppp(63) == 7


@pytest.mark.parametrize("ordinary", PRIORITIES)
def test_each_priority_has_a_user_lcid_of_its_own_and_the_ordinary_one_has_1(ordinary):
    rule = PriorityRule(ordinary=ordinary)
    lcids = {pppp: rule.lcid(pppp) for pppp in PRIORITIES}
    assert lcids[ordinary] == 1
    assert len(set(lcids.values())) == 8 and set(lcids.values()) <= set(range(1, 11))
    by_lcid = rule.pppp_by_lcid()
    assert len(by_lcid) == 10 and all(by_lcid[lcid - 1] == pppp for pppp, lcid in lcids.items())


def test_an_own_rule_stands_before_the_usual_one():
    section = QueuesSection.model_validate(
        {"ordinary_pppp": 6, "priorities": [{"dscp": ["ef", 0], "pppp": 1}, {"dscp": [63], "pppp": 8}]}
    )
    rule = section.rule
    assert [rule.pppp(dscp) for dscp in (46, 0, 63, 44, 10)] == [1, 1, 8, 2, 6]


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"priorities": [{"dscp": ["XY"], "pppp": 1}]}, "XY"),
        ({"priorities": [{"dscp": [64], "pppp": 1}]}, "64"),
        ({"priorities": [{"dscp": [-1], "pppp": 1}]}, "-1"),
        ({"priorities": [{"dscp": [], "pppp": 1}]}, "dscp"),
        ({"priorities": [{"dscp": [0], "pppp": 0}]}, "pppp"),
        ({"priorities": [{"dscp": [0], "pppp": 9}]}, "pppp"),
        ({"priorities": [{"dscp": ["EF"], "pppp": 1}, {"dscp": [46], "pppp": 2}]}, "46"),
        ({"ordinary_pppp": 9}, "ordinary_pppp"),
        ({"target_ms": 50.0, "interval_ms": 50.0}, "target_ms 50"),
        ({"max_packets": 0}, "max_packets"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(keys, named):
    with pytest.raises(ValidationError, match=named):
        QueuesSection.model_validate(keys)


def test_packets_wait_by_priority():
    queue = LinkQueue(QueuesSection().to_settings(1400, b"seed"))
    for dscp in (0, 46, 8, 48):
        queue.push(datagram(dscp), 0.0)
    assert queue.waiting == [1, 2, 7, 8]
    assert queue.octets(2) == len(datagram(46))
    assert queue.pop(2, 0.0) == datagram(46) and queue.pop(2, 0.0) is None
    assert queue.waiting == [1, 7, 8] and len(queue) == 3


def test_drops_are_told_once():
    settings = QueuesSection(max_packets=8).to_settings(1400, b"seed")
    queue = LinkQueue(settings)
    for _ in range(11):
        queue.push(datagram(0), 0.0)
    assert queue.take_drops().overflow == 3
    assert queue.take_drops().overflow == 0
