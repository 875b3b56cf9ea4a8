"""The I_MESSAGEs of a capture, as an interception order names them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from lab_scripts.capture.capture_file import read_packets
from lab_scripts.capture.errors import CaptureError
from lab_scripts.capture.signalling import Signalling, read_signalling
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.ies import MalformedMessage
from security.identifiers import NTP_EPOCH
from security.mikey import MikeyError
from security.mikey.i_message import IMessage, parse_i_message
from security.mikey.numbers import Role

_VISIBLE = range(0x21, 0x7F)


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedIMessage:
    """An I_MESSAGE: its two ends (a URI, a UID in hex, or ""), its time, and its name in an export."""

    initiator: str
    responder: str
    time_utc: datetime
    csb_id: int
    signed_part_sha256: str
    octets: bytes

    def line(self) -> str:
        """The message in words."""
        return (
            f"{self.time_utc:%Y-%m-%dT%H:%M:%SZ}  {self.initiator or '?'} > {self.responder or '?'}, "
            f"CSB-ID {self.csb_id:08x}, {len(self.octets)} octets, signed part {self.signed_part_sha256[:16]}.."
        )

    def text(self) -> str:
        """The form in which `kms intercept request` and `mikey open` take it (RFC 4567 base64)."""
        return f"mikey {base64.b64encode(self.octets).decode('ascii')}"

    def json(self) -> dict[str, str | int]:
        """The message as a JSON-ready mapping."""
        return {
            "initiator": self.initiator,
            "responder": self.responder,
            "time": f"{self.time_utc:%Y-%m-%dT%H:%M:%SZ}",
            "csb_id": self.csb_id,
            "octets": len(self.octets),
            "signed_part_sha256": self.signed_part_sha256,
        }


def captured_i_messages(path: Path, responders: Iterable[str] = ()) -> list[CapturedIMessage]:
    """Each I_MESSAGE of a capture once, in order; only those to `responders` where any are given.

    They are found in PC5-S, as frames of their own, in UDP and TCP of MIKEY's port, and in SDP and SIP.

    Rekeys' I_MESSAGEs are protected on the air: they are found once `capture decrypt` has opened their context.

    Raises:
        CaptureError: the file can't be read to its end, or holds no such I_MESSAGE: says what it holds.
        OSError: the file can't be opened.
    """
    wanted = set(responders)
    signalling = read_signalling(read_packets(path))
    found = dict.fromkeys(_i_messages(signalling))
    messages = [message for octets in found if (message := _taken_apart(octets))]
    chosen = [message for message in messages if not wanted or message.responder in wanted]
    if not chosen:
        raise _none_found(path, signalling, found, messages, wanted)
    return chosen


def _none_found(
    path: Path,
    signalling: Signalling,
    found: Iterable[bytes],
    messages: list[CapturedIMessage],
    wanted: Iterable[str],
) -> CaptureError:
    """The reason why a capture gives no I_MESSAGE: messages to other identities, damaged ones, or none at all."""
    what = f"{path} holds no I_MESSAGE" + (f" to {' or '.join(wanted)}" if wanted else "")
    if messages:
        hint = f"it holds {len(messages)} to {', '.join(sorted({message.responder for message in messages}))}"
    elif bad := list(found):
        hint = f"it holds {len(bad)} MIKEY messages of another kind, or damaged ones; the first: {_why_none(bad[0])}"
    elif signalling.protected:
        hint = "its PC5-S is protected: open it first with `capture decrypt`"
    else:
        looked_into = f"; looked into {signalling.looked_into}" if signalling.looked_into else ""
        hint = f"MIKEY is looked for in PC5-S, UDP and TCP port 2269, SDP and SIP in the clear{looked_into}"
    return CaptureError(what, hint=hint)


def _why_none(octets: bytes) -> str:
    try:
        parse_i_message(octets)
    except MikeyError as error:
        return str(error)
    return "no fault"


def _i_messages(signalling: Signalling) -> Iterator[bytes]:
    for octets in signalling.messages:
        try:
            i_message: bytes | None = getattr(decode(octets), "i_message", None)
        except MalformedMessage:
            continue
        if i_message:
            yield i_message
    yield from signalling.i_messages


def _taken_apart(octets: bytes) -> CapturedIMessage | None:
    try:
        i_message = parse_i_message(octets)
    except MikeyError:
        return None
    return CapturedIMessage(
        initiator=_name(i_message, Role.INITIATOR, Role.INITIATOR_UID),
        responder=_name(i_message, Role.RESPONDER, Role.RESPONDER_UID),
        time_utc=NTP_EPOCH + timedelta(seconds=int(i_message.timestamp.ntp_s)),
        csb_id=i_message.csb_id,
        signed_part_sha256=hashlib.sha256(i_message.signed_part).hexdigest(),
        octets=octets,
    )


def _name(i_message: IMessage, *roles: Role) -> str:
    data = i_message.role(*roles) or b""
    return data.decode("ascii") if all(octet in _VISIBLE for octet in data) else data.hex()
