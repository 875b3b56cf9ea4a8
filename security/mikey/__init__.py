"""MIKEY-SAKKE: RFC 6509 over RFC 3830, and the form of the `identity` profile."""

from security.mikey.errors import ErrorNumber, MikeyError, ProfileFormError
from security.mikey.i_message import (
    IMessage,
    create_i_message,
    extract_ssv,
    parse_i_message,
    signed_part,
    verify_i_message,
)
from security.mikey.profile_form import (
    Kind,
    ProfileIMessage,
    build_profile_i_message,
    check_profile_i_message,
    parse_profile_i_message,
)

__all__ = [
    "ErrorNumber",
    "IMessage",
    "Kind",
    "MikeyError",
    "ProfileFormError",
    "ProfileIMessage",
    "build_profile_i_message",
    "check_profile_i_message",
    "create_i_message",
    "extract_ssv",
    "parse_i_message",
    "parse_profile_i_message",
    "signed_part",
    "verify_i_message",
]
