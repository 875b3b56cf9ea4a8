"""Discovery messages, MIC and entity."""

from dataclasses import replace

import numpy as np
import pytest

from prose_link.discovery.codec import LAYOUTS, DiscoveryFormatError, decode, encode, encode_content
from prose_link.discovery.entity import REPEATS_S, DiscoveryEntity, answers_member
from prose_link.discovery.events import (
    CodeDiscovered,
    DiscoveryDropped,
    DiscoveryUnprotected,
    PeerDiscovered,
    PeerLost,
    Solicited,
)
from prose_link.discovery.filters import CodeFilter, DiscoveryConfig
from prose_link.discovery.key_periods import UNPROTECTED, always
from prose_link.discovery.messages import (
    DiscoveryType,
    GroupMemberAnnouncement,
    GroupMemberSolicitation,
    OpenAnnouncement,
    RelayAnnouncement,
)
from prose_link.discovery.mic import calculate_mic, full_counter
from prose_link.discovery.numbers import NUMBERS
from prose_link.discovery.protection import MessageKeys
from prose_link.instant import Instant
from tests.doubles.discovery_period import sent_in_period

DUIK = bytes(range(32))
KEYS = always(MessageKeys(duik=DUIK))
MEMBER = GroupMemberAnnouncement(discovery_group_id=0x123456, user_info_id=0xA1A2A3A4A5A6, prose_ue_id=0x0A0001)
NOW = Instant(50.0, 1_790_000_000.25)


def later(seconds):
    return Instant(NOW.mono_s + seconds, NOW.utc_s + seconds)


def listener(**config):
    config = {"group_ids": frozenset({0x123456}), "prose_ue_id": 0x0B0002, "user_info_id": 0xB, "keys": KEYS, **config}
    return DiscoveryEntity(DiscoveryConfig(**config), np.random.default_rng(2))


def announcer(**config):
    entity = DiscoveryEntity(DiscoveryConfig(keys=KEYS, prose_ue_id=0x0A0001, **config), np.random.default_rng(1))
    entity.announce(MEMBER)
    return entity


def sent(entity, now=NOW, n_resources=50):
    return [transmission.data for transmission in sent_in_period(entity, n_resources, now)]


def events(entity):
    return list(iter(entity.next_event, None))


def test_group_member_announcement_stands_as_listed():
    octets = encode(MEMBER, mic=b"\1\2\3\4", counter=0x1FF)
    assert octets.hex() == "99" + "123456" + "a1a2a3a4a5a6" + "0a0001" + "00" * 11 + "01020304" + "ff"


@pytest.mark.parametrize(
    ("kind", "octet"),
    [
        (DiscoveryType.OPEN_ANNOUNCEMENT, 0x41),
        (DiscoveryType.RESTRICTED_RESPONSE, 0x82),
        (DiscoveryType.RESTRICTED_QUERY, 0x86),
        (DiscoveryType.RELAY_ANNOUNCEMENT, 0x91),
        (DiscoveryType.RELAY_RESPONSE, 0x92),
        (DiscoveryType.RELAY_SOLICITATION, 0x96),
    ],
)
def test_type_octets_are_built_of_their_parts(kind, octet):
    discovery, content, model = octet >> 6, octet >> 2 & 15, octet & 3
    assert kind == discovery << 6 | content << 2 | model == octet


@pytest.mark.parametrize("kind", LAYOUTS)
def test_every_message_comes_back(kind):
    fields = {
        name: bytes(range(length)) if name == "code" else (1 << 8 * length) - 2
        for name, length in LAYOUTS[kind].items()
    }
    message = kind(**fields)
    octets = encode(message, mic=b"abcd", counter=7)
    assert len(octets) == 29
    pdu = decode(octets)
    assert (pdu.message, pdu.mic, pdu.counter_lsb, pdu.content) == (message, b"abcd", 7, encode_content(message))


@pytest.mark.parametrize("octets", [b"", bytes(28), bytes(30), b"\x42" + bytes(28)])
def test_other_octets_are_refused(octets):
    with pytest.raises(DiscoveryFormatError):
        decode(octets)


