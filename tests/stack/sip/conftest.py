"""A pair of user agents, for the tests of calls."""

from __future__ import annotations

import pytest

from tests.benches.sip_pair import Pair


@pytest.fixture
def pair() -> Pair:
    return Pair()
