"""Tagged rows within transactions: every lookup is checked against the tree of `row_tags`, every change extends it.

A process has one `RowGuard` for a database; every transaction has a `GuardedRows`. On its first use that reads the root
(locked, where the transaction changes rows or must not be overtaken by a change), takes over the buckets that changed
since this process looked last, and checks that they make the root's tag. From then on a lookup costs a query of the
tags in the buckets it touches, unless this process knows those buckets already, and an HMAC a row.

The state that the process knows is noted before a transaction begins, so that a snapshot somewhat older than another
thread's causes no false alarm.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import sqlalchemy as sa

from security.kms.row_guard import RootLock, RowGuard
from security.kms.row_tags import RULES, WHOLE_TABLE, Entries, Heads, Root, Row, TableRule, subject_name
from security.kms.tables import row_bucket_table, row_root_table, row_tag_table
from security.kms_wire.errors import RowsAlteredError

ROWS_AT_ONCE: Final = 1000

ROOT: Final = sa.select(row_root_table.c.version, row_root_table.c.tag)
CHANGED_BUCKETS: Final = sa.select(row_bucket_table).where(row_bucket_table.c.version > sa.bindparam("since"))
TAGS_IN_BUCKETS: Final = sa.select(row_tag_table).where(
    row_tag_table.c.bucket.in_(sa.bindparam("buckets", expanding=True))
)
FORGET_TAG: Final = sa.delete(row_tag_table).where(
    row_tag_table.c.subject == sa.bindparam("of_subject"),
    row_tag_table.c.table_name == sa.bindparam("of_table"),
    row_tag_table.c.row_key == sa.bindparam("of_key"),
)
FORGET_BUCKET: Final = sa.delete(row_bucket_table).where(row_bucket_table.c.bucket == sa.bindparam("number"))


class GuardedRows:
    """The tagged rows within one transaction. Every method raises RowsAlteredError if the database was edited.

    The class is longer than most: reading, writing and the tree of tags share the transaction's state.
    """

    def __init__(self, guard: RowGuard, connection: sa.Connection, lock: RootLock) -> None:
        self._guard = guard
        self._key = guard.key
        self._connection = connection
        self._lock = lock
        self._seen, self._heads = guard.state()
        self._synced = False
        self._changed: dict[int, Entries] = {}
        self._buckets: dict[str, int] = {}
        self._own_tables: dict[str, dict[Any, Any]] = {}
        self._forgotten: list[dict[str, str]] = []
        self._added: dict[tuple[str, str, str], dict[str, Any]] = {}

    def found(self) -> None:
        """Make the tree of an empty database."""
        self._connection.execute(sa.insert(row_root_table).values(id=1, **_root_values(Heads().root(self._key))))

    def check(self, rule: TableRule, column: str | None, values: Collection[str], rows: Iterable[Row]) -> None:
        """Check that the rows are exactly those of these subjects (of the whole table, for column None), as written.

        `values`: the values asked for; `rows`: all rows found.
        """
        kind, at = rule.lookup(column)
        found: dict[str, dict[str, Row]] = {}
        for row in rows:
            mine, key = found.setdefault(rule.name if at is None else row[at], {}), rule.key(row)
            if key in mine:
                raise _altered(f"{rule.describe(key)}: is there twice")
            mine[key] = row
        for value in {rule.name} if column is None else set(values):
            subject = subject_name(kind, value)
            expected = self._entries(subject).get((subject, rule.name), {})
            self._compare(rule, expected, found.pop(value, {}))
        for strange in found.values():
            raise _altered(f"{rule.describe(next(iter(strange)))}: was not asked for")

    def whole_keys(self, rule: TableRule) -> Mapping[Any, Any]:
        """The content of a table of two columns that is always read whole, by the tags alone; read-only."""
        subject = subject_name(WHOLE_TABLE, rule.name)
        number = self._bucket_of(subject)
        if rule.name in self._own_tables:
            return self._own_tables[rule.name]
        head = None if number in self._changed else self._tree().bucket(number)
        content = self._guard.content(rule.name, head)
        if content is None:
            content = dict(json.loads(key) for key in self._entries(subject).get((subject, rule.name), {}))
            self._guard.keep_content(rule.name, head, content)
        return content

    def insert(self, rule: TableRule, row: Row) -> None:
        """Tag a new row; the caller writes it."""
        version, key = self._next_version(), rule.key(row)
        tag = self._key.row_tag(rule, version, row)
        if rule.whole_in_keys:
            if rule.name not in self._own_tables:
                self._own_tables[rule.name] = dict(self.whole_keys(rule))
            self._own_tables[rule.name].update([json.loads(key)])
        for subject in rule.subjects_of(row):
            self._own(subject).setdefault((subject, rule.name), {})[key] = (version, tag)
            self._added[subject, rule.name, key] = {
                "subject": subject,
                "table_name": rule.name,
                "row_key": key,
                "bucket": self._bucket_of(subject),
                "version": version,
                "tag": tag,
            }

    def delete(self, rule: TableRule, row: Row) -> None:
        """Remove the tag of a checked row; the caller deletes the row."""
        self._next_version()
        key = rule.key(row)
        self._own_tables.pop(rule.name, None)
        for subject in rule.subjects_of(row):
            self._own(subject)[subject, rule.name].pop(key)
            if self._added.pop((subject, rule.name, key), None) is None:
                self._forgotten.append({"of_subject": subject, "of_table": rule.name, "of_key": key})

    def settle(self) -> None:
        """Write the transaction's changes: tags, buckets and root. The last step before the commit."""
        if not self._changed:
            return
        version = self._next_version()
        if self._forgotten:
            self._connection.execute(FORGET_TAG, self._forgotten)
        if self._added:
            self._connection.execute(sa.insert(row_tag_table), list(self._added.values()))
        heads = {
            number: (version, self._key.bucket_tag(number, version, entries))
            for number, entries in self._changed.items()
        }
        self._connection.execute(FORGET_BUCKET, [{"number": number} for number in heads])
        self._connection.execute(
            sa.insert(row_bucket_table),
            [{"bucket": number, "version": version, "tag": tag} for number, (_, tag) in heads.items()],
        )
        self._heads = self._tree().advanced(self._key, version, heads)
        self._connection.execute(sa.update(row_root_table).values(**_root_values(self._heads.root(self._key))))

    def committed(self) -> Root | None:
        """Give the transaction's changes to the process after the commit; return the new root if there is one."""
        if not self._changed or self._heads is None:
            return None
        self._guard.publish(self._heads, self._changed)
        return self._heads.root(self._key)

    def check_all(self) -> int:
        """Check every row, tag and bucket of the database; returns the number of rows."""
        heads = self._tree()
        entries: dict[tuple[str, str, str], tuple[int, str]] = {}
        buckets: dict[int, Entries] = {}
        for line in self._connection.execute(sa.select(row_tag_table), execution_options={"yield_per": ROWS_AT_ONCE}):
            _file(buckets.setdefault(line.bucket, {}), line)
            entries[line.subject, line.table_name, line.row_key] = (line.version, line.tag)
        count = 0
        tables = sa.inspect(self._connection).get_table_names()
        for rule in (rule for rule in RULES.values() if rule.name in tables):
            for row in self._connection.execute(rule.select(), execution_options={"yield_per": ROWS_AT_ONCE}):
                key = rule.key(row)
                for subject in rule.subjects_of(row):
                    self._check_row(rule, key, row, entries.pop((subject, rule.name, key), None))
                count += 1
        for _, table, key in entries:
            raise _altered(f"{_place(table, key)}: was deleted")
        stored = self._buckets_since(_ALL)
        known = {number: head for group in heads.groups.values() for number, head in group.items()}
        if stored != known:
            raise _altered("table row_buckets: was altered or rolled back")
        for number in buckets.keys() | known.keys():
            self._check_bucket(number, known.get(number), buckets.get(number, {}))
        return count

    def root(self) -> Root:
        """The database's root, checked."""
        return self._tree().root(self._key)

    def _tree(self) -> Heads:
        """The tree as the database has it now; on the first call it is read and checked."""
        if self._synced and self._heads is not None:
            return self._heads
        query = ROOT if self._lock is RootLock.NONE else ROOT.with_for_update(read=self._lock is RootLock.SHARED)
        found = self._connection.execute(query).all()
        if len(found) != 1 or not isinstance(found[0].version, int) or not isinstance(found[0].tag, str):
            raise _altered("table row_root: is not the one row that it must hold")
        version, tag = found[0]
        seen, heads = self._seen, self._heads
        if seen is not None and version < seen.version:
            raise _altered(f"it was rolled back to version {version}; version {seen.version} was seen before")
        if seen is not None and version == seen.version and not _same(tag, seen.tag):
            raise _altered(f"version {version} is not the one that was seen before")
        since = _ALL if heads is None else {"since": heads.version}
        changed = self._buckets_since(since)
        if heads is None or changed or version != heads.version:
            heads = (heads or Heads()).advanced(self._key, version, changed)
        if not _same(heads.root(self._key).tag, tag):
            raise _altered("tables row_root and row_buckets don't fit together: they were altered or rolled back")
        self._guard.publish(heads)
        self._heads, self._synced = heads, True
        return heads

    def _entries(self, subject: str) -> Entries:
        """The checked entries of a subject's bucket."""
        number = self._bucket_of(subject)
        if number in self._changed:
            return self._changed[number]
        head = self._tree().bucket(number)
        if head is None:
            return {}
        kept = self._guard.kept(number, head[0])
        if kept is not None:
            return kept
        entries: Entries = {}
        for line in self._connection.execute(TAGS_IN_BUCKETS, {"buckets": [number]}):
            _file(entries, line)
        self._check_bucket(number, head, entries)
        self._guard.keep(number, head[0], entries)
        return entries

    def prefetch(self, subjects: Iterable[str]) -> None:
        """Read the buckets of many subjects with one query."""
        tree = self._tree()
        wanted: dict[int, tuple[int, str]] = {}
        for subject in subjects:
            number = self._bucket_of(subject)
            head = tree.bucket(number)
            if head is not None and number not in self._changed and self._guard.kept(number, head[0]) is None:
                wanted[number] = head
        if not wanted:
            return
        contents: dict[int, Entries] = {number: {} for number in wanted}
        for line in self._connection.execute(TAGS_IN_BUCKETS, {"buckets": list(wanted)}):
            _file(contents[line.bucket], line)
        for number, head in wanted.items():
            self._check_bucket(number, head, contents[number])
            self._guard.keep(number, head[0], contents[number])

    def _buckets_since(self, since: Mapping[str, int]) -> dict[int, tuple[int, str]]:
        buckets = {}
        for line in self._connection.execute(CHANGED_BUCKETS, since):
            if not (isinstance(line.bucket, int) and isinstance(line.version, int) and isinstance(line.tag, str)):
                raise _altered("table row_buckets: a row is none that this program wrote")
            buckets[line.bucket] = (line.version, line.tag)
        return buckets

    def _bucket_of(self, subject: str) -> int:
        number = self._buckets.get(subject)
        if number is None:
            number = self._buckets[subject] = self._key.bucket_of(subject)
        return number

    def _own(self, subject: str) -> Entries:
        """The entries of a subject's bucket, to be changed."""
        number = self._bucket_of(subject)
        if number not in self._changed:
            self._changed[number] = {name: dict(rows) for name, rows in self._entries(subject).items()}
        return self._changed[number]

    def _next_version(self) -> int:
        if self._lock is not RootLock.OWN:
            raise RuntimeError("a transaction that does not own the root changes no row")
        return self._tree().version + 1

    def _compare(self, rule: TableRule, expected: Mapping[str, tuple[int, str]], rows: Mapping[str, Row]) -> None:
        for key, row in rows.items():
            self._check_row(rule, key, row, expected.get(key))
        for key in expected.keys() - rows.keys():
            raise _altered(f"{rule.describe(key)}: was deleted")

    def _check_row(self, rule: TableRule, key: str, row: Row, entry: tuple[int, str] | None) -> None:
        if entry is None:
            raise _altered(f"{rule.describe(key)}: was added by another program")
        version, tag = entry
        if not _same(self._key.row_tag(rule, version, row), tag):
            raise _altered(f"{rule.describe(key)}: was altered")

    def _check_bucket(self, number: int, head: tuple[int, str] | None, entries: Entries) -> None:
        if head is not None and _same(self._key.bucket_tag(number, head[0], entries), head[1]):
            return
        (_, table), rows = next(((name, rows) for name, rows in entries.items() if rows), (("", ""), {}))
        near = f", such as that of {_place(table, next(iter(rows)))}" if rows else ""
        raise _altered(f"table row_tags: tags were altered, deleted or rolled back (bucket {number}{near})")


_ALL: Final = {"since": -1}


def _altered(what: str) -> RowsAlteredError:
    return RowsAlteredError(
        f"the KMS's database was edited by a program without its row key: {what}. "
        f"No keys leave on such rows; find out who has access, then restore a backup"
    )


def _file(entries: Entries, line: sa.Row[Any]) -> None:
    """Put a line of table row_tags where it belongs; SQLite's columns take values of any type, so types are checked."""
    texts = line.subject, line.table_name, line.row_key, line.tag
    if not all(isinstance(text, str) for text in texts) or not isinstance(line.version, int):
        raise _altered("table row_tags: a row is none that this program wrote")
    entries.setdefault((line.subject, line.table_name), {})[line.row_key] = (line.version, line.tag)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _place(table: str, key: str) -> str:
    try:
        return RULES[table].describe(key)
    except (KeyError, ValueError, TypeError):
        return f"table {table}, row {key}"


def _root_values(root: Root) -> dict[str, Any]:
    return {"version": root.version, "tag": root.tag}
