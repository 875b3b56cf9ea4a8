"""A small capture made by the project's sink from PDUs of its own codecs: a link set-up and one ping, both ways."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6

from lab_scripts.capture.keylog import ContextKeys
from lab_scripts.capture.sink import write_capture
from prose_link.discovery.codec import encode as encode_discovery
from prose_link.discovery.codec import encode_content
from prose_link.discovery.messages import GroupMemberAnnouncement, RestrictedAnnouncement
from prose_link.discovery.protection import MessageKeys, protect
from prose_link.event_stream import EventStream, PduSeen
from prose_link.instant import Instant
from prose_link.pc5s.wire import codec, messages
from radio.l2 import mac_pdu, pdcp, rlc_um_pdu
from radio.phy.lte.channels.mib import MibSl
from security import sakke
from security.eccsi import eccsi
from security.identifiers import KmsDomain, UserKeys
from security.link.context import SecurityContext
from security.mikey.profile_form import Kind, build_profile_i_message

NOW_NTP_S = 3_968_437_672.25
START_UTC_S = 1_759_448_872.25
A, B = "tel:+447700900001", "tel:+447700900002"
A_L2, B_L2 = 0x5C1A01, 0x5C1B02
RESTRICTED_CODE = bytes(range(0x40, 0x57))
KD_SESS_ID = 0x2107
DATA_LCID = 1
PING = bytes(
    IPv6(src="fe80::5c:1a01", dst="fe80::5c:1b02") / ICMPv6EchoRequest(id=7, seq=1, data=b"pc5lab ping payload")
)


@dataclass(frozen=True, slots=True)
class SyntheticCapture:
    path: Path
    keys: ContextKeys
    request: bytes
    accept: bytes
    i_messages: tuple[bytes, bytes]


def _random(seed: bytes):
    state = [0]

    def octets(n: int) -> bytes:
        state[0] += 1
        return hashlib.shake_256(seed + state[0].to_bytes(4, "big")).digest(n)

    return octets


def _i_messages() -> tuple[bytes, bytes]:
    """A's to B and B's to A, of the `identity` profile, really signed and encapsulated."""
    random = _random(b"synthetic capture")
    ksak, kpak = eccsi.generate_master_keys(random)
    z_secret, z = sakke.generate_master_secret(random)
    domain = KmsDomain(uri="kms.lab.example", z=z, kpak=kpak, uid_scheme=1, namespace=("tel:*",))
    made = []
    for kind, sender, receiver in ((Kind.REQUEST, A, B), (Kind.ACCEPT, B, A)):
        uid = domain.uid(sender, NOW_NTP_S)
        ssk, pvt = eccsi.extract_signing_keys(ksak, uid, hashlib.sha256(uid).digest()[:31].rjust(32, b"\0"))
        keys = UserKeys(
            uri=sender,
            kms_uri=domain.uri,
            uid=uid,
            key_period_no=domain.period_of(NOW_NTP_S),
            rsk=sakke.extract_rsk(z_secret, uid),
            ssk=ssk,
            pvt=pvt,
        )
        made.append(
            build_profile_i_message(
                kind,
                bytes(32),
                keys=keys,
                initiator_domain=domain,
                responder_uri=receiver,
                responder_domain=domain,
                ntp_s=NOW_NTP_S,
                ssv=random(16),
                random=random,
            )
        )
    return made[0], made[1]


def _request(i_message: bytes) -> bytes:
    return codec.encode(
        messages.DirectRequest(
            sequence_number=1,
            user_info=A,
            ip_address_config=messages.IpAddressConfig.NOT_SUPPORTED,
            maximum_inactivity_period_s=30,
            nonce_1=bytes(range(16)),
            capabilities=messages.SecurityCapabilities.of((1, 2, 3), (1, 2, 3)),
            kd_sess_id_msb=KD_SESS_ID >> 8,
            link_local=bytes.fromhex("fe80") + bytes(11) + A_L2.to_bytes(3, "big"),
            target_user_info=B,
            link_l2_id=A_L2,
            profile=messages.ProfileAndFlags(mutual=messages.Mutual.WANTED),
            i_message=i_message,
        )
    )


def _accept(i_message: bytes) -> bytes:
    return codec.encode(
        messages.DirectAccept(
            sequence_number=1,
            ip_address_config=messages.IpAddressConfig.NOT_SUPPORTED,
            user_info=B,
            link_l2_id=B_L2,
            profile=messages.ProfileAndFlags(mutual=messages.Mutual.WANTED),
            request_hash=bytes(32),
            nonce_2=bytes(range(16, 32)),
            algorithms=messages.ChosenAlgorithms(eea=2, eia=2),
            kd_sess_id_lsb=KD_SESS_ID & 0xFF,
            i_message=i_message,
            confirmation=bytes(range(16)),
        )
    )


def _plain_pdu(message: bytes) -> bytes:
    return pdcp.encode_one_to_one(
        pdcp.OneToOnePdu(sdu_type=pdcp.SduType.PC5_SIGNALLING, kd_sess_id=0, sn=0, data=message)
    )


def _sealed_pdu(context: SecurityContext, lcid: int, sdu_type: pdcp.SduType, data: bytes) -> bytes:
    sn = context.next_sn(lcid)
    header = pdcp.one_to_one_header(sdu_type, KD_SESS_ID, sn)
    ciphered, mac_i = context.seal(lcid, sn, header, data)
    return header + ciphered + mac_i


def _transport_block(src: int, dst: int, lcid: int, pdu: bytes) -> bytes:
    umd = rlc_um_pdu.encode_umd(rlc_um_pdu.UmdPdu(sn=0, starts=True, ends=True, elements=(pdu,)))
    mac = mac_pdu.MacPdu(
        version=mac_pdu.MacVersion.UNICAST, src=src, dst=dst >> 8, sdus=(mac_pdu.MacSdu(lcid=lcid, data=umd),)
    )
    return mac_pdu.encode_mac_pdu(mac, len(umd) + 30)


class _Recorder:
    """Both UEs' event streams, an event each millisecond."""

    def __init__(self) -> None:
        self.records: list = []
        self._streams = {name: EventStream(name, self.records.append) for name in ("ue-a", "ue-b")}
        self._subframe = 1000

    def see(self, name: str, layer: str, direction: str, data: bytes, src=0, dst=0, lcid=0) -> None:
        self._subframe += 1
        now = Instant(mono_s=self._subframe / 1000, utc_s=START_UTC_S + self._subframe / 1000)
        seen = PduSeen(
            layer=layer, direction=direction, subframe=self._subframe, data=data, src_l2=src, dst_l2=dst, lcid=lcid
        )
        self._streams[name].emit(seen, now)

    def carry(self, sender: str, lcid: int, pdu: bytes, above: dict[str, bytes]) -> None:
        """A PDCP PDU from one UE to the other, as both see it on every layer."""
        receiver = "ue-b" if sender == "ue-a" else "ue-a"
        src, dst = (A_L2, B_L2) if sender == "ue-a" else (B_L2, A_L2)
        block = _transport_block(src, dst, lcid, pdu)
        down = [*above.items(), ("pdcp", pdu), ("mac", block)]
        for name, direction, layers in ((sender, "tx", down), (receiver, "rx", down[::-1])):
            for layer, data in layers:
                self.see(name, layer, direction, data, src, dst, lcid)


