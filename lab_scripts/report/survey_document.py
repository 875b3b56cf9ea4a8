"""A survey of a recording as the JSON document of `pc5lab phy decode`, and as tables for people."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from rich.console import Console
from rich.table import Table

from radio.arrays import Bits
from radio.phy.dsp.bitfields import bits_to_bytes
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.survey.findings import Finding, FoundBlock, FoundDiscovery, FoundMib, FoundSci, FoundSlss, Survey

_CRC_DIGITS = 4
_ROWS_OF_TABLE = 500
"""Number of rows that are laid out together: all of them must be in memory."""
_LONGEST_CELL = 24
"""Digits of a long message that a table shows; the JSON document has all."""
_MIN_WIDTHS = {"fields": 36, "hex": 11}

Item = dict[str, Any]


def bits_to_hex(bits: Bits) -> str:
    """Bits most significant first, zero padded at the end to a whole hexadecimal digit."""
    return bits_to_bytes(bits).hex()[: -(-bits.size // 4)]


KINDS = ("slss", "mib_sl", "sci", "transport_blocks", "discovery")
"""Keys of the document."""


def survey_document(survey: Survey) -> dict[str, list[Item]]:
    """The document, ready for `json.dumps`."""
    return {kind: [finding_item(found)[1] for found in getattr(survey, kind)] for kind in KINDS}


def finding_item(found: Finding) -> tuple[str, Item]:
    """The kind of a finding, a key of the document, and its item there."""
    match found:
        case FoundSlss():
            return "slss", _slss(found)
        case FoundMib():
            return "mib_sl", _mib(found)
        case FoundSci():
            return "sci", _sci(found)
        case FoundBlock():
            return "transport_blocks", _block(found)
        case FoundDiscovery():
            return "discovery", _discovery(found)


def _slss(found: FoundSlss) -> Item:
    return {
        "id": found.n_sl_id,
        "cp": found.cp.value,
        "timing_samples": _rounded(found.timing_samples, 3),
        "cfo_hz": _rounded(found.cfo_hz, 2),
        "snr_db": _rounded(found.snr_db, 2),
        "mode": found.mode.value,
    }


def _mib(found: FoundMib) -> Item:
    return {
        "subframe": found.subframe,
        "hex": bits_to_hex(found.bits),
        "fields": _fields(found.mib),
        "crc_ok": True,
        "id": found.n_sl_id,
        **_figures(found),
    }


def _sci(found: FoundSci) -> Item:
    return {
        "subframe": found.subframe,
        "prb": found.prb,
        "format": 0 if isinstance(found.sci, SciFormat0) else 1,
        "hex": bits_to_hex(found.bits),
        "fields": _fields(found.sci),
        "crc_hex": f"{found.crc:0{_CRC_DIGITS}x}",
        "crc_ok": True,
        "confirmed": found.is_confirmed,
        "evidence": {"times_heard": found.times_heard, "agreement": _rounded(found.agreement, 3)},
        **_figures(found),
    }


def _block(found: FoundBlock) -> Item:
    return {
        "subframes": list(found.subframes),
        "prb": found.prbs[0],
        "n_prb": len(found.prbs),
        "tbs_n_prb": found.size_n_prb,
        "mcs": found.mcs,
        "rv": list(found.rvs),
        "bits": found.bits.size,
        "hex": bits_to_hex(found.bits),
        "crc_ok": found.crc_ok,
        **_figures(found),
    }


def _discovery(found: FoundDiscovery) -> Item:
    return {
        "subframes": list(found.subframes),
        "prb": found.prb,
        "hex": found.message.hex(),
        "crc_ok": found.crc_ok,
        **_figures(found),
    }


def _fields(message: MibSl | SciFormat0 | Any) -> Item:
    return dataclasses.asdict(message)


def _figures(found: FoundMib | FoundSci | FoundBlock | FoundDiscovery) -> Item:
    return {
        "snr_db": _rounded(found.snr_db, 2),
        "evm_db": _rounded(found.evm_db, 2),
        "cfo_hz": _rounded(found.cfo_hz, 2),
        "timing_samples": _rounded(found.timing_samples, 3),
    }


def print_survey(console: Console, document: Mapping[str, Iterable[Item]]) -> None:
    """Tables for each kind of thing found, a long one in parts."""
    titles = {
        "slss": "synchronisation signals",
        "mib_sl": "MIB-SL",
        "sci": "sidelink control information",
        "transport_blocks": "transport blocks",
        "discovery": "discovery messages",
    }
    for kind, title in titles.items():
        items = iter(document[kind])
        rows = list(islice(items, _ROWS_OF_TABLE))
        if not rows:
            console.print(f"no {title}")
        while rows:
            console.print(_table(title, rows))
            rows = list(islice(items, _ROWS_OF_TABLE))


def _table(title: str, items: list[Item]) -> Table:
    table = Table(title=title, title_justify="left")
    columns = list(items[0])
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold", min_width=_MIN_WIDTHS.get(column))
    for item in items:
        table.add_row(*(_cell(item[column]) for column in columns))
    return table


def _cell(value: Any) -> str:
    if isinstance(value, str) and len(value) > _LONGEST_CELL:
        return f"{value[:_LONGEST_CELL]}..."
    if isinstance(value, dict):
        return " ".join(f"{name}={_cell(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return " ".join(str(inner) for inner in value)
    return str(value)


def _rounded(value: float, digits: int) -> float:
    """A figure for reading; never -0."""
    return round(value, digits) + 0.0
