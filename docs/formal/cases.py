"""All cases of the model, in the order of the page."""

from __future__ import annotations

from typing import Final

from docs.formal import (
    answers,
    clock,
    collisions,
    group_cases,
    group_hand_over,
    hand_over,
    identity_map,
    rekey_capabilities,
    rekey_thief,
    set_up,
    state_tables,
    two_ends,
)

CASES: Final = (
    *set_up.CASES,
    *rekey_thief.CASES,
    *rekey_capabilities.CASES,
    *hand_over.CASES,
    *collisions.CASES,
    *answers.CASES,
    *group_cases.CASES,
    *group_hand_over.CASES,
    *clock.CASES,
    *identity_map.CASES,
    *state_tables.CASES,
    *two_ends.CASES,
)
