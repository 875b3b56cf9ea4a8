"""The identities of the telephone numbers in a UE's configuration, and the traffic with those peers.

A number is looked up before each call: entries of the UE's own file first, then the statements of its KMSs, never a
carrier. The result of a contact with the KMS takes effect at the next call.
"""

from __future__ import annotations

from collections.abc import Mapping

from prose_link.config.traffic import TrafficSection
from prose_link.config.ue import UeConfig
from security.identifiers import KeyRing
from security.identity_map.checks import HeldNumber, IdentityMap, NumberNotResolved, Resolved
from security.identity_map.statement import MapUse


class PhoneBook:
    """Numbers of one UE.

    Args:
        config: the UE's configuration.
        held: the statements of the KMSs' identity maps in its key store.
        ring: the KMSs it trusts.
    """

    def __init__(self, config: UeConfig, held: Mapping[str, HeldNumber], ring: KeyRing) -> None:
        self._config = config
        self._own = {entry.number: entry.identity for entry in config.numbers}
        self._led_to: dict[str, str] = {}
        self.renew(held, ring)

    def renew(self, held: Mapping[str, HeldNumber], ring: KeyRing) -> None:
        """Use the result of a contact with the KMS."""
        self._map = IdentityMap(own=self._own, held=held, ring=ring)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Every number of the own file, of the peers to call, and of the KMSs' statements."""
        called = (entry.number for entry in self._config.link.called if entry.number)
        return tuple(dict.fromkeys((*self._own, *called, *self._map.held)))

    def resolve(self, number: str, now_ntp_s: float) -> Resolved:
        """The identity to call for a number now. Raises NumberNotResolved."""
        resolved = self._map.resolve(number, MapUse.CALL, now_ntp_s)
        if resolved.identity == self._config.identity:
            raise NumberNotResolved(f"{number}: it leads to this UE itself")
        self._led_to[number] = resolved.identity
        return resolved

    def asserted(self, number: str, now_ntp_s: float) -> str:
        """Whom a number stands for where a carrier names it as a sender; "" where no statement says so."""
        try:
            return self._map.resolve(number, MapUse.ASSERTED, now_ntp_s).identity
        except NumberNotResolved:
            return ""

    def traffic_with(self, peer: str) -> TrafficSection:
        """The traffic over the link with a peer, named by its identity or by a number."""
        for entry in self._config.link.called:
            if peer in (entry.identity, self._led_to.get(entry.number)):
                return entry.traffic(self._config.traffic)
        return self._config.traffic
