"""PDCP of sidelink radio bearers: header, protection and its reversal (TS 36.323 5.1.3, 5.1.4, 5.6, 5.7)."""

from __future__ import annotations

from radio.l2.indications import Dropped, DropReason, SduReceived
from radio.l2.logical_channels import LCID_PC5_S_UNPROTECTED
from radio.l2.pdcp import (
    HEADER_OCTETS,
    MAX_SDU_OCTETS,
    GroupProtector,
    OneToManyPdu,
    OneToOnePdu,
    PdcpPduError,
    PdcpSdu,
    ProtectionError,
    Protector,
    decode_one_to_many,
    decode_one_to_one,
    encode_one_to_many,
    encode_one_to_one,
    one_to_one_header,
)


class PdcpEntity:
    """PDCP of all bearers of a UE. Nothing but LCID 28 leaves or enters without a key.

    On LCID 28 both kinds of destination use the same five octets: type, zeros.
    """

    def __init__(self, protector: Protector, groups: GroupProtector | None) -> None:
        self._protector = protector
        self._groups = groups

    def send(self, sdu: PdcpSdu, *, to_group: bool) -> bytes:
        """The PDU's octets. Raises PdcpPduError for an SDU that is too long, ProtectionError."""
        if len(sdu.data) > MAX_SDU_OCTETS:
            raise PdcpPduError(f"a PDCP SDU of {len(sdu.data)} octets is longer than {MAX_SDU_OCTETS}")
        if sdu.lcid == LCID_PC5_S_UNPROTECTED and not sdu.kd_sess_id:
            return encode_one_to_one(OneToOnePdu(sdu_type=sdu.sdu_type, kd_sess_id=0, sn=0, data=sdu.data))
        return self._seal_one_to_many(sdu) if to_group else self._seal_one_to_one(sdu)

    def receive(self, octets: bytes, *, src_l2: int, dst_l2: int, lcid: int, to_group: bool) -> SduReceived | Dropped:
        """The SDU in `octets`, or why there is none."""
        try:
            if to_group and lcid != LCID_PC5_S_UNPROTECTED:
                return self._open_one_to_many(decode_one_to_many(octets), src_l2, dst_l2, lcid)
            return self._open_one_to_one(decode_one_to_one(octets), octets[:HEADER_OCTETS], src_l2, dst_l2, lcid)
        except PdcpPduError as error:
            reason, detail = DropReason.MALFORMED_PDCP, str(error)
        except ProtectionError as error:
            reason, detail = DropReason.NOT_VERIFIED, str(error)
        return Dropped(reason=reason, detail=detail, src_l2=src_l2, dst_l2=dst_l2, lcid=lcid)

    def _seal_one_to_one(self, sdu: PdcpSdu) -> bytes:
        if not sdu.kd_sess_id:
            raise ProtectionError(f"LCID {sdu.lcid} carries nothing without a KD-sess ID")
        sn = self._protector.next_sn(sdu.dst_l2, sdu.kd_sess_id, sdu.lcid)
        header = one_to_one_header(sdu.sdu_type, sdu.kd_sess_id, sn)
        data, mac_i = self._protector.seal(sdu.dst_l2, sdu.kd_sess_id, sn, sdu.lcid, header, sdu.data)
        return encode_one_to_one(
            OneToOnePdu(sdu_type=sdu.sdu_type, kd_sess_id=sdu.kd_sess_id, sn=sn, data=data, mac_i=mac_i)
        )

    def _open_one_to_one(
        self, pdu: OneToOnePdu, header: bytes, src_l2: int, dst_l2: int, lcid: int
    ) -> SduReceived | Dropped:
        data = pdu.data
        if pdu.kd_sess_id:
            data = self._protector.open(src_l2, dst_l2, pdu.kd_sess_id, pdu.sn, lcid, header, pdu.data, pdu.mac_i)
        elif lcid != LCID_PC5_S_UNPROTECTED:
            detail = f"KD-sess ID 0 on LCID {lcid}"
            return Dropped(reason=DropReason.UNPROTECTED, detail=detail, src_l2=src_l2, dst_l2=dst_l2, lcid=lcid)
        return SduReceived(
            src_l2=src_l2,
            dst_l2=dst_l2,
            lcid=lcid,
            sdu_type=pdu.sdu_type,
            kd_sess_id=pdu.kd_sess_id,
            data=data,
            protected=pdu.kd_sess_id != 0,
        )

    def _seal_one_to_many(self, sdu: PdcpSdu) -> bytes:
        groups = self._group_keys(sdu.dst_l2)
        pgk_index, ptk_id, sn = groups.next_key(sdu.dst_l2, sdu.lcid)
        data = groups.seal(sdu.dst_l2, pgk_index, ptk_id, sn, sdu.lcid, sdu.data)
        return encode_one_to_many(
            OneToManyPdu(sdu_type=sdu.sdu_type, pgk_index=pgk_index, ptk_id=ptk_id, sn=sn, data=data)
        )

    def _open_one_to_many(self, pdu: OneToManyPdu, src_l2: int, dst_l2: int, lcid: int) -> SduReceived:
        groups = self._group_keys(dst_l2)
        data = groups.open(src_l2, dst_l2, pdu.pgk_index, pdu.ptk_id, pdu.sn, lcid, pdu.data)
        return SduReceived(
            src_l2=src_l2, dst_l2=dst_l2, lcid=lcid, sdu_type=pdu.sdu_type, kd_sess_id=0, data=data, protected=True
        )

    def _group_keys(self, group_l2: int) -> GroupProtector:
        if self._groups is None:
            raise ProtectionError(f"no group keys are held, none for {group_l2:06x}")
        return self._groups
