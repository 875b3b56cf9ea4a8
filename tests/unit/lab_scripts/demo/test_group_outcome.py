"""What the outcome of the group's run makes of its events: all of it, and each step that is missing."""

from dataclasses import replace
from pathlib import Path

import pytest

from lab_scripts.console.timeline import START_NS
from lab_scripts.demo.group_outcome import group_outcome
from lab_scripts.demo.group_plan import GroupPlan
from lab_scripts.demo.group_teller import GroupTeller
from lab_scripts.exit_codes import ExitCode
from prose_link.event_stream import TimedEvent
from prose_link.pc5s.core.events import RequestRefused
from prose_link.pc5s.core.group_events import (
    GroupAskAnswered,
    GroupAsked,
    GroupEpochStarted,
    GroupEpochYielded,
    GroupKeyReceived,
    GroupKeySent,
    GroupRemovalDone,
)
from prose_link.ue.events import GroupUnreadable, NodeStopped
from prose_link.userplane.events import GroupMessageReceived, GroupMessageSent
from radio.emulator.events import UeBackInReach

PLAN = GroupPlan(seed=1, n_ues=6, folder=Path())
GROUP = "tel:+447700900099"
URI = PLAN.granted
SET_UP, REMOVAL, TAKE_OVER = 100, 102, 110


def at(ms, source, event):
    return TimedEvent(utc_ns=START_NS + round(ms * 1e6), source=source, seq=0, event=event)


def started(ms, source, epoch, out=()):
    fields = {"group": GROUP, "group_l2": 1, "pgk_id": 1, "mode": 1, "expiry_ntp_s": 9, "recipients": ("x",)}
    return at(ms, source, GroupEpochStarted(epoch=epoch, members_out=out, **fields))


def held(ms, source, epoch, keyer):
    fields = {"group": GROUP, "group_l2": 1, "pgk_id": 1, "mode": 1, "eea": 2, "peer_l2": 1, "octets": 700}
    return at(ms, source, GroupKeyReceived(epoch=epoch, keyer=URI[keyer], **fields))


def said(ms, source, number, readers):
    digest = f"{source}{number}"
    sent = at(ms, source, GroupMessageSent(number=number, octets=9, sha256=digest, copies=1))
    heard = [
        at(ms + 20, name, GroupMessageReceived(sender_l2=1, number=number, octets=9, sha256=digest)) for name in readers
    ]
    return [sent, *heard]


def asked(ms, source, keyer, why, tries=1):
    return at(ms, source, GroupAsked(group=GROUP, keyer=URI[keyer], why=why, tries=tries, octets=600))


def answered(ms, source, member, epoch, new_epoch):
    return at(ms, source, GroupAskAnswered(group=GROUP, member=URI[member], epoch=epoch, new_epoch=new_epoch))


def off(ms, source, contexts=0):
    return at(ms, source, NodeStopped(why="done", subframes=1, live_contexts=contexts, late_bursts=0))


UNHELD = "the group speaks under a key that isn't held"
REFUSED = {"cause": 1, "detail": "", "peer": URI["ue-c"], "peer_l2": 3}
GOOD = [
    started(200, "ue-b", 99),
    started(300, "ue-a", SET_UP),
    at(301, "ue-a", GroupKeySent(group=GROUP, epoch=SET_UP, recipient=URI["ue-b"], peer_l2=2, octets=689)),
    at(400, "ue-b", GroupEpochYielded(group=GROUP, epoch=SET_UP, keyer=URI["ue-a"])),
    *said(1300, "ue-a", 1, ("ue-b", "ue-c", "ue-d", "ue-e")),
    held(500, "ue-b", SET_UP, "ue-a"),
    started(2600, "ue-a", REMOVAL, (URI["ue-c"],)),
    held(2650, "ue-b", REMOVAL, "ue-a"),
    held(2690, "ue-d", REMOVAL, "ue-a"),
    at(2700, "ue-a", GroupRemovalDone(group=GROUP, removed=URI["ue-c"], member=URI["ue-b"], epoch=REMOVAL)),
    *said(3700, "ue-a", 2, ("ue-b", "ue-d")),
    at(3720, "ue-c", GroupUnreadable(sender_l2=1, why="no key")),
    at(3900, "air", UeBackInReach(ue="ue-e", hub_block=3900)),
    at(4300, "ue-a", RequestRefused(step=8, why="not a member of the group", **REFUSED)),
    asked(4500, "ue-e", "ue-a", UNHELD),
    answered(4530, "ue-a", "ue-e", REMOVAL, False),
    held(4560, "ue-e", REMOVAL, "ue-a"),
    off(5600, "ue-a"),
    asked(5800, "ue-f", "ue-a", "no key is held"),
    asked(6200, "ue-f", "ue-a", "no key is held", 2),
    asked(10_600, "ue-f", "ue-b", "no key is held", 3),
    started(10_680, "ue-b", TAKE_OVER, (URI["ue-c"],)),
    answered(10_680, "ue-b", "ue-f", TAKE_OVER, True),
    *(held(10_700 + place, name, TAKE_OVER, "ue-b") for place, name in enumerate(("ue-d", "ue-e", "ue-f"))),
    *said(11_900, "ue-b", 2, ("ue-d", "ue-e", "ue-f")),
    *(off(13_000 + place, name) for place, name in enumerate(PLAN.names[1:])),
]


def outcome_of(events):
    return group_outcome(PLAN, sorted(events, key=lambda one: one.utc_ns), wall_s=1.0)


