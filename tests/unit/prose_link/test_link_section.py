"""The [link] and [timers] sections of a UE: terms by peer pattern, several peers, and what contradicts itself."""

from pathlib import Path

import pytest

from prose_link.config.ue import ConfigError, UeConfig, load_ue_config
from prose_link.pc5s.core.policy import LinkPolicy, MutualGive, Profile, RekeyContribution
from prose_link.pc5s.core.timers import TimerError, TimerValues
from prose_link.pc5s.wire.messages import Kdf, Mutual
from prose_link.ue.phone_book import PhoneBook
from security.identifiers import KeyRing

HEAD = """
name = "ue-a"
identity = "tel:+447700900001"
l2_id = 0x5C1A01
[kms]
url = "https://127.0.0.1:8443"
ticket = "ue-a.ticket"
store = "store"
"""
B, C = "tel:+447700900002", "tel:+447700900003"


def loaded(tmp_path: Path, text: str) -> UeConfig:
    path = tmp_path / "ue.toml"
    path.write_text(HEAD + text)
    return load_ue_config(path)


def test_the_defaults_are_those_of_the_profile(tmp_path: Path) -> None:
    config = loaded(tmp_path, "")
    policy = config.link.to_policy()
    assert policy.default == LinkPolicy()
    assert policy.authorises(B)
    assert config.timers.to_values() == TimerValues()
    assert config.timers.t4108_s == 30
    assert config.link.called == ()
    assert config.link.weak_keys() == ()


def test_every_key_reaches_the_policy(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        f"""
        [link]
        mutual_ask = "required"
        ciphering = [3, 1]
        kdf = "fc33536"
        allow = "tel:+4477*"
        deny = ["{C}"]
        reject_unverified = true

        [[link.policy]]
        peers = ["tel:+4477*", "sip:*"]
        mutual_give = "always"
        mutual_need = "both"
        integrity = [1]
        allow_null_integrity = true
        rekey_contribution = "always"

        [[link.policy]]
        peers = "{B}"
        profile = "ts24334"
        allow_null_ciphering = true
        allow_null_integrity = true
        """,
    )
    policy = config.link.to_policy()
    first = LinkPolicy(
        mutual_ask=Mutual.REQUIRED,
        mutual_give=MutualGive.ALWAYS,
        both_needed=True,
        ciphering=(3, 1),
        integrity=(1,),
        allow_null_integrity=True,
        kdfs=(Kdf.FC33536,),
        rekey_contribution=RekeyContribution.ALWAYS,
    )
    assert policy.towards("sip:b@example.org") == first
    strictest = policy.towards(B)
    assert (strictest.profile, strictest.allow_null_ciphering, strictest.allow_null_integrity) == (
        Profile.IDENTITY,
        False,
        True,
    )
    assert policy.towards("tel:+33") == LinkPolicy(mutual_ask=Mutual.REQUIRED, ciphering=(3, 1), kdfs=(Kdf.FC33536,))
    assert policy.authorises(B) and not policy.authorises(C) and not policy.authorises("tel:+33")
    assert config.link.weak_keys() == (
        "link.policy.allow_null_integrity for tel:+4477*, sip:*",
        f"link.policy.allow_null_ciphering for {B}",
        f"link.policy.allow_null_integrity for {B}",
        "link.reject_unverified",
    )


def test_several_peers_each_with_traffic_of_its_own(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        f"""
        [traffic]
        pings = 3
        push_octets = 100

        [[link.peers]]
        identity = "{B}"
        user_info_id = 2

        [[link.peers]]
        identity = "{C}"
        l2_id = 0x5C1C03
        pings = 0
        release_when_done = true
        """,
    )
    assert [(peer.identity, peer.user_info_id, peer.l2_id) for peer in config.link.called] == [
        (B, 2, 0),
        (C, 0, 0x5C1C03),
    ]
    book = PhoneBook(config, {}, KeyRing([], []))
    assert book.traffic_with(B) == config.traffic == book.traffic_with("tel:+33")
    own = book.traffic_with(C)
    assert (own.pings, own.push_octets, own.release_when_done) == (0, 100, True)


def test_a_number_in_place_of_an_identity(tmp_path: Path) -> None:
    peers = '[[link.peers]]\nnumber = "+447700900002"\nuser_info_id = 2\npings = 9\n'
    own = f'[[numbers]]\nnumber = "+447700900003"\nidentity = "{C}"\n'
    config = loaded(tmp_path, peers + own)
    assert config.numbers_to_ask == ("+447700900002",)
    assert loaded(tmp_path, peers.replace("0002", "0003") + own).numbers_to_ask == ()
    named = peers.replace('number = "+447700900002"', f'number = "+447700900002"\nidentity = "{B}"')
    for bad, why in (
        (named, "either an identity or a number"),
        (peers.replace('number = "+447700900002"', ""), "either an identity or a number"),
        (peers.replace("+44", "0044"), "no telephone number"),
        (peers + peers.replace("user_info_id = 2", "user_info_id = 3"), "the same number"),
        (own + own, "the same number"),
    ):
        with pytest.raises(ConfigError, match=why):
            loaded(tmp_path, bad)


