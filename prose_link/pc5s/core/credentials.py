"""The identity of a UE with its keys: makes, verifies and opens the I_MESSAGEs of the profile.

A UE holds one identity. For each key period it holds an RSK (opens SSVs encapsulated to it), an SSK and a PVT (sign as
it); for a group it holds the group's RSK. `Credentials` joins these keys with the parameters of the trusted KMSs. It
answers three kinds of questions: which keys belong to a time, whether a message of another identity is genuine, and
which peers the KMSs allow.

A KMS speaks for the identities of its namespace only. The time floor (PROFILE 10) decides which key periods are over,
so that a clock that is set back can't make old keys valid again. Keys can be exchanged while links run
(`replace_keys`), and can be wiped for single periods.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from security import sakke
from security.eccsi.eccsi import SIGNATURE_OCTETS
from security.identifiers import IdentityError, KeyRing, KmsDomain, NoKeysError, UserKeys
from security.mikey import (
    Kind,
    ProfileIMessage,
    build_profile_i_message,
    check_profile_i_message,
    extract_ssv,
    verify_i_message,
)

RandomBytes = Callable[[int], bytes]
"""n -> n random octets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedIMessage:
    """An I_MESSAGE that this UE has made, its signed part S(I), and the SSV inside it."""

    octets: bytes
    signed_part: bytes
    ssv: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPeriod:
    """A key period of a KMS for which this UE holds keys."""

    kms_uri: str
    key_period_no: int


