"""The cases of groups: rules, faults, property; and who can make receipts and signatures (PROFILE 11, G6 and G10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from docs.formal.case import Case, Kind, made_by_others, searched
from docs.formal.groups import Group, Order, Rules, State, together, wrong
from docs.formal.search import Result
from docs.formal.terms import digest, message, public, secret, signed, ssk

MEETS: Final = "honest steps lead to one key for all who are in, and R is not among its recipients"
NO_READING: Final = "nobody who knows that R is out speaks under a key that R has; W later nobody begins to"
ONCE: Final = "no key and PTK ID twice"
RIGHT_KEY: Final = "nobody reads by a wrong key"


def _case(
    name: str,
    label: str,
    kind: Kind,
    rule: str,
    model: Group,
    claim: str = MEETS,
    *,
    goal: Callable[[State], bool] | None = together,
    slow: bool = False,
) -> Case:
    return searched(f"group/{name}", label, kind, rule, claim, model, bad=wrong, goal=goal, slow=slow)


def _receipt(with_i_message: bool) -> Result:
    """R, a member, has the SSV and has heard the keying message to M: can it acknowledge in M's name?"""
    ssv, hr = secret("SSV of the key"), public("HR of the keying message to M")
    proof = digest("conf-R", ssv, hr)
    body = message(public("kind 2"), digest("T2", hr))
    return made_by_others(message(proof, signed("M", body)) if with_i_message else proof, ssv, ssk("R"))


def _group_signs(key_issued: bool) -> Result:
    """A member signs as the group identity, if there is an SSK of it."""
    keys = (ssk("group"),) if key_issued else ()
    return made_by_others(signed("group", message(public("kind 1"), public("group"), public("B"))), *keys, ssk("R"))


def _terms(name: str, label: str, kind: Kind, rule: str, claim: str, run: Callable[[], Result]) -> Case:
    return Case(name=f"group/{name}", label=label, kind=kind, rule=rule, claim=claim, run=run)