def test_the_short_form_is_one_peer_and_the_old_name_of_allow_is_read(tmp_path: Path) -> None:
    link = loaded(tmp_path, f'[link]\nconnect_to = "{B}"\npeer_user_info_id = 7\nauthorised = ["{B}"]\n').link
    assert [(peer.identity, peer.user_info_id, peer.l2_id) for peer in link.called] == [(B, 7, 0)]
    assert link.allow == (B,)


MANY_PEERS = "".join(f'[[link.peers]]\nidentity = "tel:+33{i:02d}"\nuser_info_id = {i + 1}\n' for i in range(33))
PEER = f'[[link.peers]]\nidentity = "{B}"\nuser_info_id = 2\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[link]\nciphering = []\n", "link: .*ciphering is empty and allow_null_ciphering is false"),
        ("[link]\nintegrity = [0]\n", "link.integrity.0"),
        ("[link]\nciphering = [2, 2]\n", "link.ciphering: .*twice"),
        ("[link]\nkdf = []\n", "link.kdf"),
        ('[link]\nkdf = "fc1"\n', "link.kdf.0"),
        ('[link]\nmutual_need = "both"\nmutual_give = "never"\n', "mutual_need = both contradicts"),
        ('[link]\nprofile = "ts24334"\nmutual_ask = "never"\n', "mutual always"),
        ('[link]\nmutual_give = "never"\n[[link.policy]]\npeers = "*"\nmutual_need = "both"', "link.policy.0: .*both"),
        ('[[link.policy]]\npeers = []\n', "link.policy.0.peers"),
        ('[[link.policy]]\npeers = "*"\nconnect_to = "x"\n', "link.policy.0.connect_to: unknown key"),
        (
            '[[link.policy]]\npeers = "tel:+4477*"\nciphering = [1]\n'
            '[[link.policy]]\npeers = ["sip:*", "*2"]\nciphering = [2]\n',
            r"rules for tel:\+4477\* and for sip:\*, \*2 can match one peer, but have no ciphering in common",
        ),
        (f'[link]\nconnect_to = "{B}"\n', "can't be found without user_info_id or l2_id"),
        (f'[link]\nconnect_to = "{B}"\npeer_l2 = 5\n{PEER}', r"connect_to is for one peer"),
        ("[link]\npeer_l2 = 5\n", "connect_to is found, which is missing"),
        (PEER + PEER, "two of .* have the same identity"),
        (PEER + PEER.replace(B, C), "two of .* have the same user_info_id"),
        (f'[link]\nallow = "{C}"\n{PEER}', "no link with it is allowed"),
        (f'[link]\ndeny = "tel:*"\n{PEER}', "no link with it is allowed"),
        (PEER.replace(B, "tel:+447700900001"), "this UE itself"),
        (PEER.replace("user_info_id = 2", "l2_id = 0x5C1A01"), "this UE itself"),
        (PEER.replace(B, "Tel:+44"), "link.peers.0.identity: .*canonical form"),
        (MANY_PEERS, "link.peers: .*32"),
        ("[timers]\nt4100_s = 0\n", "timers.t4100_s"),
        ("[timers]\nn4101 = 65\n", "timers.n4101"),
        ("[timers]\nt4108_s = 13\n", "timers: .*maximum inactivity period 13 s is shorter"),
        ("[timers]\nt4111_s = 3\n", "timers: t4111_s = 3 is shorter than the 3.6 s"),
        ("[timers]\nt9 = 3\n", "timers.t9: unknown key"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_named(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=complaint):
        loaded(tmp_path, text)


def test_every_timer_reaches_the_entity(tmp_path: Path) -> None:
    text = """
    [timers]
    t4100_s = 0.7
    n4100 = 5
    t4101_s = 0.4
    n4101 = 6
    t4102_s = 7
    t4103_s = 0.8
    n4103 = 2
    t4108_s = 40
    t4111_s = 9
    t_old_s = 3
    keying_s = 0.9
    kd_age_s = 600
    """
    timers = loaded(tmp_path, text).timers
    assert timers.to_values() == TimerValues(
        t4100_s=0.7,
        n4100=5,
        t4101_s=0.4,
        n4101=6,
        t4102_s=7,
        t4103_s=0.8,
        n4103=2,
        t4111_s=9,
        t_old_s=3,
        keying_s=0.9,
    )
    assert (timers.t4108_s, timers.kd_age_s) == (40, 600)


def test_timers_shorter_than_an_answer_takes_are_found(tmp_path: Path) -> None:
    values = loaded(tmp_path, "[timers]\nt4100_s = 0.2\n").timers.to_values(40)
    values.check_against(40)
    with pytest.raises(TimerError, match=r"t4100_s = 0\.2 is too short for an SC period of 80 ms"):
        values.check_against(80)


def test_what_is_not_set_grows_with_the_sc_period(tmp_path: Path) -> None:
    timers = loaded(tmp_path, "[timers]\nt4100_s = 3\n").timers
    assert timers.to_values(40).t4101_s == TimerValues().t4101_s
    long = timers.to_values(320)
    assert (long.t4100_s, long.t4101_s) == (3, 4 * TimerValues().t4101_s)
    long.check_against(320)