def write_synthetic_capture(path: Path) -> SyntheticCapture:
    """Write the capture: MIB-SL, discovery, Request, Accept, Confirm and one protected IPv6 packet."""
    recorder = _Recorder()
    mib = MibSl(bandwidth_prb=50, dfn=677, subframe=7, in_coverage=False)
    announcement = encode_discovery(
        GroupMemberAnnouncement(discovery_group_id=0xC0DE01, user_info_id=0x447700900001, prose_ue_id=A_L2),
        mic=b"\x01\x02\x03\x04",
        counter=0x12345678,
    )
    restricted = protect(
        encode_content(RestrictedAnnouncement(code=RESTRICTED_CODE)),
        0x12345678,
        MessageKeys(duik=bytes(32), dusk=b"\x01" * 32),
    )
    discovery = [("discovery", announcement), ("discovery", restricted)]
    for layer, octets in (("mib_sl", np.packbits(mib.to_bits()).tobytes()), *discovery):
        recorder.see("ue-a", layer, "tx", octets)
        recorder.see("ue-b", layer, "rx", octets)
    first, second = _i_messages()
    request, accept = _request(first), _accept(second)
    recorder.carry("ue-a", 28, _plain_pdu(request), {"mikey": first, "pc5s": request})
    recorder.carry("ue-b", 28, _plain_pdu(accept), {"mikey": second, "pc5s": accept})
    keys = ContextKeys(
        src_l2=A_L2,
        dst_l2=B_L2,
        kd_sess_id=KD_SESS_ID,
        eea=2,
        eia=2,
        direction=0,
        pek=bytes(range(16)),
        pik=bytes(range(16, 32)),
    )
    at_a = SecurityContext(kd_sess_id=KD_SESS_ID, pek=keys.pek, pik=keys.pik, eea=2, eia=2, direction=0)
    at_b = SecurityContext(kd_sess_id=KD_SESS_ID, pek=keys.pek, pik=keys.pik, eea=2, eia=2, direction=1)
    confirm = codec.encode(messages.Keepalive(sequence_number=2, counter=0, confirmation=bytes(16)))
    ack = codec.encode(messages.KeepaliveAck(sequence_number=2, counter=0))
    signalling = pdcp.SduType.PC5_SIGNALLING
    recorder.carry("ue-a", 30, _sealed_pdu(at_a, 30, signalling, confirm), {"pc5s": confirm})
    recorder.carry("ue-b", 30, _sealed_pdu(at_b, 30, signalling, ack), {"pc5s": ack})
    recorder.carry("ue-a", DATA_LCID, _sealed_pdu(at_a, DATA_LCID, pdcp.SduType.IP, PING), {"ip": PING})
    write_capture(path, recorder.records)
    return SyntheticCapture(path=path, keys=keys, request=request, accept=accept, i_messages=(first, second))
