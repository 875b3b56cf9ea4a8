"""The outcome of a run, computed from its events alone: figures, verdict, and its sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from lab_scripts.demo.figures import air_time_ms, goodput_kbps
from lab_scripts.demo.plan import Fault
from lab_scripts.demo.verdict import Rejected, is_stopped, job_done, rejected_of, sentence_of
from lab_scripts.events.lab_events import ProgramEnded
from lab_scripts.events.selection import Events, all_at_ns, events_of, first_of, pdus_of, time_ns
from lab_scripts.exit_codes import ExitCode
from prose_link.discovery.events import PeerDiscovered
from prose_link.event_stream import PduSeen, TimedEvent, fields_of
from prose_link.pc5s.core.events import LinkEstablished
from prose_link.pc5s.wire.messages import MessageType
from prose_link.ue.events import Connecting, FirstProtected, NodeStopped, PoweredOn, Progress
from prose_link.userplane.events import PingLost, PingReply, VoiceReceived
from radio.access.protocol import BlockReceived
from radio.phy.lte.channels.indications import Synchronised

_TRANSMISSIONS = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The closing figures of a run; None where the run did not get that far."""

    seed: int
    fault: Fault | None
    wall_s: float
    ok: bool
    attack_stopped: bool
    air_ms: dict[str, float | None]
    octets: dict[str, int | None]
    snr_db: float | None
    cfo_hz: float | None
    bler: dict[str, float | None] = field(default_factory=dict)
    pings: tuple[int, int] = (0, 0)
    ping_rtt_ms: float | None = None
    goodput_kbps: float | None = None
    real_time_factor: float | None = None
    ms_per_subframe: dict[str, float] = field(default_factory=dict)
    rejected: Rejected | None = None
    voice: dict[str, VoiceReceived] = field(default_factory=dict)
    programs: tuple[ProgramEnded, ...] | None = None
    """Results of programs over TUN interfaces; None if the UEs made the traffic."""

    @property
    def exit_code(self) -> ExitCode:
        """0 for the main job done, 5 for an attack that was stopped, 1 for anything else."""
        if self.fault is None:
            return ExitCode.OK if self.ok else ExitCode.FAILED
        return ExitCode.SECURITY if self.attack_stopped else ExitCode.FAILED

    @property
    def sentence(self) -> str:
        """The outcome in one plain sentence."""
        if self.fault is None:
            if self.ok and self.programs is not None:
                return "Unmodified programs in two network namespaces talked over the protected link of the two UEs."
            if self.ok:
                return "The two UEs found each other, agreed a key and carried protected IP traffic both ways."
            return "The run did not get to its end: see the timeline for the last thing that worked."
        return sentence_of(self.fault, self.rejected if self.attack_stopped else None)

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        rejected = self.rejected
        return {
            "ok": self.ok,
            "seed": self.seed,
            "fault": self.fault.value if self.fault else None,
            "sentence": self.sentence,
            "air_ms": self.air_ms,
            "octets": self.octets,
            "snr_db": self.snr_db,
            "cfo_hz": self.cfo_hz,
            "bler": self.bler,
            "pings": {"answered": self.pings[0], "lost": self.pings[1], "rtt_ms": self.ping_rtt_ms},
            "goodput_kbps": self.goodput_kbps,
            "real_time_factor": self.real_time_factor,
            "ms_per_subframe": self.ms_per_subframe,
            "wall_s": self.wall_s,
            "rejected": asdict(rejected) if rejected else None,
            **({"voice": {name: fields_of(heard) for name, heard in self.voice.items()}} if self.voice else {}),
            **({"programs": [fields_of(ended) for ended in self.programs]} if self.programs is not None else {}),
        }


def outcome_of(events: Events, *, seed: int, fault: Fault | None, wall_s: float, tun: bool = False) -> Outcome:
    """Work out the figures of a run from its events, in order of time; `tun`: programs made the traffic."""
    rejected = rejected_of(events, fault) if fault else None
    stopped = events_of(events, NodeStopped)
    keys_left = sum(one.event.live_contexts for one in stopped)
    blocks = [one.event for one in events_of(events, BlockReceived)]
    replies = events_of(events, PingReply)
    synchronised = first_of(events, Synchronised)
    progress = {one.source: one.event for one in events_of(events, Progress)}
    return Outcome(
        seed=seed,
        fault=fault,
        wall_s=round(wall_s, 2),
        ok=fault is None and (_programs_done(events) if tun else job_done(events)) and keys_left == 0,
        attack_stopped=fault is not None and rejected is not None and is_stopped(events, fault, rejected),
        air_ms=_air_times(events),
        octets={"dcr": _pc5s_octets(events, MessageType.REQUEST), "dca": _pc5s_octets(events, MessageType.ACCEPT)},
        snr_db=_mean((block.snr_db for block in blocks if block.crc_ok), 1),
        cfo_hz=None if synchronised is None else round(synchronised.event.cfo_hz, 1),
        bler=_bler(blocks),
        pings=(len(replies), len(events_of(events, PingLost))),
        ping_rtt_ms=_mean((one.event.rtt_ms for one in replies), 1),
        goodput_kbps=goodput_kbps(events),
        real_time_factor=min((last.real_time_factor for last in progress.values()), default=None),
        ms_per_subframe={name: last.cpu_ms_per_subframe for name, last in progress.items()},
        rejected=rejected,
        voice={one.source: one.event for one in events_of(events, VoiceReceived)},
        programs=tuple(one.event for one in events_of(events, ProgramEnded)) if tun else None,
    )


def _programs_done(events: Events) -> bool:
    ended = events_of(events, ProgramEnded)
    return bool(ended) and all(one.event.ok for one in ended)


def _air_times(events: Events) -> dict[str, float | None]:
    on_ns = time_ns(events, PoweredOn, "ue-b")
    connecting_ns = time_ns(events, Connecting, "ue-a")
    accept_ns = next((one.utc_ns for one in _pc5s(events, MessageType.ACCEPT, "rx")), None)
    request_ns = next((one.utc_ns for one in _pc5s(events, MessageType.REQUEST, "tx")), None)
    return {
        "sync": air_time_ms(on_ns, time_ns(events, Synchronised, "ue-b")),
        "discovered": air_time_ms(on_ns, time_ns(events, PeerDiscovered, "ue-a")),
        "dcr_to_dca": air_time_ms(request_ns, accept_ns),
        "connected": air_time_ms(connecting_ns, all_at_ns(events, LinkEstablished, ("ue-a", "ue-b"))),
        "first_protected": air_time_ms(connecting_ns, time_ns(events, FirstProtected)),
    }


def _bler(blocks: Sequence[BlockReceived]) -> dict[str, float | None]:
    """Share of the blocks not decoded after n combined transmissions, of those that got so many or were decoded."""
    result: dict[str, float | None] = {}
    for n in _TRANSMISSIONS:
        tried = [b for b in blocks if b.n_transmissions >= n or (b.crc_ok and b.crc_ok_at <= n)]
        failed = [b for b in tried if not b.crc_ok or b.crc_ok_at > n]
        result[str(n)] = round(len(failed) / len(tried), 4) if tried else None
    return result


def _pc5s(events: Events, kind: MessageType, direction: str) -> list[TimedEvent[PduSeen]]:
    return [one for one in pdus_of(events, "pc5s", direction) if one.event.data[0] == kind]


def _pc5s_octets(events: Events, kind: MessageType) -> int | None:
    return next((len(one.event.data) for one in _pc5s(events, kind, "tx")), None)


def _mean(values: Iterable[float], digits: int) -> float | None:
    found = list(values)
    return round(fmean(found), digits) if found else None
