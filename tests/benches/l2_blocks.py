"""SDUs, and blocks as the air brings them, for the tests of the layer-2 stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from radio.l2.indications import Dropped, DropReason
from radio.l2.mac_pdu import MacPdu, MacSdu, MacVersion, encode_mac_pdu
from radio.l2.pdcp import PdcpSdu, SduType
from radio.l2.rlc_um_pdu import UmdPdu, encode_umd

A, B, GROUP = 0xABCDEF, 0x123456, 0x777701
Make = Callable[..., Any]
Run = Callable[..., list[Any]]


def sdu_of(dst: int = B, lcid: int = 1, data: bytes = b"data", kd_sess_id: int = 0x2107) -> PdcpSdu:
    sdu_type = SduType.IP if lcid <= 10 else SduType.PC5_SIGNALLING
    return PdcpSdu(dst_l2=dst, lcid=lcid, sdu_type=sdu_type, data=data, kd_sess_id=0 if lcid == 28 else kd_sess_id)


def block_of(
    pdcp: bytes,
    *,
    lcid: int = 1,
    src: int = A,
    dst: int = B,
    version: MacVersion = MacVersion.UNICAST,
    sn: int = 0,
) -> bytes:
    rlc = encode_umd(UmdPdu(sn=sn, starts=True, ends=True, elements=(pdcp,)))
    pdu = MacPdu(version=version, src=src, dst=dst >> 8, sdus=(MacSdu(lcid=lcid, data=rlc),))
    return encode_mac_pdu(pdu, len(rlc) + 40)


def only_reason(indications: list[Any]) -> DropReason:
    assert [type(indication) for indication in indications] == [Dropped]
    reason: DropReason = indications[0].reason
    return reason
