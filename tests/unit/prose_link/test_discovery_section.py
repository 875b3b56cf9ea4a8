"""The [discovery] section of a UE, and the entity that is made of it with the keys its KMS gave."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from prose_link.config.ue import ConfigError, UeConfig, load_ue_config
from prose_link.discovery.codec import decode
from prose_link.discovery.events import (
    CodeDiscovered,
    DiscoveryUnprotected,
    NotListened,
    NotSent,
    PeerDiscovered,
    Solicited,
)
from prose_link.discovery.messages import DiscoveryType
from prose_link.instant import NTP_EPOCH_OFFSET_S, Instant
from prose_link.ue.discovery_setup import discovery_entity
from security.identifiers import KeyRing, UidScheme
from security.kms.authority import Authority, MasterSecrets
from tests.doubles.discovery_period import sent_in_period

UTC_S = 1_773_144_000.0
POWER_ON = datetime.fromtimestamp(UTC_S, UTC)
CODE, OTHER, ANSWER = bytes(range(0x40, 0x57)), b"\x11" * 23, b"\x99" * 23
MASK = (b"\xff" * 12).ljust(23, b"\0")
AUTHORITY = Authority.found(
    MasterSecrets.from_demo_seed(3),
    uri="kms.example",
    uid_scheme=UidScheme.MONTHLY_TEL,
    key_period_s=0,
    key_period_offset_s=0,
    namespace=("tel:*",),
)
PERIOD = AUTHORITY.domain.period_of(UTC_S + NTP_EPOCH_OFFSET_S)
GROUP_ONLY = {"announce": False, "monitor": False, "respond": False}


def config(l2_id=0x5C1A01, utc=POWER_ON, **discovery):
    return UeConfig.model_validate(
        {
            "name": "ue-a",
            "identity": "tel:+447700900001",
            "l2_id": l2_id,
            "utc_at_power_on": utc,
            "kms": {"url": "", "ticket": "t", "store": "s"},
            "discovery": discovery,
        }
    )


def entity(seed=1, *, sets=("chess-club",), periods=(PERIOD,), **given):
    keys = [AUTHORITY.discovery_keys(name, period) for name in sets for period in periods]
    ring = KeyRing([AUTHORITY.domain], [])
    made = discovery_entity(config(**given), ring, keys, np.random.default_rng(seed))
    unprotected = made.next_event()
    assert isinstance(unprotected, DiscoveryUnprotected) or unprotected is None
    return made


def restricted(role, **more):
    return {
        "key_set": "chess-club",
        "role": role,
        **{key: value.hex() if isinstance(value, bytes) else value for key, value in more.items()},
    }


def talk(*entities, seconds=6, start_s=0.0):
    """Everything each sends reaches all others; returns the octets, and what each was told."""
    air = []
    for tick in range(4 * seconds):
        now = Instant(start_s + tick / 4, UTC_S + start_s + tick / 4)
        for one in entities:
            for sent in sent_in_period(one, 18, now, n_t=3):
                air.append(sent.data)
                for other in entities:
                    if other is not one:
                        other.receive(sent.data, now)
    return air, [list(iter(one.next_event, None)) for one in entities]


def codes(events):
    return [(event.message, event.code, event.verified) for event in events if isinstance(event, CodeDiscovered)]


@pytest.mark.parametrize("duck_mask", [bytes(23), MASK])
def test_restricted_announcement_and_monitor(duck_mask):
    common = {"duck_mask": duck_mask, "code": CODE}
    a = entity(1, **GROUP_ONLY, restricted=[restricted("announce", **common)])
    b = entity(2, **GROUP_ONLY, restricted=[restricted("monitor", mask=MASK, **common)])
    outsider = entity(
        3, sets=("others",), monitor=True, open=[{"role": "monitor", "code": "00" * 23, "mask": "00" * 23}]
    )
    air, (_, at_b, at_outsider) = talk(a, b, outsider)
    assert codes(at_b) == [("restricted announcement", CODE, True)]
    assert not [event for event in at_outsider if isinstance(event, CodeDiscovered)]
    assert not any(CODE[:4] in octets for octets in air if octets[0] == DiscoveryType.RESTRICTED_ANNOUNCEMENT)


def test_restricted_query_is_answered_and_then_asked_no_more():
    a = entity(1, **GROUP_ONLY, restricted=[restricted("solicit", query=CODE, response=ANSWER, duck_mask=MASK)])
    b = entity(2, **GROUP_ONLY, restricted=[restricted("respond", query=CODE, response=ANSWER, duck_mask=MASK)])
    air, (at_a, at_b) = talk(a, b, seconds=8)
    assert codes(at_a) == [("restricted response", ANSWER, True)]
    assert codes(at_b) == [("restricted query", CODE, True)]
    assert [octets[0] for octets in air].count(DiscoveryType.RESTRICTED_QUERY) == 4
    lonely, _ = talk(
        entity(1, **GROUP_ONLY, restricted=[restricted("solicit", query=CODE, response=ANSWER)]), seconds=8
    )
    assert len(lonely) == 16


def test_open_codes_with_and_without_a_key_set():
    a = entity(
        1,
        open=[
            {"role": "announce", "code": CODE.hex()},
            {"role": "announce", "code": OTHER.hex(), "key_set": "chess-club"},
        ],
    )
    b = entity(
        2,
        open=[
            {"role": "monitor", "code": CODE.hex(), "mask": MASK.hex()},
            {"role": "monitor", "code": OTHER.hex(), "key_set": "chess-club"},
        ],
    )
    _, (_, at_b) = talk(a, b)
    assert sorted(codes(at_b)) == [("open announcement", OTHER, True), ("open announcement", CODE, False)]


def test_group_member_model_b_tells_both_sides_a_layer_2_id():
    a = entity(1, announce=False, solicit=True, user_info_id=7, target_user_info_id=8, sets=("000001",))
    b = entity(2, announce=False, l2_id=0x5C1B02, user_info_id=8, sets=("000001",))
    _, (at_a, at_b) = talk(a, b)
    (found,) = at_a
    assert isinstance(found, PeerDiscovered) and (found.prose_ue_id, found.verified) == (0x5C1B02, True)
    assert {type(event) for event in at_b} == {Solicited} and at_b[0].prose_ue_id == 0x5C1A01


def test_a_group_key_of_another_period_is_no_reason_to_go_unprotected():
    a = entity(1, announce=True, sets=("000001",), periods=(PERIOD - 2,))
    air, (events,) = talk(a)
    assert air == [] and events == [NotSent(message="group member announcement", why="no key of this time is held")]


@pytest.mark.parametrize(
    "end",
    [
        {"valid_for_s": 3},
        {"valid_until": POWER_ON + timedelta(seconds=3)},
        {"valid_until": (POWER_ON + timedelta(seconds=3)).replace(tzinfo=None)},
    ],
)
def test_validity_runs_out_as_configured(end):
    one = [restricted("announce", code=CODE, **end)]
    air, (events,) = talk(entity(1, **GROUP_ONLY, restricted=one))
    assert len(air) == 12
    assert events == [NotSent(message="restricted announcement", why="its validity is over")]
    ended = entity(2, **GROUP_ONLY, restricted=[restricted("monitor", code=CODE, **end)])
    _, (_, heard) = talk(entity(1, **GROUP_ONLY, restricted=[restricted("announce", code=CODE)]), ended, start_s=3)
    assert heard == [NotListened(message="restricted announcement", code=CODE, why="its validity is over")]


def test_keys_of_the_next_period_are_taken_ahead_and_sent_from_its_start():
    start, end = AUTHORITY.domain.period_bounds(PERIOD)
    change_s = end - NTP_EPOCH_OFFSET_S - UTC_S
    sets = {"restricted": [restricted("announce", code=CODE)], **GROUP_ONLY}
    listener = {"restricted": [restricted("monitor", code=CODE)], **GROUP_ONLY}
    both, new_only = (PERIOD, PERIOD + 1), (PERIOD + 1,)
    _, (_, before, before_new) = talk(
        entity(1, periods=both, **sets),
        entity(2, periods=both, **listener),
        entity(3, periods=new_only, utc=POWER_ON + timedelta(seconds=change_s), **listener),
        start_s=change_s - 8,
    )
    assert (len(codes(before)), before_new) == (1, [])
    _, (_, after, after_new) = talk(
        entity(1, periods=both, **sets),
        entity(2, periods=both, **listener),
        entity(3, periods=new_only, utc=POWER_ON + timedelta(seconds=change_s), **listener),
        start_s=change_s + 1,
    )
    assert len(codes(after)) == len(codes(after_new)) == 1
    assert start < end


@pytest.mark.parametrize(
    "entry",
    [
        {"open": [{"role": "monitor", "code": CODE.hex(), "key_set": "book-club"}]},
        {"restricted": [restricted("announce", code=CODE) | {"key_set": "book-club"}]},
    ],
)
def test_a_key_set_the_kms_gave_no_keys_of_is_named(entry):
    with pytest.raises(
        ConfigError,
        match=r"ue-a has no .*'book-club': the KMS gave it those of chess-club.*book-club --add USER",
    ):
        entity(**entry)
    with pytest.raises(ConfigError, match="those of no discovery group"):
        entity(sets=(), **entry)


def test_keys_of_a_past_period_are_no_keys():
    with pytest.raises(ConfigError, match="those it holds are of other key periods"):
        entity(periods=(PERIOD - 2,), restricted=[restricted("announce", code=CODE)])


OPEN = "[[discovery.open]]\n"
ONE = "[[discovery.restricted]]\n"
CLUB = f"{ONE}key_set = 'chess-club'\n"
CODE_LINE = f"code = '{CODE.hex()}'\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("group_id = 0x1000000", "discovery.group_id"),
        ("user_info_id = 7\ntarget_user_info_id = 7\nsolicit = true", "this UE's own user_info_id"),
        ("transmit_probability = 0.0", "discovery.transmit_probability"),
        (OPEN + "role = 'announce'\ncode = 'ab'", r"open.0.announce.code: .*23 octets \(46 hex digits\), got 1"),
        (OPEN + "role = 'announce'\ncode = 'xyz'", "open.0.announce.code: .*'xyz' is not hex"),
        (OPEN + "role = 'announce'\ncode = 5", "open.0.announce.code: .*46 hex digits in quotes"),
        (OPEN + "role = 'solicit'", "discovery.open.0: .*'announce', 'monitor'"),
        (OPEN + "code = 'ab'", "discovery.open.0: .*role"),
        (ONE + "role = 'announce'\n" + CODE_LINE, "restricted.0.announce.key_set: Field required"),
        (ONE + "role = 'monitor'\nkey_set = 'a b'\n" + CODE_LINE, "restricted.0.monitor.key_set"),
        (CLUB + "role = 'monitor'\nquery = 'x'\n" + CODE_LINE, "restricted.0.monitor.query: unknown key"),
        (CLUB + f"role = 'solicit'\nquery = '{CODE.hex()}'", "restricted.0.solicit.response: Field required"),
        (CLUB + "role = 'announce'\nduck_mask = 'ff'\n" + CODE_LINE, "restricted.0.announce.duck_mask"),
        (CLUB + "role = 'announce'\nvalid_for_s = 0\n" + CODE_LINE, "valid_for_s"),
        (
            CLUB + "role = 'announce'\nvalid_for_s = 5\nvalid_until = 2026-03-10T12:00:00Z\n" + CODE_LINE,
            "valid_for_s and valid_until exclude each other",
        ),
        ((CLUB + "role = 'announce'\n" + CODE_LINE) * 17, "discovery.restricted: .*16"),
    ],
)
def test_what_is_wrong_in_the_section_is_named(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "ue.toml"
    path.write_text(
        'name = "ue-a"\nidentity = "tel:+447700900001"\nl2_id = 7\n'
        '[kms]\nurl = "https://127.0.0.1:8443"\nticket = "t"\nstore = "s"\n[discovery]\n' + text
    )
    with pytest.raises(ConfigError, match=complaint):
        load_ue_config(path)


def test_what_goes_out_of_the_section_is_what_it_says():
    one = entity(1, announce=True, group_id=0xABCDEF, user_info_id=5, open=[{"role": "announce", "code": CODE.hex()}])
    air, _ = talk(one, seconds=4)
    sent = {decode(octets).message for octets in air}
    assert {message.TYPE.name for message in sent} == {"GROUP_MEMBER_ANNOUNCEMENT", "OPEN_ANNOUNCEMENT"}
    (member,) = (message for message in sent if hasattr(message, "prose_ue_id"))
    assert (member.discovery_group_id, member.user_info_id, member.prose_ue_id) == (0xABCDEF, 5, 0x5C1A01)
