"""Restricted discovery: keys, masks, scrambling, Model B, validity, stale counters, collision-aware choice."""

import hashlib

import numpy as np
import pytest

from prose_link.discovery.codec import DiscoveryFormatError, encode_content
from prose_link.discovery.entity import DiscoveryEntity
from prose_link.discovery.events import CodeDiscovered, CodeLost, DiscoveryDropped, NotListened, NotSent
from prose_link.discovery.filters import CodeFilter, DiscoveryConfig
from prose_link.discovery.key_periods import KeyPeriods, PeriodKeys, always
from prose_link.discovery.messages import DiscoveryType, OpenAnnouncement, RestrictedAnnouncement, RestrictedQuery
from prose_link.discovery.numbers import NUMBERS
from prose_link.discovery.protection import MessageKeys, protect, unprotect
from prose_link.instant import Instant
from tests.doubles.discovery_period import sent_in_period

DUIK, DUSK, DUCK = (bytes(range(first, first + 32)) for first in (0, 32, 64))
MASK = b"\0" * 3 + b"\xff" * 12 + b"\x0f" + b"\0" * 7
KEYS = MessageKeys(duik=DUIK, dusk=DUSK, duck=DUCK, mask=MASK)
OTHERS = MessageKeys(duik=DUCK, dusk=DUIK, duck=DUSK, mask=MASK)
CODE = bytes(range(0x40, 0x40 + 23))
ANSWER = b"\x99" * 23
NOW = Instant(50.0, 1_790_000_000.25)


def later(seconds):
    return Instant(NOW.mono_s + seconds, NOW.utc_s + seconds)


def entity(seed=1, **config):
    return DiscoveryEntity(DiscoveryConfig(**config), np.random.default_rng(seed))


def restricted(type=DiscoveryType.RESTRICTED_ANNOUNCEMENT, *, code=CODE, keys=KEYS, **more):
    periods = keys if isinstance(keys, KeyPeriods) else always(keys)
    return CodeFilter(type=type, code=code, keys=periods, **more)


def monitor(keys=KEYS, **more):
    return entity(2, codes=(restricted(keys=keys, **more),))


def announced(now=NOW, keys=KEYS, code=CODE):
    announcer = entity()
    announcer.announce(RestrictedAnnouncement(code=code), keys=keys if isinstance(keys, KeyPeriods) else always(keys))
    (one,) = sent_in_period(announcer, 20, now)
    return one.data


def events(one):
    return list(iter(one.next_event, None))


@pytest.mark.parametrize("names", [("duik",), ("dusk",), ("duik", "dusk"), ("duik", "dusk", "duck"), ("duck",)])
def test_any_choice_of_keys_comes_back(names):
    mask = MASK if "duck" in names else bytes(23)
    keys = MessageKeys(**{name: getattr(KEYS, name) for name in names}, mask=mask)
    content = encode_content(RestrictedAnnouncement(code=CODE))
    octets = protect(content, 0x12345678, keys)
    assert (len(octets), octets[0], octets[-1]) == (29, 0x81, 0x78)
    assert unprotect(octets, 0x12345678, keys) == content


def test_mask_says_which_bits_are_hidden():
    keys = MessageKeys(duck=KEYS.duck, mask=MASK)
    body = protect(b"\x81" + CODE, 7, keys)[1:24]
    changed = bytes(one ^ other for one, other in zip(body, CODE, strict=True))
    assert all(bits & ~mask == 0 for bits, mask in zip(changed, MASK, strict=True)) and any(changed)


def test_scrambled_messages_of_two_moments_have_nothing_in_common():
    one, other = announced(NOW), announced(later(1))
    assert sum(a == b for a, b in zip(one[1:28], other[1:28], strict=True)) < 6
    assert CODE not in one


@pytest.mark.parametrize("fields", [{"duik": bytes(16)}, {"mask": bytes(22)}, {"mask": MASK}, {"duck": bytes(32)}])
def test_keys_that_make_no_sense_are_refused(fields):
    with pytest.raises(DiscoveryFormatError):
        MessageKeys(**fields)


def test_keys_do_not_show():
    assert KEYS.duik.hex() not in repr(KEYS) and "duik" not in repr(KEYS)
    assert NUMBERS.confirmed is False


