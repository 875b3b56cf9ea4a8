"""The attacks that the emulator mounts between the antennas, by the name the demo gives them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab_scripts.demo.plan import JAMMED_S, REPLAY_DELAY_PERIODS, Fault
from prose_link.config.preconfiguration import load_pools
from radio.emulator.actions import OverTheAirAction
from radio.emulator.on_air_attacks import Jammer, PeriodReplayer, TransportBlockRewriter
from radio.errors import RadioError
from radio.l2.logical_channels import LCID_PC5_S_UNPROTECTED
from radio.l2.mac_pdu import decode_mac_pdu
from radio.l2.pdcp import HEADER_OCTETS
from radio.l2.rlc_um_pdu import decode_umd
from radio.phy.lte.grid.numerology import Carrier

_DCR = 1
"""PC5-S message type of a Direct Connection Request (TS 24.334 12.5.1.1)."""
_USER_INFO_LENGTH_AT = 3
_AFTER_USER_INFO = 4 + 1 + 4
"""Octets from the User Info's length octet, its value not counted, to Nonce_1: type and SN before, IP configuration
and Maximum inactivity period after it."""
_NONCE_OCTETS = 16
_NULL_ONLY = bytes((0x80, 0x80))
"""UE security capabilities with EEA0 and EIA0 and nothing else."""


def attack_actions(
    fault: Fault, preconfiguration: Path = Path("preconfigurations/first_light.toml")
) -> Sequence[OverTheAirAction]:
    """The actions between the antennas for a fault in which the emulator takes part.

    Their target is UE-A's transmissions; for forged Accepts it is UE-B's genuine ones, which come late.
    """
    pools = load_pools(preconfiguration)
    carrier, pool = Carrier(pools.n_prb, pools.comm[0].cp), pools.comm[0]
    if fault is Fault.REPLAYED:
        return [PeriodReplayer("ue-a", carrier, pool, carries_request, delay_periods=REPLAY_DELAY_PERIODS)]
    if fault is Fault.FORGED_ACCEPTS:
        first, end = (round(at_s * carrier.sample_rate_hz) for at_s in JAMMED_S)
        return [Jammer("ue-b", first, end)]
    rewrite = {Fault.TAMPERED: flip_a_nonce_bit, Fault.DOWNGRADE: offer_null_algorithms_only}[fault]
    return [TransportBlockRewriter("ue-a", carrier, pool, rewrite)]


def carries_request(transport_block: bytes) -> bool:
    """Whether a transport block holds any part of a message on the LCID of Direct Connection Requests."""
    try:
        return any(sdu.lcid == LCID_PC5_S_UNPROTECTED for sdu in decode_mac_pdu(transport_block).sdus)
    except RadioError:
        return False


def flip_a_nonce_bit(transport_block: bytes) -> bytes | None:
    """Flip one bit of Nonce_1 where a Direct Connection Request begins in the block."""
    nonce_at = _nonce_at(transport_block)
    if nonce_at is None:
        return None
    altered = bytearray(transport_block)
    altered[nonce_at] ^= 0x01
    return bytes(altered)


def offer_null_algorithms_only(transport_block: bytes) -> bytes | None:
    """Replace the algorithms a Direct Connection Request offers by EEA0 and EIA0."""
    nonce_at = _nonce_at(transport_block)
    if nonce_at is None:
        return None
    at = nonce_at + _NONCE_OCTETS
    return transport_block[:at] + _NULL_ONLY + transport_block[at + len(_NULL_ONLY) :]


def _nonce_at(transport_block: bytes) -> int | None:
    """Where Nonce_1 stands in a transport block, None where no request begins in it or it ends before the offer."""
    request_at = _request_at(transport_block)
    if request_at is None:
        return None
    user_info_octets = transport_block[request_at + _USER_INFO_LENGTH_AT]
    nonce_at = request_at + user_info_octets + _AFTER_USER_INFO
    return nonce_at if nonce_at + _NONCE_OCTETS + len(_NULL_ONLY) <= len(transport_block) else None


def _request_at(transport_block: bytes) -> int | None:
    try:
        for sdu in decode_mac_pdu(transport_block).sdus:
            if sdu.lcid != LCID_PC5_S_UNPROTECTED:
                continue
            pdu = decode_umd(sdu.data)
            for position, element in enumerate(pdu.elements):
                whole_start = position > 0 or pdu.starts
                if whole_start and len(element) > HEADER_OCTETS and element[HEADER_OCTETS] == _DCR:
                    return transport_block.index(element) + HEADER_OCTETS
    except RadioError:
        return None
    return None
