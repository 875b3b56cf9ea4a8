"""Every key of a UE's configuration reaches what is built from it: another value makes another UE.

The few keys that a part of the UE reads only while it runs are listed with what happens then.
"""

import ast
import types
import typing
from functools import cache
from pathlib import Path

import pytest

import lab_scripts
import prose_link
from lab_scripts.runs.lab_world import KMS_URI, LAB_UTC, NAMESPACE
from prose_link.config.section import Section
from prose_link.config.ue import UeConfig
from prose_link.event_stream import EventStream
from prose_link.instant import NTP_EPOCH_OFFSET_S
from prose_link.pc5s.core.replay import MemoryRecord
from prose_link.ue import build
from prose_link.ue.identity import Identity, keys_of_member
from prose_link.ue.recorder import Recorder
from security.identifiers import KeyRing, UidScheme
from security.kms.authority import Authority, MasterSecrets
from tests.benches.object_picture import picture

A, B, C = (f"tel:+44770090000{n}" for n in (1, 2, 3))
GROUP = "tel:+447700900090"
CODE, OTHER_CODE, MASK = "11" * 23, "22" * 23, "f0" * 23
UE = {
    "name": "ue-a",
    "identity": A,
    "l2_id": 0x5C1A01,
    "utc_at_power_on": LAB_UTC,
    "kms": {"url": "https://kms", "ticket": "ticket", "store": "store"},
}
AUTO = {"sync": {"role": "auto"}}
TUN = {"userplane": {"kind": "tun"}}
PEER = {"identity": B, "user_info_id": 7, "l2_id": 9}
NUMBER = {"number": "+447700900002", "identity": B}
PRIORITY = {"dscp": ["EF"], "pppp": 3}
MEMBER = {"identity": B, "user_info_id": 7, "l2_id": 9}
OPEN = {"role": "announce", "code": CODE}
RESTRICTED = {"role": "announce", "code": CODE, "key_set": "one"}
BASES = {
    "UeConfig": ({}, ()),
    "RadioSection": (AUTO, ("radio",)),
    "SyncSection": ({"sync": {"role": "reference"}}, ("sync",)),
    "Layer2Section": ({}, ("layer2",)),
    "KmsSection": ({}, ("kms",)),
    "DiscoverySection": ({"discovery": {"user_info_id": 5}}, ("discovery",)),
    "OpenAnnounce": ({"discovery": {"open": [OPEN]}}, ("discovery", "open", 0)),
    "OpenMonitor": ({"discovery": {"open": [OPEN | {"role": "monitor"}]}}, ("discovery", "open", 0)),
    "RestrictedAnnounce": ({"discovery": {"restricted": [RESTRICTED]}}, ("discovery", "restricted", 0)),
    "RestrictedMonitor": (
        {"discovery": {"restricted": [RESTRICTED | {"role": "monitor"}]}},
        ("discovery", "restricted", 0),
    ),
    "RestrictedSolicit": (
        {"discovery": {"restricted": [{"role": "solicit", "key_set": "one", "query": CODE, "response": CODE}]}},
        ("discovery", "restricted", 0),
    ),
    "RestrictedRespond": (
        {"discovery": {"restricted": [{"role": "respond", "key_set": "one", "query": CODE, "response": CODE}]}},
        ("discovery", "restricted", 0),
    ),
    "CarriersSection": ({"carriers": {"proxy": {}}}, ("carriers",)),
    "LinkSection": ({}, ("link",)),
    "PeerEntry": ({"link": {"peers": [PEER]}}, ("link", "peers", 0)),
    "PolicyRule": ({"link": {"policy": [{"peers": B}]}}, ("link", "policy", 0)),
    "TimeSection": ({}, ("time",)),
    "NumberEntry": ({"numbers": [NUMBER]}, ("numbers", 0)),
    "TimersSection": ({}, ("timers",)),
    "TrafficSection": ({}, ("traffic",)),
    "UserPlaneSection": (TUN, ("userplane",)),
    "QueuesSection": ({}, ("queues",)),
    "PriorityEntry": ({"queues": {"priorities": [PRIORITY]}}, ("queues", "priorities", 0)),
    "GroupSection": ({"group": {"identity": GROUP, "l2_id": 0xC0DE, "keyers": [A], "members": [MEMBER]}}, ("group",)),
    "GroupMemberEntry": (
        {"group": {"identity": GROUP, "l2_id": 0xC0DE, "keyers": [A], "members": [MEMBER]}},
        ("group", "members", 0),
    ),
}
"""Section -> a configuration in which it has an effect, and the way to it."""
TERMS = {
    "profile": "ts24334",
    "mutual_ask": "required",
    "mutual_give": "always",
    "mutual_need": "both",
    "ciphering": [1],
    "integrity": [1],
    "kdf": ["fc33536"],
    "rekey_contribution": "always",
}
LATER = "2027-01-01T00:00:00Z"
VALUES = {
    **{f"{kind}.{key}": value for kind in ("LinkSection", "PolicyRule") for key, value in TERMS.items()},
    "LinkSection.carrier_mismatch": "report",
    "Layer2Section.rlc_window": 16,
    "UeConfig.name": "ue-b",
    "UeConfig.identity": C,
    "UeConfig.preconfiguration": "preconfigurations/relayed_sync.toml",
    "UeConfig.utc_at_power_on": "2026-03-10T12:00:01Z",
    "SyncSection.role": "follow",
    "SyncSection.n_sl_id": 12,
    "SyncSection.listen_s": (2.0, AUTO),
    "SyncSection.scan_every_s": (3.0, AUTO),
    "SyncSection.lowest_id_wins": (True, AUTO),
    "SyncSection.in_coverage": (True, {"sync": {"role": "reference", "n_sl_id": 5}}),
    "RadioSection.rx_reference_dbm": -30.0,
    "Layer2Section.selection": "random",
    "Layer2Section.max_mcs": 19,
    "DiscoverySection.open": [OPEN],
    "DiscoverySection.restricted": [RESTRICTED],
    "DiscoverySection.transmit_probability": 0.5,
    "DiscoverySection.target_user_info_id": (6, {"discovery": {"user_info_id": 5, "solicit": True}}),
    "DiscoverySection.solicit_every_s": (3.0, {"discovery": {"user_info_id": 5, "solicit": True}}),
    **{
        f"{kind}.{key}": value
        for kind in BASES
        for key, value in {
            "valid_for_s": 9.0,
            "valid_until": LATER,
            "code": OTHER_CODE,
            "mask": MASK,
            "query": OTHER_CODE,
            "query_mask": MASK,
            "response": OTHER_CODE,
            "response_mask": MASK,
            "key_set": "other",
            "duck_mask": MASK,
        }.items()
        if kind.startswith(("Open", "Restricted"))
    },
    "LinkSection.connect_to": (B, {"link": {"peer_l2": 9, "connect_to": C}}),
    "LinkSection.peer_user_info_id": (8, {"link": {"peer_user_info_id": 7, "connect_to": C}}),
    "LinkSection.peer_l2": (8, {"link": {"peer_l2": 9, "connect_to": C}}),
    "LinkSection.connect_after_s": (0.7, {"link": {"peer_l2": 9, "connect_to": C}}),
    "LinkSection.peers": [PEER],
    "LinkSection.allow": ["tel:*"],
    "LinkSection.deny": [C],
    "LinkSection.policy": [{"peers": B, "ciphering": [3]}],
    "LinkSection.verify_per_s": 20.0,
    "PeerEntry.identity": C,
    "PeerEntry.carrier": ("proxy", {"link": {"peers": [PEER]}, "carriers": {"proxy": {"proxies": [12]}}}),
    "PeerEntry.pings": 3,
    "PeerEntry.push_octets": 300,
    "PeerEntry.voice_s": 0.3,
    "PolicyRule.peers": [C],
    "TimeSection.require_kms": "after-start",
    "NumberEntry.number": "+447700900003",
    "NumberEntry.identity": C,
    "TimersSection.t4108_s": 40,
    "TimersSection.t4111_s": 7.5,
    "TimersSection.kd_age_s": 3600.0,
    "UserPlaneSection.kind": "endpoint",
    "UserPlaneSection.interface": "pc6",
    "UserPlaneSection.netns": "lab",
    "QueuesSection.ordinary_pppp": 6,
    "QueuesSection.priorities": [PRIORITY],
    "PriorityEntry.dscp": ["CS5"],
    "GroupSection.identity": "tel:+447700900091",
    "GroupSection.multicast": "ff02::7063:3501",
    "GroupSection.keyers": [A, B],
    "GroupSection.members": [MEMBER, {"identity": C}],
    "GroupSection.mode": "group-identity",
    "GroupSection.eea": 1,
    "GroupSection.restart": "ask-new",
    "GroupSection.lifetime_s": 3600,
    "GroupMemberEntry.identity": C,
}
"""Key -> another value, or (another value, the configuration in which it has an effect). Numbers and switches whose
value doesn't matter are not listed: they are raised by a little, or thrown."""
RUN_TIME = {
    "UeConfig.stop_when_alone_s": "the lifecycle compares it with the time since anything was heard",
    "UeConfig.stop_after_s": "the lifecycle compares it with the time since power-on",
    "SyncSection.stay_for_others_s": "the lifecycle keeps the reference on so long",
    "RadioSection.device": "`open_radio` opens it",
    "RadioSection.n_prb": "a preconfiguration of another bandwidth is refused",
    "KmsSection.url": "`fetch_keys` asks there",
    "KmsSection.ticket": "`open_store` reads it",
    "KmsSection.store": "`open_store` opens it",
    "KmsSection.passphrase_file": "`open_store` reads it",
    "PeerEntry.number": "the phone book looks it up before each call",
    "PeerEntry.user_info_id": "the caller compares it with what discovery hears",
    "PeerEntry.carrier": "the node asks that carrier where the peer is",
    "LinkSection.peer_user_info_id": "the caller compares it with what discovery hears",
    "PeerEntry.release_when_done": "the lifecycle releases the link",
    "TrafficSection.release_when_done": "the lifecycle releases the link",
    "TrafficSection.linger_s": "the lifecycle switches off so much later",
    "TrafficSection.stop_when_refused": "the lifecycle gives the peer up",
    "GroupSection.set_up_after_s": "the group role begins without those who are missing",
    "GroupSection.message_octets": "the group role says so much",
    "GroupSection.remove": "the group role removes the member in the end",
    "GroupSection.remove_after_s": "the keyer's plan waits for it before it removes the member",
    "GroupSection.delivery_rounds": "the keyer's plan tries a member so often",
    "GroupSection.stop_when_done": "the group role switches the UE off",
    "GroupMemberEntry.user_info_id": "the group role compares it with what discovery hears",
    "GroupMemberEntry.l2_id": "the group role sends the member's key there",
}
"""Keys that are read while the UE runs, or before it is built, and what happens then."""
NOT_KEYS = {
    "RadioSection.options": "the options of the kind of radio, which are keys of their own",
    "CarriersSection.options": "the options of the kinds of carriers, which are keys of their own",
}


