"""`[[numbers]]` of a UE's configuration: telephone numbers whose identity the UE's owner declares (PROFILE 12)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from prose_link.config.section import Identity, Section
from security.identity_map.statement import NumberError, telephone_number


def _number(text: str) -> str:
    try:
        return telephone_number(text)
    except NumberError as error:
        raise ValueError(str(error)) from error


TelephoneNumber = Annotated[str, AfterValidator(_number)]
"""+ and the country code first, 15 digits at most."""
OptionalNumber = Annotated[str, AfterValidator(lambda text: text and _number(text))]
"""A telephone number, or empty."""


class NumberEntry(Section):
    """A number and the identity it belongs to. It has precedence over a KMS, and is shown as "own"."""

    number: TelephoneNumber
    """Telephone number: + and the country code first."""
    identity: Identity
    """Identity that the number belongs to."""
