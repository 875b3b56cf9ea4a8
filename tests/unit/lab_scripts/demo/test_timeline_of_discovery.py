"""Every event of discovery is told in words."""

from typing import get_args

import pytest

from lab_scripts.console.sentences import sentence_of
from prose_link.discovery import events

CODE = bytes(range(0x40, 0x57))
TOLD = [
    (
        events.CodeDiscovered(message="open announcement", code=CODE, verified=False),
        ["40414243...5556", "not verified"],
    ),
    (events.CodeDiscovered(message="restricted response", code=CODE, verified=True), ["MIC verified", "layer-2 id"]),
    (events.CodeLost(message="open announcement", code=CODE), ["lost", "40414243...5556"]),
    (
        events.PeerDiscovered(message="m", scope_id=1, user_info_id=0xABC, prose_ue_id=0x5C1A01, verified=True),
        ["5c1a01", "000000000abc"],
    ),
    (events.PeerLost(message="m", scope_id=1, user_info_id=2, prose_ue_id=0x5C1A01), ["lost", "5c1a01"]),
    (events.Solicited(scope_id=1, user_info_id=2, prose_ue_id=0x5C1A01), ["5c1a01 asks"]),
    (events.DiscoveryUnprotected(group_ids=frozenset({0x51AB})), ["0051ab", "verified"]),
    (events.NotSent(message="restricted query", why="its validity is over"), ["restricted query", "validity is over"]),
    (events.NotListened(message="m", code=CODE, why="no key"), ["40414243...5556", "not listened", "no key"]),
    (events.DiscoveryDropped(message="restricted query", why="replayed"), ["restricted query", "replayed"]),
]


@pytest.mark.parametrize(("event", "words"), TOLD)
def test_an_event_is_told(event, words):
    sentence = sentence_of(event)
    assert sentence is not None
    assert all(word in sentence for word in words), sentence


def test_no_kind_of_event_is_left_out():
    assert {type(event) for event, _ in TOLD} == set(get_args(events.DiscoveryEvent))
