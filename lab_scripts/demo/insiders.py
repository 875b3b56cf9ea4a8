"""Members of a group that mount the fault `forged-receipt`: one that is deaf at first, one that takes advantage of it.

Every member holds the SSV of the group's key, and the key confirmation of a receipt depends on nothing else. So a
member that hears the keying message to another member can make a receipt in that member's name, except for the
signature.
"""

from __future__ import annotations

from typing import Any, Final

from lab_scripts.demo.insider_plan import DEAF_UNTIL_S
from prose_link.config.ue import UeConfig
from prose_link.pc5s.identity.key_exchange import NO_CONFIRMATION, asked, build_accept
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.messages import ChosenAlgorithms, DirectAccept, DirectRequest, IpAddressConfig, Purpose
from prose_link.pc5s.wire.party import Party
from prose_link.pc5s.wire.pdus import LCID_UNPROTECTED, OutgoingPdu
from prose_link.ue.bearers import Opened
from prose_link.ue.node import Node
from prose_link.ue.parts import NodeParts
from radio.l2.indications import SduReceived
from security.mikey import parse_profile_i_message

RECEIPTS_FORGED: Final = 3
"""No more: PDUs that two UEs send from one layer-2 id at once are lost."""


def keying_message_in(opened: Opened) -> DirectRequest | None:
    """The keying message in a PDU; None if it is something else."""
    sdu = opened.sdu
    if not isinstance(sdu, SduReceived) or sdu.lcid != LCID_UNPROTECTED:
        return None
    try:
        message = decode(sdu.data)
    except MalformedMessage:
        return None
    is_keying = isinstance(message, DirectRequest) and message.profile.purpose is Purpose.GROUP
    return message if is_keying and isinstance(message, DirectRequest) else None


def forged_receipt(request: DirectRequest, ssv: bytes, *, link_l2_id: int, nonce: bytes) -> bytes:
    """A receipt for a keying message to another member, in its name: correct except for the missing signature."""
    half = asked(request, parse_profile_i_message(request.i_message).signed_part)
    assert request.group_info is not None
    draft = DirectAccept(
        sequence_number=1,
        ip_address_config=IpAddressConfig.NOT_SUPPORTED,
        user_info=request.target_user_info,
        link_l2_id=link_l2_id,
        profile=request.profile,
        request_hash=half.request_hash,
        nonce_2=nonce,
        algorithms=ChosenAlgorithms(eea=request.group_info.eea, eia=0),
        kd_sess_id_lsb=0,
        confirmation=NO_CONFIRMATION,
    )
    return build_accept(draft, half, ssv_a=ssv, signer=None, ntp_s=0.0).octets


class DeafMember(Node):
    """An honest member that an attacker keeps from hearing the keyer for a while."""

    def _take_opened(self, opened: Opened) -> None:
        if self.now.mono_s >= DEAF_UNTIL_S or keying_message_in(opened) is None:
            super()._take_opened(opened)


class InsiderWithReceipts(Node):
    """A member that uses another one's layer-2 id, hears the keyer's PDUs to it, and sends receipts in its name."""

    def __init__(self, config: UeConfig, parts: NodeParts, *others: Any, **named: Any) -> None:
        super().__init__(config, parts, *others, **named)
        self._credentials = parts.credentials
        self._ssv = b""
        self._forged = 0

    def _take_opened(self, opened: Opened) -> None:
        request = keying_message_in(opened)
        if request is None:
            super()._take_opened(opened)
        elif request.target_user_info == self._config.identity:
            self._ssv = self._ssv or self._opened_ssv(request)
            super()._take_opened(opened)
        elif self._ssv and self._forged < RECEIPTS_FORGED and isinstance(opened.sdu, SduReceived):
            self._forged += 1
            self._forge(request, opened.sdu, opened)

    def _opened_ssv(self, request: DirectRequest) -> bytes:
        """The SSV opened with its own keys: an insider has them in its UE."""
        return self._credentials.open(parse_profile_i_message(request.i_message))

    def _forge(self, request: DirectRequest, sdu: SduReceived, opened: Opened) -> None:
        octets = forged_receipt(request, self._ssv, link_l2_id=self._config.l2_id, nonce=request.nonce_1)
        to = Party(identity="", l2_id=sdu.src_l2, via=opened.via)
        self._bearers.send_signalling(OutgoingPdu(data=octets, to=to, lcid=LCID_UNPROTECTED))
