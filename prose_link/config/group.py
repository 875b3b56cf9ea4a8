"""The `[group]` section of a UE's configuration: one group, its keyers, its members, and the messages sent to it."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from prose_link.config.section import Identity, L2Id, L2IdOrUnknown, OptionalIdentity, Section, UserInfoId
from prose_link.pc5s.wire.elements import MAX_GROUP_IDENTITY_OCTETS
from prose_link.userplane.group_messages import MAX_MESSAGE_OCTETS
from radio.quantities import DurationS
from security.groups.keying import MAX_KEYERS

ROUNDS_OF_DELIVERY: Final = 3


class GroupMemberEntry(Section):
    """An identity that gets the group's keys from the keyer, once its layer-2 id is known."""

    identity: Identity
    user_info_id: UserInfoId = 0
    """Its user info in discovery."""
    l2_id: L2IdOrUnknown = 0
    """0: to be discovered."""
    joins_late: bool = False
    """The keyer does not wait for this member at set-up: it gets the key when it is discovered."""


class GroupSection(Section):
    """One group. At the keyer `members` are its members; a member needs to know only the keyers."""

    identity: Identity
    """Identity of the group."""
    l2_id: L2Id
    """The group's layer-2 id."""
    multicast: IPv6Address = IPv6Address("ff02::7063:3500")
    """Multicast address of the group's IP packets."""
    keyers: Annotated[tuple[Identity, ...], Field(min_length=1, max_length=MAX_KEYERS)]
    """The keyers: only their keying messages are accepted. The order is the same at all UEs. A UE that is in this list
    keys the group: the first one by its plan below, the others if the first one fails.
    """
    members: tuple[GroupMemberEntry, ...] = ()
    mode: Literal["per-member", "group-identity"] = "per-member"
    """The reader of a keying message: one member, or every holder of the RSK of the group identity."""
    eea: Literal[1, 2, 3] = 2
    """128-EEA number. Group traffic has no integrity in any case."""
    backward_secrecy: bool = True
    """A new member can't read earlier traffic: every member gets a new key first."""
    lifetime_s: Annotated[int, Field(ge=60, le=31 * 24 * 3600)] = 24 * 3600
    """Life of a key; the keyer makes the next one after nine tenths of it."""
    asks: bool = True
    """A member without the current key asks the keyers for it."""
    restart: Literal["same-key", "ask-new"] = "same-key"
    """The key that a restarted member accepts: the same one again, or a new one that it asks for. With a new one,
    traffic from before the restart can't be replayed to it.
    """
    speak_unsure: bool = False
    """A member that heard no other UE for half a minute, and gets no answer from a keyer, sends under the key it has.
    """
    deliver_when_heard: bool = True
    """A keyer that could not reach a member sends it the key again once discovery hears it, without an ask."""
    deferred_delivery: bool = False
    """Keying messages older than 300 s are accepted, as far as their key period allows: to read, not to send."""
    set_up_after_s: DurationS = 5.0
    """Time for which the keyer waits until its members are discovered; then it begins with those it has."""
    delivery_rounds: Annotated[int, Field(ge=1, le=16)] = ROUNDS_OF_DELIVERY
    """Rounds in which the keyer tries to reach a member before it goes on without it."""
    message_octets: Annotated[int, Field(ge=0, le=MAX_MESSAGE_OCTETS)] = 600
    """Size of the message that this UE sends when it has the group's key; 0: none."""
    copies: Annotated[int, Field(ge=1, le=32)] = 4
    """Number of copies of each message: no member answers in a group."""
    copy_every_s: Annotated[float, Field(ge=0.01, le=10)] = 0.16
    """Time between two copies."""
    remove: OptionalIdentity = ""
    """The member that the keyer removes in the end. It then sends one more message to the members that stay."""
    remove_after_s: DurationS = 0.0
    """The earliest time of the removal, after the power-on of the keyer."""
    stop_when_done: bool = False
    """The keyer switches off when it has done all this; one further down the list when it has spoken in the place of
    those before it."""

    @model_validator(mode="after")
    def _the_group_is_nobody(self) -> Self:
        everybody = (*self.keyers, *(member.identity for member in self.members))
        if self.identity in everybody:
            raise ValueError(f"{self.identity} is the group's own identity: it can be neither keyer nor member")
        if len(set(self.keyers)) != len(self.keyers):
            raise ValueError("keyers: an identity twice")
        if self.remove and self.remove in self.keyers:
            raise ValueError("a keyer can't be removed: take it off the keyers of every UE's configuration first")
        if len(self.identity) > MAX_GROUP_IDENTITY_OCTETS:
            raise ValueError(f"a group identity of more than {MAX_GROUP_IDENTITY_OCTETS} octets")
        return self

    @model_validator(mode="after")
    def _removal_needs_keys_per_member(self) -> Self:
        if self.remove and self.mode == "group-identity":
            raise ValueError(
                "no member can be removed from a group keyed by its group identity, whose key all hold until the key "
                "period ends: take mode = per-member"
            )
        return self