def test_announcement_is_discovered_by_who_holds_the_keys_only():
    data = announced()
    b, stranger = monitor(), monitor(OTHERS)
    for one in (b, stranger):
        one.receive(data, NOW)
    assert events(b) == [CodeDiscovered(message="restricted announcement", code=CODE, verified=True)]
    assert events(stranger) == []


@pytest.mark.parametrize("octet", range(29))
def test_any_altered_octet_is_refused(octet):
    altered = bytearray(announced())
    altered[octet] ^= 1
    b = monitor()
    b.receive(bytes(altered), NOW)
    assert not [event for event in events(b) if isinstance(event, CodeDiscovered)]


def test_replays_are_refused_when_stale_old_or_of_another_round():
    old, new = announced(NOW), announced(later(3))
    b = monitor()
    b.receive(new, later(3))
    b.receive(old, later(4))
    assert [type(event) for event in events(b)] == [CodeDiscovered, DiscoveryDropped]
    b.handle_timer(later(40))
    assert events(b) == [CodeLost(message="restricted announcement", code=CODE)]
    b.receive(old, later(40))
    b.receive(new, later(40))
    assert events(b) == [
        DiscoveryDropped(message="restricted announcement", why=why) for why in ("counter is stale", "replayed")
    ]
    c = monitor()
    c.receive(old, later(NUMBERS.max_offset_s + 2))
    assert events(c)[0].why == "counter too far from the clock"
    c.receive(old, later(256))
    assert not events(c)


def test_model_b_asks_and_answers():
    asker = entity(3, codes=(restricted(DiscoveryType.RESTRICTED_RESPONSE, code=ANSWER),))
    asker.solicit(RestrictedQuery(code=CODE), keys=always(KEYS))
    responder = entity(2, codes=(restricted(DiscoveryType.RESTRICTED_QUERY, answer=ANSWER),))
    for seconds in range(8):
        for one, other in ((asker, responder), (responder, asker)):
            for transmission in sent_in_period(one, 20, later(seconds)):
                assert transmission.data[0] in (0x86, 0x82)
                other.receive(transmission.data, later(seconds))
    assert events(asker) == [CodeDiscovered(message="restricted response", code=ANSWER, verified=True)]
    assert sent_in_period(asker, 20, later(9)) == sent_in_period(responder, 20, later(9)) == []


def test_validity_ends_announcing_and_monitoring():
    announcer = entity()
    announcer.announce(RestrictedAnnouncement(code=CODE), keys=always(KEYS), valid_until_utc_s=NOW.utc_s + 10)
    assert sent_in_period(announcer, 20, later(9))
    assert not sent_in_period(announcer, 20, later(10))
    assert not sent_in_period(announcer, 20, later(11))
    assert events(announcer) == [NotSent(message="restricted announcement", why="its validity is over")]
    b = monitor(valid_until_utc_s=NOW.utc_s + 10)
    b.receive(announced(later(10)), later(10))
    assert events(b) == []


def test_choice_avoids_the_heard_resources_and_is_random_over_the_rest():
    one = entity()
    one.announce(RestrictedAnnouncement(code=CODE), keys=always(KEYS))
    heard = {0, 3, 4, 9}
    chosen = {sent_in_period(one, 10, NOW, avoid=heard)[0].n_psdch for _ in range(200)}
    assert chosen == set(range(10)) - heard


