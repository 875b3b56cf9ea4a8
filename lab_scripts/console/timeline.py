"""Events told as lines a person follows: when, who, what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape

from lab_scripts.runs.lab_world import LAB_UTC

Record = Mapping[str, Any]
_START_NS = round(LAB_UTC.timestamp() * 1e9)
_COLOURS = {"ue-a": "cyan", "ue-b": "magenta", "kms": "yellow", "air": "blue"}


def air_ms(event: Record) -> float:
    """Air time of an event since the emulator's time zero, in ms."""
    return float((event["utc_ns"] - _START_NS) / 1e6)


def time_of_day(event: Record) -> str:
    """UTC of an event as a clock shows it: what runs beside other programs is told in."""
    moment = datetime.fromtimestamp(event["utc_ns"] / 1e9, UTC)
    return moment.strftime("%H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


def since_start(event: Record) -> str:
    """Air time of an event: what runs in the lab's virtual UTC is told in."""
    return f"{air_ms(event):9.1f} ms"


def told(event: Record, when: Callable[[Record], str] = since_start) -> str | None:
    """One event as a line with rich markup; None for those a person need not see."""
    sentence = sentence_of(event)
    if sentence is None:
        return None
    source = event["source"]
    colour = _COLOURS.get(source, "white")
    return f"[dim]{when(event)}[/]  [{colour}]{source:<5}[/] {sentence}"


def sentence_of(event: Record) -> str | None:
    """What happened, in words; None for events that only fill the log."""
    teller = _TELLERS.get(event["event"])
    return teller({name: _without_markup(value) for name, value in event.items()}) if teller else None


def _without_markup(value: Any) -> Any:
    """A value whose text is told as it is: peers, files and programs write brackets too."""
    if isinstance(value, str):
        return escape(value)
    return [_without_markup(item) for item in value] if isinstance(value, list | tuple) else value


def _told_refusal(event: Record) -> str:
    cause = event.get("cause")
    if cause is None and event["why"].startswith("collision"):
        return "the peer has asked too: own request stands"
    how = "silently" if cause is None else f"with cause 0x{cause:02x}"
    return f"[bold red]refused[/] {how} at check {event['step']}: {event['why']}"


def _told_link(event: Record) -> str:
    proof = "both ends proved who they are" if event["mutual"] else "only the initiator proved who it is"
    null = " [bold red](null algorithm)[/]" if event["null_algorithm"] else ""
    return (
        f"[bold green]link established[/] with {event['peer']}, KD-sess ID {event['kd_sess_id']:04x}, "
        f"128-EEA{event['eea']}, 128-EIA{event['eia']}{null}; {proof}"
    )


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


_TELLERS: dict[str, Callable[[Record], str | None]] = {
    "kms-keys-issued": lambda e: f"issued keys of {e['uri']} for {len(e['periods'])} key period(s)",
    "kms-refused": lambda e: f"[red]refused[/]: {e['message']}",
    "air-started": lambda _: "all radios are on the air",
    "provisioned": lambda e: f"has keys of {e['identity']} from {e['kms']}" + _demo_keys(e),
    "kms-out-of-reach": lambda e: f"goes by the keys of {e['identity']} in its store: {e['why']}",
    "keys-renewed": lambda e: f"has renewed its keys of {e['identity']}: periods {_listed(e['key_periods'])}",
    "keys-not-renewed": lambda e: f"[red]keys not renewed[/]: {e['why']}",
    "radio-lost": lambda e: f"[red]radio lost[/]: {e['why']}; trying again",
    "not-provisioned": lambda e: f"[bold red]no keys[/] for {e['identity']}: {e['why']}",
    "powered-on": lambda e: f"radio on: {e['n_prb']} PRB, {e['sample_rate_hz'] / 1e6:.2f} MS/s, id {e['l2_id']:06x}",
    "weak-links-allowed": lambda e: f"[bold red]weak links allowed[/] by {', '.join(e['keys'])}",
    "became-sync-ref": lambda e: f"synchronisation reference, SLSS id {e['n_sl_id']}",
    "synchronised": lambda e: (
        f"synchronised to SLSS {e['n_sl_id']}: CFO {e['cfo_hz']:+.0f} Hz, SNR {e['snr_db']:.1f} dB, "
        f"DFN {e['mib']['dfn']}.{e['mib']['subframe']}"
    ),
    "group-plan-stage": lambda e: f"group: {e['stage']}",
    "group-epoch-started": lambda e: (
        f"[bold]new group key[/] ({e['why']}), epoch {e['epoch']}, for {len(e['recipients'])} recipient(s), "
        f"keying mode {e['mode']}" + (f", without {', '.join(e['members_out'])}" if e["members_out"] else "")
    ),
    "group-key-sent": lambda e: f"group key to {e['recipient']}, {e['octets']} octets",
    "group-key-delivered": lambda e: (
        f"{e['recipient']} has shown that it holds the key of epoch {e['epoch']}"
        if e["receipt"]
        else f"the key of epoch {e['epoch']} was sent to {e['recipient']} as often as planned"
    ),
    "group-epoch-failed": lambda e: f"[bold red]no new group key yet[/]: {e['why']}",
    "group-epoch-yielded": lambda e: f"gives its own key out no more: the one of {e['keyer']} is greater",
    "group-removals-learnt": lambda e: (
        f"learns from {e['keyer']} who is out: {', '.join(e['members_out']) or 'nobody'}"
    ),
    "group-removal-done": lambda e: f"[green]{e['member']} holds a key that {e['removed']} does not get[/]",
    "group-ask-answered": lambda e: (
        f"answers the ask of {e['member']} with {'a new key' if e['new_epoch'] else 'the key'}, epoch {e['epoch']}"
    ),
    "group-key-undelivered": lambda e: f"[red]no receipt[/] of the group key from {e['recipient']}",
    "group-key-received": lambda e: (
        f"[green]holds the group's key[/], epoch {e['epoch']}, of {e['keyer']}"
        + (": [yellow]to read only, it may be superseded[/]" if e["reads_only"] else "")
    ),
    "group-key-confirmed": lambda e: f"may speak under the group's key of epoch {e['epoch']}: {e['keyer']} names it",
    "group-restarted": lambda e: f"[yellow]same group key as before the restart[/]: {e['why']}",
    "group-asked": lambda e: f"asks {e['keyer']} for the group's key, try {e['tries']}: {e['why']}",
    "group-ask-failed": lambda e: f"[red]can't ask for the group's key[/]: {e['why']}",
    "group-unsure": lambda e: (
        f"[yellow]{'speaks under a key that may be old' if e['speaks'] else 'says nothing to the group'}[/]: {e['why']}"
    ),
    "group-message-sent": lambda e: f"says {e['octets']} octets to the group, SHA-256 {e['sha256'][:16]}...",
    "group-message-received": lambda e: (
        f"heard {e['octets']} octets of {e['sender_l2']:06x} in the group, SHA-256 {e['sha256'][:16]}... agrees"
    ),
    "group-address-taken": lambda e: (
        f"[yellow]somebody else sends from {e['sender_l2']:06x}[/]: draws another id to send to the group from"
    ),
    "group-keying-failed": lambda e: f"[bold red]no new group key[/]: {e['why']}",
    "group-message-spoilt": lambda e: f"[red]spoilt group message[/] of {e['sender_l2']:06x}: {e['why']}",
    "group-unreadable": lambda e: f"[yellow]can't read[/] {e['sender_l2']:06x} in the group: {e['why']}",
    "sync-lost": lambda e: f"[red]lost SLSS {e['n_sl_id']}[/]",
    "peer-discovered": lambda e: f"discovered {e['prose_ue_id']:06x} (user info {e['user_info_id']:012x})",
    "all-discovered": lambda e: f"has discovered everybody, {e['n_others']} in all",
    "code-discovered": lambda e: (
        f"discovered code {_short(e['code'])} ({e['message']}, {_verified(e)}); a code tells no layer-2 id"
    ),
    "peer-lost": lambda e: f"[yellow]lost[/] {e['prose_ue_id']:06x}: not heard any more",
    "code-lost": lambda e: f"[yellow]lost[/] code {_short(e['code'])}: not heard any more",
    "solicited": lambda e: f"{e['prose_ue_id']:06x} asks for this UE; it answers",
    "discovery-unprotected": lambda e: (
        "[yellow]no key[/] of discovery group "
        + ", ".join(f"{group:06x}" for group in e["group_ids"])
        + ": nothing it hears there is verified"
    ),
    "not-sent": lambda e: f"[yellow]{e['message']} is not sent any more[/]: {e['why']}",
    "not-listened": lambda e: f"[yellow]code {_short(e['code'])} is not listened for any more[/]: {e['why']}",
    "discovery-dropped": lambda e: f"[yellow]{e['message']} dropped[/]: {e['why']}",
    "connecting": lambda e: f"connecting to {e['peer']}",
    "request-sent": lambda e: f"Direct Connection Request, {e['octets']} octets, mutual authentication {e['mutual']}",
    "request-received": lambda e: f"request of {e['peer']} passed every check; Accept, {e['accept_octets']} octets",
    "request-refused": _told_refusal,
    "accept-refused": _told_refusal,
    "reject-received": lambda e: f"Reject with cause 0x{e['cause']:02x} noted; not believed before the time is up",
    "link-provisional": lambda e: f"provisional: waiting for {e['peer']} to confirm",
    "link-established": _told_link,
    "link-failed": lambda e: f"[red]no link[/] with {e['peer']}: {e['why']}; keys wiped",
    "link-released": lambda e: f"link released: {e['why']}; keys wiped",
    "first-protected": lambda e: f"first protected IP packet, {e['octets']} octets",
    "ping-reply": lambda e: f"ping {e['sequence']} answered in {e['rtt_ms']:.0f} ms",
    "ping-lost": lambda e: f"[yellow]ping {e['sequence']} lost[/]",
    "transfer-sent": lambda e: f"pushed {e['octets']} octets in {e['chunks_sent']} chunks",
    "transfer-received": lambda e: (
        f"took {e['octets']} octets, SHA-256 {e['sha256'][:16]}... agrees, "
        f"{e['octets'] * 8e-3 / (e['finished_s'] - e['started_s']):.0f} kbit/s"
    ),
    "transfer-failed": lambda e: f"[red]transfer failed[/]: {e['why']}",
    "voice-received": lambda e: f"voice heard: {voice_in_words(e)}",
    "ip-configured": lambda e: (
        f"IP to {e['peer_link_local']}" + (f" and {e['peer_ipv4']}" if e["peer_ipv4"] else "") + _on_interface(e)
    ),
    "program-ended": lambda e: (
        f"{e['program']}: {e['summary']}" if e["ok"] else f"[red]{e['program']} failed[/]: {e['summary']}"
    ),
    "node-stopped": lambda e: f"radio off after {e['subframes']} subframes: {e['why']}",
}


def voice_in_words(event: Record) -> str:
    """Loss and latency of a voice-like stream."""
    told = f"{event['received']} of {event['sent']} datagrams, {event['loss_percent']:.1f} % lost"
    if event["latency_p50_ms"] is None:
        return told
    return told + (
        f", latency {event['latency_p50_ms']:.0f} / {event['latency_p95_ms']:.0f} / {event['latency_p99_ms']:.0f} ms "
        f"(50 / 95 / 99 %), jitter {event['jitter_ms']:.1f} ms"
    )


def _short(code: str) -> str:
    return f"{code[:8]}...{code[-4:]}"


def _verified(event: Record) -> str:
    return "MIC verified" if event["verified"] else "[yellow]not verified[/]"


def _on_interface(event: Record) -> str:
    return f" on {event['interface']}" if event["interface"] else ""


def _demo_keys(event: Record) -> str:
    return " [yellow](demo keys, known to anyone)[/]" if event["lab_deterministic"] else ""