class Credentials:
    """One identity, its keys, the trusted KMSs, the identities these deny, and the identities they allow as peers.

    `granted`: the identities that its KMSs let it link with; None if they keep no such list. Keys change while links
    run: new key periods come in by `replace_keys`. Raises IdentityError for an identity that no trusted KMS speaks for.
    """

    def __init__(
        self,
        *,
        uri: str,
        key_ring: KeyRing,
        random_bytes: RandomBytes,
        denied: Iterable[str] = (),
        granted: frozenset[str] | None = None,
    ) -> None:
        self.uri = uri
        self.own_domain = key_ring.domain_of(uri)
        self._key_ring = key_ring
        self._random_bytes = random_bytes
        self._denied = frozenset(denied)
        self._granted = granted
        self._floor_ntp_s = 0.0

    @property
    def key_ring(self) -> KeyRing:
        """The KMSs trusted and the keys held now."""
        return self._key_ring

    def replace_keys(self, key_ring: KeyRing) -> None:
        """Use another key ring: keys of a new period, other KMSs. Raises IdentityError like the constructor."""
        own_domain = key_ring.domain_of(self.uri)
        kept = {keys.rsk for keys in key_ring.users}
        for keys in self._key_ring.users:
            if keys.rsk not in kept:
                sakke.forget_receiver_key(keys.rsk)
        self.own_domain = own_domain
        self._key_ring = key_ring

    @property
    def keys_end_ntp_s(self) -> int:
        """The end of the newest key period that this identity holds keys of (NTP seconds); 0 without keys."""
        own = (keys.key_period_no for keys in self._key_ring.users if keys.uri == self.uri)
        try:
            return max((self.own_domain.period_bounds(period)[1] for period in own), default=0)
        except IdentityError:
            return 0

    def has_keys_at(self, ntp_s: float) -> bool:
        """Whether this identity's own keys of the key period of a time are held, and may be used."""
        try:
            self.keys_at(self.uri, ntp_s)
        except (IdentityError, NoKeysError):
            return False
        return True

    def forget_ended(self, ntp_s: float) -> None:
        """Drop all values computed from RSKs of key periods that are no longer accepted."""
        for keys in self._key_ring.users:
            if self._is_over(keys.kms_uri, keys.key_period_no, ntp_s):
                sakke.forget_receiver_key(keys.rsk)

    def use_none_over_by(self, floor_ntp_s: float) -> None:
        """From now on use no keys of periods whose overlap is over by this time floor (PROFILE 10)."""
        self._floor_ntp_s = floor_ntp_s

    def periods_over(self, ntp_s: float) -> frozenset[HeldPeriod]:
        """The key periods for which keys are held and whose overlap is over at a time."""
        held = {HeldPeriod(kms_uri=keys.kms_uri, key_period_no=keys.key_period_no) for keys in self._key_ring.users}
        return frozenset(period for period in held if self._is_over(period.kms_uri, period.key_period_no, ntp_s))

    def wipe(self, period: HeldPeriod) -> None:
        """Drop every RSK, SSK and PVT of a key period."""
        gone = [
            keys
            for keys in self._key_ring.users
            if (keys.kms_uri, keys.key_period_no) == (period.kms_uri, period.key_period_no)
        ]
        for keys in gone:
            sakke.forget_receiver_key(keys.rsk)
        self._key_ring = KeyRing(self._key_ring.domains, (keys for keys in self._key_ring.users if keys not in gone))

    def _is_over(self, kms_uri: str, key_period_no: int, ntp_s: float) -> bool:
        """Whether the overlap of a key period is over; False if its KMS is not known."""
        try:
            domain = self._key_ring.domain(kms_uri)
            return domain.period_bounds(key_period_no)[1] + domain.overlap_s() <= ntp_s
        except IdentityError:
            return False

    def has_ended(self, kms_uri: str, key_period_no: int) -> bool:
        """Whether the overlap of a key period is over by the time floor. Its keys are then not used."""
        return self._is_over(kms_uri, key_period_no, self._floor_ntp_s)

    def keys_at(self, uri: str, ntp_s: float) -> UserKeys:
        """The keys of an identity for the key period of a time.

        Raises IdentityError, or NoKeysError, which also stands for a period that is over by the time floor.
        """
        keys = self._key_ring.keys_at(uri, ntp_s)
        if self.has_ended(keys.kms_uri, keys.key_period_no):
            raise NoKeysError(f"key period {keys.key_period_no} of {uri} is over by the time floor")
        return keys

    def forget_receiver_keys(self) -> None:
        """Drop all values computed from the RSKs held."""
        for keys in self._key_ring.users:
            sakke.forget_receiver_key(keys.rsk)

    def replace_denied(self, denied: Iterable[str]) -> None:
        """Use another deny list."""
        self._denied = frozenset(denied)

    def replace_granted(self, granted: frozenset[str] | None) -> None:
        """Use another list of allowed peers."""
        self._granted = granted

    def grants(self, uri: str) -> bool:
        """Whether the KMSs allow a link between this identity and another one."""
        return self._granted is None or uri in self._granted

    def denies(self, uri: str) -> bool:
        """Whether an identity is on the deny list."""
        return uri in self._denied

    def is_group(self, uri: str) -> bool:
        """Whether this UE holds an identity's RSK but no signing key: the identity is a group it is a member of."""
        return any(keys.uri == uri and uri != self.uri for keys in self._key_ring.users)

    def domain_of(self, uri: str) -> KmsDomain:
        """The one trusted KMS that speaks for an identity. Raises IdentityError."""
        return self._key_ring.domain_of(uri)

    def check_keys_at(self, uri: str, ntp_s: float) -> None:
        """Raise NoKeysError or IdentityError unless an identity's keys for the period of a time are held.

        `uri`: this identity, or a group that it is a member of.
        """
        self._key_ring.keys_at(uri, ntp_s)

    def key_times(self, peer: str, ntp_s: float) -> tuple[float, float]:
        """The end of the earlier one of both ends' key periods, and the end of its overlap (NTP seconds).

        Keys of an identity that no trusted KMS speaks for any longer have ended at that time.
        """
        try:
            domains = (self.own_domain, self.domain_of(peer))
            ends = [domain.period_bounds(domain.period_of(ntp_s))[1] for domain in domains]
        except IdentityError:
            return ntp_s, ntp_s
        lasting = [end + domain.overlap_s() for end, domain in zip(ends, domains, strict=True)]
        return min(ends), min(lasting)

    def draw_ssv(self, receivers: Iterable[str], ntp_s: float) -> bytes:
        """A fresh SSV, 16 octets, whose encapsulations every implementation reads alike (`sakke.readable`)."""
        uids = []
        for receiver in receivers:
            with contextlib.suppress(IdentityError):
                uids.append(self.domain_of(receiver).uid(receiver, ntp_s))
        return sakke.draw_ssv(self._random_bytes, uids)

    def suits(self, ssv: bytes, receiver: str, ntp_s: float) -> bool:
        """Whether every implementation reads an existing SSV alike when it is encapsulated to an identity."""
        try:
            return sakke.is_readable(ssv, self.domain_of(receiver).uid(receiver, ntp_s))
        except IdentityError:
            return True

    def issue(
        self, kind: int, binding_hash: bytes, *, to: str, ntp_s: float, ssv: bytes | None = None
    ) -> IssuedIMessage:
        """Make an I_MESSAGE to an identity, with a new SSV or, for groups, with a given one.

        Raises SecurityError without keys or for an unknown KMS.
        """
        ssv = ssv or self.draw_ssv((to,), ntp_s)
        octets = build_profile_i_message(
            kind,
            binding_hash,
            keys=self.keys_at(self.uri, ntp_s),
            initiator_domain=self.own_domain,
            responder_uri=to,
            responder_domain=self.domain_of(to),
            ntp_s=ntp_s,
            ssv=ssv,
            random=self._random_bytes,
        )
        return IssuedIMessage(octets=octets, signed_part=octets[:-SIGNATURE_OCTETS], ssv=ssv)

    def check(self, octets: bytes, kind: Kind, binding_hash: bytes, *, sender: str) -> ProfileIMessage:
        """Decode an I_MESSAGE to this identity and check its form, without any curve operation.

        Raises ProfileFormError, IdentityError.
        """
        return check_profile_i_message(
            octets,
            kind=kind,
            binding_hash=binding_hash,
            initiator_uri=sender,
            responder_uri=self.uri,
            initiator_domain=self.domain_of(sender),
            responder_domain=self.own_domain,
        )

    def accepts_period(self, i_message: ProfileIMessage, now_ntp_s: float) -> bool:
        """Whether both ends' key periods of T may be used now, by the clock and by the floor; raises IdentityError."""
        ends = (self.domain_of(i_message.initiator_uri), self.domain_of(i_message.responder_uri))
        return all(
            domain.accepts_period(now_ntp_s, i_message.ntp_s)
            and not self.has_ended(domain.uri, domain.period_of(i_message.ntp_s))
            for domain in ends
        )

    def verify(self, i_message: ProfileIMessage) -> None:
        """Verify the signature under the message's IDRi and the key period of its T.

        Raises SignatureError, IdentityError.
        """
        domain = self.domain_of(i_message.initiator_uri)
        uid = domain.uid(i_message.initiator_uri, i_message.ntp_s)
        verify_i_message(i_message.i_message, uid=uid, kpak=domain.kpak)

    def open(self, i_message: ProfileIMessage) -> bytes:
        """The SSV, 16 octets, of an I_MESSAGE to this identity or to a group whose keys are held.

        Raises SecurityError.
        """
        receiver = i_message.responder_uri
        keys = self.keys_at(receiver, i_message.ntp_s)
        return extract_ssv(i_message.i_message, rsk=keys.rsk, uid=keys.uid, z=self.domain_of(receiver).z)
