"""The `[discovery]` section of a UE's configuration: its discovery group, and open and restricted codes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from prose_link.config.section import Section, UserInfoId
from prose_link.discovery.codec import BODY_OCTETS
from prose_link.discovery.own_messages import MAX_OWN_MESSAGES
from radio.quantities import PositiveDurationS

_ALL_BITS: Final = b"\xff" * BODY_OCTETS


def _octets(value: object) -> object:
    """23 octets from hex digits, blanks allowed between octets."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{2 * BODY_OCTETS} hex digits in quotes are needed, got {value!r}")
    try:
        octets = bytes.fromhex(value)
    except ValueError:
        raise ValueError(f"{value!r} is not hex: {2 * BODY_OCTETS} hex digits are needed") from None
    if len(octets) != BODY_OCTETS:
        raise ValueError(f"codes and masks have {BODY_OCTETS} octets ({2 * BODY_OCTETS} hex digits), got {len(octets)}")
    return octets


Code = Annotated[bytes, BeforeValidator(_octets)]
KeySetName = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,64}$")]
"""A discovery group's or code set's name at the KMS."""


class _Valid(Section):
    """A code with a validity timer: a duration from power-on, or a time; without both the code is always valid."""

    valid_for_s: PositiveDurationS | None = None
    valid_until: datetime | None = None

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.valid_for_s is not None and self.valid_until is not None:
            raise ValueError("valid_for_s and valid_until exclude each other")
        return self

    def valid_until_utc_s(self, power_on_utc_s: float) -> float | None:
        """When the validity timer runs out (Unix s), None for never; a time without a zone is UTC."""
        if self.valid_for_s is not None:
            return power_on_utc_s + self.valid_for_s
        if self.valid_until is None:
            return None
        moment = self.valid_until if self.valid_until.tzinfo else self.valid_until.replace(tzinfo=UTC)
        return moment.timestamp()


class OpenAnnounce(_Valid):
    """Announce a ProSe application code to any UE; with a key set its MIC is DUIK's, else there is none."""

    role: Literal["announce"]
    code: Code
    key_set: KeySetName | None = None


class OpenMonitor(_Valid):
    """Listen for application codes that agree with `code` where `mask` has ones.

    With a key set their MIC is checked.
    """

    role: Literal["monitor"]
    code: Code
    mask: Code = _ALL_BITS
    key_set: KeySetName | None = None


class _Restricted(_Valid):
    """MIC and scrambling by the key set's DUIK and DUSK; where `duck_mask` has ones DUCK hides the bits as well."""

    key_set: KeySetName
    duck_mask: Code = bytes(BODY_OCTETS)


class RestrictedAnnounce(_Restricted):
    """Model A: announce a restricted code."""

    role: Literal["announce"]
    code: Code


class RestrictedMonitor(_Restricted):
    """Model A: listen for restricted codes that agree with `code` where `mask` has ones."""

    role: Literal["monitor"]
    code: Code
    mask: Code = _ALL_BITS


class RestrictedSolicit(_Restricted):
    """Model B: send a query code until a response code comes back."""

    role: Literal["solicit"]
    query: Code
    response: Code
    response_mask: Code = _ALL_BITS
    every_s: Annotated[float, Field(ge=0.2, le=3600)] = 2.0


class RestrictedRespond(_Restricted):
    """Model B: answer a query code with a response code."""

    role: Literal["respond"]
    query: Code
    query_mask: Code = _ALL_BITS
    response: Code


OpenEntry = Annotated[OpenAnnounce | OpenMonitor, Field(discriminator="role")]
RestrictedEntry = Annotated[
    RestrictedAnnounce | RestrictedMonitor | RestrictedSolicit | RestrictedRespond, Field(discriminator="role")
]


class DiscoverySection(Section):
    """Public-safety group member discovery (Model A: announce, monitor; Model B: solicit, respond), and codes."""

    group_id: Annotated[int, Field(ge=0, lt=1 << 24)] = 1
    user_info_id: UserInfoId = 0
    announce: bool = True
    monitor: bool = True
    solicit: bool = False
    respond: bool = True
    target_user_info_id: UserInfoId = 0
    """The member that `solicit` asks for; 0 asks for any member, again and again."""
    solicit_every_s: Annotated[float, Field(ge=0.2, le=3600)] = 2.0
    validity_s: Annotated[float, Field(ge=1, le=86_400)] = 30.0
    """Time for which a UE that was heard counts as present."""
    transmit_probability: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Probability of each announcement in each discovery period: less than 1 if many UEs announce."""
    open: Annotated[tuple[OpenEntry, ...], Field(max_length=MAX_OWN_MESSAGES)] = ()
    restricted: Annotated[tuple[RestrictedEntry, ...], Field(max_length=MAX_OWN_MESSAGES)] = ()

    @model_validator(mode="after")
    def _asks_for_somebody_else(self) -> Self:
        if self.solicit and self.target_user_info_id == self.user_info_id != 0:
            raise ValueError("target_user_info_id is this UE's own user_info_id")
        return self
