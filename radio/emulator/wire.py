"""The hub's native port, message by message: DEALER (UE) to ROUTER (hub), both ways pushed under credits.

A message is one frame of header and, for some kinds, one of payload: complex64 little-endian samples or JSON.
Header, little-endian: magic "PC5A", version, kind, 2 octets of zero, sequence number (32 bits, per direction),
n_samples (32 bits), sample (64 bits, signed, in the UE's own clock).
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from radio.arrays import Iq
from radio.errors import RadioError

VERSION = 1
_MAGIC = b"PC5A"
_HEADER = struct.Struct("<4sBBHIIq")

MAX_SAMPLES = 1 << 24
HEARTBEAT_INTERVAL_MS = 500
HEARTBEAT_TIMEOUT_MS = 2000


class WireError(RadioError):
    """A message that is not of the hub's native protocol."""


class Kind(IntEnum):
    """Kinds of message. UE to hub: JOIN, IQ, CREDIT, LEAVE; hub to UE: WELCOME, REFUSED, IQ, NOTICE, END."""

    JOIN = 1
    WELCOME = 2
    REFUSED = 3
    IQ = 4
    CREDIT = 5
    """`sample`: the UE's transmission is complete up to here, and it can take the blocks that this lets the hub mix."""
    LEAVE = 6
    NOTICE = 7
    """The UEs that the hub waits for."""
    END = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands in front of every message."""

    kind: Kind
    sequence: int
    n_samples: int = 0
    sample: int = 0

    def encode(self) -> bytes:
        """Return the header's octets."""
        return _HEADER.pack(_MAGIC, VERSION, self.kind, 0, self.sequence & 0xFFFF_FFFF, self.n_samples, self.sample)

    @classmethod
    def decode(cls, data: bytes) -> Header:
        """Return the header; raises WireError."""
        if len(data) != _HEADER.size:
            raise WireError(f"a header of {len(data)} octets instead of {_HEADER.size}")
        magic, version, kind, _, sequence, n_samples, sample = _HEADER.unpack(data)
        if magic != _MAGIC:
            raise WireError(f"a message that begins with {magic!r} instead of {_MAGIC!r}")
        if version != VERSION:
            raise WireError(f"the other end speaks version {version} of the hub's protocol, this one {VERSION}")
        if kind not in Kind.__members__.values():
            raise WireError(f"unknown kind of message {kind}")
        if n_samples > MAX_SAMPLES:
            raise WireError(f"{n_samples} samples in one message; at most {MAX_SAMPLES}")
        return cls(kind=Kind(kind), sequence=sequence, n_samples=n_samples, sample=sample)


def samples_of(header: Header, payload: bytes | memoryview) -> Iq:
    """Return a copy (aligned, writable) of an IQ message's samples, complex64 (n,).

    Raises WireError if its length is not the one in the header.
    """
    if len(payload) != 8 * header.n_samples:
        raise WireError(f"{len(payload)} octets of samples where the header says {header.n_samples} samples")
    return np.frombuffer(payload, dtype="<c8").astype(np.complex64)


def encode_fields(fields: dict[str, Any]) -> bytes:
    """Return the JSON payload of a message."""
    return json.dumps(fields, separators=(",", ":")).encode()


def decode_fields(payload: bytes | memoryview) -> dict[str, Any]:
    """Return the fields of a JSON payload; raises WireError."""
    try:
        fields = json.loads(bytes(payload))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise WireError(f"a message's fields are not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise WireError("a message's fields are not a JSON object")
    return fields
