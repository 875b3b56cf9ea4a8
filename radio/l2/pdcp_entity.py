"""PDCP of sidelink radio bearers: header, protection and its reversal (TS 36.323 5.1.3, 5.1.4, 5.6, 5.7).

PDCP stands above the carriers of its PDUs: a PDU from `send` may use radio or any other carrier, and `receive` opens it
whatever carrier brought it. It holds no key itself. A `Protector` has those of the links, a `GroupProtector` those of
the groups.

Down, the SDU's type must be one that the layers above carry. Its addresses come next: a link is sent to from the UE's
own layer-2 id, a group from the id to which the group's key is bound. Then the logical channel and the destination
choose the protection:

* LCID 28 without a KD-sess ID: none. The header has the type and zeros, for a link and for a group alike. PC5-S needs
  it until the two ends have keys.
* A link: the next SN of the context is taken, the header is made from it, and the protector gives the enciphered data
  and the MAC-I. A number that is taken is never given back, so type, addresses and length are checked before.
* A group: the header names PGK, PTK and SN. Group traffic is enciphered and has no MAC-I, so that PDCP can't detect an
  altered PDU of a group.

Up, the same choice is made by what the PDU says: KD-sess ID 0 is accepted on LCID 28 alone. What is malformed, or does
not verify, or has a type that is not carried, gives a `Dropped` with the reason, which is counted, and no exception:
the input comes from any sender.

The observer is shown each PDU as its carrier has it: after sealing, and before opening.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from radio.l2.blocks import AddressPair
from radio.l2.indications import Dropped, DropReason, Observer, PduReceived, PduSeen, SduReceived
from radio.l2.logical_channels import LCID_PC5_S_UNPROTECTED, AddressError, check_l2_id, check_lcid
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
    SduType,
    decode_one_to_many,
    decode_one_to_one,
    encode_one_to_many,
    encode_one_to_one,
    one_to_one_header,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PdcpPdu:
    """An outgoing PDCP PDU: its octets, its source and its destination."""

    src_l2: int
    dst_l2: int
    lcid: int
    to_group: bool
    data: bytes


class PdcpEntity:
    """PDCP of all bearers of a UE. Nothing but LCID 28 leaves or enters without a key.

    On LCID 28 both kinds of destination use the same five octets: type, zeros. IP headers are not compressed.

    Args:
        own_l2_id: this UE's 24-bit layer-2 id.
        protector: keys and numbers of its links.
        groups: keys and numbers of its groups, where it has any.
        carried: the SDU types that the layers above take; others are refused, both ways.
        observer: is shown every PDU.

    Raises AddressError for an unusable id.
    """

    def __init__(
        self,
        own_l2_id: int,
        protector: Protector,
        groups: GroupProtector | None = None,
        *,
        carried: Collection[SduType] = tuple(SduType),
        observer: Observer | None = None,
    ) -> None:
        check_l2_id(own_l2_id)
        self._carried = frozenset(carried)
        self._own_l2_id = own_l2_id
        self._protector = protector
        self._groups = groups
        self._observer = observer
        self._joined: set[int] = set()
        self._dropped: Counter[DropReason] = Counter()

    @property
    def dropped(self) -> Counter[DropReason]:
        """Number of dropped PDUs, by reason."""
        return Counter(self._dropped)

    @property
    def group_sender_l2(self) -> int | None:
        """The layer-2 id from which the next PDU to a group is sent; None if this UE holds no group keys."""
        return None if self._groups is None else self._groups.sender_l2

    def join_group(self, group_l2: int) -> None:
        """Send one-to-many to this layer-2 id from now on. Raises AddressError."""
        check_l2_id(group_l2)
        self._joined.add(group_l2)

    def leave_group(self, group_l2: int) -> None:
        """Leave a group."""
        self._joined.discard(group_l2)

    def give_up_sender(self, l2_id: int) -> bool:
        """Handle a layer-2 id that another UE uses.

        Returns True if this UE sent to its groups from it and drew a new one.
        """
        return self._groups is not None and self._groups.give_up_sender(l2_id)

    def addresses_of(self, sdu: PdcpSdu) -> AddressPair:
        """Where an SDU goes from and to: links keep the UE's own id, a group's key is bound to one drawn for it.

        A destination of 0 is not known: LCID 28 can go to it, by a way that needs no layer-2 id. Raises AddressError
        for a destination or logical channel that cannot be used.
        """
        check_lcid(sdu.lcid)
        if sdu.lcid != LCID_PC5_S_UNPROTECTED or sdu.dst_l2:
            check_l2_id(sdu.dst_l2)
        if sdu.dst_l2 == self._own_l2_id:
            raise AddressError(f"{sdu.dst_l2:06x} is this UE itself")
        by_group_key = sdu.dst_l2 in self._joined and sdu.lcid != LCID_PC5_S_UNPROTECTED
        src_l2 = self._groups.sender_l2 if by_group_key and self._groups is not None else self._own_l2_id
        return AddressPair(src_l2, sdu.dst_l2)

    def send(self, sdu: PdcpSdu) -> PdcpPdu:
        """Protect an SDU. Raises PdcpPduError: too long, or of a type not carried; ProtectionError, AddressError."""
        if sdu.sdu_type not in self._carried:
            raise PdcpPduError(f"SDUs of type {sdu.sdu_type.name} are not carried")
        src_l2, dst_l2 = self.addresses_of(sdu)
        to_group = dst_l2 in self._joined
        data = self._seal(sdu, to_group=to_group)
        self._show("tx", src_l2, dst_l2, sdu.lcid, data)
        return PdcpPdu(src_l2=src_l2, dst_l2=dst_l2, lcid=sdu.lcid, to_group=to_group, data=data)

    def receive(self, pdu: PduReceived) -> SduReceived | Dropped:
        """The SDU in a PDU, or why there is none."""
        self._show("rx", pdu.src_l2, pdu.dst_l2, pdu.lcid, pdu.data)
        opened = self._open(pdu.data, src_l2=pdu.src_l2, dst_l2=pdu.dst_l2, lcid=pdu.lcid, to_group=pdu.to_group)
        if isinstance(opened, SduReceived) and opened.sdu_type not in self._carried:
            opened = Dropped(
                reason=DropReason.SDU_TYPE,
                detail=f"{len(opened.data)} octets of type {opened.sdu_type.name}, which is not carried",
                src_l2=pdu.src_l2,
                dst_l2=pdu.dst_l2,
                lcid=pdu.lcid,
            )
        if isinstance(opened, Dropped):
            self._dropped[opened.reason] += 1
        return opened

    def _show(self, direction: str, src_l2: int, dst_l2: int, lcid: int, data: bytes) -> None:
        if self._observer is not None:
            self._observer(
                PduSeen(layer="pdcp", direction=direction, src_l2=src_l2, dst_l2=dst_l2, lcid=lcid, data=data)
            )

    def _seal(self, sdu: PdcpSdu, *, to_group: bool) -> bytes:
        if len(sdu.data) > MAX_SDU_OCTETS:
            raise PdcpPduError(f"a PDCP SDU of {len(sdu.data)} octets is longer than {MAX_SDU_OCTETS}")
        if sdu.lcid == LCID_PC5_S_UNPROTECTED and not sdu.kd_sess_id:
            return encode_one_to_one(OneToOnePdu(sdu_type=sdu.sdu_type, kd_sess_id=0, sn=0, data=sdu.data))
        return self._seal_one_to_many(sdu) if to_group else self._seal_one_to_one(sdu)

    def _open(self, octets: bytes, *, src_l2: int, dst_l2: int, lcid: int, to_group: bool) -> SduReceived | Dropped:
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
            sn=pdu.sn,
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
