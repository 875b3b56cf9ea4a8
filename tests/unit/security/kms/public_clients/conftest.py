"""A KMS with two users of SIP identities, for the tests of clients of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from security.identifiers import UidScheme
from tests.benches.annex_d_client import ALICE, BOB


@pytest.fixture
def kms(make_kms: Callable[..., Any]) -> Any:
    made = make_kms(scheme=UidScheme.HASHED_UID, namespace=("sip:*",))
    for user, uri in (("alice", ALICE), ("bob", BOB)):
        made.enrol(user, uri)
    made.events = []
    return made