def without(*kinds, source=None, **fields):
    def is_meant(one):
        known = isinstance(one.event, kinds) and source in (None, one.source)
        return known and all(getattr(one.event, name) == value for name, value in fields.items())

    rest = [one for one in GOOD if not is_meant(one)]
    assert len(rest) < len(GOOD)
    return rest


def failed(outcome):
    return {name for name, step in outcome.document["group"].items() if not step["ok"]}


def test_all_steps_are_told_with_their_times():
    outcome = outcome_of(GOOD)
    assert outcome.ok and outcome.exit_code is ExitCode.OK and not failed(outcome)
    group = outcome.document["group"]
    assert group["keyers"]["epochs"] == {"ue-a": [SET_UP, REMOVAL], "ue-b": [99, TAKE_OVER]}
    assert group["keyers"]["yielded"] == ["ue-b"]
    removed = group["removed"]
    assert (removed["ue"], removed["by"], removed["at_ms"]) == ("ue-c", "ue-a", 2600.0)
    assert (removed["messages_after"], removed["messages_read"], removed["unreadable_pdus"]) == (2, 0, 1)
    assert removed["asks_refused"] == {"ue-a": 1, "ue-b": 0} and removed["first_shown_after_ms"] == 100.0
    deaf = group["asked"]
    assert deaf["away_ms"] == [2400.0, 3900.0] and (deaf["asked_after_ms"], deaf["key_held_after_ms"]) == (600.0, 660.0)
    assert (deaf["missed_epoch"], deaf["answered_by"]) == (REMOVAL, "ue-a")
    taken = group["taken_over"]
    assert (taken["dead"], taken["dead_at_ms"], taken["by"]) == ("ue-a", 5600.0, "ue-b")
    assert (taken["asks_in_vain"], taken["new_key_after_ms"], taken["held_by_all_after_ms"]) == (2, 5080.0, 5102.0)
    assert outcome.sentence.endswith(
        "ue-e missed a key, asked, and had it 660.0 ms after its return; ue-a died and ue-b took over."
    )
    assert [name for name, _ in outcome.rows][:4] == ["two keyers", "removal", "deaf member", "dead keyer"]


READ_BY_THE_REMOVED = at(11_950, "ue-c", GroupMessageReceived(sender_l2=2, number=2, octets=9, sha256="ue-b2"))
KEY_FOR_THE_REMOVED = held(10_800, "ue-c", TAKE_OVER, "ue-b")
REACHED_BEFORE = held(3000, "ue-e", REMOVAL, "ue-a")
LATE = [replace(one, utc_ns=one.utc_ns + 3_000_000_000) for one in GOOD if one.source == "ue-e"]
MISSING = {
    "the second takes no key of the first": (without(GroupKeyReceived, source="ue-b"), {"keyers"}),
    "one keyer": (without(GroupEpochStarted, source="ue-b"), {"keyers", "taken_over"}),
    "first message not heard": (without(GroupMessageReceived, source="ue-d", sha256="ue-a1"), {"keyers"}),
    "nobody removed": (without(GroupEpochStarted, epoch=REMOVAL), {"keyers", "removed", "asked"}),
    "no receipt without the removed": (without(GroupRemovalDone), {"removed"}),
    "nothing it could not read": (without(GroupUnreadable), {"removed"}),
    "the removed reads": ([*GOOD, READ_BY_THE_REMOVED], {"removed", "taken_over"}),
    "the removed gets a key": ([*GOOD, KEY_FOR_THE_REMOVED], {"removed", "taken_over"}),
    "no ask": (without(GroupAsked, source="ue-e"), {"asked"}),
    "the keying came through": ([*GOOD, REACHED_BEFORE], {"asked"}),
    "the key comes late": ([*without(GroupAsked, GroupKeyReceived, source="ue-e"), *LATE], {"asked"}),
    "the keyer lives on": (without(NodeStopped, source="ue-a"), {"taken_over"}),
    "nobody asks the dead": (without(GroupAsked, source="ue-f", keyer=URI["ue-a"]), {"taken_over"}),
    "one member without the new key": (without(GroupKeyReceived, source="ue-d", epoch=TAKE_OVER), {"taken_over"}),
    "the heir says nothing": (without(GroupMessageSent, source="ue-b"), {"taken_over"}),
}


@pytest.mark.parametrize("case", MISSING)
def test_a_run_without_one_of_them_has_failed(case):
    events, wrong = MISSING[case]
    outcome = outcome_of(events)
    assert failed(outcome) >= wrong and not outcome.ok
    assert outcome.exit_code is ExitCode.FAILED and outcome.sentence.endswith("went wrong.")
    assert any(value.endswith("NOT DONE") for _, value in outcome.rows)


def test_keys_left_in_memory_fail_it_too():
    outcome = outcome_of([*without(NodeStopped, source="ue-d"), off(13_000, "ue-d", contexts=1)])
    assert not failed(outcome) and not outcome.ok and "left keys" in outcome.sentence


def test_the_timeline_names_the_steps_once_each_and_ues_by_name():
    teller = GroupTeller(PLAN)
    lines = "\n".join(filter(None, (teller.told(one) for one in [*GOOD, *GOOD])))
    assert "tel:" not in lines and lines.count("step:") == 9
    for words in (
        "both keyers have made a key",
        "ue-b is a keyer too",
        "ue-c is removed",
        "ue-c can't read what is said since its removal",
        "ue-e is back;",
        "ue-e has the key that it missed",
        "ue-a is dead",
        "ue-b takes over from ue-a",
        "ue-f asked ue-a in vain",
    ):
        assert lines.count(words) == 1, words
