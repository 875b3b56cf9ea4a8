"""The identity map in the database: a row for each number that was ever mapped, within one transaction."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from security.identity_map.statement import MapState, MapUse
from security.kms.row_tags import RULES
from security.kms.table_access import TableAccess
from security.kms.tables import number_table


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRow:
    """One number: its holder, present or last, its uses, and the count of its changes, from 1."""

    number: str
    identity: str
    uses: MapUse
    state: MapState
    change: int


class NumberRecords(TableAccess):
    """Reads and writes of the identity map. Rows are never deleted: the count of changes must not fall."""

    def numbers(self, numbers: Collection[str]) -> dict[str, NumberRow]:
        """The rows of those of these numbers that were ever mapped."""
        return {row[0]: _number(row) for row in self.fetch(number_table, "number", numbers)}

    def numbers_of(self, identity: str) -> tuple[NumberRow, ...]:
        """The numbers that an identity holds now."""
        found = (_number(row) for row in self.fetch(number_table, "identity", (identity,)))
        return tuple(row for row in sorted(found, key=lambda row: row.number) if row.state is MapState.VALID)

    def every_number(self) -> tuple[NumberRow, ...]:
        """The whole map, in order; each row is checked, and rows that were deleted show when the KMS is opened."""
        rule = RULES[number_table.name]
        rows = self._rows(rule.select(), None)
        if self.guarded is not None:
            self.guarded.check(rule, "number", {row[0] for row in rows}, rows)
        return tuple(sorted((_number(row) for row in rows), key=lambda row: row.number))

    def put_number(self, row: NumberRow) -> None:
        """Write or replace a number's row."""
        values: dict[str, Any] = {
            "identity": row.identity,
            "uses": int(row.uses),
            "state": int(row.state),
            "change": row.change,
        }
        held = self.fetch(number_table, "number", (row.number,))
        if held:
            self.change(number_table, held[0], **values)
        else:
            self.insert(number_table, number=row.number, **values)


def _number(row: tuple[Any, ...]) -> NumberRow:
    number, identity, uses, state, change = row
    return NumberRow(number=number, identity=identity, uses=MapUse(uses), state=MapState(state), change=change)
