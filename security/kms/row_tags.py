"""Tags over the rows of a KMS's database: they find an edit by any writer that has the database but not the row key.

Every row that decides on keys has a tag: an HMAC under the *row key*, which is sealed with the master secrets, over the
table's name, the row's values and the version at which it was written. Tags alone find altered and foreign rows, but no
deleted row and no older copy of one. So tags are gathered by *subject* (the key of a look-up: an identity, a user, a
certificate ...), subjects fall into 65,536 buckets by a keyed hash, every bucket has a tag over all of its entries, 256
groups have one over their buckets' tags, and the root has one over the groups and the version, which rises with every
change. That is a hash tree of fan-out 256 with a key:

* a lookup is checked by the bucket of its subject: it names every row that must be there, and no other may be;
* a change rewrites one bucket for each subject, and the root: a few hundred HMACs' worth of octets, whatever the size;
* an older state, whole or in part, has an older root; a process keeps the version that it saw last, and so does the
  home folder (`seen_state`), so that it is refused.

This module is pure: keys, tags, and the tree as one process knows it.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from security.kms import tables

ROW_KEY_OCTETS: Final = 32
BUCKETS_TO_A_GROUP: Final = 256
WHOLE_TABLE: Final = "table"
"""The kind of subject of tables that are always read whole."""

_encode: Final = json.JSONEncoder(default=repr).encode
"""JSON, one spelling; values of types that no column of ours has are encoded as something that fits no tag."""

Row = Sequence[Any]
"""A row's guarded values, in the order of its rule's columns."""
Entries = dict[tuple[str, str], dict[str, tuple[int, str]]]
"""By subject and table: each row's key, with the version and tag of the row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRule:
    """How a table's rows are tagged. `subjects`: kinds and the columns whose values name the subject (None: no column).

    `key`: the columns that make the row's key; with all columns in it, the entries tell the rows' whole content.
    """

    table: sa.Table
    columns: tuple[str, ...]
    key_at: tuple[int, ...]
    subjects: tuple[tuple[str, int | None], ...]
    lookups: Mapping[str | None, tuple[str, int | None]]

    @property
    def name(self) -> str:
        """The table's name."""
        return self.table.name

    @property
    def whole_in_keys(self) -> bool:
        """Whether the entries alone tell the table's content, as a mapping of its first column to its second."""
        return (
            self.subjects == ((WHOLE_TABLE, None),) and self.key_at == (0, 1) and len(self.columns) == len(self.key_at)
        )

    def select(self) -> sa.Select[Any]:
        """All guarded columns of all rows."""
        return sa.select(*(self.table.c[column] for column in self.columns))

    def row(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Values by column as a row."""
        return tuple(values[column] for column in self.columns)

    def values(self, row: Row) -> dict[str, Any]:
        """A row as values by column."""
        return dict(zip(self.columns, row, strict=True))

    def key(self, row: Row) -> str:
        """The values that distinguish the row from the others of its table."""
        return _encode([row[at] for at in self.key_at])

    def subjects_of(self, row: Row) -> list[str]:
        """All subjects by which a row is looked up."""
        return [subject_name(kind, self.name if at is None else row[at]) for kind, at in self.subjects]

    def lookup(self, column: str | None) -> tuple[str, int | None]:
        """The kind of subject that a column's values name, and where the column is; None: the whole table."""
        return self.lookups[column]

    def describe(self, key: str) -> str:
        """The place of a row, for a message."""
        named = zip((self.columns[at] for at in self.key_at), json.loads(key), strict=True)
        return f"table {self.name}, row {', '.join(f'{column}={value}' for column, value in named)}"


def _rule(
    table: sa.Table,
    *subjects: tuple[str, str | None],
    key: Iterable[str] | None = None,
    columns: Iterable[str] | None = None,
) -> TableRule:
    names = tuple(columns or (column.name for column in table.columns))
    in_key = tuple(key or (column.name for column in table.primary_key.columns))
    return TableRule(
        table=table,
        columns=names,
        key_at=tuple(names.index(name) for name in in_key),
        subjects=tuple((kind, None if column is None else names.index(column)) for kind, column in subjects),
        lookups={column: (kind, None if column is None else names.index(column)) for kind, column in subjects},
    )


RULES: Final[Mapping[str, TableRule]] = {
    rule.name: rule
    for rule in (
        _rule(
            tables.kms_table,
            (WHOLE_TABLE, None),
            columns=("id", "schema_version", "parameters", "ca_pem", "audit_key"),
        ),
        _rule(tables.user_table, ("user", "name")),
        _rule(tables.grant_table, ("identity", "uri"), ("user", "user")),
        _rule(tables.pair_table, ("identity", "uri")),
        _rule(tables.group_table, ("identity", "member"), ("group", "group_uri")),
        _rule(tables.discovery_table, ("user", "user")),
        _rule(tables.denied_table, (WHOLE_TABLE, None), key=("uri", "listed_until_ntp_s")),
        _rule(tables.trusted_table, (WHOLE_TABLE, None)),
        _rule(tables.number_table, ("number", "number"), ("identity", "identity")),
        _rule(tables.token_table, ("token", "digest")),
        _rule(tables.certificate_table, ("certificate", "fingerprint")),
        _rule(tables.operator_table, (WHOLE_TABLE, None)),
        _rule(tables.intercept_table, (WHOLE_TABLE, None)),
        _rule(tables.countersignature_table, (WHOLE_TABLE, None)),
    )
}
"""Every table but those of the audit log, which has signatures and a chain of its own, and of sealed values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowKey:
    """The key of all tags of one KMS."""

    octets: bytes = field(repr=False)

    def tag(self, form: Sequence[Any]) -> str:
        """HMAC-SHA-256 of a form whose first member says what it is, hex."""
        return hmac.digest(self.octets, _encode(form).encode(), "sha256").hex()

    def row_tag(self, rule: TableRule, version: int, row: Row) -> str:
        """A row's tag: bound to table, version and every value."""
        return self.tag(["row", rule.name, version, *row])

    def bucket_of(self, subject: str) -> int:
        """The bucket of a subject, 0..65535."""
        return int.from_bytes(hmac.digest(self.octets, b"bucket " + subject.encode(), "sha256")[:2])

    def bucket_tag(self, number: int, version: int, entries: Entries) -> str:
        """A bucket's tag: bound to every entry in it."""
        flat = sorted(
            (subject, table, key, entry) for (subject, table), rows in entries.items() for key, entry in rows.items()
        )
        return self.tag(["bucket", number, version, flat])


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """The top of the tree: the version of the whole database, and the tag over everything."""

    version: int
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """Version and tag of every bucket that was ever used, by group, and the groups' tags. Never changed in place."""

    version: int = 0
    groups: Mapping[int, Mapping[int, tuple[int, str]]] = field(default_factory=dict)
    group_tags: Mapping[int, str] = field(default_factory=dict)

    def bucket(self, number: int) -> tuple[int, str] | None:
        """Version and tag of a bucket; None for one that was never used."""
        return self.groups.get(number // BUCKETS_TO_A_GROUP, {}).get(number)

    def advanced(self, key: RowKey, version: int, changed: Mapping[int, tuple[int, str]]) -> Heads:
        """The tree with these buckets changed."""
        groups, group_tags = dict(self.groups), dict(self.group_tags)
        touched: dict[int, dict[int, tuple[int, str]]] = {}
        for number, head in changed.items():
            group = number // BUCKETS_TO_A_GROUP
            touched.setdefault(group, dict(groups.get(group, {})))[number] = head
        for group, buckets in touched.items():
            groups[group] = buckets
            group_tags[group] = key.tag(["group", group, sorted(buckets.items())])
        return Heads(version=version, groups=groups, group_tags=group_tags)

    def root(self, key: RowKey) -> Root:
        """Version and tag of the whole."""
        return Root(version=self.version, tag=key.tag(["root", self.version, sorted(self.group_tags.items())]))


def subject_name(kind: str, value: str) -> str:
    """The stored form of a subject."""
    return f"{kind}:{value}"