def plainly(key, fc, *parts):
    """The KDF of TS 33.220 B.2 and what is made of it, written out a second time: every step on whole numbers."""
    inner, outer = (bytes(octet ^ pad for octet in key.ljust(64, b"\0")) for pad in (0x36, 0x5C))
    text = bytes([fc]) + b"".join(part + bytes([len(part) // 256, len(part) % 256]) for part in parts)
    return hashlib.sha256(outer + hashlib.sha256(inner + text).digest()).digest()


@pytest.mark.parametrize("mask", [MASK, bytes(23), b"\xff" * 23])
@pytest.mark.parametrize("counter", [0, 0x6AB1_23FE, 2**32 - 1])
def test_the_air_carries_what_a_second_plain_writing_of_the_formula_says(mask, counter):
    time = counter.to_bytes(4, "big")
    mic = int.from_bytes(plainly(DUIK, 0x49, b"\x81" + CODE, time), "big") % 2**32
    keystream = int.from_bytes(plainly(DUCK, 0x4D, b"\x81", time, mic.to_bytes(4, "big")), "big") >> 8 * (32 - 23)
    hidden = int.from_bytes(CODE, "big") ^ (keystream & int.from_bytes(mask, "big"))
    time_hash = int.from_bytes(plainly(DUSK, 0x4C, time), "big") >> 8 * (32 - 27)
    on_air = b"\x81" + ((hidden << 32 | mic) ^ time_hash).to_bytes(27, "big") + time[-1:]
    keys = MessageKeys(duik=DUIK, dusk=DUSK, duck=DUCK if any(mask) else None, mask=mask)
    assert protect(b"\x81" + CODE, counter, keys) == on_air


def test_two_codes_of_one_second_share_no_keystream_under_the_mask():
    keys = MessageKeys(duik=DUIK, duck=DUCK, mask=b"\xff" * 23)
    one, other = (int.from_bytes(protect(b"\x81" + code, 7, keys)[1:24]) for code in (CODE, ANSWER))
    assert one ^ other != int.from_bytes(CODE) ^ int.from_bytes(ANSWER)


def test_a_mask_other_than_the_senders_opens_nothing():
    other = MessageKeys(duik=DUIK, dusk=DUSK, duck=DUCK, mask=b"\xff" * 23)
    b = monitor(other)
    b.receive(announced(), NOW)
    assert events(b) == [] and b.counters["not asked for"] == 1


def test_open_codes_go_by_their_own_keys_not_by_the_groups():
    def heard(sender, listener):
        announcer = entity()
        announcer.announce(OpenAnnouncement(code=CODE), keys=always(MessageKeys(duik=sender)) if sender else None)
        keys = {"keys": always(MessageKeys(duik=listener))} if listener else {}
        b = entity(2, codes=(CodeFilter(type=DiscoveryType.OPEN_ANNOUNCEMENT, code=CODE, **keys),))
        b.receive(sent_in_period(announcer, 20, NOW)[0].data, NOW)
        (event,) = events(b)
        return event.verified if isinstance(event, CodeDiscovered) else event.why

    assert heard(None, None) is False
    assert heard(DUIK, None) is False
    assert heard(DUIK, DUIK) is True
    assert heard(None, DUIK) == heard(DUSK, DUIK) == "MIC does not verify"


def two_periods(old=KEYS, new=OTHERS, change_utc_s=NOW.utc_s + 100, overlap_s=20.0):
    return KeyPeriods(
        (
            PeriodKeys(keys=old, end_utc_s=change_utc_s, overlap_s=overlap_s),
            PeriodKeys(keys=new, start_utc_s=change_utc_s, overlap_s=overlap_s),
        )
    )


def test_the_change_of_a_key_period_is_crossed_with_both_keys():
    both, old_only = two_periods(), KeyPeriods(two_periods().periods[:1])
    assert [both.to_send(later(seconds).utc_s) is KEYS for seconds in (0, 99, 100, 119)] == [True, True, False, False]
    assert [len(both.to_accept(later(seconds).utc_s)) for seconds in (79, 80, 119, 120)] == [1, 2, 2, 1]
    assert old_only.to_send(later(110).utc_s) is KEYS
    assert old_only.to_send(later(120).utc_s) is None
    b = monitor(both)
    for seconds, sender in ((79, KEYS), (81, OTHERS), (119, KEYS), (121, OTHERS)):
        b.receive(announced(later(seconds), sender), later(seconds))
    assert [type(event) for event in events(b)] == [CodeDiscovered] and not b.counters
    b.receive(announced(later(122), KEYS), later(122))
    assert b.counters["not asked for"] == 1


def test_nothing_is_sent_or_taken_under_keys_of_a_past_period():
    old_only = KeyPeriods(two_periods().periods[:1])
    announcer = entity()
    announcer.announce(RestrictedAnnouncement(code=CODE), keys=old_only)
    sent = [len(sent_in_period(announcer, 20, later(seconds))) for seconds in (99, 119, 120, 200)]
    assert sent == [1, 1, 0, 0]
    assert events(announcer) == [NotSent(message="restricted announcement", why="no key of this time is held")]
    b = monitor(old_only)
    b.receive(announced(later(120), KEYS), later(120))
    assert sent_in_period(b, 20, later(121)) == sent_in_period(b, 20, later(122)) == []
    assert events(b) == [NotListened(message="restricted announcement", code=CODE, why="no key of this time is held")]
