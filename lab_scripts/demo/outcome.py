"""What a run came to, worked out from its events alone: figures, verdict, and the sentence that says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from lab_scripts.demo.plan import Fault
from lab_scripts.exit_codes import ExitCode

Record = Mapping[str, Any]
_DCR, _DCA = 1, 2
_TRANSMISSIONS = (1, 2, 3, 4)
_NS_PER_MS = 1e6
_VOICE_FIELDS = (
    "sent",
    "received",
    "lost",
    "duplicates",
    "loss_percent",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "latency_max_ms",
    "jitter_ms",
)
_PROGRAM_FIELDS = ("program", "command", "exit_code", "ok", "summary")
_REFUSALS = ("request-refused", "accept-refused")

_WHAT_HAPPENED = {
    Fault.UNPROVISIONED: "UE-A got no keys from the KMS and signed its request with keys it made up",
    Fault.UNAUTHORISED: "UE-A asked for a link although UE-B does not list it as authorised",
    Fault.WRONG_RECIPIENT: "UE-A's request for somebody else was delivered to UE-B",
    Fault.TAMPERED: "somebody on the air altered UE-A's request and mended the transport block's CRC",
    Fault.REPLAYED: "somebody recorded UE-A's request off the air and sent it again after the link had ended",
    Fault.STALE_TIME: "UE-A sent a request dated ten minutes in the past",
    Fault.EXPIRED_PERIOD: "UE-A used keys of a key period that is over",
    Fault.DOWNGRADE: "somebody on the air rewrote UE-A's request to offer null algorithms only, and mended the CRC",
    Fault.IMPOSTOR: "somebody with keys of his own sent a request in UE-A's name",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Who stopped the attack, with which cause on the air (None: silence), and why."""

    by: str
    cause: int | None
    why: str
    step: int


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
    voice: dict[str, Record] = field(default_factory=dict)
    programs: tuple[Record, ...] | None = None
    """What came of programs over TUN interfaces; None where the UEs made the traffic."""

    @property
    def exit_code(self) -> ExitCode:
        """0 for the main job done, 5 for an attack that was stopped, 1 for anything else."""
        if self.fault is None:
            return ExitCode.OK if self.ok else ExitCode.FAILED
        return ExitCode.SECURITY if self.attack_stopped else ExitCode.FAILED

    @property
    def sentence(self) -> str:
        """What happened, in one plain sentence."""
        if self.fault is None:
            if self.ok and self.programs is not None:
                return "Unmodified programs in two network namespaces talked over the protected link of the two UEs."
            if self.ok:
                return "The two UEs found each other, agreed a key and carried protected IP traffic both ways."
            return "The run did not get to its end: see the timeline for the last thing that worked."
        what = _WHAT_HAPPENED[self.fault]
        if self.rejected is None or not self.attack_stopped:
            return f"{what}; nothing stopped it."
        told = "silently" if self.rejected.cause is None else f"with cause 0x{self.rejected.cause:02x}"
        return f"{what}; {self.rejected.by} refused it {told} at check {self.rejected.step}: {self.rejected.why}."

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
            "rejected": {"by": rejected.by, "cause": rejected.cause, "why": rejected.why, "step": rejected.step}
            if rejected
            else None,
            **({"voice": self.voice} if self.voice else {}),
            **({"programs": list(self.programs)} if self.programs is not None else {}),
        }


def outcome_of(
    events: Sequence[Record], *, seed: int, fault: Fault | None, wall_s: float, tun: bool = False
) -> Outcome:
    """Work out the figures of a run from its events, in order of time; `tun`: programs made the traffic."""
    rejected = _rejected(events, fault)
    stopped = list(_of(events, "node-stopped"))
    keys_left = sum(event["live_contexts"] for event in stopped)
    links_up = len(list(_of(events, "link-established")))
    allowed_links = 2 if fault is Fault.REPLAYED else 0
    return Outcome(
        seed=seed,
        fault=fault,
        wall_s=round(wall_s, 2),
        ok=fault is None and (_programs_done(events) if tun else _job_done(events)) and keys_left == 0,
        attack_stopped=rejected is not None and links_up == allowed_links and keys_left == 0 and len(stopped) == 2,
        air_ms=_air_times(events),
        octets={"dcr": _pc5s_octets(events, _DCR), "dca": _pc5s_octets(events, _DCA)},
        snr_db=_mean((event["snr_db"] for event in _of(events, "block-received") if event["crc_ok"]), 1),
        cfo_hz=_first(events, "synchronised", "cfo_hz"),
        bler=_bler(list(_of(events, "block-received"))),
        pings=(len(list(_of(events, "ping-reply"))), len(list(_of(events, "ping-lost")))),
        ping_rtt_ms=_mean((event["rtt_ms"] for event in _of(events, "ping-reply")), 1),
        goodput_kbps=_goodput(list(_of(events, "transfer-received"))),
        real_time_factor=min(_last_by_source(events, "progress", "real_time_factor").values(), default=None),
        ms_per_subframe=_last_by_source(events, "progress", "cpu_ms_per_subframe"),
        rejected=rejected,
        voice={event["source"]: _fields(event, _VOICE_FIELDS) for event in _of(events, "voice-received")},
        programs=tuple(_fields(event, _PROGRAM_FIELDS) for event in _of(events, "program-ended")) if tun else None,
    )


