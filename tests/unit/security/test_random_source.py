from __future__ import annotations

import pytest

from security.random_source import RandomSourceError, random_scalar


def test_range(random):
    assert {random_scalar(random, 5) for _ in range(200)} == {1, 2, 3, 4}


@pytest.mark.parametrize("octet", [b"\0", b"\xff"])
def test_stuck_source_is_told(octet):
    with pytest.raises(RandomSourceError):
        random_scalar(lambda n: octet * n, 200)
