"""One line, or one JSON-ready tree, for a dissected packet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.packet import NoPayload, Packet

from lab_scripts.dissectors.discovery import Pc5Discovery
from lab_scripts.dissectors.exported import LINKS, ExportedPdu, MacLteContext
from lab_scripts.dissectors.mib_sl import MibSl, MibSlV2x
from lab_scripts.dissectors.mikey import Mikey, MikeyIdr, MikeyT
from lab_scripts.dissectors.pc5s import Pc5S
from lab_scripts.dissectors.pc5s_ies import Ie
from lab_scripts.dissectors.pdcp import SlrbPdcp, SlrbPdcpGroup
from lab_scripts.dissectors.sl_sch import PADDING, WIDE_DST, MacSubheader, SlSchMac
from prose_link.pc5s.wire.elements import CONFIRMATION, I_MESSAGE, TARGET_USER_INFO, USER_INFO_IE, Element
from prose_link.pc5s.wire.messages import MessageType
from prose_link.pc5s.wire.table import CONFIRM, IN_SUMMARY, name_of

_NTP_EPOCH = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)
_SAKKE_DATA_TYPE = 26
_NAMED_BY_UID = {8: 1, 9: 2}
"""IDRuidi and IDRuidr name the same ends as IDRi and IDRr."""


def pdu_of(packet: Packet) -> Packet:
    """The PDU inside the capture's own framing."""
    while isinstance(packet, ExportedPdu | MacLteContext):
        packet = packet.payload
    return packet


def one_line(packet: Packet) -> str:
    """What a packet is, in a line: what it is, between whom, how long."""
    pdu = pdu_of(packet)
    describe = _DESCRIPTIONS.get(type(pdu))
    return describe(pdu) if describe else f"{len(bytes(pdu))} octets not dissected"


def tree(packet: Packet) -> list[dict[str, Any]]:
    """The layers of a packet from the outside in, each with its fields; octets as hex."""
    return [{"layer": layer.name, "fields": _fields(layer)} for layer in _stack(packet)]


def _stack(packet: Packet) -> Iterator[Packet]:
    while not isinstance(packet, NoPayload):
        yield packet
        packet = packet.payload


def _fields(layer: Packet) -> dict[str, Any]:
    return {name: _plain(layer.getfieldval(name)) for name in layer.fields}


def _plain(value: Any) -> Any:
    if isinstance(value, Packet):
        return tree(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, int | str | None) else str(value)


def _mib(mib: Packet) -> str:
    bandwidth = mib.sprintf("%sl_bandwidth%")
    coverage = "in" if mib.in_coverage else "out of"
    return f"{mib.name} {bandwidth}, DFN {mib.direct_frame_number}.{mib.direct_subframe_number}, {coverage} coverage"


def _mac(mac: SlSchMac) -> str:
    sdus = iter(mac.sdus)
    parts = [
        f"LCID {subheader.lcid}, {len(bytes(next(sdus, b'')))} octets"
        for subheader in mac.subheaders
        if isinstance(subheader, MacSubheader) and subheader.lcid != PADDING
    ]
    if mac.padding:
        parts.append(f"padding {len(mac.padding)}")
    dst_digits = 6 if mac.version == WIDE_DST else 4
    return f"SL-SCH {mac.src:06x} > {mac.dst:0{dst_digits}x} ({'; '.join(parts)})"


def _pdcp(pdu: SlrbPdcp) -> str:
    sdu_type = pdu.sprintf("%sdu_type%")
    if not pdu.kd_sess_id:
        return f"PDCP {sdu_type}, not protected: {one_line(pdu.payload)}"
    octets = len(pdu.data)
    return f"PDCP {sdu_type}, KD-sess ID {pdu.kd_sess_id:04x}, SN {pdu.sn}, {octets} octets, MAC-I {pdu.mac_i:08x}"


