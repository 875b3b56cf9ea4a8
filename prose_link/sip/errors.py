"""What the SIP room raises."""

from __future__ import annotations

from prose_link.errors import ProseLinkError


class SipError(ProseLinkError):
    """Something that can't be said or done in SIP."""


class MalformedMessage(SipError):
    """Octets that are no SIP message, or a part of one that breaks its grammar."""


class BodyError(SipError):
    """A body that is no session description or no multipart of the form that is due."""
