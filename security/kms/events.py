"""What a KMS tells while it serves: typed events, none of which holds a key or a token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsServing:
    """The KMS takes connections from now on."""

    url: str
    """Where clients reach it."""
    kms: str
    """The KMS's URI."""
    lab_deterministic: bool
    """Its master keys are demo keys, made from a seed: anyone can make them too."""
    workers: int = 1
    """Processes that serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsStopped:
    """The KMS was asked to end, and takes no more connections."""

    workers: int = 1
    """Processes that served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsEnrolled:
    """A user has spent the token of an enrolment ticket for a client certificate."""

    user: str
    """Name of the user, as the operator gave it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsKeysIssued:
    """A user's keys have left the KMS; the audit log has them already."""

    uri: str
    """The identity that the keys are for."""
    periods: tuple[int, ...]
    """Numbers of the key periods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsRefused:
    """A request was refused. Told one by one while refusals are few."""

    refusal: str
    """The code of the protocol."""
    message: str
    """The reason, as the client is told it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsRefusals:
    """Counts of what was not told one by one, at most every few seconds."""

    connections_closed: Mapping[str, int]
    """Connections that were closed before they had a request: reason to number."""
    requests_refused: Mapping[str, int]
    """Refused requests: code of the protocol to number."""
    addresses: Mapping[str, int]
    """Those that most of the closed connections came from: address to number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsCertificateRenewed:
    """New connections are shown a newer server certificate."""

    fingerprint: str
    """SHA-256 of the certificate, hex."""
    not_after: str
    """UTC of its end, ISO 8601."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsCertificateNotRenewed:
    """A newer server certificate could not be made or read; the one in use goes on."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsFailed:
    """A request met a bug or a broken disk; the client is only told that the KMS failed."""

    error: str
    """Class of the exception."""
    message: str
    """Its text, cut at 300 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsWorkerLost:
    """A serving process died at work; another takes its place."""

    worker: str
    """Name of the process."""
    exit_code: int | None
    """How it ended: negative for a signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsWorkerFailed:
    """A serving process could not start. It tells this to its parent only, which ends with the message."""

    message: str
    """The reason."""


KmsEvent: TypeAlias = (
    KmsServing
    | KmsStopped
    | KmsEnrolled
    | KmsKeysIssued
    | KmsRefused
    | KmsRefusals
    | KmsCertificateRenewed
    | KmsCertificateNotRenewed
    | KmsFailed
    | KmsWorkerLost
    | KmsWorkerFailed
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FromWorker:
    """An event of one of several serving processes, and the name of that process."""

    worker: str
    event: KmsEvent


EventSink: TypeAlias = Callable[[KmsEvent], None]
"""Takes the events of one serving process."""
EventsSink: TypeAlias = Callable[[KmsEvent | FromWorker], None]
"""Takes the events of a KMS with several serving processes."""
