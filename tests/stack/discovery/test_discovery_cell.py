"""Discovery of whole UEs over emulated radio: open and restricted, both models, with and without the keys, replays."""

from pathlib import Path

import pytest

from lab_scripts.events.selection import events_of, has, pdus_of
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import CrowdPlan
from prose_link.discovery.entity import DiscoveryTransmission
from prose_link.discovery.events import CodeDiscovered, CodeLost, DiscoveryDropped, NotSent, PeerDiscovered, Solicited
from prose_link.pc5s.core.events import LinkEstablished
from prose_link.ue.events import Connecting

CODE, OPEN_CODE, QUERY, ANSWER = bytes(range(0x40, 0x57)), b"\x9a\xbc" + bytes(21), b"\x11" * 23, b"\x99" * 23
DUCK_MASK = (b"\x00\xff\xff\x0f" * 6)[:23]
PREFIX = b"\xff" * 4 + bytes(19)
SILENT = {"announce": False, "monitor": False, "respond": False}


class Loose(CrowdPlan):
    """UEs that only discover each other."""

    def _pair_sections(self, name):
        return {}


def restricted(role, key_set="chess-club", **codes):
    hexed = {name: value.hex() if isinstance(value, bytes) else value for name, value in codes.items()}
    return {"role": role, "key_set": key_set, "duck_mask": DUCK_MASK.hex(), **hexed}


def opened(role, code, **more):
    return {"role": role, "code": code.hex(), **more}


def discovery(**section):
    return {"discovery": {**SILENT, **section}}


def of(events, source, kind):
    return [told.event for told in events_of(events, kind, source)]


def heard(events, source):
    return {(one.message, one.code.hex(), one.verified) for one in of(events, source, CodeDiscovered)}


def on_air(events, source, direction, first_octet):
    octets = (told.event.data for told in pdus_of(events, "discovery", direction, source))
    return [one for one in octets if one[0] == first_octet]


class Parrot:
    """An entity that says what others have said, whatever the time; it hears as the entity that it stands for."""

    def __init__(self, entity, octets):
        self._entity = entity
        self._octets = octets
        self._said = []

    def __getattr__(self, name):
        return getattr(self._entity, name)

    def open_period(self, n_resources, now, *, n_t, avoid):
        octets = self._octets(now)
        free = [n for n in range(n_resources) if n not in avoid]
        self._said = [DiscoveryTransmission(n_psdch=free[-1], data=octets)] if octets else []

    def pdus_to_send(self, now):
        return self._said


def test_open_and_restricted_codes_of_both_models_reach_who_holds_the_keys_and_tell_others_nothing():
    sections = {
        "ue-a": discovery(
            open=[opened("announce", OPEN_CODE)],
            restricted=[
                restricted("announce", code=CODE),
                restricted("solicit", query=QUERY, response=ANSWER, response_mask=PREFIX),
            ],
        ),
        "ue-b": discovery(
            open=[opened("monitor", OPEN_CODE, mask=PREFIX.hex())],
            restricted=[
                restricted("monitor", code=CODE, mask=PREFIX),
                restricted("respond", query=QUERY, response=ANSWER),
            ],
        )
        | {"link": {"connect_to": "tel:+447700900001", "peer_user_info_id": 0x0A00_0001}},
        "ue-c": discovery(
            open=[opened("monitor", OPEN_CODE)],
            restricted=[
                restricted("monitor", "book-club", code=CODE, mask=bytes(23)),
                restricted("solicit", "book-club", query=QUERY, response=ANSWER, response_mask=bytes(23)),
                restricted("respond", "book-club", query=QUERY, query_mask=bytes(23), response=ANSWER),
            ],
        ),
    }
    key_sets = {"ue-a": ("chess-club",), "ue-b": ("chess-club",), "ue-c": ("book-club",)}
    cell = Cell(Loose(seed=5, n_ues=3, group=False, folder=Path()), {}, changes_of=sections, key_sets_of=key_sets)
    at_a = {("restricted response", ANSWER.hex(), True)}
    at_b = {
        ("open announcement", OPEN_CODE.hex(), False),
        ("restricted announcement", CODE.hex(), True),
        ("restricted query", QUERY.hex(), True),
    }
    at_c = {("open announcement", OPEN_CODE.hex(), False)}

    def enough(events):
        told = heard(events, "ue-a") == at_a and heard(events, "ue-b") == at_b and heard(events, "ue-c") == at_c
        return told and len(on_air(events, "ue-c", "rx", 0x81)) > 3 and on_air(events, "ue-c", "rx", 0x86)

    cell.run(8.0, until=enough)
    assert [heard(cell.events, name) for name in ("ue-a", "ue-b", "ue-c")] == [at_a, at_b, at_c]
    assert enough(cell.events)
    for secret in (CODE, QUERY, ANSWER):
        assert not any(secret.hex() in str(told.record()) for told in cell.events if told.source == "ue-c")
    for message in on_air(cell.events, "ue-c", "rx", 0x81):
        assert sum(one == other for one, other in zip(message[1:24], CODE, strict=True)) < 6
    assert not has(cell.events, Connecting)


