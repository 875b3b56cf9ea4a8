"""A UE's keys, kept fresh: the next period's keys are fetched ahead, each UE at a moment of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from security.device.kms_client import provision
from security.device.record_state import WINDOW_S
from security.device.store import KeyStore
from security.errors import SecurityError
from security.identifiers import KmsDomain
from security.kms_wire.errors import KmsRefusal
from security.kms_wire.protocol import Refusal

SPREAD: Final = 0.75
"""The part of the time for fetching over which UEs spread; the rest is left for those that failed to reach the KMS."""
FIRST_RETRY_S: Final = 60.0
LONGEST_RETRY_S: Final = 6 * 3600.0
LONGEST_SLEEP_S: Final = 24 * 3600.0
"""Contact at least daily: the deny list comes with it."""
FINAL_REFUSALS: Final = frozenset({Refusal.USER_REVOKED, Refusal.IDENTITY_REVOKED, Refusal.CERTIFICATE_UNKNOWN})


def renewal_due_ntp_s(domain: KmsDomain, uri: str, next_issue_ntp_s: int) -> int:
    """When an identity fetches the keys of the next period (NTP s): after they can be had, before they may be needed.

    Needed from the last day but one on (RFC 6509 3.3). The moment depends on the identity, so that a KMS's users don't
    all come at once.
    """
    start, _ = domain.period_bounds(domain.period_of(next_issue_ntp_s) + 1)
    room_s = max(0.0, start - domain.overlap_s() - next_issue_ntp_s)
    share = int.from_bytes(hashlib.sha256(f"{start} {uri}".encode()).digest()[:4], "big") / 2**32
    return next_issue_ntp_s + int(room_s * SPREAD * share)


async def keep_provisioned(
    store: KeyStore,
    *,
    url: str,
    ca_pem: bytes,
    now_ntp_s: Callable[[], int],
    sleep: Callable[[float], Awaitable[None]],
    emit: Callable[[Mapping[str, Any]], None],
) -> None:
    """Fetch at once, then daily and whenever new keys are due; failures are tried again, ever more slowly.

    Returns when the KMS refuses for good. Emits `keys-renewed`, `keys-not-renewed`, and `clock-apart-from-kms` where
    the KMS's time is more than W from the own clock's: one of the two is wrong.
    """
    retry_s = FIRST_RETRY_S
    while True:
        try:
            got = await provision(store, url=url, ca_pem=ca_pem, token="")
        except SecurityError as exc:
            emit({"event": "keys-not-renewed", "uri": store.identity, "why": str(exc)})
            if isinstance(exc, KmsRefusal) and exc.code in FINAL_REFUSALS:
                return
            await sleep(retry_s)
            retry_s = min(2 * retry_s, LONGEST_RETRY_S)
            continue
        retry_s = FIRST_RETRY_S
        periods = [keys.key_period_no for keys in got.key_sets]
        emit({"event": "keys-renewed", "uri": store.identity, "periods": periods})
        own_ntp_s = now_ntp_s()
        if abs(own_ntp_s - got.time_ntp_s) > WINDOW_S:
            apart = {"event": "clock-apart-from-kms", "own_ntp_s": own_ntp_s, "kms_ntp_s": got.time_ntp_s}
            emit({**apart, "uri": store.identity, "floor_ntp_s": store.record.time_floor_ntp_s})
        due_s = renewal_due_ntp_s(got.domain, store.identity, got.next_issue_ntp_s)
        await sleep(min(LONGEST_SLEEP_S, max(FIRST_RETRY_S, due_s - now_ntp_s())))
