"""Access to the tables of a KMS: through the guard of tagged rows once the secrets are opened."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from security.kms.guarded_rows import GuardedRows
from security.kms.row_tags import RULES, TableRule, subject_name
from security.kms_wire.errors import KmsConfigError, RowsAlteredError

Row = tuple[Any, ...]


class TableAccess:
    """Reads and writes of one transaction.

    Without a guard (secrets sealed), tagged rows are read unchecked and never written.
    """

    def __init__(self, connection: sa.Connection, guarded: GuardedRows | None = None) -> None:
        self.connection = connection
        self.guarded = guarded

    def fetch(
        self,
        table: sa.Table,
        column: str | None,
        values: Collection[str] = (),
        *,
        query: sa.Select[Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> list[Row]:
        """The checked rows of a table whose column has one of these values; for column None, all of them.

        Rows are tuples in the order of the rule's columns. Raises RowsAlteredError.
        """
        rule = RULES[table.name]
        if query is None:
            query = rule.select() if column is None else rule.select().where(table.c[column].in_(values))
        rows = self._rows(query, parameters)
        if self.guarded is not None:
            self.guarded.check(rule, column, values, rows)
        return rows

    def prefetch(self, *subjects: tuple[sa.Table, str, Collection[str]]) -> None:
        """Read the tags of many lookups at once: each a table, a column and its values."""
        if self.guarded is None:
            return
        names = set()
        for table, column, values in subjects:
            kind, _ = RULES[table.name].lookup(column)
            names |= {subject_name(kind, value) for value in values}
        self.guarded.prefetch(names)

    def insert(self, table: sa.Table, **values: Any) -> None:
        """Write a new row, tagged where the table's rows are; the row's subjects must have been looked at."""
        rule = RULES.get(table.name)
        if rule is not None:
            self._guard().insert(rule, rule.row({column.name: None for column in table.columns} | values))
        self.connection.execute(sa.insert(table).values(**values))

    def delete(self, table: sa.Table, row: Row) -> None:
        """Delete a row as it was fetched."""
        rule = RULES[table.name]
        self._guard().delete(rule, row)
        self.connection.execute(sa.delete(table).where(*_is(rule, row)))

    def change(self, table: sa.Table, row: Row, **values: Any) -> None:
        """Give a row, as it was fetched, other values; not those of its primary key."""
        rule = RULES[table.name]
        self._guard().delete(rule, row)
        self._guard().insert(rule, rule.row(rule.values(row) | values))
        self.connection.execute(sa.update(table).where(*_is(rule, row)).values(**values))

    def _guard(self) -> GuardedRows:
        if self.guarded is None:
            raise KmsConfigError("the secrets are sealed: rows that decide on keys can't be written")
        return self.guarded

    def _rows(self, query: sa.Select[Any], parameters: Mapping[str, Any] | None) -> list[Row]:
        """Rows as tuples; values that no column of ours can hold are an edit, as SQLite takes any."""
        try:
            return [tuple(row) for row in self.connection.execute(query, parameters or {})]
        except (TypeError, ValueError, LookupError) as exc:
            raise RowsAlteredError(f"the KMS's database was edited: a value is of another type ({exc})") from exc


def _is(rule: TableRule, row: Row) -> list[sa.ColumnElement[bool]]:
    values = rule.values(row)
    return [column == values[column.name] for column in rule.table.primary_key.columns]
