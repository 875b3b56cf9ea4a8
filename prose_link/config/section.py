"""Common parts of the sections of a UE's configuration: strict keys, and types of values that several of them have."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from radio.quantities import FINITE
from security.identifiers import IdentityError, canonical_identity


class Section(BaseModel):
    """A table of the TOML file: an unknown key is an error, every number is finite, nothing changes once it is read."""

    model_config = FINITE


def _identity(uri: str) -> str:
    try:
        return canonical_identity(uri)
    except IdentityError as error:
        raise ValueError(str(error)) from error


Identity = Annotated[str, AfterValidator(_identity)]
"""A public identity in canonical form (PROFILE 1)."""
OptionalIdentity = Annotated[str, AfterValidator(lambda uri: uri and _identity(uri))]
"""An identity, or empty."""
L2Id = Annotated[int, Field(gt=0, lt=0xFFFFFF)]
"""A 24-bit layer-2 id, neither all zeros nor all ones (PROFILE 3, IE 0x41)."""
L2IdOrUnknown = Annotated[int, Field(ge=0, lt=0xFFFFFF)]
"""A layer-2 id, or 0 if discovery has to find it."""
CarrierName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
"""Name of a carrier in configuration, events and captures."""
UserInfoId = Annotated[int, Field(ge=0, lt=1 << 48)]
"""The 48-bit ProSe application user info of discovery; 0 where there is none."""
