"""Transmissions of a UE in one subframe, channel by channel: plain values from MAC and RRC to the PHY."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.sci import SciFormat0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlssTx:
    """PSSS, SSSS and PSBCH of a synchronisation reference (TS 36.211 9.6, 9.7)."""

    n_sl_id: int
    mib: MibSl


@dataclass(frozen=True, slots=True, kw_only=True)
class PsdchTx:
    """One transmission of a discovery message (TS 36.211 9.5): two PRBs from `prb` on."""

    prb: int
    rv: int
    message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PscchTx:
    """One transmission of an SCI format 0 (TS 36.211 9.4) on one PRB."""

    prb: int
    sci: SciFormat0


@dataclass(frozen=True, slots=True, kw_only=True)
class PsschTx:
    """One redundancy version of one SL-SCH transport block (TS 36.211 9.3).

    `n_ssf` is the subframe's index inside the PSSCH pool of its SC period, modulo 10; `n_id_sa` the group
    destination id of the SCI.
    """

    prbs: tuple[int, ...]
    mcs: int
    n_id_sa: int
    n_ssf: int
    rv: int
    transport_block: bytes


Transmission: TypeAlias = SlssTx | PsdchTx | PscchTx | PsschTx
