"""Reading and writing octets of a MIKEY message, with a note of each field's place, meaning and clause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from security.mikey.errors import MikeyError

MAX_FIELDS = 4096
"""More fields than any message has (P): bounds what a message of many tiny ones costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One field of a message: its place (octets), its name, its meaning, and the clause that defines it."""

    offset: int
    length: int
    payload: str
    field: str
    meaning: str
    clause: str


class Reader:
    """Takes fields off the front of a message; every octet taken is annotated."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self.offset = 0
        self.payload = ""
        self.clause = ""
        self.annotations: list[Annotation] = []

    @property
    def left(self) -> int:
        """Octets not taken yet."""
        return len(self._octets) - self.offset

    def take(self, length: int, field: str, meaning: str | None = None) -> bytes:
        """Take `length` octets. Raises MikeyError if there are not enough."""
        if length > self.left:
            raise MikeyError(f"{self.payload}, {field}: {length} octets announced at {self.offset}, {self.left} left")
        taken = self._octets[self.offset : self.offset + length]
        self._note(length, field, taken.hex() if meaning is None else meaning)
        self.offset += length
        return taken

    def take_parts(self, parts: Sequence[tuple[str, int]]) -> bytes:
        """Take fields (name, octets) that follow one another; raises MikeyError."""
        return b"".join(self.take(length, field) for field, length in parts)

    def number(self, length: int, field: str, meanings: dict[int, str] | None = None) -> int:
        """Take an unsigned integer of `length` octets."""
        if length > self.left:
            raise MikeyError(f"{self.payload}, {field}: cut short at octet {self.offset}")
        value = int.from_bytes(self._octets[self.offset : self.offset + length], "big")
        named = (meanings or {}).get(value)
        self._note(length, field, str(value) if named is None else f"{value} ({named})")
        self.offset += length
        return value

    def reword(self, meaning: str) -> None:
        """Improve the text about the field taken last."""
        last = self.annotations.pop()
        self.annotations.append(
            Annotation(
                offset=last.offset,
                length=last.length,
                payload=last.payload,
                field=last.field,
                meaning=meaning,
                clause=last.clause,
            )
        )

    def _note(self, length: int, field: str, meaning: str) -> None:
        if len(self.annotations) == MAX_FIELDS:
            raise MikeyError(f"more than {MAX_FIELDS} fields")
        self.annotations.append(
            Annotation(
                offset=self.offset,
                length=length,
                payload=self.payload,
                field=field,
                meaning=meaning,
                clause=self.clause,
            )
        )


def number(value: int, length: int, field: str) -> bytes:
    """An unsigned integer as `length` octets; raises MikeyError where it doesn't fit."""
    if not 0 <= value < 1 << (8 * length):
        raise MikeyError(f"{field}: {value} doesn't fit {8 * length} bits")
    return value.to_bytes(length, "big")


def counted(octets: bytes, length: int, field: str) -> bytes:
    """Octets behind a length field of `length` octets; raises MikeyError where there are too many."""
    return number(len(octets), length, f"length of {field}") + octets
