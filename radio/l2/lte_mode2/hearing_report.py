"""A hearing report: which grants a receiver hears in its pool, told to a UE that sends to it (PROFILE 9, H1).

A sender can't hear a UE that is hidden from it, but their common receiver hears both, by their SCIs. The report repeats
what the SCIs said. Grants stand under the PSCCH resource that announces them, which also tells a sender its own.

    octet 0       version, 1
    octet 1       bit 0: the grant of the UE that this goes to loses blocks; bit 1: an answer, its sender can't hear
                  some of what it was told; the other bits are 0
    octets 2, 3   number of the SC period in its DFN cycle, in which the PSCCH resources count
    6 octets for each grant, 16 at most: n_PSCCH (2), RIV (2), I_TRP (1), group destination id (1)

Here are the octets alone; whether a grant makes sense in the pool is found where it is used.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from radio.errors import RadioError

VERSION: Final = 1
MAX_GRANTS: Final = 16
_LOSES_BLOCKS: Final = 0x01
_NEEDS_REPORTS: Final = 0x02
_HEAD: Final = struct.Struct("!BBH")
_GRANT: Final = struct.Struct("!HHBB")
MAX_OCTETS: Final = _HEAD.size + MAX_GRANTS * _GRANT.size


class HearingReportError(RadioError):
    """Octets that are no hearing report, or values that fit none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedGrant:
    """One grant as its SCI announced it."""

    n_pscch: int
    riv: int
    i_trp: int
    group_destination_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HearingReport:
    """What a receiver hears, or the answer of a sender.

    `loses_blocks`: the grant of the UE that is told collides with others of these; `needs_reports`: the UE that answers
    can't hear some of what it was told.
    """

    period_in_cycle: int
    loses_blocks: bool = False
    needs_reports: bool = False
    grants: tuple[ReportedGrant, ...] = ()


def encode_report(report: HearingReport) -> bytes:
    """Octets of a report. Raises HearingReportError for values out of range and more than MAX_GRANTS grants."""
    if len(report.grants) > MAX_GRANTS:
        raise HearingReportError(f"{len(report.grants)} grants are more than the {MAX_GRANTS} of a hearing report")
    try:
        flags = _LOSES_BLOCKS * report.loses_blocks | _NEEDS_REPORTS * report.needs_reports
        head = _HEAD.pack(VERSION, flags, report.period_in_cycle)
        return head + b"".join(
            _GRANT.pack(one.n_pscch, one.riv, one.i_trp, one.group_destination_id) for one in report.grants
        )
    except struct.error as error:
        raise HearingReportError(f"no hearing report holds {report}: {error}") from error


def decode_report(octets: bytes) -> HearingReport:
    """The report in `octets`; unknown flags are ignored.

    Raises HearingReportError: cut short, another version, or more than MAX_GRANTS grants.
    """
    if len(octets) < _HEAD.size or (len(octets) - _HEAD.size) % _GRANT.size or len(octets) > MAX_OCTETS:
        raise HearingReportError(f"{len(octets)} octets are no hearing report")
    version, flags, period_in_cycle = _HEAD.unpack_from(octets)
    if version != VERSION:
        raise HearingReportError(f"version {version} of a hearing report is not {VERSION}")
    grants = tuple(
        ReportedGrant(n_pscch=n_pscch, riv=riv, i_trp=i_trp, group_destination_id=octet)
        for n_pscch, riv, i_trp, octet in _GRANT.iter_unpack(octets[_HEAD.size :])
    )
    return HearingReport(
        period_in_cycle=period_in_cycle,
        loses_blocks=bool(flags & _LOSES_BLOCKS),
        needs_reports=bool(flags & _NEEDS_REPORTS),
        grants=grants,
    )