def test_values_that_do_not_fit_are_refused():
    with pytest.raises(DiscoveryFormatError):
        encode_content(replace(MEMBER, user_info_id=1 << 48))
    with pytest.raises(DiscoveryFormatError):
        encode_content(OpenAnnouncement(code=bytes(22)))


def test_full_counter_is_the_nearest():
    assert full_counter(0xFF, 0x1234_01 - 0.5) == 0x1233FF
    assert full_counter(0x01, 0x1233_FE) == 0x123401
    assert full_counter(0x80, 0x1200) in (0x1180, 0x1280)


def test_mic_depends_on_everything():
    content = encode_content(MEMBER)
    mic = calculate_mic(DUIK, content, 5)
    assert len({mic, calculate_mic(bytes(32), content, 5), calculate_mic(DUIK, content, 261)}) == 3


def test_member_is_discovered_once_and_lost_when_silent():
    a, b = announcer(), listener()
    for seconds in (0, 0.3, 1.2, 5):
        for data in sent(a, later(seconds)):
            b.receive(data, later(seconds))
    (found,) = events(b)
    assert found == PeerDiscovered(
        message="group member announcement",
        scope_id=0x123456,
        user_info_id=0xA1A2A3A4A5A6,
        prose_ue_id=0x0A0001,
        verified=True,
    )
    assert b.next_timer() == NOW.mono_s + 5 + 30
    b.handle_timer(later(35))
    assert [type(event) for event in events(b)] == [PeerLost]


@pytest.mark.parametrize("octet", range(29))
def test_any_altered_octet_is_refused(octet):
    (data,) = sent(announcer())
    altered = bytearray(data)
    altered[octet] ^= 1
    b = listener()
    b.receive(bytes(altered), NOW)
    assert not any(isinstance(event, PeerDiscovered) for event in events(b))
    b.receive(data, NOW)
    assert isinstance(events(b)[0], PeerDiscovered)


@pytest.mark.parametrize(("age_s", "why"), [(NUMBERS.max_offset_s + 2, "counter too far from the clock")])
def test_old_message_is_refused(age_s, why):
    (data,) = sent(announcer())
    b = listener()
    b.receive(data, later(age_s))
    assert events(b) == [DiscoveryDropped(message="group member announcement", why=why)]


def test_replay_whose_low_bits_come_round_again_fails_its_mic():
    (data,) = sent(announcer())
    b = listener()
    b.receive(data, later(256))
    assert events(b)[0].why == "MIC does not verify"


def test_replay_of_an_older_message_is_stale():
    a, b = announcer(), listener()
    (old,), (new,) = sent(a, NOW), sent(a, later(3))
    b.receive(new, later(3))
    events(b)
    b.receive(old, later(4))
    assert events(b)[0].why == "counter is stale"


def test_without_key_nothing_counts_as_verified():
    b = listener(keys=UNPROTECTED)
    assert events(b) == [DiscoveryUnprotected(group_ids=frozenset({0x123456}))]
    b.receive(encode(MEMBER, mic=bytes(4), counter=int(NOW.utc_s)), NOW)
    assert events(b)[0].verified is False


def test_other_groups_and_own_messages_are_not_asked_for():
    b = listener(group_ids=frozenset({7}))
    b.receive(sent(announcer())[0], NOW)
    c = listener(prose_ue_id=0x0A0001)
    c.receive(sent(announcer())[0], NOW)
    assert events(b) == events(c) == []


def test_member_answers_a_solicitation():
    asker, member = listener(prose_ue_id=0x0C0003, user_info_id=0xC), listener()
    question = GroupMemberSolicitation(
        discovery_group_id=0x123456, user_info_id=0xC, target_user_info_id=0xB, prose_ue_id=0x0C0003
    )
    asker.solicit(question)
    for seconds in range(6):
        for data in sent(asker, later(seconds)):
            member.receive(data, later(seconds))
        for data in sent(member, later(seconds)):
            asker.receive(data, later(seconds))
    assert isinstance(events(member)[0], Solicited)
    assert [event.prose_ue_id for event in events(asker)] == [0x0B0002]
    assert sent(asker, later(9)) == sent(member, later(9)) == []


