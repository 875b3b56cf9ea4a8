"""The policy of a UE for its links, by pattern of peers (PROFILE 8).

A policy is a list of rules, each for a pattern of peer URIs. Several rules may match a peer: the result takes the
strictest value of each key among them. Values are therefore ordered enumerations, the later the stricter. The policy
says how keys are made (profile), whether both ends have to prove their identity, which algorithms are allowed and in
which order, and what a rekey must contain. Lists of allowed and denied peers come from the UE's own configuration;
those of the KMS are in `Credentials`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Final

from prose_link.errors import ProseLinkError
from prose_link.pc5s.wire.messages import ChosenAlgorithms, IpAddressConfig, Kdf, Mutual, SecurityCapabilities

NULL_ALGORITHM: Final = 0
"""EEA0 and EIA0 protect nothing (TS 33.401 5.1.3.2, 5.1.4.2)."""


class PolicyError(ProseLinkError):
    """A policy that contradicts itself."""


class Profile(IntEnum):
    """How links get their keys; the later the stricter. A UE never replaces one by another."""

    TS24334 = 0
    IDENTITY = 1


class MutualGive(IntEnum):
    """Whether a responder adds its own I_MESSAGE; the later the stricter."""

    NEVER = 0
    ON_REQUEST = 1
    ALWAYS = 2


class RekeyContribution(IntEnum):
    """The contents of a rekey that this UE starts; the later the stricter."""

    NONCE_ONLY = 0
    SAME_AS_SETUP = 1
    ALWAYS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPolicy:
    """The policy towards one pattern of peers; the defaults are those of PROFILE 8.

    `ciphering` and `integrity` in order of preference, without the null ones; `both_needed` is `mutual.need = both`.
    """

    mutual_ask: Mutual = Mutual.WANTED
    mutual_give: MutualGive = MutualGive.ON_REQUEST
    both_needed: bool = False
    ciphering: tuple[int, ...] = (2, 1, 3)
    integrity: tuple[int, ...] = (2, 1, 3)
    allow_null_ciphering: bool = False
    allow_null_integrity: bool = False
    profile: Profile = Profile.IDENTITY
    kdfs: tuple[Kdf, ...] = (Kdf.FC33303, Kdf.FC33536)
    rekey_contribution: RekeyContribution = RekeyContribution.SAME_AS_SETUP

    def __post_init__(self) -> None:
        if self.both_needed and self.mutual_give == MutualGive.NEVER:
            raise PolicyError("mutual.need = both contradicts mutual.give = never")
        if NULL_ALGORITHM in self.ciphering + self.integrity:
            raise PolicyError("a null algorithm is allowed by allow-null-ciphering or allow-null-integrity only")

    @property
    def eea(self) -> tuple[int, ...]:
        """Ciphering algorithms in order of preference, the null one last where it is allowed."""
        return self.ciphering + (NULL_ALGORITHM,) * self.allow_null_ciphering

    @property
    def eia(self) -> tuple[int, ...]:
        """Integrity algorithms in order of preference, the null one last where it is allowed."""
        return self.integrity + (NULL_ALGORITHM,) * self.allow_null_integrity

    def offer(self) -> SecurityCapabilities:
        """The capabilities that this UE offers as initiator."""
        return SecurityCapabilities.of(self.eea, self.eia)

    def choose(self, offered: SecurityCapabilities) -> ChosenAlgorithms | None:
        """The algorithms that this UE chooses as responder; None if there are none in common."""
        eea = next((number for number in self.eea if number in offered.eea), None)
        eia = next((number for number in self.eia if number in offered.eia), None)
        return None if eea is None or eia is None else ChosenAlgorithms(eea=eea, eia=eia)

    def allows(self, chosen: ChosenAlgorithms) -> bool:
        """Whether these algorithms may protect a link."""
        return chosen.eea in self.eea and chosen.eia in self.eia

    def meets(self, asked: Mutual) -> bool:
        """Whether this UE as responder can meet the initiator's mutual authentication flag."""
        return not (asked == Mutual.REQUIRED and self.mutual_give == MutualGive.NEVER)

    def gives(self, asked: Mutual) -> bool:
        """Whether this UE as responder adds its own I_MESSAGE."""
        if self.both_needed or self.mutual_give == MutualGive.ALWAYS:
            return True
        return self.mutual_give == MutualGive.ON_REQUEST and asked != Mutual.NOT_WANTED

    def stricter(self, other: LinkPolicy) -> LinkPolicy:
        """The stricter of two policies, key by key."""
        return LinkPolicy(
            mutual_ask=max(self.mutual_ask, other.mutual_ask),
            mutual_give=max(self.mutual_give, other.mutual_give),
            both_needed=self.both_needed or other.both_needed,
            ciphering=_in_both(self.ciphering, other.ciphering),
            integrity=_in_both(self.integrity, other.integrity),
            allow_null_ciphering=self.allow_null_ciphering and other.allow_null_ciphering,
            allow_null_integrity=self.allow_null_integrity and other.allow_null_integrity,
            profile=max(self.profile, other.profile),
            kdfs=tuple(kdf for kdf in self.kdfs if kdf in other.kdfs),
            rekey_contribution=max(self.rekey_contribution, other.rekey_contribution),
        )