def sections(kind=UeConfig):
    """Every section below a model, the model first."""
    if isinstance(kind, type) and issubclass(kind, Section):
        below = (found for field in kind.model_fields.values() for found in sections(field.annotation))
        return list(dict.fromkeys([kind, *below]))
    return [found for argument in typing.get_args(kind) for found in sections(argument)]


KEYS = [f"{kind.__name__}.{name}" for kind in sections() for name in kind.model_fields]
KINDS = {kind.__name__: kind for kind in sections()}


class WrittenDown:
    """A TUN interface that isn't made: only what it is asked to be counts."""

    def __init__(self, config, own):
        self.config, self.own = config, own


@pytest.fixture(autouse=True)
def no_interface(monkeypatch):
    monkeypatch.setattr(build, "TunInterface", WrittenDown)


@cache
def authority():
    return Authority.found(
        MasterSecrets.from_demo_seed(1),
        uri=KMS_URI,
        uid_scheme=UidScheme.MONTHLY_TEL,
        key_period_s=30 * 86_400,
        key_period_offset_s=0,
        namespace=(NAMESPACE,),
    )


@cache
def identity_of(uri, group):
    period = authority().domain.period_of(LAB_UTC.timestamp() + NTP_EPOCH_OFFSET_S)
    users = [authority().extract(uri, period)]
    if group is not None:
        users.append(keys_of_member(authority().group_key(group, period)))
    return {
        "uri": uri,
        "key_ring": KeyRing([authority().domain], users),
        "denied": frozenset(),
        "discovery_keys": tuple(authority().discovery_keys(name, period) for name in ("000001", "one", "other")),
    }


