"""Writes docs/one-packet.md, which follows a ping down and up in a real run.

Run it as `python -m lab_scripts.doc_makers.one_packet [FILE]`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from lab_scripts.events.selection import AnyEvent, Events, events_of, has, pdus_of
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import CrowdPlan
from prose_link.event_stream import PduSeen, TimedEvent
from prose_link.userplane.events import PingReply
from radio.access.protocol import BlockReceived
from radio.l2.mac_pdu import MacPdu, decode_mac_pdu
from radio.l2.pdcp import OneToOnePdu, decode_one_to_one
from radio.l2.rlc_um_pdu import UmdPdu, decode_umd

FILE: Final = Path("docs/one-packet.md")
_SEED: Final = 7
_LONGEST_S: Final = 5.0
_SHOWN_OCTETS: Final = 24
_INTRODUCTION: Final = """# One packet, down and up

The first ping of a run, followed from the IP packet to the air and back to IP at the other end:
which file to open at each step, the function that does it, and the octets it hands on. Made by
`python -m lab_scripts.doc_makers.one_packet` from two whole UEs over the emulated radio (seed 7,
demo keys); a test makes it again and checks that they are there.
"""


class Step(NamedTuple):
    """One step of the packet: the code, what happens, and the result."""

    file: str
    function: str
    what: str
    octets: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The packet at each layer of both UEs."""

    packet: bytes
    pdcp_pdu: bytes
    transport_block: bytes
    block: BlockReceived
    received: bytes


def page() -> str:
    """The whole page, Markdown."""
    seen = _follow(_run())
    parts = [_INTRODUCTION]
    for title, steps in (("Down: UE-A", down(seen)), ("Up: UE-B", up(seen))):
        parts += [f"## {title}", "", "| file | function | what happens | what it hands on |", "|---|---|---|---|"]
        parts += [_row(step) for step in steps] + [""]
    return "\n".join(parts)


def steps() -> list[Step]:
    """Every stop, for a check that the code is where the page says."""
    seen = _follow(_run())
    return [*down(seen), *up(seen)]


def _run() -> list[AnyEvent]:
    """The events of two UEs while UE-A sends UE-B one ping."""
    plan = CrowdPlan(seed=_SEED, n_ues=2, group=False, folder=Path())
    cell = Cell(plan, {"traffic": {"push_octets": 0, "pings": 0}}, changes_of={"ue-a": {"traffic": {"pings": 1}}})
    cell.run(_LONGEST_S, lambda events: has(events, PingReply))
    return cell.events


def _follow(events: Events) -> _Seen:
    sent = {layer: _octets(pdus_of(events, layer, "tx", "ue-a")) for layer in ("ip", "pdcp", "mac")}
    packet = sent["ip"][0]
    pdcp_pdu = next(pdu for pdu in sent["pdcp"] if pdu[0] >> 5 == 0)
    transport_block = next(block for block in sent["mac"] if pdcp_pdu in block)
    at_b = next(one for one in pdus_of(events, "mac", "rx", "ue-b") if one.event.data == transport_block)
    block = events_of(events[: events.index(at_b)], BlockReceived, "ue-b")[-1].event
    received = _octets(pdus_of(events, "ip", "rx", "ue-b"))[0]
    return _Seen(packet=packet, pdcp_pdu=pdcp_pdu, transport_block=transport_block, block=block, received=received)


def _octets(seen: Sequence[TimedEvent[PduSeen]]) -> list[bytes]:
    return [one.event.data for one in seen]


