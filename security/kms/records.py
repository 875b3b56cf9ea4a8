"""The tables of a KMS: users, grants, groups, tokens, certificates, the audit log; all within one transaction.

A `Records` belongs to one transaction of `database`: its changes are committed together or not at all. It holds the
rules that need the tables: an identity belongs to one user, or to a group and then to no user; a revoked user or a
denied identity stays so; a token is used up once; the parameters of another KMS don't change; and no list outgrows the
message in which it is sent. It knows no protocol and makes no keys.

Once the secrets are opened, every row that is read here is checked against its tag, and every missing row is detected
(`guarded_rows`). RowsAlteredError is raised before an edited row can have an effect. The KMS's own row is read without
a check, because it holds the sealed secrets from which the key of the tags comes; sealing protects them.

For most tables it is enough to check the rows of the key that is asked for. The deny list is different: what matters is
that no row is missing from the whole. So its keys are held as a set, and what the database returns is compared with
that set. If more identities are denied than a message holds, those whose keys live longest are listed.

Reads that a request for keys needs take a collection of identities or users, since `issue_queue` answers many requests
with one transaction: the number of queries doesn't grow with them. Their statements are made once, as constants.

The audit log, the orders of interception and the telephone numbers have their own files (`audit_records`,
`intercept_records`, `number_records`), which this class joins.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from security.held_keys import Grant, Use
from security.kms.audit import MAIN_STREAM
from security.kms.audit_records import AuditRecords
from security.kms.intercept_records import InterceptRecords
from security.kms.number_records import NumberRecords
from security.kms.row_tags import RULES
from security.kms.tables import (
    SCHEMA_VERSION,
    SCHEMA_WITHOUT_TAGS,
    certificate_table,
    denied_table,
    discovery_table,
    grant_table,
    group_table,
    kms_table,
    pair_table,
    sealed_part_table,
    token_table,
    trusted_table,
    user_table,
)
from security.kms_wire.errors import KmsConfigError, RowsAlteredError
from security.kms_wire.protocol import MAX_DENIED, MAX_DISCOVERY_GROUPS, MAX_GROUPS, MAX_PEERS


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
    sa.select(certificate_table.c.fingerprint, certificate_table.c.user, user_table.c.name, user_table.c.revoked)
    .join(user_table, user_table.c.name == certificate_table.c.user, isouter=True)
    .where(_among(certificate_table.c.fingerprint))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsRow:
    """The KMS itself: public parameters (JSON), the lab CA, the audit key (public), and the sealed values."""

    parameters: str
    ca_pem: str
    audit_key_hex: str
    sealed_secrets: bytes = field(repr=False)
    schema_version: int = SCHEMA_VERSION


class Records(AuditRecords, InterceptRecords, NumberRecords):
    """Reads and writes within one transaction.

    The class is longer than most: it has a short method for each of them.
    """

    def holds_kms(self) -> bool:
        """Whether there is a KMS here."""
        return self.connection.scalar(sa.select(kms_table.c.id)) is not None

    def insert_kms(self, kms: KmsRow) -> None:
        """Write the KMS's own row, and the tree of tags; raises KmsConfigError if there is one."""
        if self.holds_kms():
            raise KmsConfigError("the database holds a KMS already")
        self._guard().found()
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
        """The KMS's own row, unchecked; raises KmsConfigError if there is none or it is of an unknown schema."""
        row = self.connection.execute(sa.select(kms_table)).one_or_none()
        if row is None:
            raise KmsConfigError("the database holds no KMS")
        if row.schema_version not in (SCHEMA_VERSION, SCHEMA_WITHOUT_TAGS):
            raise KmsConfigError(f"the database has schema {row.schema_version}; this program knows {SCHEMA_VERSION}")
        return KmsRow(
            parameters=row.parameters,
            ca_pem=row.ca_pem,
            audit_key_hex=row.audit_key,
            sealed_secrets=row.sealed_secrets,
            schema_version=row.schema_version,
        )

    def tag_every_row(self) -> int:
        """Make the tree of tags of a database that has none, over every row as it is; returns their number.

        The caller owns the database meanwhile.
        """
        guard, count = self._guard(), 0
        guard.found()
        self.connection.execute(sa.update(kms_table).values(schema_version=SCHEMA_VERSION))
        for rule in RULES.values():
            for row in self._rows(rule.select(), None):
                guard.insert(rule, row)
                count += 1
        return count

    def replace_sealed_secrets(self, sealed: bytes) -> None:
        """Write the master secrets as sealed anew."""
        self.connection.execute(sa.update(kms_table).values(sealed_secrets=sealed))

    def sealed_part(self, name: str) -> bytes | None:
        """Another sealed value by its name; None if there is none."""
        query = sa.select(sealed_part_table.c.sealed).where(sealed_part_table.c.name == name)
        return self.connection.scalar(query)

    def put_sealed_part(self, name: str, sealed: bytes | None) -> None:
        """Write, replace or (None) drop a sealed value."""
        self.connection.execute(sa.delete(sealed_part_table).where(sealed_part_table.c.name == name))
        if sealed is not None:
            self.insert(sealed_part_table, name=name, sealed=sealed)

    def add_user(self, name: str) -> None:
        """Make sure a user exists; raises KmsConfigError for a revoked one."""
        revoked = self.user_is_revoked(name)
        if revoked:
            raise KmsConfigError(f"user {name} is revoked; enrol under another name")
        if revoked is None:
            self.insert(user_table, name=name, revoked=False)

    def user_is_revoked(self, name: str) -> bool | None:
        """Whether a user is revoked; None if there is no such user."""
        rows = self.fetch(user_table, "name", (name,))
        return bool(rows[0][1]) if rows else None

    def revoke_user(self, name: str) -> None:
        """Mark a user revoked, for good."""
        for row in self.fetch(user_table, "name", (name,)):
            self.change(user_table, row, revoked=True)

    def put_grant(self, user: str, grant: Grant) -> None:
        """Write or replace a user's grant of an identity.

        Raises KmsConfigError if another user or a group has the identity.
        """
        held = self.fetch(grant_table, "uri", (grant.uri,))
        for row in held:
            if row[1] != user:
                raise KmsConfigError(f"{grant.uri} belongs to user {row[1]}")
        if self.is_group(grant.uri):
            raise KmsConfigError(f"{grant.uri} is a group's identity; its signing keys are never issued")
        for row in held:
            self.delete(grant_table, row)
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
        return tuple(_grant(row) for row in sorted(self.fetch(grant_table, "user", (user,)), key=lambda row: row[0]))

    def owned_grants(self, uris: Collection[str]) -> dict[str, tuple[str, Grant]]:
        """For each of these identities that is granted: the user, and the grant."""
        rows = self.fetch(grant_table, "uri", uris, query=GRANTS_OF_URIS, parameters={"among": list(uris)})
        return {row[0]: (row[1], _grant(row)) for row in rows}

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
        """The identities with which each of these may link; absent if there is no list (all authorised identities)."""
        rows = self.fetch(pair_table, "uri", uris, query=PEERS_OF_URIS, parameters={"among": list(uris)})
        return _gathered(rows)

    def join_group(self, group_uri: str, member: str) -> None:
        """Make an identity a member of a group identity. Raises KmsConfigError if a user has the group identity."""
        if self.owned_grants((group_uri,)):
            raise KmsConfigError(f"{group_uri} is a user's identity; it can't be a group's")
        joined = self.groups_of((member,)).get(member, ())
        if group_uri in joined:
            return
        if len(joined) >= MAX_GROUPS:
            raise KmsConfigError(f"{member} is a member of {MAX_GROUPS} groups already; a user's keys hold no more")
        self.insert(group_table, member=member, group_uri=group_uri)

    def leave_group(self, group_uri: str, member: str) -> bool:
        """End a membership. Returns whether there was one."""
        rows = [row for row in self.fetch(group_table, "member", (member,)) if row[1] == group_uri]
        for row in rows:
            self.delete(group_table, row)
        return bool(rows)

    def groups_of(self, members: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The group identities whose keys each of these members gets; absent where there are none."""
        parameters = {"among": list(members)}
        return _gathered(self.fetch(group_table, "member", members, query=GROUPS_OF_MEMBERS, parameters=parameters))

    def is_group(self, uri: str) -> bool:
        """Whether an identity is a group's."""
        return bool(self.fetch(group_table, "group_uri", (uri,)))

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
        """End a user's membership of a discovery group. Returns whether there was one."""
        rows = [row for row in self.fetch(discovery_table, "user", (user,)) if row[1] == discovery_group]
        for row in rows:
            self.delete(discovery_table, row)
        return bool(rows)

    def discovery_groups(self, user: str) -> tuple[str, ...]:
        """The discovery groups whose keys a user gets."""
        return self.discovery_groups_of((user,)).get(user, ())

    def discovery_groups_of(self, users: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The discovery groups whose keys each of these users gets; absent where there are none."""
        parameters = {"among": list(users)}
        return _gathered(self.fetch(discovery_table, "user", users, query=DISCOVERY_OF_USERS, parameters=parameters))

    def deny(self, uri: str, *, listed_until_ntp_s: int) -> None:
        """Deny an identity keys for good, and list it until its last keys are dead."""
        if not self.is_denied(uri):
            self.insert(denied_table, uri=uri, listed_until_ntp_s=listed_until_ntp_s)

    def is_denied(self, uri: str) -> bool:
        """Whether an identity is denied keys, listed or not."""
        return bool(self.denied_among((uri,)))

    def denied_among(self, uris: Collection[str]) -> frozenset[str]:
        """Which of these identities are denied keys, listed or not."""
        if not uris:
            return frozenset()
        found = {uri for (uri,) in self._rows(DENIED_AMONG, {"among": list(uris)})}
        if self.guarded is not None:
            self._check_denied(found, set(uris) & self.guarded.whole_keys(DENIED).keys())
        return frozenset(found)

    def deny_list(self, now_ntp_s: int) -> tuple[str, ...]:
        """The denied identities whose last keys may still be accepted somewhere, in order.

        If they are more than a message holds, those whose keys live longest.
        """
        found = {uri for (uri,) in self._rows(DENY_LIST, {"now_ntp_s": now_ntp_s})}
        if self.guarded is not None:
            listed = {uri: ends for uri, ends in self.guarded.whole_keys(DENIED).items() if ends > now_ntp_s}
            if len(listed) <= MAX_DENIED:
                self._check_denied(found, set(listed))
            else:
                self._check_denied(found - listed.keys(), set())
                longest = sorted(listed.values(), reverse=True)[:MAX_DENIED]
                if sorted((listed[uri] for uri in found), reverse=True) != longest:
                    self._check_denied(found, set(listed))
        return tuple(sorted(found))

    def _check_denied(self, found: set[str], expected: set[str]) -> None:
        if found == expected:
            return
        deleted, added = sorted(expected - found), sorted(found - expected)
        what = f"{deleted[0]}: was deleted or altered" if deleted else f"{added[0]}: was added"
        raise RowsAlteredError(
            f"the KMS's database was edited by a program without its row key: table {DENIED.name}, row uri={what}"
        )

    def trust_domain(self, uri: str, parameters: str) -> None:
        """Store another KMS's public parameters (JSON). Raises KmsConfigError if other ones are stored for it."""
        held = next((row[1] for row in self.fetch(trusted_table, None) if row[0] == uri), None)
        if held not in (None, parameters):
            raise KmsConfigError(f"other parameters are kept for KMS {uri}; a KMS does not change its keys")
        if held is None:
            self.insert(trusted_table, uri=uri, parameters=parameters)

    def trusted_domains(self) -> tuple[str, ...]:
        """Public parameters (JSON) of every other KMS known here."""
        return tuple(parameters for _, parameters in sorted(self.fetch(trusted_table, None)))

    def add_token(self, digest: str, *, user: str, expires_unix_s: int) -> None:
        """Remember a one-time enrolment token by its digest."""
        self.insert(token_table, digest=digest, user=user, expires_unix_s=expires_unix_s, used=False)

    def token_user(self, digest: str, *, now_unix_s: int) -> str | None:
        """The user that an unused, unexpired token is for."""
        row = self._usable_token(digest, now_unix_s)
        return str(row[1]) if row else None

    def use_token(self, digest: str, *, now_unix_s: int) -> bool:
        """Use up a token. Returns True for exactly one caller."""
        row = self._usable_token(digest, now_unix_s)
        if row is not None:
            self.change(token_table, row, used=True)
        return row is not None

    def forget_tokens(self) -> int:
        """Use up every open token; returns how many there were."""
        digests = [row[0] for row in self._rows(RULES[token_table.name].select(), None) if not row[3]]
        for digest in digests:
            for row in self.fetch(token_table, "digest", (digest,)):
                self.change(token_table, row, used=True)
        return len(digests)

    def _usable_token(self, digest: str, now_unix_s: int) -> tuple[Any, ...] | None:
        rows = self.fetch(token_table, "digest", (digest,))
        return next((row for row in rows if not row[3] and row[2] > now_unix_s), None)

    def add_certificate(self, fingerprint: str, *, user: str) -> None:
        """Remember the user of a client certificate."""
        self.insert(certificate_table, fingerprint=fingerprint, user=user)

    def certificate_users(self, fingerprints: Collection[str]) -> dict[str, tuple[str, bool]]:
        """For each known one of these certificates: its user, and whether that user is revoked."""
        rows = self._rows(USERS_OF_CERTIFICATES, {"among": list(fingerprints)})
        if self.guarded is not None:
            certificates, names = [row[:2] for row in rows], {row[1] for row in rows}
            self.guarded.check(RULES[certificate_table.name], "fingerprint", fingerprints, certificates)
            self.prefetch((user_table, "name", names))
            users = {row[2:] for row in rows if row[2] is not None}
            self.guarded.check(RULES[user_table.name], "name", names, users)
        return {fingerprint: (user, bool(revoked)) for fingerprint, user, name, revoked in rows if name is not None}


DENIED: Final = RULES[denied_table.name]


def _grant(row: tuple[Any, ...]) -> Grant:
    uri, _, uses, not_before_ntp_s, not_after_ntp_s = row
    return Grant(
        uri=uri,
        uses=frozenset(Use(use) for use in uses.split(",") if use),
        not_before_ntp_s=not_before_ntp_s,
        not_after_ntp_s=not_after_ntp_s,
    )


def _gathered(pairs: Iterable[tuple[Any, ...]]) -> dict[str, tuple[str, ...]]:
    """Values by key, in the order they come."""
    lists: dict[str, list[str]] = {}
    for key, value in pairs:
        lists.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in lists.items()}