def ue(document):
    """All that a UE of this configuration holds, and what it plans with a peer."""
    config = UeConfig.model_validate(document)
    identity = Identity(**identity_of(config.identity, config.group and config.group.identity), record=MemoryRecord())
    told = []
    node = build.build_node(config, identity, EventStream(config.name, told.append), Recorder(0))
    node.power_on()
    plans = [node._phone_book.traffic_with(peer).plan for peer in (B, C)]
    return picture((node, told, plans, config.held_to_real_time))


def merged(base, more):
    return {
        **base,
        **{
            key: merged(base[key], value) if isinstance(base.get(key), dict) and isinstance(value, dict) else value
            for key, value in more.items()
        },
    }


def changed(document, way, name, value):
    """A copy of a document with one key changed."""
    if not way:
        return {**document, name: value}
    step, *rest = way
    if isinstance(step, int):
        return [changed(item, rest, name, value) if n == step else item for n, item in enumerate(document)]
    inside = document.get(step, [] if rest and isinstance(rest[0], int) else {})
    return {**document, step: changed(inside, rest, name, value)}


def another(key):
    """Another value for a number or a switch of which any will do."""
    section, name = key.split(".")
    default = KINDS[section].model_fields[name].default
    kinds = {bool, int, float} & {KINDS[section].model_fields[name].annotation, *_arguments(section, name)}
    if bool in kinds:
        return not default
    assert kinds & {int, float}, f"{key} is no number and no switch: give another value for it in VALUES"
    given = default if isinstance(default, int | float) else {"l2_id": 0x5C1A02}.get(name, 3)
    return given + 1 if int in kinds else given + 0.1


