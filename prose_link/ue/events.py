"""What the composition of a UE tells about itself, beside the events of its parts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PoweredOn:
    """The UE's radio runs; `real_time_ns` is not part of what repeats."""

    identity: str
    l2_id: int
    sample_rate_hz: int
    n_prb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """The UE has keys from its KMS for these key periods."""

    identity: str
    kms: str
    key_periods: tuple[int, ...]
    lab_deterministic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsOutOfReach:
    """The KMS could not be asked; the UE goes by what its store holds from an earlier contact."""

    identity: str
    key_periods: tuple[int, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysRenewed:
    """The UE has contacted its KMS while it ran, and goes on with the keys of these key periods."""

    identity: str
    kms: str
    key_periods: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysNotRenewed:
    """A contact with the KMS came to nothing; the UE goes on with what it holds.

    It tries again after `again_after_s` seconds, or never, None, where the KMS has refused for good.
    """

    identity: str
    why: str
    again_after_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotProvisioned:
    """The KMS gave no keys."""

    identity: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakLinksAllowed:
    """The configuration lets links come up without what protects them, or answers whom it can't verify."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeNotProven:
    """No contact with the home KMS has told the time since the start, and the clock may have been set meanwhile.

    `set_ups_refused`: nothing is set up until one has; else the UE goes by its own clock.
    """

    require_kms: str
    set_ups_refused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysLeftOnDisk:
    """Keys of a period that is over could not be taken out of the key store."""

    kms: str
    key_period: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberResolved:
    """A telephone number is called: it leads to this identity, `by` a KMS's word or the UE's `own` file."""

    number: str
    identity: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberNotResolved:
    """A telephone number can't be called now."""

    number: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRefused:
    """A KMS's statement about a telephone number was not believed, or contradicts another; what was held stays."""

    number: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioLost:
    """The radio is gone or did not come; the UE was told to keep on, and tries again."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Connecting:
    """The decision to connect: the peer has been discovered and keys are there."""

    peer: str
    peer_l2: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstProtected:
    """The first user packet of a link that came up protected and was opened."""

    peer_l2: int
    octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class L2Dropped:
    """Layer 2 dropped something it received, or had no room for something to send."""

    layer: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Tells the supervisor that the UE is alive and where its air time stands."""

    subframe: int
    real_time_factor: float
    cpu_ms_per_subframe: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStopped:
    """The UE has switched itself off; what it still held is wiped."""

    why: str
    subframes: int
    live_contexts: int
    late_bursts: int
