"""Whatever comes from PSDCH, the discovery entity raises nothing, reports nothing false, and stays bounded."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prose_link.discovery.entity import MAX_HEARD, MAX_QUEUED_EVENTS, DiscoveryEntity
from prose_link.discovery.events import CodeDiscovered, DiscoveryDropped
from prose_link.discovery.filters import CodeFilter, DiscoveryConfig
from prose_link.discovery.key_periods import always
from prose_link.discovery.messages import DiscoveryType, OpenAnnouncement
from prose_link.discovery.mic import utc_counter
from prose_link.discovery.own_messages import MAX_OWN_MESSAGES
from prose_link.discovery.protection import MessageKeys, protect
from prose_link.instant import Instant
from tests.doubles.discovery_period import sent_in_period

KEYS = always(MessageKeys(duik=bytes(32), dusk=b"\x01" * 32, duck=b"\x02" * 32, mask=b"\xff" * 23))
ANY = {"code": bytes(23), "mask": bytes(23)}
NOW = Instant(5.0, 1_790_000_000.0)
CONFIG = DiscoveryConfig(
    user_info_id=1,
    prose_ue_id=2,
    group_ids=frozenset({0, 0xFFFFFF}),
    relay_service_codes=frozenset({0}),
    keys=always(MessageKeys(duik=bytes(32))),
    codes=(
        CodeFilter(type=DiscoveryType.RESTRICTED_ANNOUNCEMENT, keys=KEYS, **ANY),
        CodeFilter(type=DiscoveryType.RESTRICTED_QUERY, keys=KEYS, answer=b"\x99" * 23, **ANY),
        CodeFilter(type=DiscoveryType.OPEN_ANNOUNCEMENT, keys=always(MessageKeys(duik=bytes(32))), **ANY),
    ),
)
PDUS = st.binary(max_size=40) | st.builds(
    lambda kind, rest: bytes([kind]) + rest, st.sampled_from(list(DiscoveryType)), st.binary(min_size=28, max_size=28)
)


def entity(config=CONFIG):
    return DiscoveryEntity(config, np.random.default_rng(1))


@given(st.lists(PDUS, max_size=20), st.floats(0, 2**33))
def test_any_octets_at_any_time_find_nobody(octets, utc_s):
    one = entity()
    for pdu in octets:
        one.receive(pdu, Instant(5.0, utc_s))
    assert all(isinstance(event, DiscoveryDropped) for event in iter(one.next_event, None))
    assert sent_in_period(one, 18, Instant(5.0, utc_s), n_t=3) == []


def test_a_flood_of_messages_fills_no_more_than_its_bounds():
    wanted = CodeFilter(type=DiscoveryType.OPEN_ANNOUNCEMENT, **ANY)
    one = entity(DiscoveryConfig(codes=(wanted,)))
    counter = utc_counter(NOW.utc_s)
    for number in range(2 * MAX_HEARD):
        code = number.to_bytes(23)
        one.receive(protect(bytes([OpenAnnouncement.TYPE]) + code, counter, MessageKeys()), NOW)
    assert len(one._heard) == len(one._newest) == MAX_HEARD
    found = list(iter(one.next_event, None))
    assert len(found) == MAX_QUEUED_EVENTS and all(isinstance(event, CodeDiscovered) for event in found)


def test_a_flood_of_queries_by_a_holder_of_the_keys_makes_few_answers():
    answers = [
        CodeFilter(type=DiscoveryType.RESTRICTED_QUERY, code=bytes([n]) * 23, keys=KEYS, answer=bytes([n]) * 23)
        for n in range(3 * MAX_OWN_MESSAGES)
    ]
    one = entity(DiscoveryConfig(codes=tuple(answers)))
    (keys,) = KEYS.to_accept(NOW.utc_s)
    for asked in answers:
        query = bytes([DiscoveryType.RESTRICTED_QUERY]) + asked.code
        one.receive(protect(query, utc_counter(NOW.utc_s), keys), NOW)
    assert len(one._own.limited) == MAX_OWN_MESSAGES
    assert one.counters["too many own messages"] == 2 * MAX_OWN_MESSAGES
