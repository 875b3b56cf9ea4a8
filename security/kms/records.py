"""What a KMS remembers: users, grants, groups, tokens, certificates, the audit log; all within one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from security.kms.audit import MAIN_STREAM, AuditHead, AuditLine
from security.kms.authority import Grant, Use
from security.kms.errors import KmsConfigError
from security.kms.protocol import MAX_DENIED, MAX_DISCOVERY_GROUPS, MAX_GROUPS, MAX_PEERS
from security.kms.tables import (
    SCHEMA_VERSION,
    audit_stream_table,
    audit_table,
    certificate_table,
    denied_table,
    discovery_table,
    grant_table,
    group_table,
    kms_table,
    pair_table,
    token_table,
    trusted_table,
    user_table,
)

ROWS_AT_ONCE: Final = 1000


def _among(column: sa.Column[Any]) -> sa.ColumnElement[bool]:
    """The column's value is one of those given as `among` when the statement is run."""
    return column.in_(sa.bindparam("among", expanding=True))


GRANTS_OF_URIS: Final = sa.select(grant_table).where(_among(grant_table.c.uri))
PEERS_OF_URIS: Final = sa.select(pair_table).where(_among(pair_table.c.uri)).order_by(pair_table.c.peer)
GROUPS_OF_MEMBERS: Final = sa.select(group_table).where(_among(group_table.c.member)).order_by(group_table.c.group_uri)
DISCOVERY_OF_USERS: Final = (
    sa.select(discovery_table).where(_among(discovery_table.c.user)).order_by(discovery_table.c.discovery_group)
)
DENIED_AMONG: Final = sa.select(denied_table.c.uri).where(_among(denied_table.c.uri))
DENY_LIST: Final = (
    sa.select(denied_table.c.uri)
    .where(denied_table.c.listed_until_ntp_s > sa.bindparam("now_ntp_s"))
    .order_by(denied_table.c.listed_until_ntp_s.desc(), denied_table.c.uri)
    .limit(MAX_DENIED)
)
USERS_OF_CERTIFICATES: Final = (
    sa.select(certificate_table.c.fingerprint, user_table.c.name, user_table.c.revoked)
    .join(user_table, user_table.c.name == certificate_table.c.user)
    .where(_among(certificate_table.c.fingerprint))
)
AUDIT_HEAD: Final = (
    sa.select(audit_stream_table).where(audit_stream_table.c.stream == sa.bindparam("of_stream")).with_for_update()
)
MOVE_AUDIT_HEAD: Final = (
    sa.update(audit_stream_table)
    .where(audit_stream_table.c.stream == sa.bindparam("of_stream"))
    .values(lines=sa.bindparam("count"), hash=sa.bindparam("hash_hex"))
)
ADD_AUDIT_LINES: Final = sa.insert(audit_table)


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsRow:
    """The KMS itself: public parameters (JSON), the lab CA, the audit key (public), and what is sealed."""

    parameters: str
    ca_pem: str
    audit_key_hex: str
    sealed_secrets: bytes = field(repr=False)


