"""The end of a run: the closing table on the terminal, and the HTML report."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lab_scripts.console.sentences import plain_sentence_of, voice_in_words
from lab_scripts.console.timeline import air_ms
from lab_scripts.demo.figures import in_ms
from lab_scripts.demo.outcome import Outcome
from lab_scripts.demo.plan import UES
from lab_scripts.events.selection import AnyEvent, Events, is_of
from prose_link.carriers.ims.events import SipMessageSeen
from prose_link.discovery.events import PeerDiscovered
from prose_link.event_stream import PduSeen, TimedEvent
from prose_link.pc5s.core.events import (
    AcceptRefused,
    LinkEstablished,
    LinkFailed,
    LinkProvisional,
    LinkReleased,
    RequestRefused,
)
from prose_link.pc5s.wire.table import name_of
from prose_link.sip.errors import MalformedMessage
from prose_link.sip.message import Message, Request, parse, parse_via
from prose_link.sync.events import BecameSyncRef
from prose_link.ue.events import Connecting, FirstProtected, PoweredOn
from prose_link.userplane.events import TransferReceived
from radio.phy.lte.channels.indications import Synchronised, SyncLost

if TYPE_CHECKING:
    from lab_scripts.report.ladder import Step

_BAD_NEWS: Final = (RequestRefused, AcceptRefused, LinkFailed)
_ON_THE_LADDER: Final = (
    PoweredOn,
    BecameSyncRef,
    Synchronised,
    SyncLost,
    PeerDiscovered,
    Connecting,
    LinkProvisional,
    LinkEstablished,
    LinkReleased,
    FirstProtected,
    TransferReceived,
    *_BAD_NEWS,
)
_BAD_COLOUR, _COLOUR = "#b3261e", "#444444"
_MAX_STEPS = 60
P_CSCF: Final = "p-cscf"
S_CSCF: Final = "s-cscf"
"""The lines of the core in the message ladder."""
_MAX_ALIKE = 4


def rows_of(outcome: Outcome) -> list[tuple[str, str]]:
    """The closing table as (name, value)."""
    air, octets = outcome.air_ms, outcome.octets
    bler = ", ".join(f"{n}: {_percent(value)}" for n, value in outcome.bler.items())
    answered, lost = outcome.pings
    traffic = [
        ("pings", f"{answered} answered, {lost} lost, {_number(outcome.ping_rtt_ms)} ms mean round trip"),
        ("goodput of the transfers", f"{_number(outcome.goodput_kbps)} kbit/s"),
        *((f"voice heard by {name}", voice_in_words(heard)) for name, heard in outcome.voice.items()),
    ]
    if outcome.programs is not None:
        traffic = [(ended.program, ended.summary) for ended in outcome.programs]
    return [
        ("time on air to sync", in_ms(air["sync"])),
        ("time on air to discovery", in_ms(air["discovered"])),
        ("Request to Accept", in_ms(air["dcr_to_dca"])),
        ("decision to connected", in_ms(air["connected"])),
        ("decision to first protected packet", in_ms(air["first_protected"])),
        ("Request, Accept", f"{_number(octets['dcr'])} and {_number(octets['dca'])} octets"),
        ("SNR of received blocks, mean", f"{_number(outcome.snr_db)} dB"),
        ("CFO at acquisition", f"{_number(outcome.cfo_hz)} Hz"),
        ("BLER after n transmissions", bler),
        *traffic,
        ("processing of a subframe", ", ".join(f"{n} {v:.2f} ms" for n, v in outcome.ms_per_subframe.items())),
        ("real-time factor", f"{_number(outcome.real_time_factor)} (air seconds a wall second)"),
        ("wall time", f"{outcome.wall_s:.1f} s"),
    ]


def print_closing(console: Console, outcome: Outcome, folder: Path) -> None:
    """Print the closing table, the verdict and where the report is."""
    table = Table(title="What it came to", title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    for name, value in rows_of(outcome):
        table.add_row(escape(name), escape(value))
    good = outcome.ok or outcome.attack_stopped
    console.print()
    console.print(table)
    console.print(f"\n[bold {'green' if good else 'red'}]{escape(outcome.sentence)}[/]")
    console.print(f"report: {folder / 'report.html'}   capture: {folder / 'capture.pcapng'}", markup=False)


def write_report(folder: Path, events: Events, outcome: Outcome, recording: Path) -> None:
    """Write `report.html` and its pictures into the run folder."""
    import numpy as np

    from lab_scripts.report.ladder import draw_ladder
    from lab_scripts.report.page import Picture, write_page
    from lab_scripts.report.plots import draw_constellation, draw_waterfall

    steps = ladder_steps(events)
    senders = {step.sender for step in steps}
    lines = sorted({*UES, *senders} - {P_CSCF, S_CSCF})
    lines[1:1] = [name for name in (P_CSCF, S_CSCF) if name in senders]
    draw_ladder(folder / "ladder.png", lines, steps, "Messages on the air")
    pictures = [
        Picture(
            title="Message ladder",
            file="ladder.png",
            caption="Air time on the left; PC5 signalling as arrows, what each UE found out as dots.",
        )
    ]
    if recording.exists():
        with np.load(recording) as kept:
            rate_hz, iq, symbols = float(kept["sample_rate_hz"]), kept["iq"], kept["symbols"]
            first_ms = 1e3 * float(kept["first_sample"]) / rate_hz
        if len(iq):
            draw_waterfall(folder / "waterfall.png", iq, rate_hz, first_ms, "What UE-B's antenna heard")
            pictures.append(
                Picture(
                    title="Waterfall",
                    file="waterfall.png",
                    caption="Time in UE-B's own clock. SLSS and PSBCH every 40 ms in the middle, PSCCH as narrow "
                    "marks, PSSCH as wide ones; UE-B does not hear itself.",
                )
            )
        if len(symbols):
            draw_constellation(folder / "constellation.png", symbols, "PSSCH at UE-B after the equaliser")
            pictures.append(
                Picture(
                    title="PSSCH constellation",
                    file="constellation.png",
                    caption="Equalised data symbols of the last transport blocks UE-B received.",
                )
            )
    title = "pc5lab demo" + (f": {outcome.fault.value}" if outcome.fault else "")
    rows = [("seed", str(outcome.seed)), *rows_of(outcome)]
    good = outcome.ok or outcome.attack_stopped
    write_page(folder / "report.html", title=title, verdict=outcome.sentence, ok=good, rows=rows, pictures=pictures)


def ladder_steps(events: Events) -> list[Step]:
    """The rows of the message ladder: signalling, and the events that mark the way; of those alike the first few."""
    steps: list[Step] = []
    alike: Counter[tuple[str, str]] = Counter()
    for one in events:
        if is_of(one, PduSeen):
            step = _message_step(one)
        elif is_of(one, SipMessageSeen):
            steps += _core_steps(one)
            step = _sip_step(one)
        else:
            step = _marking_step(one)
        if step is None:
            continue
        alike[step.sender, step.text] += 1
        if alike[step.sender, step.text] <= _MAX_ALIKE:
            steps.append(step)
    return steps[:_MAX_STEPS]


def _message_step(one: TimedEvent[PduSeen]) -> Step | None:
    """An arrow for a PC5-S message that goes out."""
    from lab_scripts.report.ladder import Step

    pdu = one.event
    if (pdu.layer, pdu.direction) != ("pc5s", "tx"):
        return None
    way = f", by {pdu.note.removeprefix('carrier ')}" if pdu.note.startswith("carrier ") else ""
    text = f"{name_of(pdu.data[0])} ({len(pdu.data)} octets, LCID {pdu.lcid}{way})"
    receiver = "ue-b" if one.source == "ue-a" else "ue-a"
    return Step(time_ms=air_ms(one), sender=one.source, receiver=receiver, text=text)


def _sip_step(one: TimedEvent[SipMessageSeen]) -> Step | None:
    """An arrow between a UE and its P-CSCF."""
    from lab_scripts.report.ladder import Step

    seen = one.event
    message = _sip_message(seen.data)
    if isinstance(message, Request):
        text = f"{message.method}, {len(seen.data)} octets"
    elif message is not None and message.status != 100:
        method = (message.headers.first("CSeq") or "").rpartition(" ")[2]
        text = f"{message.status} {message.reason} ({method})"
    else:
        return None
    ends = (one.source, P_CSCF) if seen.direction == "tx" else (P_CSCF, one.source)
    return Step(time_ms=air_ms(one), sender=ends[0], receiver=ends[1], text=_short(text))


def _core_steps(one: TimedEvent[SipMessageSeen]) -> list[Step]:
    """The hops within the core of a request that has come out of it, as its Via tells them."""
    from lab_scripts.report.ladder import Step

    message = _sip_message(one.event.data)
    if one.event.direction != "rx" or not isinstance(message, Request):
        return []
    try:
        hosts = [parse_via(value).host for value in message.headers.values("Via")]
    except MalformedMessage:
        return []
    names = [P_CSCF if host == hosts[0] else S_CSCF for host in reversed(hosts[:-1])]
    text = f"{message.method}, as its Via tells"
    return [
        Step(time_ms=air_ms(one), sender=sender, receiver=receiver, text=text)
        for sender, receiver in pairwise(names)
        if sender != receiver
    ]


def _sip_message(octets: bytes) -> Message | None:
    try:
        return parse(octets)
    except MalformedMessage:
        return None


def _marking_step(one: AnyEvent) -> Step | None:
    """A dot for an event that marks the way."""
    from lab_scripts.report.ladder import Step

    sentence = plain_sentence_of(one.event) if isinstance(one.event, _ON_THE_LADDER) else None
    if sentence is None:
        return None
    colour = _BAD_COLOUR if isinstance(one.event, _BAD_NEWS) else _COLOUR
    return Step(time_ms=air_ms(one), sender=one.source, text=_short(sentence.split(";")[0]), colour=colour)


def _short(text: str, limit: int = 58) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
