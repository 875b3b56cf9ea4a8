"""Events of a UE as a whole, besides the events of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from prose_link.carriers.events import CarrierEvent
from prose_link.carriers.ims.events import ImsEvent
from prose_link.discovery.events import DiscoveryEvent
from prose_link.event_stream import PduSeen
from prose_link.pc5s.core.events import Event
from prose_link.sync.events import SyncEvent
from prose_link.userplane.events import GroupMessageEvent, UserPlaneEvent
from radio.access.protocol import BlockReceived
from radio.phy.lte.channels.indications import Synchronised, SyncLost


@dataclass(frozen=True, slots=True, kw_only=True)
class PoweredOn:
    """The UE's radio runs."""

    identity: str
    l2_id: int
    """Layer-2 id of the UE."""
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
    """The KMS could not be reached; the UE uses its store from an earlier contact."""

    identity: str
    key_periods: tuple[int, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysRenewed:
    """The UE has contacted its KMS while it ran, and uses the keys of these key periods."""

    identity: str
    kms: str
    key_periods: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysNotRenewed:
    """A contact with the KMS failed; the UE continues with the keys it holds."""

    identity: str
    why: str
    again_after_s: float | None
    """Time until the next attempt; None if the KMS has refused for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotProvisioned:
    """The KMS gave no keys."""

    identity: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakLinksAllowed:
    """The configuration allows links without protection, or answers to unverified senders."""

    keys: tuple[str, ...]
    """Keys of the configuration that allow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeNotProven:
    """No contact with the home KMS has given the time since the start, and the clock may have been set meanwhile."""

    require_kms: str
    """`[time] require_kms` of the UE's configuration."""
    set_ups_refused: bool
    """Whether no link is set up until a contact has given the time; else the UE trusts its own clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysLeftOnDisk:
    """Keys of a period that is over could not be taken out of the key store."""

    kms: str
    key_period: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberResolved:
    """A telephone number is called: this is its identity."""

    number: str
    identity: str
    by: str
    """Source of the entry: a KMS, or `own` for the UE's file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberNotResolved:
    """A telephone number can't be called now."""

    number: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRefused:
    """A KMS's statement about a telephone number is refused, or contradicts another; earlier statements stay."""

    number: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioLost:
    """The radio is lost or could not be opened; the UE was asked to keep on, and tries again."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Connecting:
    """The UE decided to connect: the peer has been discovered and keys are there."""

    peer: str
    peer_l2: int
    carrier: str = "direct"
    """Name of the carrier of the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDropped:
    """Packets that waited for a link went no further, counted over a second or more, or were marked as ECN has it."""

    peer_l2: int
    early: int
    """Dropped because packets of their flow had waited too long (CoDel)."""
    overflow: int
    """Dropped because there was no room for more."""
    marked: int
    """Marked as having met congestion, and sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstProtected:
    """The first user packet of a link that came up protected and was opened."""

    peer_l2: int
    octets: int
    """Size of the packet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class L2Dropped:
    """Layer 2 dropped something it received, or had no room for something to send."""

    layer: str
    """l2 or ip."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Shows the supervisor that the UE is alive, and its air time."""

    subframe: int
    real_time_factor: float
    """Air seconds a wall second since the start."""
    cpu_ms_per_subframe: float
    """Mean processing time of a subframe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStopped:
    """The UE has switched itself off and wiped all remaining keys."""

    why: str
    subframes: int
    """Number of subframes in which it was on."""
    live_contexts: int
    """Security contexts whose keys were not wiped: 0 unless there is a bug."""
    late_bursts: int
    """Bursts that came too late to be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPlanStage:
    """The keyer has reached another stage of its plan."""

    stage: str
    """The stage, in words."""
    members: tuple[str, ...]
    """Identities of the members."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupUnreadable:
    """A group PDU for which this UE holds no key, or that it has had before."""

    sender_l2: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAddress:
    """The layer-2 id from which this UE sends to the group from now on: its own, or a drawn one."""

    sender_l2: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAddressTaken:
    """Another UE uses the layer-2 id from which this UE sent to the group: this UE draws another one."""

    sender_l2: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeyingFailed:
    """The keyer could make no new key: its plan ends, the key in use goes on until it expires."""

    why: str


NodeEvent: TypeAlias = (
    PoweredOn
    | Provisioned
    | KmsOutOfReach
    | KeysRenewed
    | KeysNotRenewed
    | NotProvisioned
    | WeakLinksAllowed
    | TimeNotProven
    | KeysLeftOnDisk
    | NumberResolved
    | NumberNotResolved
    | StatementRefused
    | RadioLost
    | Connecting
    | FirstProtected
    | QueueDropped
    | L2Dropped
    | Progress
    | NodeStopped
    | GroupPlanStage
    | GroupUnreadable
    | GroupAddress
    | GroupAddressTaken
    | GroupKeyingFailed
)
"""Events of the UE as a whole; `RadioLost` and the events about keys come from the code that switches the UE on."""

RadioEvent: TypeAlias = PduSeen | BlockReceived | Synchronised | SyncLost
"""Indications of the radio access that the UE passes on unchanged."""

UeEvent: TypeAlias = (
    NodeEvent
    | RadioEvent
    | SyncEvent
    | DiscoveryEvent
    | Event
    | CarrierEvent
    | ImsEvent
    | UserPlaneEvent
    | GroupMessageEvent
)
"""All events of a UE."""
