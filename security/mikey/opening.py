"""Opening any I_MESSAGE with a key file: its sender, its receiver, and the key it carries.

A signature says that some KMS vouches for its signer. It counts only if that KMS speaks for the signer by the key file
(`security.keyfile`); the message does not decide that. The KMS that a message names for an end can only confirm this;
if it names another one, the message is refused. The same rules apply to the receiving end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from security.eccsi.eccsi import SignatureError
from security.errors import SecurityError
from security.identifiers import IdentityError, KmsDomain
from security.identity_spelling import VISIBLE
from security.keyfile import KeyFile, KeyFileError, KeyFileUser
from security.mikey.error_message import ErrorMessage, verify_error_message
from security.mikey.errors import ErrorNumber, MikeyError
from security.mikey.i_message import IMessage, extract_ssv, verify_i_message
from security.mikey.numbers import Role
from security.sakke import DecapsulationError
from security.sakke.deviations import decapsulate_short_values


class Deviation(StrEnum):
    """Departures of other implementations that can be tolerated by name."""

    UNSIGNED_SIGN_HEADER = "unsigned-sign-header"
    """The signature doesn't cover the 2-octet SIGN header."""
    SHORT_VALUES = "short-values"
    """g^r is hashed, and H written, without leading zero octets."""
    PERIOD_OFFSET_ADDED = "period-offset-added"
    """The key period is floor((T + offset) / period) instead of floor((T - offset) / period)."""


class OpeningError(SecurityError):
    """An I_MESSAGE can't be opened with this key file, or must not be trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedIMessage:
    """A verified and opened I_MESSAGE, with the KMSs that vouch for its ends. The key doesn't show in repr."""

    initiator: str
    initiator_kms: str
    responder: str
    responder_kms: str
    ssv: bytes = field(repr=False)
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Party:
    """One way to interpret the identity of an end of the message."""

    name: str
    domain: KmsDomain
    uid: bytes
    rsk: bytes | None = field(default=None, repr=False)


def open_i_message(
    i_message: IMessage, key_file: KeyFile, tolerate: frozenset[Deviation] = frozenset()
) -> OpenedIMessage:
    """Verify the signature, then open the SAKKE payload. Raises a SecurityError that names the fault.

    Users are matched by URI or by UID in the key period of T; a message without IDRs is tried with all users.
    """
    periods = _period_rules(i_message, tolerate)
    signer = _verified_signer(i_message, _parties(i_message, key_file, INITIATOR_ROLES, periods), tolerate)
    receivers = list(_parties(i_message, key_file, RESPONDER_ROLES, periods))
    receiver, ssv = _opened(i_message, receivers, tolerate)
    checks = (
        f"ECCSI signature verified as {signer.name} under KMS {signer.domain.uri} (RFC 6507 5.2.2)",
        f"SAKKE opened as {receiver.name} under KMS {receiver.domain.uri}; encapsulated again to the same point "
        "(RFC 6508 6.2.2)",
    )
    return OpenedIMessage(
        initiator=signer.name,
        initiator_kms=signer.domain.uri,
        responder=receiver.name,
        responder_kms=receiver.domain.uri,
        ssv=ssv,
        checks=checks,
    )


def verified_error_signer(error: ErrorMessage, key_file: KeyFile) -> str:
    """The user of a key file that signed an error message, in the key period of its T. Raises SignatureError."""
    for user in key_file.users:
        domain = key_file.domain(user.kms_uri)
        with contextlib.suppress(IdentityError, SignatureError, KeyFileError, OpeningError):
            _check_speaker(_Party(name=user.uri, domain=domain, uid=b""), key_file, None)
            uid = user.uid_at(domain, domain.period_of(error.timestamp.ntp_s))
            verify_error_message(error, uid=uid, kpak=domain.kpak)
            return user.uri
    raise SignatureError("no user of the key file signed the error message")


@dataclass(frozen=True, slots=True, kw_only=True)
class _EndRoles:
    """IDR roles of one end of the message."""

    name: str
    uri: Role
    uid: Role
    kms: Role


INITIATOR_ROLES = _EndRoles(name="initiator", uri=Role.INITIATOR, uid=Role.INITIATOR_UID, kms=Role.INITIATOR_KMS)
RESPONDER_ROLES = _EndRoles(name="responder", uri=Role.RESPONDER, uid=Role.RESPONDER_UID, kms=Role.RESPONDER_KMS)

PeriodRule = Callable[[KmsDomain], int]


def _period_rules(i_message: IMessage, tolerate: frozenset[Deviation]) -> list[PeriodRule]:
    ntp_s = i_message.timestamp.ntp_s
    rules: list[PeriodRule] = [lambda domain: domain.period_of(ntp_s)]
    if Deviation.PERIOD_OFFSET_ADDED in tolerate:
        rules.append(lambda domain: domain.period_of(ntp_s + 2 * domain.key_period_offset_s))
    return rules


def _parties(i_message: IMessage, key_file: KeyFile, roles: _EndRoles, periods: list[PeriodRule]) -> Iterator[_Party]:
    """Every interpretation of one end that the message and the key file allow, users of the file first."""
    stated_uri, stated_uid = i_message.role(roles.uri), i_message.role(roles.uid)
    stated_kms = _stated_kms(i_message, key_file, roles)
    refusal: SecurityError | None = None
    found = False
    for user in key_file.users:
        for party in _as_user(user, key_file, periods, with_keys=roles is RESPONDER_ROLES):
            if not _is_named(party, stated_uri, stated_uid):
                continue
            found = True
            try:
                _check_speaker(party, key_file, stated_kms)
            except SecurityError as exc:
                refusal = refusal or exc
            else:
                yield party
    if refusal is not None and (stated_uri is not None or stated_uid is not None):
        raise refusal
    if roles is INITIATOR_ROLES and not found:
        yield from _as_stranger(key_file, stated_kms, stated_uri, stated_uid, periods)