class Records:
    """Reads and writes within one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    def holds_kms(self) -> bool:
        """Whether there is a KMS here."""
        return self.connection.scalar(sa.select(kms_table.c.id)) is not None

    def insert_kms(self, kms: KmsRow) -> None:
        """Write the KMS's own row; raises KmsConfigError if there is one."""
        if self.holds_kms():
            raise KmsConfigError("the database holds a KMS already")
        self.insert(
            kms_table,
            id=1,
            schema_version=SCHEMA_VERSION,
            parameters=kms.parameters,
            ca_pem=kms.ca_pem,
            audit_key=kms.audit_key_hex,
            sealed_secrets=kms.sealed_secrets,
        )
        self.open_audit_stream(MAIN_STREAM)

    def kms(self) -> KmsRow:
        """The KMS's own row; raises KmsConfigError if there is none or it is of another schema."""
        row = self.connection.execute(sa.select(kms_table)).one_or_none()
        if row is None:
            raise KmsConfigError("the database holds no KMS")
        if row.schema_version != SCHEMA_VERSION:
            raise KmsConfigError(f"the database has schema {row.schema_version}; this program knows {SCHEMA_VERSION}")
        return KmsRow(
            parameters=row.parameters,
            ca_pem=row.ca_pem,
            audit_key_hex=row.audit_key,
            sealed_secrets=row.sealed_secrets,
        )

    def replace_sealed_secrets(self, sealed: bytes) -> None:
        """Write the master secrets as sealed anew."""
        self.connection.execute(sa.update(kms_table).values(sealed_secrets=sealed))

    def add_user(self, name: str) -> None:
        """Make sure a user exists; raises KmsConfigError for a revoked one."""
        revoked = self.connection.scalar(sa.select(user_table.c.revoked).where(user_table.c.name == name))
        if revoked:
            raise KmsConfigError(f"user {name} is revoked; enrol under another name")
        if revoked is None:
            self.insert(user_table, name=name, revoked=False)

    def user_is_revoked(self, name: str) -> bool | None:
        """Whether a user is revoked; None if there is no such user."""
        return self.connection.scalar(sa.select(user_table.c.revoked).where(user_table.c.name == name))

    def revoke_user(self, name: str) -> None:
        """Mark a user revoked, for good."""
        self.connection.execute(sa.update(user_table).where(user_table.c.name == name).values(revoked=True))

    def put_grant(self, user: str, grant: Grant) -> None:
        """Write or replace an identity's grant to a user; raises KmsConfigError if it is another's or a group's."""
        owner = self.connection.scalar(sa.select(grant_table.c.user).where(grant_table.c.uri == grant.uri))
        if owner not in (None, user):
            raise KmsConfigError(f"{grant.uri} belongs to user {owner}")
        if self.is_group(grant.uri):
            raise KmsConfigError(f"{grant.uri} is a group's identity; nobody gets its signing keys")
        self.connection.execute(sa.delete(grant_table).where(grant_table.c.uri == grant.uri))
        self.insert(
            grant_table,
            user=user,
            uri=grant.uri,
            uses=",".join(sorted(grant.uses)),
            not_before_ntp_s=grant.not_before_ntp_s,
            not_after_ntp_s=grant.not_after_ntp_s,
        )

    def grants(self, user: str) -> tuple[Grant, ...]:
        """Every identity a user may have keys for."""
        query = sa.select(grant_table).where(grant_table.c.user == user).order_by(grant_table.c.uri)
        return tuple(_grant(row) for row in self.connection.execute(query))

    def owned_grants(self, uris: Collection[str]) -> dict[str, tuple[str, Grant]]:
        """For each of these identities that is granted: to whom, and how."""
        rows = self.connection.execute(GRANTS_OF_URIS, {"among": list(uris)})
        return {row.uri: (row.user, _grant(row)) for row in rows}

    def allow_pair(self, uri: str, peer: str) -> None:
        """Let two identities link with each other; with any pair on record, only listed peers may.

        Raises KmsConfigError for too many.
        """
        for one, other in ((uri, peer), (peer, uri)):
            known = self.peers_of((one,)).get(one, ())
            if other in known:
                continue
            if len(known) >= MAX_PEERS:
                raise KmsConfigError(f"{one} has {MAX_PEERS} peers already, which is the most")
            self.insert(pair_table, uri=one, peer=other)

    def peers_of(self, uris: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The identities each of these may link with; absent where no list is kept (all authorised identities)."""
        rows = self.connection.execute(PEERS_OF_URIS, {"among": list(uris)})
        return _gathered((row.uri, row.peer) for row in rows)

    def join_group(self, group_uri: str, member: str) -> None:
        """Make an identity a member of a group identity; raises KmsConfigError if that is somebody's own."""
        if self.owned_grants((group_uri,)):
            raise KmsConfigError(f"{group_uri} is a user's identity; it can't be a group's")
        joined = self.groups_of((member,)).get(member, ())
        if group_uri in joined:
            return
        if len(joined) >= MAX_GROUPS:
            raise KmsConfigError(f"{member} is a member of {MAX_GROUPS} groups already; a user's keys hold no more")
        self.insert(group_table, member=member, group_uri=group_uri)

    def leave_group(self, group_uri: str, member: str) -> bool:
        """End a membership; whether there was one."""
        row = (group_table.c.group_uri == group_uri, group_table.c.member == member)
        return self.connection.execute(sa.delete(group_table).where(*row)).rowcount == 1

    def groups_of(self, members: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The group identities whose keys each of these members gets; absent where there are none."""
        rows = self.connection.execute(GROUPS_OF_MEMBERS, {"among": list(members)})
        return _gathered((row.member, row.group_uri) for row in rows)

    def is_group(self, uri: str) -> bool:
        """Whether an identity is a group's."""
        query = sa.select(group_table.c.member).where(group_table.c.group_uri == uri).limit(1)
        return self.connection.scalar(query) is not None

    def join_discovery(self, user: str, discovery_group: str) -> None:
        """Make a user a member of a discovery group; raises KmsConfigError for too many."""
        joined = self.discovery_groups(user)
        if discovery_group in joined:
            return
        if len(joined) >= MAX_DISCOVERY_GROUPS:
            raise KmsConfigError(
                f"user {user} is in {MAX_DISCOVERY_GROUPS} discovery groups already, which is the most"
            )
        self.insert(discovery_table, user=user, discovery_group=discovery_group)

    def leave_discovery(self, user: str, discovery_group: str) -> bool:
        """End a user's membership of a discovery group; whether there was one."""
        row = (discovery_table.c.user == user, discovery_table.c.discovery_group == discovery_group)
        return self.connection.execute(sa.delete(discovery_table).where(*row)).rowcount == 1

    def discovery_groups(self, user: str) -> tuple[str, ...]:
        """The discovery groups whose keys a user gets."""
        return self.discovery_groups_of((user,)).get(user, ())

    def discovery_groups_of(self, users: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The discovery groups whose keys each of these users gets; absent where there are none."""
        rows = self.connection.execute(DISCOVERY_OF_USERS, {"among": list(users)})
        return _gathered((row.user, row.discovery_group) for row in rows)

    def deny(self, uri: str, *, listed_until_ntp_s: int) -> None:
        """Deny an identity keys for good, and list it until its last keys are dead."""
        if not self.is_denied(uri):
            self.insert(denied_table, uri=uri, listed_until_ntp_s=listed_until_ntp_s)

    def is_denied(self, uri: str) -> bool:
        """Whether an identity is denied keys, listed or not."""
        return bool(self.denied_among((uri,)))

    def denied_among(self, uris: Collection[str]) -> frozenset[str]:
        """Which of these identities are denied keys, listed or not."""
        return frozenset(self.connection.scalars(DENIED_AMONG, {"among": list(uris)}) if uris else ())

    def deny_list(self, now_ntp_s: int) -> tuple[str, ...]:
        """The denied identities whose last keys may still be taken somewhere, in order.

        Where they are more than a message holds, those whose keys live longest.
        """
        return tuple(sorted(self.connection.scalars(DENY_LIST, {"now_ntp_s": now_ntp_s})))

    def trust_domain(self, uri: str, parameters: str) -> None:
        """Keep another KMS's public parameters (JSON); raises KmsConfigError if others are kept for it."""
        held = self.connection.scalar(sa.select(trusted_table.c.parameters).where(trusted_table.c.uri == uri))
        if held not in (None, parameters):
            raise KmsConfigError(f"other parameters are kept for KMS {uri}; a KMS does not change its keys")
        if held is None:
            self.insert(trusted_table, uri=uri, parameters=parameters)

    def trusted_domains(self) -> tuple[str, ...]:
        """Public parameters (JSON) of every other KMS known here."""
        return tuple(self.connection.scalars(sa.select(trusted_table.c.parameters).order_by(trusted_table.c.uri)))

    def add_token(self, digest: str, *, user: str, expires_unix_s: int) -> None:
        """Remember a one-time enrolment token by its digest."""
        self.insert(token_table, digest=digest, user=user, expires_unix_s=expires_unix_s, used=False)

    def token_user(self, digest: str, *, now_unix_s: int) -> str | None:
        """Whom an unused, unexpired token is for."""
        return self.connection.scalar(sa.select(token_table.c.user).where(*_usable_token(digest, now_unix_s)))

    def use_token(self, digest: str, *, now_unix_s: int) -> bool:
        """Use up a token; True for exactly one caller."""
        used = self.connection.execute(
            sa.update(token_table).where(*_usable_token(digest, now_unix_s)).values(used=True)
        )
        return used.rowcount == 1

    def forget_tokens(self) -> int:
        """Use up every open token; returns how many there were."""
        open_tokens = sa.update(token_table).where(token_table.c.used.is_(False))
        return self.connection.execute(open_tokens.values(used=True)).rowcount

    def add_certificate(self, fingerprint: str, *, user: str) -> None:
        """Remember whose a client certificate is."""
        self.insert(certificate_table, fingerprint=fingerprint, user=user)

    def certificate_users(self, fingerprints: Collection[str]) -> dict[str, tuple[str, bool]]:
        """For each of these certificates that is known: whose it is, and whether that user is revoked."""
        rows = self.connection.execute(USERS_OF_CERTIFICATES, {"among": list(fingerprints)})
        return {row.fingerprint: (row.name, row.revoked) for row in rows}

    def open_audit_stream(self, stream: str) -> AuditHead:
        """Make an empty stream of the audit log."""
        head = AuditHead(stream=stream)
        self.insert(audit_stream_table, stream=stream, lines=head.count, hash=head.hash_hex)
        return head

    def audit_head(self, stream: str = MAIN_STREAM) -> AuditHead | None:
        """Count and last hash of an audit stream, locked until the transaction ends; None if there is no such one."""
        row = self.connection.execute(AUDIT_HEAD, {"of_stream": stream}).one_or_none()
        return AuditHead(stream=row.stream, count=row.lines, hash_hex=row.hash) if row else None

    def audit_heads(self) -> dict[str, AuditHead]:
        """Every stream's count and last hash as kept apart from the lines."""
        return {
            row.stream: AuditHead(stream=row.stream, count=row.lines, hash_hex=row.hash)
            for row in self.connection.execute(sa.select(audit_stream_table).order_by(audit_stream_table.c.stream))
        }

    def append_audit(self, lines: Iterable[AuditLine], head: AuditHead) -> None:
        """Add the lines that make `head` to its stream."""
        texts = list(lines)
        first = head.count - len(texts) + 1
        rows = [
            {"stream": head.stream, "seq": seq, "line": line.text, "signature": line.signature_hex}
            for seq, line in enumerate(texts, start=first)
        ]
        self.connection.execute(ADD_AUDIT_LINES, rows)
        self.connection.execute(
            MOVE_AUDIT_HEAD, {"of_stream": head.stream, "count": head.count, "hash_hex": head.hash_hex}
        )

    def audit_lines(self, stream: str | None = None) -> Iterator[AuditLine]:
        """The lines of one stream in order, or of all streams one behind the other."""
        query = sa.select(audit_table).order_by(audit_table.c.stream, audit_table.c.seq)
        if stream is not None:
            query = query.where(audit_table.c.stream == stream)
        for row in self.connection.execute(query, execution_options={"yield_per": ROWS_AT_ONCE}):
            yield AuditLine(text=row.line, signature_hex=row.signature)

    def insert(self, table: sa.Table, **values: Any) -> None:
        self.connection.execute(sa.insert(table).values(**values))


def _usable_token(digest: str, now_unix_s: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        token_table.c.digest == digest,
        token_table.c.used.is_(False),
        token_table.c.expires_unix_s > now_unix_s,
    )


def _grant(row: Any) -> Grant:
    return Grant(
        uri=row.uri,
        uses=frozenset(Use(use) for use in row.uses.split(",") if use),
        not_before_ntp_s=row.not_before_ntp_s,
        not_after_ntp_s=row.not_after_ntp_s,
    )


def _gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Values by key, in the order they come."""
    lists: dict[str, list[str]] = {}
    for key, value in pairs:
        lists.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in lists.items()}
