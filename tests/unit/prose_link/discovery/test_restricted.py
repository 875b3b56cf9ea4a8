"""Restricted discovery: keys, masks, scrambling, Model B, validity, stale counters, collision-aware choice."""

import numpy as np
import pytest

from prose_link.discovery.codec import DiscoveryFormatError, encode_content
from prose_link.discovery.entity import MAX_OFFSET_S, CodeFilter, DiscoveryConfig, DiscoveryEntity, RestrictedFilter
from prose_link.discovery.events import CodeDiscovered, DiscoveryDropped
from prose_link.discovery.messages import RestrictedAnnouncement, RestrictedQuery
from prose_link.discovery.restricted import RESTRICTED, RestrictedKeys, protect, unprotect
from prose_link.instant import Instant

PSDK = bytes(range(32))
MASK = b"\0" * 3 + b"\xff" * 12 + b"\x0f" + b"\0" * 7
KEYS = RestrictedKeys.from_psdk(PSDK, mask=MASK)
CODE = bytes(range(0x40, 0x40 + 23))
ANSWER = b"\x99" * 23
NOW = Instant(50.0, 1_790_000_000.25)


def later(seconds):
    return Instant(NOW.mono_s + seconds, NOW.utc_s + seconds)


def entity(seed=1, **config):
    return DiscoveryEntity(DiscoveryConfig(**config), np.random.default_rng(seed))


def monitor(keys=KEYS, **more):
    return entity(2, restricted=(RestrictedFilter(codes=CodeFilter(code=CODE), keys=keys, **more),))


def announced(now=NOW, keys=KEYS):
    announcer = entity()
    announcer.announce(RestrictedAnnouncement(code=CODE), keys=keys)
    (one,) = announcer.transmissions(20, now)
    return one.data


def events(one):
    return list(iter(one.next_event, None))


@pytest.mark.parametrize("names", [("duik",), ("dusk",), ("duik", "dusk"), ("duik", "dusk", "duck"), ("duck",)])
def test_any_choice_of_keys_comes_back(names):
    mask = MASK if "duck" in names else bytes(23)
    keys = RestrictedKeys(**{name: getattr(KEYS, name) for name in names}, mask=mask)
    content = encode_content(RestrictedAnnouncement(code=CODE))
    octets = protect(content, 0x12345678, keys)
    assert (len(octets), octets[0], octets[-1]) == (29, 0x81, 0x78)
    assert unprotect(octets, 0x12345678, keys) == content


def test_mask_says_which_bits_are_hidden():
    keys = RestrictedKeys(duck=KEYS.duck, mask=MASK)
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
        RestrictedKeys(**fields)


def test_keys_do_not_show():
    assert KEYS.duik.hex() not in repr(KEYS) and "duik" not in repr(KEYS)
    assert RESTRICTED.confirmed is False
    assert len({KEYS.duik, KEYS.dusk, KEYS.duck, PSDK}) == 4


def test_announcement_is_discovered_by_who_holds_the_keys_only():
    data = announced()
    b, stranger = monitor(), monitor(RestrictedKeys.from_psdk(bytes(32), mask=MASK))
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
    events(b)
    b.receive(old, later(40))
    assert events(b) == [DiscoveryDropped(message="restricted announcement", why="counter is stale")]
    c = monitor()
    c.receive(old, later(MAX_OFFSET_S + 2))
    assert events(c)[0].why == "counter too far from the clock"
    c.receive(old, later(256))
    assert not events(c)


def test_model_b_asks_and_answers():
    asker = entity(3, restricted=(RestrictedFilter(codes=CodeFilter(code=ANSWER), keys=KEYS),))
    asker.solicit(RestrictedQuery(code=CODE), keys=KEYS)
    responder = monitor(answer=ANSWER)
    for seconds in range(8):
        for one, other in ((asker, responder), (responder, asker)):
            for transmission in one.transmissions(20, later(seconds)):
                assert transmission.data[0] in (0x86, 0x82)
                other.receive(transmission.data, later(seconds))
    assert events(asker) == [CodeDiscovered(message="restricted response", code=ANSWER, verified=True)]
    assert asker.transmissions(20, later(9)) == responder.transmissions(20, later(9)) == []


def test_validity_ends_announcing_and_monitoring():
    announcer = entity()
    announcer.announce(RestrictedAnnouncement(code=CODE), keys=KEYS, valid_until_utc_s=NOW.utc_s + 10)
    assert announcer.transmissions(20, later(9))
    assert not announcer.transmissions(20, later(10))
    b = monitor(valid_until_utc_s=NOW.utc_s + 10)
    b.receive(announced(later(10)), later(10))
    assert events(b) == []


def test_choice_avoids_the_heard_resources_and_is_random_over_the_rest():
    one = entity()
    one.announce(RestrictedAnnouncement(code=CODE), keys=KEYS)
    heard = {0, 3, 4, 9}
    chosen = {one.transmissions(10, NOW, avoid=heard)[0].n_psdch for _ in range(200)}
    assert chosen == set(range(10)) - heard