ONE: Final = (0,)
NO_FORGED_RECEIPT: Final = "no member makes another's receipt"
NO_GROUP_SIGNER: Final = "nobody signs as the group"
CASES: Final = (
    _case("two-keyers", "G1, G3", Kind.HOLDS, "none; two keyers, one removes R", Group(renewals=1)),
    _case("two-keyers-2", "G1, G3", Kind.HOLDS, "none; the same, and two renewals", Group(renewals=2), slow=True),
    _case("split", "G1", Kind.FALLS, Order.EPOCH.value, Group(rules=Rules(order=Order.EPOCH), removals=0)),
    _case(
        "tie-by-keyer",
        "G1",
        Kind.FALLS,
        Order.KEYER.value + "; a keyer without its record",
        Group(rules=Rules(order=Order.KEYER, ask_raises=False), renewals=1, removals=0, losses=1, indices=8),
    ),
    _case(
        "tie-by-signed-part",
        "G1",
        Kind.FALLS,
        Order.SIGNED_PART.value,
        Group(rules=Rules(order=Order.SIGNED_PART, ask_raises=False), removals=0, indices=8),
    ),
    _case(
        "one-index",
        "G1",
        Kind.FALLS,
        "keyers share indices",
        Group(rules=Rules(indices_by_keyer=False), removals=0),
        RIGHT_KEY,
    ),
    _case(
        "index-again",
        "G1",
        Kind.LIMIT,
        "a member deaf for as many keys as a keyer has indices",
        Group(keyers=ONE, removals=0, renewals=3, indices=3),
        RIGHT_KEY,
    ),
    _case(
        "record-lost",
        "G2",
        Kind.HOLDS,
        "none; the keyer loses its record",
        Group(keyers=ONE, renewals=1, removals=0, losses=1, ticks=2),
        slow=True,
    ),
    _case(
        "locked-out-keyer",
        "G2",
        Kind.FALLS,
        "epochs are counted only, and no ask raises them",
        Group(
            rules=Rules(epoch_from_clock=False, ask_raises=False), keyers=ONE, renewals=1, removals=0, losses=1, ticks=2
        ),
    ),
    _case(
        "leap",
        "G2",
        Kind.HOLDS,
        "none; K2 makes a key of the last epoch",
        Group(renewals=1, leaps=1),
        NO_READING,
        goal=None,
    ),
    _case(
        "stuck",
        "G2",
        Kind.FALLS,
        "any epoch is taken",
        Group(rules=Rules(epoch_bounded=False), renewals=1, leaps=1),
        NO_READING,
        goal=None,
    ),
    _case(
        "removed-let-in-again",
        "G3",
        Kind.FALLS,
        "lists don't travel",
        Group(rules=Rules(list_travels=False), renewals=1),
    ),
    _case(
        "removed-reads", "G3", Kind.FALLS, "a keyer doesn't key again", Group(rules=Rules(keys_again=False), renewals=1)
    ),
    _case(
        "removal-forgotten",
        "G3",
        Kind.FALLS,
        "a member speaks under a key that leaves out a removal it has learnt",
        Group(rules=Rules(minds_list=False), renewals=1),
        NO_READING,
    ),
    _case("restart", "G4", Kind.HOLDS, "none; a member or keyer restarts", Group(renewals=1, removals=0, restarts=1)),
    _case(
        "restart-and-removal",
        "G3, G4",
        Kind.HOLDS,
        "none; the same, and R is removed",
        Group(renewals=1, restarts=1),
        slow=True,
    ),
    _case(
        "locked-out",
        "G4",
        Kind.FALLS,
        "an equal mark is never installed",
        Group(rules=Rules(equal_mark_again=False), keyers=ONE, renewals=0, removals=0, restarts=1),
    ),
    _case("keyer-ahead", "G5", Kind.HOLDS, "none; K1's clock is ahead by W", Group(removals=0, ahead=1)),
    _case(
        "t-orders",
        "G5",
        Kind.FALLS,
        "T may not fall; K1's clock is ahead by W",
        Group(rules=Rules(t_orders=True), removals=0, ahead=1),
    ),
    _terms("receipt", "G6", Kind.HOLDS, "none", NO_FORGED_RECEIPT, lambda: _receipt(with_i_message=True)),
    _terms(
        "false-receipt",
        "G6",
        Kind.FALLS,
        "a receipt without I_MESSAGE",
        NO_FORGED_RECEIPT,
        lambda: _receipt(with_i_message=False),
    ),
    _case(
        "held-back",
        "G7",
        Kind.HOLDS,
        "none; deferred delivery, one keyer",
        Group(keyers=ONE, renewals=1, ticks=2, deferred=True),
        NO_READING,
        goal=None,
    ),
    _case(
        "reads-after-removal",
        "G7",
        Kind.FALLS,
        "a key held back for longer than W is spoken under",
        Group(rules=Rules(held_back_reads_only=False), keyers=ONE, renewals=1, ticks=2, deferred=True),
        NO_READING,
        goal=None,
    ),
    _case(
        "counts",
        "G8",
        Kind.HOLDS,
        "none; a member or keyer restarts",
        Group(keyers=ONE, renewals=1, removals=0, restarts=1, sends=2),
        ONCE,
        slow=True,
    ),
    _case(
        "counts-one-ssv",
        "G8",
        Kind.HOLDS,
        "none; a key with the SSV of another",
        Group(renewals=0, removals=0, same_ssv=1, sends=2),
        ONCE,
        slow=True,
    ),
    _case(
        "counts-again",
        "G8",
        Kind.FALLS,
        "PTK IDs start again with a key; a restart",
        Group(rules=Rules(ptk_ids_go_on=False), keyers=ONE, renewals=1, removals=0, restarts=1, sends=2),
        ONCE,
    ),
    _case(
        "one-ssv",
        "G8",
        Kind.FALLS,
        "PGK takes the SSV alone, and PTK IDs start again; a key with the SSV of another",
        Group(rules=Rules(ptk_ids_go_on=False, pgk_takes_info=False), renewals=1, removals=0, same_ssv=1, sends=2),
        ONCE,
    ),
    _case(
        "old-answer",
        "G9",
        Kind.FALLS,
        "an answer needs no HR of the ask",
        Group(rules=Rules(answer_names_ask=False), keyers=ONE, renewals=1, ticks=2),
        NO_READING,
        goal=None,
    ),
    _terms("group-identity", "G10", Kind.HOLDS, "none", NO_GROUP_SIGNER, lambda: _group_signs(key_issued=False)),
    _terms(
        "group-signs",
        "G10",
        Kind.FALLS,
        "an SSK is issued for a group identity",
        NO_GROUP_SIGNER,
        lambda: _group_signs(key_issued=True),
    ),
)
