"""A UE's checks of a statement of an identity map, cheapest first, and the choice between statements about a number.

1. the KMS is trusted, and its namespace holds the identity and the number;
2. now lies within the dates, which span at most one key period and its overlap;
3. number and use are those asked for;
4. the serial is not below the highest one held for the number, whether that number has a holder or not;
5. the signature verifies;
6. the identity is one of the KMS's identifier scheme.

A serial is remembered only once all checks have passed: a forged statement must not exclude a genuine one. Two
statements with one serial contradict each other: neither is valid, until there is a higher serial.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from security.eccsi.eccsi import SignatureError
from security.errors import USAGE, SecurityError
from security.identifiers import IdentityError, KeyRing, KmsDomain, UidScheme
from security.identity_map.signature import split_signed, verify_statement
from security.identity_map.statement import MapState, MapStatement, MapUse, StatementError


class MapRefused(SecurityError):
    """A statement is refused; `check` names the failed check in few words."""

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(f"{check}: {detail}")
        self.check = check


class NumberNotResolved(SecurityError):
    """A number has no known holder: it can't be called."""

    exit_code: ClassVar[int] = USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldNumber:
    """A UE's entry for one number: the highest serial, the SHA-256 of its statement (hex), and the signed statement.

    `signed` is empty if no statement is valid: two of them had one serial, and a higher one is needed.
    """

    number: str
    serial: int
    digest: str
    signed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The identity of a number, and its source: a KMS's URI, or `own` for the UE's own file."""

    identity: str
    by: str


def take_statement(
    signed: bytes, *, asked: str, ring: KeyRing, held: HeldNumber | None, now_ntp_s: float
) -> HeldNumber:
    """The entry for a number after a KMS sent a statement; the caller writes it to the disk.

    Raises MapRefused; the entry stays as it was. If two statements have one serial the new entry holds neither, and
    `contradicts` reports it.
    """
    statement, signature = _read(signed)
    domain = _check(statement, ring=ring, number=asked, use=None, now_ntp_s=now_ntp_s)
    digest = hashlib.sha256(statement.encode()).hexdigest()
    if held is not None and statement.serial < held.serial:
        raise MapRefused("serial", f"{statement.serial} of {asked} is below {held.serial}")
    _check_signed(statement, signature, domain)
    if held is not None and statement.serial == held.serial:
        return held if digest == held.digest else HeldNumber(number=asked, serial=held.serial, digest="", signed=b"")
    return HeldNumber(number=asked, serial=statement.serial, digest=digest, signed=signed)


def contradicts(before: HeldNumber | None, after: HeldNumber) -> bool:
    """Whether the last statement had the serial of another one, so that neither is valid now."""
    return not after.signed and (before is None or bool(before.signed))


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityMap:
    """The numbers that a UE can call: entries of its own file, which have precedence, and statements of its KMSs."""

    own: Mapping[str, str]
    held: Mapping[str, HeldNumber]
    ring: KeyRing

    def resolve(self, number: str, use: MapUse, now_ntp_s: float) -> Resolved:
        """The identity of a number. Raises NumberNotResolved; never asks a carrier."""
        if number in self.own:
            return Resolved(identity=self.own[number], by="own")
        held = self.held.get(number)
        if held is None:
            raise NumberNotResolved(f"{number}: no KMS has said whose it is")
        if not held.signed:
            raise NumberNotResolved(f"{number}: two statements with one serial contradict each other")
        try:
            statement, signature = _read(held.signed)
            domain = _check(statement, ring=self.ring, number=number, use=use, now_ntp_s=now_ntp_s)
            _check_signed(statement, signature, domain)
        except MapRefused as exc:
            raise NumberNotResolved(f"{number}: {exc}") from exc
        if statement.state is not MapState.VALID:
            raise NumberNotResolved(f"{number}: it has no holder, says KMS {statement.kms_uri}")
        return Resolved(identity=statement.identity, by=statement.kms_uri)


def _read(signed: bytes) -> tuple[MapStatement, bytes]:
    try:
        return split_signed(signed)
    except StatementError as exc:
        raise MapRefused("form", str(exc)) from exc


def _check(statement: MapStatement, *, ring: KeyRing, number: str, use: MapUse | None, now_ntp_s: float) -> KmsDomain:
    """Make checks 1 to 3; return the KMS. `use` None: no particular use is asked for."""
    try:
        domain = ring.domain(statement.kms_uri)
        speakers = {ring.domain_of(uri).uri for uri in (statement.identity, f"tel:{statement.number}")}
        start, end = domain.period_bounds(domain.period_of(statement.issued_ntp_s))
    except IdentityError as exc:
        raise MapRefused("KMS", str(exc)) from exc
    if speakers != {domain.uri}:
        raise MapRefused("KMS", f"{domain.uri} does not speak for {statement.identity} and {statement.number}")
    if not statement.not_before_ntp_s <= now_ntp_s < statement.not_after_ntp_s:
        raise MapRefused("dates", f"the statement of {statement.number} is not of this time")
    if statement.not_after_ntp_s - statement.not_before_ntp_s > end - start + domain.overlap_s():
        raise MapRefused("dates", f"the statement of {statement.number} lasts longer than a key period")
    if statement.number != number:
        raise MapRefused("number", f"asked for {number}, the statement is of {statement.number}")
    if use is not None and use not in statement.uses:
        raise MapRefused("use", f"{number} is not for this use")
    return domain


def _check_signed(statement: MapStatement, signature: bytes, domain: KmsDomain) -> None:
    """Make checks 5 and 6."""
    try:
        verify_statement(statement, signature, domain)
    except (SignatureError, IdentityError) as exc:
        raise MapRefused("signature", str(exc)) from exc
    fits = statement.scheme == domain.uid_scheme
    if not fits or (domain.uid_scheme == UidScheme.MONTHLY_TEL and not statement.identity.startswith("tel:")):
        raise MapRefused("scheme", f"{statement.identity} is no identity of scheme {domain.uid_scheme}")