def _stated_kms(i_message: IMessage, key_file: KeyFile, roles: _EndRoles) -> str | None:
    """The KMS that the message names for an end, if any: one that the file has, and the only one named for this end."""
    named = set(i_message.role_uris(roles.kms)) or set(i_message.role_uris(Role.KMS))
    if len(named) > 1:
        raise OpeningError(f"the message names two KMSs for its {roles.name}: {', '.join(sorted(named))}")
    for kms_uri in named:
        key_file.domain(kms_uri)
        return kms_uri
    return None


def _check_speaker(party: _Party, key_file: KeyFile, stated_kms: str | None) -> None:
    """Check that the party's KMS speaks for it, and that the message names no other one."""
    speaker = key_file.speaker_of(party.name)
    if speaker.uri != party.domain.uri or stated_kms not in (None, speaker.uri):
        other = party.domain.uri if speaker.uri != party.domain.uri else stated_kms
        raise OpeningError(f"KMS {other} does not speak for {party.name}: KMS {speaker.uri} does")


def _as_user(user: KeyFileUser, key_file: KeyFile, periods: list[PeriodRule], *, with_keys: bool) -> Iterator[_Party]:
    """A user of the file in the key periods that T may mean; none if the keys needed are of another period."""
    domain = key_file.domain(user.kms_uri)
    for rule in periods:
        with contextlib.suppress(IdentityError):
            period = rule(domain)
            if not with_keys or user.holds_period(domain, period):
                yield _Party(name=user.uri, domain=domain, uid=user.uid_at(domain, period), rsk=user.rsk)


def _is_named(party: _Party, uri: bytes | None, uid: bytes | None) -> bool:
    return uri in (None, party.name.encode("ascii"), party.uid) and uid in (None, party.uid)


def _as_stranger(
    key_file: KeyFile, kms_uri: str | None, uri: bytes | None, uid: bytes | None, periods: list[PeriodRule]
) -> Iterator[_Party]:
    """A signer that the file doesn't list: its identifier comes from the message, its KMS from the file.

    A UID hides the identity, so the namespaces can't be searched: the file must then have one KMS only.
    """
    if uri is not None and VISIBLE.fullmatch(uri.decode("latin-1")):
        party_name = uri.decode("ascii")
        domain = key_file.speaker_of(party_name)
        if kms_uri not in (None, domain.uri):
            raise OpeningError(f"KMS {kms_uri} does not speak for {party_name}: KMS {domain.uri} does")
        for rule in periods:
            with contextlib.suppress(IdentityError):
                identifier = domain.uid_for_period(party_name, rule(domain))
                if uid in (None, identifier):
                    yield _Party(name=party_name, domain=domain, uid=identifier)
        return
    hidden = uid if uid is not None else uri
    if hidden is None:
        return
    if len(key_file.domains) != 1:
        raise OpeningError(f"the key file lists no user with UID {hidden.hex()}, and has more than one KMS")
    yield _Party(name=f"UID {hidden.hex()}", domain=key_file.domains[0], uid=hidden)


def _verified_signer(i_message: IMessage, parties: Iterator[_Party], tolerate: frozenset[Deviation]) -> _Party:
    lenient = Deviation.UNSIGNED_SIGN_HEADER in tolerate
    failure: SignatureError | None = None
    for party in parties:
        try:
            verify_i_message(i_message, uid=party.uid, kpak=party.domain.kpak, tolerate_unsigned_sign_header=lenient)
        except SignatureError as exc:
            failure = failure or exc
        else:
            return party
    if failure is not None:
        raise failure
    raise OpeningError("the message doesn't say who signed it, and no user of the key file did")


def _opened(i_message: IMessage, parties: list[_Party], tolerate: frozenset[Deviation]) -> tuple[_Party, bytes]:
    if not parties:
        raise OpeningError("the key file has no user the message is for, in the key period of T")
    holders = [party for party in parties if party.rsk]
    if not holders:
        raise OpeningError(f"the key file has no RSK of {parties[0].name} for the key period of T")
    _check_scheme(i_message, holders)
    failure: SecurityError | None = None
    for party in holders:
        try:
            return party, _open_as(i_message, party, tolerate)
        except DecapsulationError as exc:
            failure = failure or exc
    raise failure or OpeningError("the SAKKE payload can't be opened")


def _open_as(i_message: IMessage, party: _Party, tolerate: frozenset[Deviation]) -> bytes:
    rsk = party.rsk or b""
    try:
        return extract_ssv(i_message, rsk=rsk, uid=party.uid, z=party.domain.z)
    except DecapsulationError:
        if Deviation.SHORT_VALUES not in tolerate:
            raise
        return decapsulate_short_values(i_message.sakke.data, rsk=rsk, uid=party.uid, z=party.domain.z)


def _check_scheme(i_message: IMessage, parties: list[_Party]) -> None:
    scheme = i_message.sakke.scheme
    if all(party.domain.uid_scheme != scheme for party in parties):
        raise MikeyError(
            f"identifier scheme {scheme} in the SAKKE payload, scheme {parties[0].domain.uid_scheme} at KMS "
            f"{parties[0].domain.uri}",
            ErrorNumber.INVALID_ID,
        )
