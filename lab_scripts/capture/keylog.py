"""The key log: keys of security contexts, one line each, with which a capture can be deciphered later.

    PC5LAB-CONTEXT <src_l2> <dst_l2> <kd_sess_id> <eea> <eia> <direction of src> <pek hex> <pik hex>

src_l2 and dst_l2 are the link layer-2 ids of the two UEs (6 hex digits), kd_sess_id 4 hex digits, eea and eia the
algorithm numbers in decimal, the direction the DIRECTION bit of what src sends (1 at the UE that sent the Direct
Connection Accept; dst sends with the other), PEK and PIK 32 hex digits each. One line opens both directions. Empty
lines and lines that begin with # are skipped; where two lines name the same context the later one holds. The file
opens traffic: it is written only on request, with mode 0600.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lab_scripts.capture.errors import KeyLogError
from radio.text_file import TextError, read_text
from security.ciphers.algorithms import Ciphering, Integrity, ciphering, integrity
from security.errors import SecurityError

LABEL = "PC5LAB-CONTEXT"
_N_FIELDS = 9
_MAX_OCTETS = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextKeys:
    """The keys of one security context. `direction` is the DIRECTION bit of PDUs from `src_l2` to `dst_l2`."""

    src_l2: int
    dst_l2: int
    kd_sess_id: int
    eea: int
    eia: int
    direction: int
    pek: bytes
    pik: bytes

    def __repr__(self) -> str:
        return (
            f"ContextKeys({self.src_l2:06x} > {self.dst_l2:06x}, {self.kd_sess_id:04x}, EEA{self.eea}, EIA{self.eia})"
        )

    def line(self) -> str:
        """The line of a key log, without the line end."""
        ids = f"{self.src_l2:06x} {self.dst_l2:06x} {self.kd_sess_id:04x}"
        return f"{LABEL} {ids} {self.eea} {self.eia} {self.direction} {self.pek.hex()} {self.pik.hex()}"

    @classmethod
    def parse(cls, line: str) -> Self:
        """The keys in a line; raises ValueError saying what is wrong, never quoting a key."""
        fields = line.split()
        if len(fields) != _N_FIELDS or fields[0] != LABEL:
            raise ValueError(f"{len(fields)} fields, not {_N_FIELDS} that begin with {LABEL}")
        try:
            src_l2, dst_l2, kd_sess_id = (int(field, 16) for field in fields[1:4])
            eea, eia, direction = (int(field) for field in fields[4:7])
            pek, pik = bytes.fromhex(fields[7]), bytes.fromhex(fields[8])
        except ValueError:
            raise ValueError("a field is no number") from None
        if (
            not all(0 <= l2_id < 1 << 24 for l2_id in (src_l2, dst_l2))
            or not 1 <= kd_sess_id <= 0xFFFF
            or direction not in (0, 1)
        ):
            raise ValueError("a layer-2 id, KD-sess ID or direction is out of range")
        return cls(
            src_l2=src_l2,
            dst_l2=dst_l2,
            kd_sess_id=kd_sess_id,
            eea=eea,
            eia=eia,
            direction=direction,
            pek=pek,
            pik=pik,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedContext:
    """Keyed algorithms for PDUs of one direction of a context."""

    ciphering: Ciphering
    integrity: Integrity
    direction: int
    keys: ContextKeys


class KeyLog:
    """Contexts by sender, receiver and KD-sess ID, both directions of each.

    Raises KeyLogError: an algorithm that is not known, or a key of a wrong length.
    """

    def __init__(self, contexts: Iterable[ContextKeys]) -> None:
        self._contexts: dict[tuple[int, int, int], KeyedContext] = {}
        for keys in contexts:
            self._add(keys)

    def __len__(self) -> int:
        return len(self._contexts) // 2

    def find(self, src_l2: int, dst_l2: int, kd_sess_id: int) -> KeyedContext | None:
        """The context a PDU from `src_l2` to `dst_l2` was protected under, None where the log has no keys for it."""
        return self._contexts.get((src_l2, dst_l2, kd_sess_id))

    def _add(self, keys: ContextKeys) -> None:
        try:
            cipher, mac = ciphering(keys.eea, keys.pek), integrity(keys.eia, keys.pik)
        except SecurityError as error:
            raise KeyLogError(f"key log, {keys!r}: {error}") from error
        for src_l2, dst_l2, direction in (
            (keys.src_l2, keys.dst_l2, keys.direction),
            (keys.dst_l2, keys.src_l2, 1 - keys.direction),
        ):
            self._contexts[src_l2, dst_l2, keys.kd_sess_id] = KeyedContext(
                ciphering=cipher, integrity=mac, direction=direction, keys=keys
            )


def read_contexts(path: Path) -> list[ContextKeys]:
    """The contexts of a key log in order. Raises KeyLogError with the line's number, OSError."""
    contexts = []
    try:
        lines = read_text(path, max_octets=_MAX_OCTETS).split("\n")
    except TextError as error:
        raise KeyLogError(str(error)) from None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            contexts.append(ContextKeys.parse(text))
        except ValueError as error:
            raise KeyLogError(f"{path}, line {number}: {error}") from None
    return contexts


def append_to_key_log(path: Path, keys: ContextKeys) -> None:
    """Add one line; a new file gets mode 0600."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as file:
        file.write(keys.line() + "\n")