def test_stale_replayed_and_ill_dated_transmissions_are_refused_and_validity_ends():
    sections = {
        "ue-a": discovery(restricted=[restricted("announce", code=CODE, valid_for_s=2.2)]),
        "ue-b": discovery(
            restricted=[restricted("monitor", code=CODE), restricted("monitor", code=ANSWER)], validity_s=1.0
        ),
        "ue-c": discovery(),
        "ue-d": {"clock_error_s": -100.0} | discovery(restricted=[restricted("announce", code=ANSWER)]),
    }
    key_sets = dict.fromkeys(sections, ("chess-club",))
    cell = Cell(Loose(seed=6, n_ues=4, group=False, folder=Path()), {}, changes_of=sections, key_sets_of=key_sets)
    a_said = lambda: on_air(cell.events, "ue-a", "tx", 0x81)  # noqa: E731

    def chosen(now):
        if now.mono_s < 1.7 or not a_said():
            return None
        return a_said()[0] if now.mono_s < 4.2 else a_said()[-1]

    parrot = cell.node("ue-c")
    parrot._discovery = Parrot(parrot._discovery, chosen)
    wanted = {"counter is stale", "replayed", "counter too far from the clock"}

    def refused(events):
        return {one.why for one in of(events, "ue-b", DiscoveryDropped)}

    cell.run(9.0, until=lambda events: refused(events) == wanted)
    assert refused(cell.events) == wanted
    assert [one.code for one in of(cell.events, "ue-b", CodeDiscovered)] == [CODE]
    assert [one.code for one in of(cell.events, "ue-b", CodeLost)] == [CODE]
    assert [one.why for one in of(cell.events, "ue-a", NotSent)] == ["its validity is over"]
    assert on_air(cell.events, "ue-d", "tx", 0x81)


@pytest.mark.parametrize("asking", ["initiator", "responder"])
def test_a_group_member_found_by_model_b_is_connected_to(asking):
    """Either end may ask: the answer tells the asker a layer-2 id, the question tells the other."""
    roles = [{"announce": False, "solicit": True}, {"announce": False}]
    at_a, at_b = roles if asking == "initiator" else reversed(roles)
    cell = Cell(
        CrowdPlan(seed=7, n_ues=2, group=False, folder=Path()),
        {"traffic": {"push_octets": 0, "pings": 1}},
        changes_of={"ue-a": {"discovery": at_a}, "ue-b": {"discovery": at_b}},
    )
    cell.run(8.0, until=lambda events: len(events_of(events, LinkEstablished)) == 2)
    assert {told.source for told in events_of(cell.events, LinkEstablished)} == {"ue-a", "ue-b"}
    found, solicited = ("ue-a", "ue-b") if asking == "initiator" else ("ue-b", "ue-a")
    assert [one.message for one in of(cell.events, found, PeerDiscovered)] == ["group member response"]
    assert of(cell.events, solicited, Solicited)
    assert not on_air(cell.events, "ue-a", "tx", 0x99) and not on_air(cell.events, "ue-b", "tx", 0x99)
