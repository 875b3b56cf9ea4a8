"""The `[group]` section of a UE's configuration: one group, who keys it, who is in it, and what is said to it."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from prose_link.config.section import Identity, L2Id, L2IdOrUnknown, OptionalIdentity, Section, UserInfoId
from prose_link.userplane.group_messages import MAX_MESSAGE_OCTETS
from radio.quantities import DurationS


class GroupMemberEntry(Section):
    """Somebody the keyer gives keys to, once discovery or the configuration tells the layer-2 id."""

    identity: Identity
    user_info_id: UserInfoId = 0
    """Its user info in discovery."""
    l2_id: L2IdOrUnknown = 0
    """0: to be discovered."""
    joins_late: bool = False
    """Not waited for at set-up: gets the key when it is discovered."""


class GroupSection(Section):
    """One group. At the keyer `members` are its members; a member needs to know only the keyers."""

    identity: Identity
    """The group's own."""
    l2_id: L2Id
    """The group's layer-2 id."""
    multicast: IPv6Address = IPv6Address("ff02::7063:3500")
    """Where the group's IP packets go."""
    keyers: Annotated[tuple[Identity, ...], Field(min_length=1)]
    """Whose keying messages are taken; a UE that is among them keys the group."""
    members: tuple[GroupMemberEntry, ...] = ()
    mode: Literal["per-member", "group-identity"] = "per-member"
    """The reader of a keying message: one member, or every holder of the RSK of the group identity."""
    eea: Literal[1, 2, 3] = 2
    """128-EEA number. Group traffic has no integrity, whatever this is."""
    backward_secrecy: bool = True
    """A joiner can't read what was sent before: every member gets a new key first."""
    lifetime_s: Annotated[int, Field(ge=60, le=31 * 24 * 3600)] = 24 * 3600
    """How long a key lives; the keyer makes the next one when nine tenths are over."""
    set_up_after_s: DurationS = 5.0
    """How long the keyer waits for its members to be discovered; then it begins with those it has."""
    message_octets: Annotated[int, Field(ge=0, le=MAX_MESSAGE_OCTETS)] = 600
    """Size of what this UE says when it has the group's key; 0: nothing."""
    copies: Annotated[int, Field(ge=1, le=32)] = 4
    """How often each message is sent: no member answers in a group."""
    copy_every_s: Annotated[float, Field(ge=0.01, le=10)] = 0.16
    """From one copy to the next."""
    remove: OptionalIdentity = ""
    """The member that the keyer removes in the end, to say one more message to those that stay."""
    stop_when_done: bool = False
    """The keyer switches off when it has done all this."""

    @model_validator(mode="after")
    def _removal_needs_keys_per_member(self) -> Self:
        if self.remove and self.mode == "group-identity":
            raise ValueError(
                "nobody can be removed from a group keyed by its group identity, whose key all hold until the key "
                "period ends: take mode = per-member"
            )
        return self