def down(seen: _Seen) -> list[Step]:
    """From the IP packet to samples."""
    pdcp, rlc, mac = _taken_apart(seen)
    return [
        Step(
            "prose_link/userplane/endpoint.py",
            "pdus_to_send",
            "an ICMPv6 echo request between the link-local addresses of the two ends",
            seen.packet,
        ),
        Step(
            "prose_link/ue/user_traffic.py",
            "send_packets",
            "asks PC5 signalling for the link's KD-sess ID, and whether the queues are short",
        ),
        Step(
            "prose_link/ue/bearers.py",
            "send_packet",
            "asks the link's carrier for room, has PDCP seal the packet, and hands the carrier what comes of it",
        ),
        Step(
            "radio/l2/pdcp_entity.py",
            "send",
            f"header: SDU type IP, KD-sess ID {pdcp.kd_sess_id:04x}, SN {pdcp.sn}",
            seen.pdcp_pdu[:5],
        ),
        Step(
            "prose_link/ue/link_protector.py",
            "seal",
            "finds the security context by the two layer-2 ids and the KD-sess ID",
        ),
        Step(
            "security/link/context.py",
            "seal",
            "MAC-I over header and plain data (PIK), then the data ciphered (PEK); COUNT is KD-sess ID and SN",
            seen.pdcp_pdu,
        ),
        Step(
            "prose_link/carriers/direct.py",
            "send",
            "the carrier of this link is direct radio: offers the access the PDU",
        ),
        Step("radio/access/lte.py", "offer", "queues the PDCP PDU in MAC until the scheduler asks for a block"),
        Step("radio/l2/rlc_um.py", "build_pdu", f"a UMD PDU, SN {rlc.sn}, that holds the SDU whole", mac.sdus[0].data),
        Step(
            "radio/l2/lte_mode2/selection.py",
            "select",
            f"the grant of the SC period: {seen.block.n_prb} PRB at MCS {seen.block.mcs}",
        ),
        Step(
            "radio/l2/mac_pdu.py",
            "encode_mac_pdu",
            f"SL-SCH header: source {mac.src:06x}, destination {mac.dst:04x}; LCID {mac.sdus[0].lcid}; padding",
            seen.transport_block,
        ),
        Step(
            "radio/l2/lte_mode2/grant.py",
            "transmissions",
            "the SCI twice on PSCCH, the block four times on PSSCH, with rv 0, 2, 3, 1",
        ),
        Step(
            "radio/phy/lte/channels/pscch.py",
            "map_pscch",
            "SCI format 0: CRC, convolutional code, QPSK, transform precoding, DMRS",
        ),
        Step(
            "radio/phy/lte/channels/pssch.py",
            "map_pssch",
            "the block through `radio/phy/lte/channels/sl_sch.py`, scrambled, modulated, precoded; DMRS",
        ),
        Step(
            "radio/phy/lte/channels/waveform.py",
            "subframe_waveform",
            "the grid of the subframe through `radio/phy/lte/grid/scfdma.py`: complex samples",
        ),
        Step(
            "radio/emulator/client.py",
            "write",
            "samples with the number of the first one, to the emulator; an SDR's driver stands beside it",
        ),
        Step(
            "radio/emulator/air.py", "mix", "path loss, delay, oscillators, fading, noise, and all other UEs' samples"
        ),
    ]


def up(seen: _Seen) -> list[Step]:
    """From samples to the IP packet."""
    return [
        Step(
            "radio/phy/lte/ue_phy.py",
            "receive",
            "cuts subframes by the timing of the synchronisation reference, takes the carrier offset out",
        ),
        Step(
            "radio/phy/lte/channels/pscch.py",
            "receive_pscch",
            "looks for SCIs on every PRB of the PSCCH pool; one names UE-B's group destination id",
        ),
        Step(
            "radio/phy/lte/pssch_receiver.py",
            "receive",
            f"PSSCH in subframe {seen.block.subframes[-1]}: channel estimate, soft bits, combined with those "
            f"before; CRC good after {seen.block.crc_ok_at} of 4 transmissions",
            seen.transport_block,
        ),
        Step("radio/access/lte.py", "receive", "hands the block to MAC, and the PDCP PDUs that come out of it up"),
        Step(
            "radio/l2/stack.py",
            "receive",
            "MAC: source and destination, one RLC receiver for each source, destination and LCID",
        ),
        Step("radio/l2/rlc_um.py", "receive", "puts SDUs together again; this one came whole", seen.pdcp_pdu),
        Step("prose_link/carriers/direct.py", "heard", "where no proxy's carrier takes it out, it waits for its owner"),
        Step("prose_link/ue/bearers.py", "open_heard", "hands the PDU to PDCP, if this carrier bears the link"),
        Step("radio/l2/pdcp_entity.py", "receive", "the header tells which context"),
        Step("security/link/context.py", "open", "MAC-I first, then the replay window, then deciphers", seen.received),
        Step(
            "prose_link/ue/node.py",
            "_take_packet",
            "only where the link stands; the first one is told as `first-protected`",
        ),
        Step(
            "prose_link/userplane/endpoint.py", "receive", "answers the echo request: the reply takes the same way back"
        ),
    ]


def _taken_apart(seen: _Seen) -> tuple[OneToOnePdu, UmdPdu, MacPdu]:
    mac = decode_mac_pdu(seen.transport_block)
    return decode_one_to_one(seen.pdcp_pdu), decode_umd(mac.sdus[0].data), mac


def _row(step: Step) -> str:
    return f"| [{step.file}](../{step.file}) | `{step.function}` | {step.what} | {_shown(step.octets)} |"


def _shown(octets: bytes) -> str:
    if not octets:
        return ""
    end = " ..." if len(octets) > _SHOWN_OCTETS else ""
    return f"{len(octets)} octets: `{octets[:_SHOWN_OCTETS].hex(' ', 4)}{end}`"


def main(arguments: list[str]) -> None:
    """Write the page."""
    (Path(arguments[0]) if arguments else FILE).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
