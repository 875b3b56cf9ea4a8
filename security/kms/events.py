"""Events of a serving KMS; none holds a key or a token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsServing:
    """The KMS accepts connections from now on."""

    url: str
    """URL at which clients reach it."""
    kms: str
    """The KMS's URI."""
    lab_deterministic: bool
    """Whether its master keys are demo keys, made from a public seed."""
    workers: int = 1
    """Processes that serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsStopped:
    """The KMS was asked to end, and accepts no more connections."""

    workers: int = 1
    """Processes that served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsEnrolled:
    """A user has spent the token of an enrolment ticket for a client certificate."""

    user: str
    """Name of the user, as the operator gave it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsKeysIssued:
    """The KMS has issued a user's keys; the audit log has them already."""

    uri: str
    """The identity that the keys are for."""
    periods: tuple[int, ...]
    """Numbers of the key periods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsRefused:
    """A request was refused. Single events come only while refusals are few."""

    refusal: str
    """The code of the protocol."""
    message: str
    """The reason in the answer to the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsRefusals:
    """Counts of refusals and closed connections that had no event of their own, at most every few seconds."""

    connections_closed: Mapping[str, int]
    """Connections that were closed before they had a request: reason to number."""
    requests_refused: Mapping[str, int]
    """Refused requests: code of the protocol to number."""
    addresses: Mapping[str, int]
    """The addresses with the most closed connections: address to number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsCertificateRenewed:
    """The KMS shows a newer server certificate to new connections."""

    fingerprint: str
    """SHA-256 of the certificate, hex."""
    not_after: str
    """UTC of its end, ISO 8601."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsCertificateNotRenewed:
    """A newer server certificate could not be made or read; the present one stays in use."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsFailed:
    """A request met a bug or a broken disk; the client only learns that the KMS failed."""

    error: str
    """Class of the exception."""
    message: str
    """Its text, cut at 300 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsWorkerLost:
    """A serving process ended unexpectedly; another one replaces it."""

    worker: str
    """Name of the process."""
    exit_code: int | None
    """Its exit status: negative for a signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsWorkerFailed:
    """A serving process could not start. Only its parent gets this event, and ends with the message."""

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
"""Called with the events of one serving process."""
EventsSink: TypeAlias = Callable[[KmsEvent | FromWorker], None]
"""Called with the events of a KMS with several serving processes."""
