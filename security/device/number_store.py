"""The identity map in a UE's key store: its entries, and their update at a contact with a KMS."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from security.identifiers import KeyRing
from security.identity_map.checks import HeldNumber, MapRefused, contradicts, take_statement
from security.identity_map.signature import split_signed
from security.identity_map.statement import StatementError
from security.kms_wire.protocol import MAX_SIGNED_STATEMENT_HEX, Message, Number

MAX_HELD_NUMBERS: Final = 1024


class HeldNumberForm(Message):
    """One stored number: `signed` and `digest` are hex, empty if no statement is valid."""

    number: Number
    serial: Annotated[int, Field(ge=0, lt=1 << 64)]
    digest: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
    signed: Annotated[str, Field(pattern=r"^([0-9a-f]{2})*$", max_length=MAX_SIGNED_STATEMENT_HEX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedStatement:
    """A statement that was refused, or that contradicts another: the number (empty: unreadable), and the reason."""

    number: str
    why: str


def held_of_forms(forms: Iterable[HeldNumberForm]) -> dict[str, HeldNumber]:
    """The stored entries, by number."""
    return {
        form.number: HeldNumber(
            number=form.number, serial=form.serial, digest=form.digest, signed=bytes.fromhex(form.signed)
        )
        for form in forms
    }


def forms_of_held(held: Mapping[str, HeldNumber]) -> tuple[HeldNumberForm, ...]:
    """The entries in the form in which they are stored."""
    return tuple(
        HeldNumberForm(number=one.number, serial=one.serial, digest=one.digest, signed=one.signed.hex())
        for _, one in sorted(held.items())
    )


def take_statements(
    held: Mapping[str, HeldNumber],
    statements: Iterable[bytes],
    *,
    asked: Collection[str],
    ring: KeyRing,
    now_ntp_s: int,
) -> tuple[dict[str, HeldNumber], tuple[RefusedStatement, ...]]:
    """The entries after a contact that brought statements about numbers, and the refused statements."""
    after, refused = dict(held), []
    for signed in statements:
        number = ""
        try:
            number = split_signed(signed)[0].number
            _check_room(number, asked, after)
            before = after.get(number)
            after[number] = take_statement(signed, asked=number, ring=ring, held=before, now_ntp_s=now_ntp_s)
            if contradicts(before, after[number]):
                refused.append(RefusedStatement(number=number, why="serial: two statements have it, neither stands"))
        except (MapRefused, StatementError) as exc:
            refused.append(RefusedStatement(number=number, why=str(exc)))
    return after, tuple(refused)


def _check_room(number: str, asked: Collection[str], held: Mapping[str, HeldNumber]) -> None:
    """Raise MapRefused for a number that was not asked for, or if there is no room for another one."""
    if number not in asked:
        raise MapRefused("number", "it was not asked for")
    if number not in held and len(held) >= MAX_HELD_NUMBERS:
        raise MapRefused("room", f"{MAX_HELD_NUMBERS} numbers are held")
