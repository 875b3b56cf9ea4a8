"""One sentence for each class of event that a user has to read; the other classes are on the list of silent ones.

A sentence has rich markup. The texts within an event come from peers, files and programs: they are escaped before the
function of the class gets them, so that brackets in them stay brackets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from rich.markup import escape
from rich.text import Text

from lab_scripts.events.lab_events import ProgramEnded, WarmedUp
from prose_link.carriers import events as carriers
from prose_link.carriers.ims import events as ims
from prose_link.discovery import events as discovery
from prose_link.event_stream import PduSeen
from prose_link.pc5s.core import events as link
from prose_link.pc5s.core import group_events as group
from prose_link.sync import events as sync
from prose_link.ue import events as ue
from prose_link.userplane import events as userplane
from radio.access.protocol import BlockReceived
from radio.emulator import events as hub
from radio.phy.lte.channels.indications import Synchronised, SyncLost
from security.kms import events as kms

_E = TypeVar("_E")
_SECONDS_OF_A_BLOCK: Final = 1e-3
_FIRST_ONLY: Final = "the live console tells the first of each reason; the rest says nothing new"
_NO_CONSOLE: Final = "`pc5lab kms serve` has no console: its events are its output"

SILENT: Final[Mapping[type, str]] = {
    ims.SipMessageSeen: "it makes the capture; what comes of a message is told",
    PduSeen: "there are hundreds a second; they make the capture",
    BlockReceived: "there are hundreds a second; they make the figures",
    ue.Progress: "is for the supervisor of a run",
    ue.L2Dropped: _FIRST_ONLY,
    ue.GroupAddress: "`group-address-taken` tells when it changes",
    sync.SlssStarted: "follows from what was selected",
    sync.SlssStopped: "follows from what was selected",
    link.Dropped: _FIRST_ONLY,
    link.RekeyStarted: "`rekeyed` or `rekey-failed` follows",
    userplane.PacketDropped: _FIRST_ONLY,
    userplane.TrafficDone: "pings, transfers and voice are told one by one",
    userplane.VoiceSent: "the other end tells what came of it",
    kms.KmsServing: _NO_CONSOLE,
    kms.KmsStopped: _NO_CONSOLE,
    kms.KmsEnrolled: "the keys that are issued next tell it",
    kms.KmsRefusals: _NO_CONSOLE,
    kms.KmsCertificateRenewed: _NO_CONSOLE,
    kms.KmsCertificateNotRenewed: _NO_CONSOLE,
    kms.KmsFailed: _NO_CONSOLE,
    kms.KmsWorkerLost: _NO_CONSOLE,
    kms.KmsWorkerFailed: _NO_CONSOLE,
    WarmedUp: "`pc5lab warm-up` says it itself",
}
"""Classes without a sentence, each with the reason."""

_SENTENCES: Final[dict[type, Callable[[Any], str]]] = {}


def told_classes() -> frozenset[type]:
    """The classes that have a sentence."""
    return frozenset(_SENTENCES)


def sentence_of(event: object) -> str | None:
    """The event in words with markup; None for events that are only in the log."""
    sentence = _SENTENCES.get(type(event))
    return None if sentence is None else sentence(_without_markup(event))


def plain_sentence_of(event: object) -> str | None:
    """The event in words without markup."""
    sentence = sentence_of(event)
    return None if sentence is None else Text.from_markup(sentence).plain


def voice_in_words(heard: userplane.VoiceReceived) -> str:
    """Loss and latency of a voice-like stream."""
    told = f"{heard.received} of {heard.sent} datagrams, {heard.loss_percent:.1f} % lost"
    if heard.latency_p50_ms is None:
        return told
    return told + (
        f", latency {heard.latency_p50_ms:.0f} / {heard.latency_p95_ms:.0f} / {heard.latency_p99_ms:.0f} ms "
        f"(50 / 95 / 99 %), jitter {heard.jitter_ms:.1f} ms"
    )


def _without_markup(event: Any) -> Any:
    """The same event, its texts escaped."""
    values = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    return dataclasses.replace(event, **{name: _escaped(value) for name, value in values.items()})


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return escape(value)
    return tuple(_escaped(item) for item in value) if isinstance(value, tuple) else value


def _tell(kind: type[_E], sentence: Callable[[_E], str]) -> None:
    _SENTENCES[kind] = sentence


def _listed(items: Iterable[object]) -> str:
    return ", ".join(map(str, items))


def _refusal(event: link.RequestRefused | link.AcceptRefused) -> str:
    cause = event.cause if isinstance(event, link.RequestRefused) else None
    how = "silently" if cause is None else f"with cause 0x{cause:02x}"
    return f"[bold red]refused[/] {how} at check {event.step}: {event.why}"


def _request_refused(event: link.RequestRefused) -> str:
    if event.cause is None and event.why.startswith("collision"):
        return "the peer has asked too: own request stands"
    return _refusal(event)


def _link_established(event: link.LinkEstablished) -> str:
    proof = "both ends proved who they are" if event.mutual else "only the initiator proved who it is"
    null = " [bold red](null algorithm)[/]" if event.null_algorithm else ""
    return (
        f"[bold green]link established[/] with {event.peer}, KD-sess ID {event.kd_sess_id:04x}, "
        f"128-EEA{event.eea}, 128-EIA{event.eia}{null}; {proof}"
    )


def _sync_ref_selected(event: sync.SyncRefSelected) -> str:
    left = "" if event.left_n_sl_id < 0 else f", leaves {event.left_n_sl_id}"
    return f"follows SLSS {event.n_sl_id}, S-RSRP {event.s_rsrp_dbm:.0f} dBm{left}"


def _ip_configured(event: userplane.IpConfigured) -> str:
    ipv4 = f" and {event.peer_ipv4}" if event.peer_ipv4 else ""
    interface = f" on {event.interface}" if event.interface else ""
    return f"IP to {event.peer_link_local}{ipv4}{interface}"


def _transfer_received(event: userplane.TransferReceived) -> str:
    kbit_s = event.octets * 8e-3 / (event.finished_s - event.started_s)
    return f"took {event.octets} octets, SHA-256 {event.sha256[:16]}... agrees, {kbit_s:.0f} kbit/s"


def _code(code: bytes) -> str:
    digits = code.hex()
    return f"{digits[:8]}...{digits[-4:]}"


def _lost_at(block: int) -> str:
    return f"{_SECONDS_OF_A_BLOCK * block:.1f} s of air time after the start"


# A UE as a whole.
_tell(ue.PoweredOn, lambda e: f"radio on: {e.n_prb} PRB, {e.sample_rate_hz / 1e6:.2f} MS/s, id {e.l2_id:06x}")
_tell(
    ue.Provisioned,
    lambda e: (
        f"has keys of {e.identity} from {e.kms}"
        + (" [yellow](demo keys, known to anyone)[/]" if e.lab_deterministic else "")
    ),
)
_tell(ue.NotProvisioned, lambda e: f"[bold red]no keys[/] for {e.identity}: {e.why}")
_tell(ue.KmsOutOfReach, lambda e: f"uses the keys of {e.identity} in its store: {e.why}")
_tell(ue.KeysRenewed, lambda e: f"has renewed its keys of {e.identity}: periods {_listed(e.key_periods)}")
_tell(ue.KeysNotRenewed, lambda e: f"[red]keys not renewed[/]: {e.why}")
_tell(ue.WeakLinksAllowed, lambda e: f"[bold red]weak links allowed[/] by {_listed(e.keys)}")
_tell(
    ue.TimeNotProven,
    lambda e: (
        "[yellow]time not proven[/]: no KMS has told it since the start; "
        + ("no set-up until one does" if e.set_ups_refused else "the UE trusts its own clock")
    ),
)
_tell(ue.KeysLeftOnDisk, lambda e: f"[red]keys of key period {e.key_period} are still on disk[/]: {e.why}")
_tell(ue.NumberResolved, lambda e: f"{e.number} is {e.identity}, by {'the own file' if e.by == 'own' else e.by}")
_tell(ue.NumberNotResolved, lambda e: f"[yellow]{e.number} can't be called[/]: {e.why}")
_tell(ue.StatementRefused, lambda e: f"[yellow]statement about {e.number} not believed[/]: {e.why}")
_tell(ue.RadioLost, lambda e: f"[red]radio lost[/]: {e.why}; trying again")
_tell(ue.Connecting, lambda e: f"connecting to {e.peer}")
_tell(ue.FirstProtected, lambda e: f"first protected IP packet, {e.octets} octets")
_tell(
    ue.QueueDropped,
    lambda e: (
        f"queue to {e.peer_l2:06x}: {e.early + e.overflow} packets dropped, {e.overflow} of them for want of room"
        + (f"; {e.marked} marked" if e.marked else "")
    ),
)
_tell(ue.NodeStopped, lambda e: f"radio off after {e.subframes} subframes: {e.why}")
_tell(ue.GroupPlanStage, lambda e: f"group: {e.stage}")
_tell(
    ue.GroupAddressTaken,
    lambda e: f"[yellow]another UE sends from {e.sender_l2:06x}[/]: draws another id to send to the group from",
)
_tell(ue.GroupKeyingFailed, lambda e: f"[bold red]no new group key[/]: {e.why}")
_tell(ue.GroupUnreadable, lambda e: f"[yellow]can't read[/] {e.sender_l2:06x} in the group: {e.why}")

# Synchronisation.
_tell(
    Synchronised,
    lambda e: (
        f"synchronised to SLSS {e.n_sl_id}: CFO {e.cfo_hz:+.0f} Hz, SNR {e.snr_db:.1f} dB, "
        f"DFN {e.mib.dfn}.{e.mib.subframe}"
    ),
)
_tell(SyncLost, lambda e: f"[red]lost SLSS {e.n_sl_id}[/]")
_tell(sync.BecameSyncRef, lambda e: f"synchronisation reference, SLSS id {e.n_sl_id}")
_tell(sync.SyncRefSelected, _sync_ref_selected)
_tell(sync.SyncRefTooWeak, lambda e: f"[yellow]SLSS {e.n_sl_id} is too weak[/], S-RSRP {e.s_rsrp_dbm:.0f} dBm")

# Discovery.
_tell(discovery.PeerDiscovered, lambda e: f"discovered {e.prose_ue_id:06x} (user info {e.user_info_id:012x})")
_tell(
    discovery.CodeDiscovered,
    lambda e: (
        f"discovered code {_code(e.code)} ({e.message}, "
        f"{'MIC verified' if e.verified else '[yellow]not verified[/]'}); a code tells no layer-2 id"
    ),
)
_tell(discovery.PeerLost, lambda e: f"[yellow]lost[/] {e.prose_ue_id:06x}: not heard any more")
_tell(discovery.CodeLost, lambda e: f"[yellow]lost[/] code {_code(e.code)}: not heard any more")
_tell(discovery.Solicited, lambda e: f"{e.prose_ue_id:06x} asks for this UE; it answers")
_tell(
    discovery.DiscoveryUnprotected,
    lambda e: (
        f"[yellow]no key[/] of discovery group {_listed(f'{one:06x}' for one in sorted(e.group_ids))}: "
        "nothing it hears there is verified"
    ),
)
_tell(discovery.NotSent, lambda e: f"[yellow]{e.message} is not sent any more[/]: {e.why}")
_tell(discovery.NotListened, lambda e: f"[yellow]code {_code(e.code)} is not listened for any more[/]: {e.why}")
_tell(discovery.DiscoveryDropped, lambda e: f"[yellow]{e.message} dropped[/]: {e.why}")

# Links.
_tell(
    link.RequestSent,
    lambda e: f"Direct Connection Request, {e.octets} octets, mutual authentication {e.mutual}",
)
_tell(
    link.RequestReceived,
    lambda e: f"request of {e.peer} passed every check; Accept, {e.accept_octets} octets",
)
_tell(link.RequestRefused, _request_refused)
_tell(link.AcceptRefused, _refusal)
_tell(link.RequestYielded, lambda e: f"{e.peer} has asked too: its request has led to the link, own request is wiped")
_tell(
    link.CarrierMismatch,
    lambda e: (
        f"[yellow]{e.carrier} names {e.named} as the sender[/] of what {e.peer} is said to have signed: "
        + ("dropped" if e.refused else "taken all the same")
    ),
)
_tell(
    link.RejectReceived,
    lambda e: f"Reject with cause 0x{e.cause:02x} noted; not believed before the time is up",
)
_tell(link.LinkProvisional, lambda e: f"provisional: waiting for {e.peer} to confirm")
_tell(link.ProvisionalEnded, lambda e: f"provisional link with {e.peer} ended: {e.why}; keys wiped")
_tell(link.LinkEstablished, _link_established)
_tell(link.LinkFailed, lambda e: f"[red]no link[/] with {e.peer}: {e.why}; keys wiped")
_tell(link.LinkReleased, lambda e: f"link released: {e.why}; keys wiped")
_tell(
    link.Rekeyed,
    lambda e: (
        f"link with {e.peer} rekeyed, KD-sess ID {e.kd_sess_id:04x} after {e.old_kd_sess_id:04x}"
        + (", with a new KD" if e.new_kd else "")
    ),
)
_tell(
    link.LinkKeysRunOut,
    lambda e: (
        f"[yellow]no keys of the next key period[/] for the link with {e.peer}: without a contact with the KMS it ends "
        f"{(e.link_ends_ntp_s - e.period_ends_ntp_s) / 3600:.0f} h after the end of this one"
    ),
)
_tell(link.RekeyFailed, lambda e: f"[yellow]no new keys[/] with {e.peer}: {e.why}; those in use go on")
_tell(
    link.ClockBelowFloor,
    lambda e: f"[red]clock is {e.floor_ntp_s - e.now_ntp_s} s below the last time known to be true[/]: no set-up",
)
_tell(link.ClockJumped, lambda e: f"[red]clock has jumped by {e.step_s:+d} s[/]: no set-up until it is back in step")
_tell(link.ClockBackInStep, lambda _: "clock is back in step")
_tell(
    link.ClockApartFromKms,
    lambda e: f"[red]clock and KMS are {abs(e.now_ntp_s - e.kms_ntp_s)} s apart[/]: one of them is wrong",
)
_tell(
    link.KeysWiped,
    lambda e: f"[yellow]keys of key period {e.key_period} of {e.kms} are wiped[/]: the period is over",
)
_tell(
    link.CarrierMismatch,
    lambda e: (
        f"[yellow]{e.carrier} names {e.named}[/] as the sender of what {e.peer or 'nobody'} says to have sent: "
        + ("this copy is dropped" if e.refused else "only the signed identity counts")
    ),
)
_tell(ims.ImsRegistered, lambda e: f"registered with the IMS for {e.expires_s} s, as {_listed(e.associated)}")
_tell(ims.ImsRegistrationFailed, lambda e: f"[yellow]not registered with the IMS[/]: {e.status} {e.why}")
_tell(ims.ImsCallRefused, lambda e: f"[yellow]the IMS brings no Accept of {e.peer}[/]: {e.status} {e.why}")
_tell(ims.ImsBodyRefused, lambda e: f"[yellow]a body by IMS from {e.named or 'nobody'} holds no message[/]: {e.why}")
_tell(link.EventsHeldBack, lambda e: f"[yellow]{e.number} events of dropped or refused messages not told[/]")

# Group keys and messages.
_tell(
    group.GroupEpochStarted,
    lambda e: (
        f"[bold]new group key[/] ({e.why}), epoch {e.epoch}, for {len(e.recipients)} recipient(s), keying mode {e.mode}"
        + (f", without {_listed(e.members_out)}" if e.members_out else "")
    ),
)
_tell(group.GroupEpochFailed, lambda e: f"[bold red]no new group key yet[/]: {e.why}")
_tell(group.GroupEpochYielded, lambda e: f"gives its own key out no more: the one of {e.keyer} is greater")
_tell(
    group.GroupRemovalsLearnt,
    lambda e: f"learns from {e.keyer} which members are removed: {_listed(e.members_out) or 'none'}",
)
_tell(group.GroupRemovalDone, lambda e: f"[green]{e.member} holds a key that {e.removed} does not get[/]")
_tell(
    group.GroupAskAnswered,
    lambda e: f"answers the ask of {e.member} with {'a new key' if e.new_epoch else 'the key'}, epoch {e.epoch}",
)
_tell(group.GroupKeySent, lambda e: f"group key to {e.recipient}, {e.octets} octets")
_tell(
    group.GroupKeyDelivered,
    lambda e: (
        f"{e.recipient} has shown that it holds the key of epoch {e.epoch}"
        if e.receipt
        else f"the key of epoch {e.epoch} was sent to {e.recipient} as often as planned"
    ),
)
_tell(group.GroupKeyUndelivered, lambda e: f"[red]no receipt[/] of the group key from {e.recipient}")
_tell(
    group.GroupKeyReceived,
    lambda e: (
        f"[green]holds the group's key[/], epoch {e.epoch}, of {e.keyer}"
        + (": [yellow]to read only[/]" if e.reads_only else "")
    ),
)
_tell(
    group.GroupKeyConfirmed,
    lambda e: f"may speak under the group's key of epoch {e.epoch}: {e.keyer} names it",
)
_tell(group.GroupRestarted, lambda e: f"[yellow]same group key as before the restart[/]: {e.why}")
_tell(group.GroupAsked, lambda e: f"asks {e.keyer} for the group's key, try {e.tries}: {e.why}")
_tell(group.GroupAskFailed, lambda e: f"[red]can't ask for the group's key[/]: {e.why}")
_tell(
    group.GroupUnsure,
    lambda e: (
        f"[yellow]{'speaks under a key that may be old' if e.speaks else 'says nothing to the group'}[/]: {e.why}"
    ),
)
_tell(group.GroupKeysWiped, lambda e: f"keys of group {e.group} wiped: {e.why}")
_tell(
    userplane.GroupMessageSent,
    lambda e: f"says {e.octets} octets to the group, SHA-256 {e.sha256[:16]}...",
)
_tell(
    userplane.GroupMessageReceived,
    lambda e: f"heard {e.octets} octets of {e.sender_l2:06x} in the group, SHA-256 {e.sha256[:16]}... agrees",
)
_tell(userplane.GroupMessageSpoilt, lambda e: f"[red]spoilt group message[/] of {e.sender_l2:06x}: {e.why}")

# Carriers.
_tell(
    carriers.FrameHandedOn,
    lambda e: (
        f"proxy: hands on {e.message} {e.origin_l2:06x} -> {e.destination_l2:06x}"
        + (f" by {e.to_l2:06x}" if e.to_l2 != e.destination_l2 else "")
    ),
)
_tell(
    carriers.DataHandedOn,
    lambda e: f"proxy: hands on sealed data {e.origin_l2:06x} -> {e.destination_l2:06x}, which it can't read",
)
_tell(carriers.FramesNotHandedOn, lambda e: f"[yellow]proxy: hands {e.frames} frame(s) not on[/]: {e.why}")

# User plane.
_tell(userplane.IpConfigured, _ip_configured)
_tell(userplane.PingReply, lambda e: f"ping {e.sequence} answered in {e.rtt_ms:.0f} ms")
_tell(userplane.PingLost, lambda e: f"[yellow]ping {e.sequence} lost[/]")
_tell(userplane.TransferSent, lambda e: f"pushed {e.octets} octets in {e.chunks_sent} chunks")
_tell(userplane.TransferReceived, _transfer_received)
_tell(userplane.TransferFailed, lambda e: f"[red]transfer failed[/]: {e.why}")
_tell(userplane.VoiceReceived, lambda e: f"voice heard: {voice_in_words(e)}")
_tell(
    ProgramEnded,
    lambda e: f"{e.program}: {e.summary}" if e.ok else f"[red]{e.program} failed[/]: {e.summary}",
)

# RF emulator.
_tell(
    hub.RfServing,
    lambda e: (
        f"air '{e.scenario}' at {e.endpoint}, seed {e.seed}: "
        + (f"{_listed(e.ues)} may come and go" if e.come_and_go else f"waiting for {_listed(e.ues)}")
    ),
)
_tell(hub.UeJoined, lambda e: f"{e.ue} is {'back ' if e.again else ''}on the air")
_tell(hub.UeRefused, lambda e: f"{e.ue} is refused: {e.why}")
_tell(hub.AirStarted, lambda _: "all radios are on the air: virtual time runs")
_tell(
    hub.WaitingFor,
    lambda e: f"virtual time stands still for {e.waited_s:.0f} s: waiting for {_listed(e.ues)}",
)
_tell(
    hub.UeOutOfReach,
    lambda e: f"{e.ue} is [yellow]out of reach[/] from now on: it hears no other UE, and no other UE hears it",
)
_tell(hub.UeBackInReach, lambda e: f"{e.ue} is back in reach")
_tell(hub.UeLeft, lambda e: f"{e.ue} left, {_lost_at(e.hub_block)}")
_tell(hub.UeLost, lambda e: f"{e.ue} is lost, {_lost_at(e.hub_block)}: {e.why}")
_tell(
    hub.AirEnded,
    lambda e: (
        f"the air ended after {_SECONDS_OF_A_BLOCK * e.hub_blocks:.1f} s ({e.wall_s:.1f} s by the clock): {e.why}"
    ),
)

# KMS.
_tell(kms.KmsKeysIssued, lambda e: f"issued keys of {e.uri} for {len(e.periods)} key period(s)")
_tell(kms.KmsRefused, lambda e: f"[red]refused[/]: {e.message}")
