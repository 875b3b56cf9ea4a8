"""Operators, interception orders and countersigned heads of the audit log in the database."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from security.kms.table_access import TableAccess
from security.kms.tables import countersignature_table, intercept_table, operator_table


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """An interception order in the database."""

    number: int
    body: str
    requested_by: str
    request_signature: str
    approved_by: str | None
    approval_signature: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CountersignatureRow:
    """An operator's signature over the head of the audit log's main stream, given with a step of an order."""

    number: int
    step: str
    operator: str
    lines: int
    hash: str
    signature: str


class InterceptRecords(TableAccess):
    """Reads and writes of interception's tables; each table is small and is read and checked as a whole."""

    def operators(self) -> dict[str, str]:
        """Every operator's public key (hex) by name."""
        return dict(self.fetch(operator_table, None))

    def add_operator(self, name: str, public_key_hex: str) -> None:
        """Write a new operator."""
        self.insert(operator_table, name=name, public_key=public_key_hex)

    def orders(self) -> dict[int, OrderRow]:
        """Every interception order by its number."""
        return {row[0]: OrderRow(**_named(intercept_table, row)) for row in self.fetch(intercept_table, None)}

    def add_order(self, order: OrderRow) -> None:
        """Write a new order."""
        self.insert(intercept_table, **dataclasses.asdict(order))

    def approve_order(self, number: int, *, operator: str, signature: str) -> None:
        """Record the operators that approved an order."""
        row = next(row for row in self.fetch(intercept_table, None) if row[0] == number)
        self.change(intercept_table, row, approved_by=operator, approval_signature=signature)

    def countersignatures(self) -> list[CountersignatureRow]:
        """Every countersigned head, by order and step."""
        rows = [
            CountersignatureRow(**_named(countersignature_table, row))
            for row in self.fetch(countersignature_table, None)
        ]
        return sorted(rows, key=lambda row: (row.number, row.step))

    def add_countersignature(self, row: CountersignatureRow) -> None:
        """Write a countersigned head."""
        self.fetch(countersignature_table, None)
        self.insert(countersignature_table, **dataclasses.asdict(row))


def _named(table: sa.Table, row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(table.c.keys(), row, strict=True))
