"""A KMS without a network, for UEs in virtual time: it gives what a KMS would, at a clock of its own, or fails."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from prose_link.ue.identity import Identity
from prose_link.ue.key_renewal import KeyRenewal
from security.device.provisioning import Provisioning
from security.device.renewal import RenewalWaits
from security.errors import SecurityError
from security.identifiers import KeyRing
from security.kms.authority import Authority, next_issue_s, periods_open


class NearbyKms:
    """Hands out the keys of every open period; `failures` are raised first, one at each contact.

    Args:
        authority: makes the keys.
        ntp_s: the KMS's clock.
    """

    def __init__(self, authority: Authority, ntp_s: Callable[[], float]) -> None:
        self.failures: deque[SecurityError] = deque()
        self.denied: tuple[str, ...] = ()
        self.peers: tuple[str, ...] | None = None
        self.contacts: list[float] = []
        """When it was asked, NTP."""
        self._authority = authority
        self._ntp_s = ntp_s

    def renewal(self, identity: Identity, *, key_sets: tuple[str, ...], first_wait_s: float) -> KeyRenewal:
        """What keeps a UE with these keys fresh."""
        held = {keys.key_period_no: keys for keys in identity.key_ring.users}

        def keep(got: Provisioning) -> Identity:
            held.update({keys.key_period_no: keys for keys in got.key_sets})
            return replace(
                identity,
                key_ring=KeyRing([got.domain], list(held.values())),
                discovery_keys=got.discovery_keys,
                denied=frozenset(got.deny_list),
                peers=None if got.peers is None else frozenset(got.peers),
                kms_ntp_s=got.time_ntp_s,
            )

        return KeyRenewal(
            identity.uri,
            fetch=lambda: self._answer(identity.uri, key_sets),
            wipe=lambda _kms, _period: None,
            keep=keep,
            waits=RenewalWaits(identity.uri, self._authority.domain),
            first_wait_s=first_wait_s,
            in_background=False,
        )

    def _answer(self, uri: str, key_sets: tuple[str, ...]) -> Provisioning:
        now_ntp_s = int(self._ntp_s())
        self.contacts.append(now_ntp_s)
        if self.failures:
            raise self.failures.popleft()
        domain = self._authority.domain
        periods = periods_open(domain, now_ntp_s)
        return Provisioning(
            uri=uri,
            domain=domain,
            lab_deterministic=True,
            time_ntp_s=now_ntp_s,
            next_issue_ntp_s=next_issue_s(domain, now_ntp_s),
            key_sets=tuple(self._authority.extract(uri, period) for period in periods),
            discovery_keys=tuple(self._authority.discovery_keys(one, period) for one in key_sets for period in periods),
            peers=self.peers,
            deny_list=self.denied,
        )