def _arguments(section, name):
    annotation = KINDS[section].model_fields[name].annotation
    return typing.get_args(annotation) if isinstance(annotation, types.UnionType) else ()


@pytest.mark.parametrize("key", KEYS)
def test_another_value_makes_another_ue(key):
    section, name = key.split(".")
    if key in NOT_KEYS or (name == "role" and section != "SyncSection") or section + "." + name in SECTIONS:
        return
    base, way = BASES[section]
    given = VALUES.get(key)
    value, base = given if isinstance(given, tuple) else (given if key in VALUES else None, base)
    if key not in VALUES:
        if key in RUN_TIME:
            return
        value = another(key)
    before = merged(UE, base)
    differs = ue(before) != ue(changed(before, way, name, value))
    assert differs or key in RUN_TIME, f"{key} = {value!r} changes nothing of what is built, and is not in RUN_TIME"


SECTIONS = {
    f"UeConfig.{name}" for name in UeConfig.model_fields if name in {way[0] for _, way in BASES.values() if way}
}


@pytest.mark.parametrize("key", [{"proxies": [12]}, {"relay_data": True}, {"serve": True}])
def test_each_key_of_a_carrier_reaches_it(key):
    bare = merged(UE, {"carriers": {"proxy": {}}})
    assert ue(merged(UE, {"carriers": {"proxy": key}})) != ue(bare) != ue(UE)


def test_the_same_configuration_makes_the_same_ue():
    assert ue(UE) == ue(UE)


def test_every_section_has_a_configuration_in_which_it_has_an_effect():
    assert {kind.__name__ for kind in sections()} == set(BASES)


def test_the_lists_name_keys_that_there_are():
    every = {f"{kind.__name__}.{name}" for kind in sections() for name in kind.model_fields}
    assert set(RUN_TIME) | set(NOT_KEYS) <= every
    others = {key for key in VALUES if key not in every}
    assert {key.split(".")[1] for key in others} <= {"code", "mask", "query", "query_mask", "response", "duck_mask"} | {
        "response_mask"
    }


@cache
def attributes_read():
    """Every attribute that is read outside the configuration's own package: (what it is read of, its name)."""
    found = set()
    for package in (prose_link, lab_scripts):
        for path in Path(package.__file__).parent.rglob("*.py"):
            if "config" in path.parent.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    found.add((ast.unparse(node.value).rsplit(".", 1)[-1].strip("_"), node.attr))
    return found


READ_OF = {
    "UeConfig": {"config"},
    "PeerEntry": {"entry", "peer"},
    "LinkSection": {"entry"},
    "GroupMemberEntry": {"entry", "who", "member"},
}
"""What a section is called where it is read, other than `section` or by its own name."""


@pytest.mark.parametrize("key", RUN_TIME)
def test_a_key_that_is_read_at_run_time_is_read(key):
    section, name = key.split(".")
    names = {"section", *BASES[section][1][:1], *READ_OF.get(section, ())}
    name = {"peer_user_info_id": "user_info_id"}.get(name, name)
    holders = {holder for holder, attribute in attributes_read() if attribute == name}
    assert any(holder in names or holder.startswith("traffic_with(") for holder in holders), sorted(holders)
