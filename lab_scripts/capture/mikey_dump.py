"""An explanation of a MIKEY message: every octet with its field, meaning and clause, and the checks of the message."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from security.errors import SecurityError
from security.keyfile import KeyFile
from security.mikey import MikeyError, parse_i_message
from security.mikey.codec import DataType, annotate
from security.mikey.error_message import parse_error_message
from security.mikey.opening import Deviation, open_i_message, verified_error_signer
from security.mikey.wire import Annotation

ROW_OCTETS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The explanation of some octets: fields as far as they can be read, passed checks, and the fault."""

    octets: bytes
    fields: list[Annotation]
    checks: tuple[str, ...]
    problem: str | None

    def lines(self) -> Iterator[str]:
        """As text: one line a field, a heading for each payload, then the checks."""
        yield from _field_lines(self.octets, self.fields)
        read_to = self.fields[-1].offset + self.fields[-1].length if self.fields else 0
        if read_to < len(self.octets):
            rest = self.octets[read_to : read_to + ROW_OCTETS].hex(" ")
            yield f"{read_to:5}  {len(self.octets) - read_to:4}  not read: {rest}"
        yield from (f"checked: {check}" for check in self.checks)


def explain(octets: bytes, key_file: KeyFile | None, tolerate: frozenset[Deviation] = frozenset()) -> Explanation:
    """Read a message field by field; with a key file also verify its signature and open its key."""
    fields, message, error = annotate(octets)
    if message is None:
        return Explanation(octets=octets, fields=fields, checks=(), problem=None if error is None else describe(error))
    checks: tuple[str, ...] = ("every octet belongs to a field",)
    problem = None
    if key_file is not None:
        try:
            checks += _keyed_checks(octets, message.header.data_type, key_file, tolerate)
        except SecurityError as exc:
            problem = describe(exc)
    return Explanation(octets=octets, fields=fields, checks=checks, problem=problem)


def describe(error: SecurityError) -> str:
    """An error's text, with its number in MIKEY."""
    if isinstance(error, MikeyError):
        return f"{error} (MIKEY error {int(error.number)}, {error.number.name.replace('_', ' ').lower()})"
    return str(error)


def _keyed_checks(octets: bytes, data_type: int, key_file: KeyFile, tolerate: frozenset[Deviation]) -> tuple[str, ...]:
    if data_type != DataType.ERROR:
        return open_i_message(parse_i_message(octets), key_file, tolerate).checks
    error = parse_error_message(octets)
    if not error.signature:
        return ("the error message is not signed: any party may have sent it",)
    return (f"ECCSI signature verified as {verified_error_signer(error, key_file)} (RFC 6507 5.2.2)",)


def _field_lines(octets: bytes, fields: list[Annotation]) -> Iterator[str]:
    payload = ""
    for field in fields:
        if field.payload != payload or (field.field == "Next payload" and payload != "HDR"):
            payload = field.payload
            yield f"--- {payload} ({field.clause})"
        taken = octets[field.offset : field.offset + field.length]
        rows = [taken[start : start + ROW_OCTETS].hex(" ") for start in range(0, len(taken), ROW_OCTETS)] or [""]
        meaning = "" if field.length > ROW_OCTETS and field.meaning == taken.hex() else f" = {field.meaning}"
        yield f"{field.offset:5}  {field.length:4}  {rows[0]:<47}  {field.field}{meaning}"
        for row in rows[1:]:
            yield f"{'':13}{row}"