def _job_done(events: Sequence[Record]) -> bool:
    done = list(_of(events, "traffic-done"))
    return len(done) == 2 and all(event["ok"] for event in done)


def _programs_done(events: Sequence[Record]) -> bool:
    ended = list(_of(events, "program-ended"))
    return bool(ended) and all(event["ok"] for event in ended)


def _fields(event: Record, names: Sequence[str]) -> Record:
    return {name: event[name] for name in names}


def _rejected(events: Sequence[Record], fault: Fault | None) -> Rejected | None:
    refusals = [event for event in events if event["event"] in _REFUSALS] if fault else []
    if not refusals:
        return None
    first = refusals[0]
    return Rejected(by=first["source"], cause=first.get("cause"), why=first["why"], step=first["step"])


def _air_times(events: Sequence[Record]) -> dict[str, float | None]:
    on = _time(events, "powered-on", "ue-b")
    connecting = _time(events, "connecting", "ue-a")
    both_up = [_time(events, "link-established", name) for name in ("ue-a", "ue-b")]
    accept = next((e["utc_ns"] for e in _pc5s(events, _DCA, "rx")), None)
    request = next((e["utc_ns"] for e in _pc5s(events, _DCR, "tx")), None)
    return {
        "sync": _between(on, _time(events, "synchronised", "ue-b")),
        "discovered": _between(on, _time(events, "peer-discovered", "ue-a")),
        "dcr_to_dca": _between(request, accept),
        "connected": _between(connecting, max(t for t in both_up if t) if all(both_up) else None),
        "first_protected": _between(connecting, _time(events, "first-protected", None)),
    }


def _bler(blocks: Sequence[Record]) -> dict[str, float | None]:
    """Share of the blocks not decoded after n combined transmissions, of those that got so many or were decoded."""
    result: dict[str, float | None] = {}
    for n in _TRANSMISSIONS:
        tried = [b for b in blocks if b["n_transmissions"] >= n or (b["crc_ok"] and b["crc_ok_at"] <= n)]
        failed = [b for b in tried if not b["crc_ok"] or b["crc_ok_at"] > n]
        result[str(n)] = round(len(failed) / len(tried), 4) if tried else None
    return result


def _goodput(transfers: Sequence[Record]) -> float | None:
    seconds = sum(event["finished_s"] - event["started_s"] for event in transfers)
    return round(sum(event["octets"] for event in transfers) * 8e-3 / seconds, 1) if seconds else None


def _of(events: Iterable[Record], name: str) -> Iterable[Record]:
    return (event for event in events if event["event"] == name)


def _pc5s(events: Sequence[Record], message_type: int, direction: str) -> Iterable[Record]:
    prefix = f"{message_type:02x}"
    return (
        event
        for event in _of(events, "pdu-seen")
        if event["layer"] == "pc5s" and event["direction"] == direction and event["data"].startswith(prefix)
    )


def _pc5s_octets(events: Sequence[Record], message_type: int) -> int | None:
    return next((len(event["data"]) // 2 for event in _pc5s(events, message_type, "tx")), None)


def _time(events: Sequence[Record], name: str, source: str | None) -> int | None:
    return next((e["utc_ns"] for e in _of(events, name) if source in (None, e["source"])), None)


def _between(start_ns: int | None, end_ns: int | None) -> float | None:
    return round((end_ns - start_ns) / _NS_PER_MS, 3) if start_ns is not None and end_ns is not None else None


def _first(events: Sequence[Record], name: str, key: str) -> float | None:
    return next((round(event[key], 1) for event in _of(events, name)), None)


def _mean(values: Iterable[float], digits: int) -> float | None:
    found = list(values)
    return round(fmean(found), digits) if found else None


def _last_by_source(events: Sequence[Record], name: str, key: str) -> dict[str, float]:
    return {event["source"]: event[key] for event in _of(events, name)}