def test_code_filters_and_relays():
    code = bytes.fromhex("80") + bytes(22)
    wanted = CodeFilter(type=DiscoveryType.OPEN_ANNOUNCEMENT, code=code, mask=b"\xf0" + bytes(22))
    b = listener(codes=(wanted,), relay_service_codes=frozenset({9}))
    a = DiscoveryEntity(DiscoveryConfig(keys=KEYS), np.random.default_rng(3))
    a.announce(OpenAnnouncement(code=b"\x8f" + bytes(22)))
    a.announce(OpenAnnouncement(code=b"\x7f" + bytes(22)))
    a.announce(RelayAnnouncement(relay_service_code=9, user_info_id=1, prose_ue_id=2, status=0))
    for data in sent(a):
        b.receive(data, NOW)
    assert {type(event) for event in events(b)} == {CodeDiscovered, PeerDiscovered}


def test_resources_are_random_distinct_and_avoid_the_heard_ones():
    a = announcer()
    a.announce(replace(MEMBER, user_info_id=2))
    chosen = [tuple(one.n_psdch for one in sent_in_period(a, 10, NOW, avoid=range(5))) for _ in range(50)]
    assert all(len(set(pair)) == 2 and min(pair) >= 5 for pair in chosen)
    assert len(set(chosen)) > 5
    assert len(sent_in_period(a, 1, NOW)) == 1


@pytest.mark.parametrize(("n_t", "at_once"), [(1, 1), (3, 1), (4, 2), (9, 3)])
def test_messages_of_one_ue_share_no_subframes_and_leave_half_of_them_to_listen(n_t, at_once):
    a = announcer()
    for number in (2, 3):
        a.announce(replace(MEMBER, user_info_id=number))
    sent_of = set()
    for _ in range(50):
        chosen = sent_in_period(a, 4 * n_t, NOW, n_t=n_t)
        groups = [one.n_psdch % n_t for one in chosen]
        assert len(groups) == len(set(groups)) == at_once
        sent_of |= {one.data for one in chosen}
    assert len(sent_of) == 3


def test_the_same_counter_again_is_a_repeat_at_first_and_a_replay_later():
    (data,) = sent(announcer())
    b = listener(validity_s=1.0)
    b.receive(data, NOW)
    b.receive(data, later(REPEATS_S - 0.1))
    b.handle_timer(later(9))
    assert [type(event) for event in events(b)] == [PeerDiscovered, PeerLost]
    b.receive(data, later(10))
    assert events(b) == [DiscoveryDropped(message="group member announcement", why="replayed")]


def test_asking_goes_on_until_the_member_is_heard_and_begins_again_when_it_is_lost():
    asker = listener(prose_ue_id=0x0C0003, user_info_id=0xC, validity_s=10.0)
    question = GroupMemberSolicitation(
        discovery_group_id=0x123456, user_info_id=0xC, target_user_info_id=0xA1A2A3A4A5A6, prose_ue_id=0x0C0003
    )
    asker.solicit(question, every_s=8.0, answered_by=answers_member(question))
    asked = [len(sent(asker, later(seconds))) for seconds in range(24)]
    assert asked == [1, 1, 1, 1, 0, 0, 0, 0] * 3
    (answer,) = sent(announcer(), later(24))
    asker.receive(answer, later(24))
    assert not any(sent(asker, later(seconds)) for seconds in range(24, 34))
    asker.handle_timer(later(34))
    assert sent(asker, later(34))


@pytest.mark.parametrize("roles", [{"monitor": False}, {"respond": False}])
def test_roles_not_taken_up_are_not_played(roles):
    b = listener(**roles)
    b.receive(sent(announcer())[0], NOW)
    question = GroupMemberSolicitation(
        discovery_group_id=0x123456, user_info_id=0xC, target_user_info_id=0, prose_ue_id=0x0C0003
    )
    asker = listener(prose_ue_id=0x0C0003)
    asker.solicit(question)
    b.receive(sent(asker)[0], NOW)
    heard = {type(event) for event in events(b)}
    assert heard == ({Solicited} if "monitor" in roles else {PeerDiscovered})
    assert len(sent(b)) == (1 if "monitor" in roles else 0)