def _group_pdcp(pdu: SlrbPdcpGroup) -> str:
    sdu_type = pdu.sprintf("%sdu_type%")
    return f"PDCP {sdu_type}, PGK index {pdu.pgk_index}, PTK ID {pdu.ptk_id:04x}, SN {pdu.sn}, {len(pdu.data)} octets"


def _pc5s(message: Pc5S) -> str:
    name = name_of(message.message_type)
    body = message.payload
    ies: dict[int, Ie] = {ie.iei: ie for ie in getattr(body, "ies", None) or [] if isinstance(ie, Ie)}
    if message.message_type == MessageType.KEEPALIVE and CONFIRMATION.iei in ies:
        name = CONFIRM
    parts = [f"{name}{_users(body, ies)}", *_named(body)]
    if I_MESSAGE.iei in ies:
        parts.append(f"I_MESSAGE {ies[I_MESSAGE.iei].length} octets")
    return ", ".join(parts)


def _named(body: Packet) -> Iterator[str]:
    for element in IN_SUMMARY:
        (part,) = element.parts
        if part.name in body.fields and (part.words or body.fields[part.name]):
            yield f"{part.name} {body.sprintf(f'%{part.name}%')}"


def _users(body: Packet, ies: dict[int, Ie]) -> str:
    source = body.fields.get("user_info") or _user(ies, USER_INFO_IE)
    target = _user(ies, TARGET_USER_INFO)
    text = f" {_text(source)}" if source else ""
    return f"{text} > {_text(target)}" if target else text


def _user(ies: dict[int, Ie], element: Element) -> bytes:
    return bytes(ies[element.iei].user_info) if element.iei in ies else b""


def _mikey(message: Mikey) -> str:
    kind = "MIKEY-SAKKE I_MESSAGE" if message.data_type == _SAKKE_DATA_TYPE else message.sprintf("MIKEY %data_type%")
    ends = {}
    for layer in _stack(message):
        if isinstance(layer, MikeyIdr):
            by_uid = layer.role in _NAMED_BY_UID
            ends[_NAMED_BY_UID.get(layer.role, layer.role)] = (
                f"UID {layer.identity.hex()[:8]}.." if by_uid else _text(layer.identity)
            )
    between = f" {ends.get(1, '?')} > {ends.get(2, '?')}" if ends else ""
    return f"{kind}{between}, CSB-ID {message.csb_id:08x}{_time(message)}, {len(bytes(message))} octets"


def _time(message: Mikey) -> str:
    if MikeyT not in message or message[MikeyT].ts_type > 1:
        return ""
    when = _NTP_EPOCH + dt.timedelta(seconds=message[MikeyT].ts >> 32)
    return f", {when:%Y-%m-%d %H:%M:%S}"


def _discovery(message: Pc5Discovery) -> str:
    content = message.sprintf("%discovery_type% %content_type%, model %model%")
    fields = ("mcc", "mnc", "relay_service_code", "discovery_group_id", "user_info_id", "prose_ue_id")
    known = [f"{name.replace('_', ' ')} {message.fields[name]:x}" for name in fields if name in message.fields]
    if "code_on_air" in message.fields:
        known.append(f"scrambled: {message.code_on_air[:4].hex()}...")
    return ", ".join([f"PC5_DISCOVERY {content}", *known, f"counter ..{message.utc_counter_lsb:02x}"])


def _ip(packet: Packet) -> str:
    return f"{packet.summary()}, {len(bytes(packet))} octets"


def _text(octets: bytes) -> str:
    return "".join(chr(octet) if 0x21 <= octet <= 0x7E else "." for octet in octets)


_DESCRIPTIONS: dict[type[Packet], Callable[[Any], str]] = {
    MibSl: _mib,
    MibSlV2x: _mib,
    SlSchMac: _mac,
    SlrbPdcp: _pdcp,
    SlrbPdcpGroup: _group_pdcp,
    Pc5S: _pc5s,
    Mikey: _mikey,
    Pc5Discovery: _discovery,
    **dict.fromkeys((IP, IPv6, *(layer for layer, _ in LINKS.values())), _ip),
}
