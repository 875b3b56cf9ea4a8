"""The times at which a UE contacts its KMS again: it fetches the next period's keys ahead, each UE at its own moment.

Sans-IO: it computes the wait after a contact and after a failure; the caller keeps the time. After a contact the wait
ends when the next keys can be fetched, in the KMS's own time, and lasts a day at most, because the deny list comes with
a contact. After a failure the wait is short at first and doubles. Both shortest waits are smaller if key periods are
short, so that a lab with periods of minutes works as well as one with months.
"""

from __future__ import annotations

import hashlib
import math
from typing import Final

from security.device.provisioning import Provisioning
from security.errors import SecurityError
from security.identifiers import KmsDomain
from security.kms_wire.errors import KmsRefusal
from security.kms_wire.protocol import Refusal

SPREAD: Final = 0.75
"""The part of the time for fetching over which UEs spread; the rest is left for those that failed to reach the KMS."""
FIRST_RETRY_S: Final = 60.0
LONGEST_RETRY_S: Final = 6 * 3600.0
LONGEST_WAIT_S: Final = 24 * 3600.0
"""Contact at least daily: the deny list comes with it."""
RETRIES_PER_PERIOD: Final = 100
"""The shortest waits are at most this part of the key period."""
STATEMENTS_LAST: Final = 0.9
"""Least life of a statement of an identity map, in key periods; a KMS gives them a little more."""
FINAL_REFUSALS: Final = frozenset({Refusal.USER_REVOKED, Refusal.IDENTITY_REVOKED, Refusal.CERTIFICATE_UNKNOWN})


def renewal_due_ntp_s(domain: KmsDomain, uri: str, next_issue_ntp_s: int) -> int:
    """The time (NTP s) when an identity fetches the keys of the next period.

    It is after the keys can be had and before they may be needed, from the last day but one on (RFC 6509 3.3). It
    depends on the identity, so that a KMS's users don't all come at once.
    """
    start, _ = domain.period_bounds(domain.period_of(next_issue_ntp_s) + 1)
    room_s = max(0.0, start - domain.overlap_s() - next_issue_ntp_s)
    share = int.from_bytes(hashlib.sha256(f"{start} {uri}".encode()).digest()[:4], "big") / 2**32
    return next_issue_ntp_s + int(room_s * SPREAD * share)


class RenewalWaits:
    """The waits of one identity before its next contact with its KMS.

    Args:
        uri: the identity.
        domain: its KMS, with the length of its key periods.
    """

    def __init__(self, uri: str, domain: KmsDomain) -> None:
        self._uri = uri
        self._shortest_s = min(FIRST_RETRY_S, _period_s(domain) / RETRIES_PER_PERIOD)
        self._statements_last_s = STATEMENTS_LAST * _period_s(domain)
        self._retry_s = self._shortest_s

    def after_contact(self, got: Provisioning) -> float:
        """Seconds to wait after a contact that brought keys."""
        self._retry_s = self._shortest_s
        due_s: float = renewal_due_ntp_s(got.domain, self._uri, got.next_issue_ntp_s) - got.time_ntp_s
        if got.numbers is not None:
            due_s = min(due_s, self._statements_last_s)
        return min(LONGEST_WAIT_S, max(self._shortest_s, due_s))

    def after_failure(self, error: SecurityError) -> float:
        """Seconds to wait after a failed contact; infinite if the KMS has refused for good."""
        if isinstance(error, KmsRefusal) and error.code in FINAL_REFUSALS:
            return math.inf
        wait_s, self._retry_s = self._retry_s, min(2 * self._retry_s, LONGEST_RETRY_S)
        return wait_s


def _period_s(domain: KmsDomain) -> int:
    start, end = domain.period_bounds(domain.period_of(0) + 1)
    return end - start