def _in_both(preferred: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(number for number in preferred if number in other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The policy of a UE: rules for patterns of peer URIs (`*` is any characters), and the lists of authorised peers.

    The limits that a KMS sets are not here but with the keys: `Credentials.grants`.
    """

    rules: tuple[tuple[str, LinkPolicy], ...] = ()
    default: LinkPolicy = LinkPolicy()
    allow: tuple[str, ...] = ("*",)
    deny: tuple[str, ...] = ()

    def towards(self, peer: str) -> LinkPolicy:
        """The strictest combination of the rules that match a peer; the default if none matches."""
        matching = [policy for pattern, policy in self.rules if matches(pattern, peer)]
        if not matching:
            return self.default
        strictest = matching[0]
        for policy in matching[1:]:
            strictest = strictest.stricter(policy)
        return strictest

    def authorises(self, peer: str) -> bool:
        """Whether this UE's own lists allow links with a peer."""
        return _any_matches(self.allow, peer) and not _any_matches(self.deny, peer)


def matches(pattern: str, uri: str) -> bool:
    """Whether a URI matches a pattern in which `*` stands for any characters."""
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), uri) is not None


def patterns_meet(one: str, other: str) -> bool:
    """Whether there is a URI that matches both patterns."""

    @cache
    def meet(i: int, j: int) -> bool:
        """Whether there is a text that matches both remaining patterns."""
        if i == len(one) or j == len(other):
            return not (one[i:] + other[j:]).strip("*")
        if one[i] == "*":
            return meet(i + 1, j) or meet(i, j + 1)
        if other[j] == "*":
            return meet(i, j + 1) or meet(i + 1, j)
        return one[i] == other[j] and meet(i + 1, j + 1)

    return meet(0, 0)


def _any_matches(patterns: Iterable[str], uri: str) -> bool:
    return any(matches(pattern, uri) for pattern in patterns)


_IP_VERSIONS: Final = {
    IpAddressConfig.DHCPV4_SERVER: frozenset({4}),
    IpAddressConfig.IPV6_ROUTER: frozenset({6}),
    IpAddressConfig.DHCPV4_SERVER_AND_IPV6_ROUTER: frozenset({4, 6}),
    IpAddressConfig.NOT_SUPPORTED: frozenset({6}),
}
"""IP versions of a link for each offer of a UE; without address allocation there are link-local IPv6 addresses only."""


def ip_versions_of(offer: IpAddressConfig) -> frozenset[int]:
    """The IP versions an address configuration allows."""
    return _IP_VERSIONS[offer]
