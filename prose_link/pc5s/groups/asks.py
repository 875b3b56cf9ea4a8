"""The asks of a member that may be deaf: it asks a keyer for the group's key (PROFILE 11).

A member asks in these cases: it holds no key; PDUs come under an index for which it holds no key; it has heard neither
a synchronisation reference nor the group for half a minute; its key expires soon; its key may have been superseded, or
leaves out a removal. The things that make it ask aren't authenticated, so an ask must stay cheap: one ask is open in a
group at a time, the tries become rarer, and after two tries the member asks the next keyer. An answer that brings a key
without the removal leaves the ask open: another keyer may have a better one.

A keyer asks the other keyers once at its start, since they may have removed a member meanwhile. A member that has to
refuse a key because its own record was lost, so that it can't tell old from new, asks for the key instead.

An ask is a DCR signed by the member. Its answer carries the hash of the ask. So the member knows that the answer is
fresh, without a clock or a mark. After half a minute without any signal the member sends nothing under its old key
until the answer comes, because a removed member may still hold that key. After ten seconds without answer the
configuration decides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.fsm import State
from prose_link.pc5s.core.group_config import AfterRestart, GroupConfig
from prose_link.pc5s.core.group_events import GroupAsked, GroupAskFailed, GroupUnsure
from prose_link.pc5s.core.policy import Profile
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.groups.checks import NO_INTEGRITY, OpenAsk
from prose_link.pc5s.identity.key_exchange import build_request
from prose_link.pc5s.wire.messages import (
    DirectRequest,
    GroupInfo,
    Mutual,
    ProfileAndFlags,
    Purpose,
    SecurityCapabilities,
)
from prose_link.pc5s.wire.party import Party
from security.errors import SecurityError
from security.groups import GroupMembership
from security.groups.keying import PGK_INDEX_BITS, TAG_BITS
from security.link.key_ladder import TAG_OCTETS
from security.mikey import Kind

FIRST_WITHIN_S: Final = 0.5
"""The first try goes out after 0 to this (PROFILE 11)."""
REST_S: Final = (4.0, 8.0, 16.0, 32.0, 60.0)
"""Waits after the second try and later ones; the last one is repeated (PROFILE 11)."""
TRIES_OF_A_KEYER: Final = 2
UNHELD_PDUS: Final = 2
UNHELD_WITHIN_S: Final = 2.0
"""So many PDUs under an index that isn't held, within so long, make a member ask (PROFILE 11)."""
SILENCE_S: Final = 30.0
"""A member that has heard neither a reference nor the group for so long asks (PROFILE 11)."""
NO_ANSWER_S: Final = 10.0
"""After this time without an answer, the configuration decides whether to send under the old key (PROFILE 11)."""
LEAD_S: Final = 30.0
"""A member asks this long before its key expires, or a tenth of the key's remaining life at reception if that is less
(P).
"""
OPEN_HASHES: Final = 8
"""Asks of one round whose answers are still accepted (P)."""
NO_CONTEXT_MSB: Final = 1
"""KD-sess ID MSB of an ask: not 0, without meaning."""

NO_KEY: Final = "no key is held"
UNHELD: Final = "the group speaks under a key that isn't held"
SILENCE: Final = "neither a reference nor the group was heard"
EXPIRES: Final = "the key expires soon"
SUPERSEDED: Final = "the key held may have been superseded"
LEAVES_OUT: Final = "the key held leaves out a removal"
AWAY: Final = "other keyers may have removed a member"
UNPROVEN: Final = "a key came that can't be told from an old one"


@dataclass(slots=True, kw_only=True)
class _Round:
    """The open ask of one group: its reason, the time of the next try, and the asks sent so far."""

    why: str
    due_s: float
    least_mark: int
    index: int = 0
    tries: int = 0
    octets: bytes = b""
    gives_up_s: float | None = None
    """Time at which the missing answer counts as none."""
    hashes: deque[bytes] = field(default_factory=lambda: deque(maxlen=OPEN_HASHES))

    def is_settled_by(self, mark: int, *, reads_only: bool) -> bool:
        """Whether a keying message with this mark, which is no answer, makes the ask unnecessary."""
        if self.why in (SILENCE, AWAY, UNPROVEN) or reads_only:
            return False
        return mark > self.least_mark or (mark == self.least_mark and self.why in (NO_KEY, SUPERSEDED))


@dataclass(slots=True, kw_only=True)
class _Watch:
    """The observations about one group."""

    config: GroupConfig
    keyers: tuple[str, ...]
    """The keyers that it can ask."""
    is_keyer: bool
    heard_s: float
    expiry_ask_s: float | None = None
    unheld_at_s: deque[float] = field(default_factory=lambda: deque(maxlen=UNHELD_PDUS))
    round: _Round | None = None
    false_alarms: int = 0
    """Answers in a row to asks for an index that isn't held, and that brought no key: the next such ask waits."""
    restarted: bool = True
    """Whether no key has been accepted since the start."""


class Asks:
    """The asks of one UE, for its groups that have another keyer."""

    def __init__(self, desk: Desk, groups: Mapping[str, GroupConfig], membership: GroupMembership) -> None:
        self._desk = desk
        self._membership = membership
        own = desk.credentials.uri
        self._groups = {group: config for group, config in groups.items() if config.asks and set(config.keyers) - {own}}
        self._watches: dict[str, _Watch] = {}
        self._addresses: dict[str, Party] = {}
        self._open: dict[bytes, OpenAsk] = {}

    @property
    def open_asks(self) -> Mapping[bytes, OpenAsk]:
        """The asks whose answers are accepted, by HR."""
        return self._open

    def locate(self, keyer: Party) -> None:
        """Note where a keyer is. Without that an ask goes to the group's layer-2 id, where the keyer hears it."""
        if any(keyer.identity in config.keyers for config in self._groups.values()):
            self._addresses[keyer.identity] = keyer

    def start(self, now: Instant) -> None:
        """Begin to watch the groups of this UE. Further calls change nothing."""
        for group, config in self._groups.items():
            if group not in self._watches:
                own = self._desk.credentials.uri
                is_keyer = own in config.keyers
                keyers = tuple(keyer for keyer in config.keyers if keyer != own)
                self._watches[group] = _Watch(config=config, keyers=keyers, is_keyer=is_keyer, heard_s=now.mono_s)
                if is_keyer or self._membership.newest(config.l2_id) is None:
                    self._ask(group, AWAY if is_keyer else NO_KEY, now)

    def stop(self, group: str | None = None) -> None:
        """Stop watching a group, or all groups."""
        for name in [group] if group else list(self._groups):
            self._close(name)
            self._groups.pop(name, None)
            self._watches.pop(name, None)

    def heard_reference(self, now: Instant) -> None:
        """Note that a synchronisation reference is heard."""
        for watch in self._watches.values():
            watch.heard_s = now.mono_s

    def heard_group(self, group_l2: int, now: Instant) -> None:
        """Note that a PDU of the group could be opened."""
        for watch in self._watches.values():
            if watch.config.l2_id == group_l2:
                watch.heard_s = now.mono_s

    def heard_unheld(self, group_l2: int, index: int, now: Instant) -> None:
        """Note that a PDU of the group has an index for which no key is held."""
        for group, watch in self._watches.items():
            if watch.config.l2_id != group_l2:
                continue
            watch.unheld_at_s.append(now.mono_s)
            if len(watch.unheld_at_s) == UNHELD_PDUS and watch.unheld_at_s[0] >= now.mono_s - UNHELD_WITHIN_S:
                watch.unheld_at_s.clear()
                self._ask(group, UNHELD, now, index=index)

    def took(self, group: str, mark: int, *, is_new: bool, reads_only: bool, answered: bool, now: Instant) -> None:
        """Note that a keying message was accepted: it brought a key (`is_new`), or named the key that is held."""
        watch = self._watches.get(group)
        if watch is None:
            return
        watch.restarted = False
        watch.heard_s = now.mono_s
        if is_new:
            watch.false_alarms = 0
        elif answered and watch.round is not None and watch.round.why == UNHELD:
            watch.false_alarms += 1
        newest = self._membership.newest(watch.config.l2_id)
        if newest is not None and not watch.is_keyer:
            left_s = newest.ends_ntp_s - now.ntp_s
            watch.expiry_ask_s = now.mono_s + left_s - min(LEAD_S, left_s / 10)
        leaves_out = newest is not None and newest.leaves_out
        is_answered = answered and (watch.is_keyer or not leaves_out)
        if watch.round is not None and (is_answered or watch.round.is_settled_by(mark, reads_only=reads_only)):
            self._close(group)
        if reads_only and not leaves_out:
            self._ask(group, SUPERSEDED, now)

    def for_removal(self, group: str, now: Instant) -> None:
        """Ask because the key held leaves out a known removal."""
        if group in self._watches:
            self._ask(group, LEAVES_OUT, now)

    def refused_unproven(self, group: str, now: Instant) -> None:
        """Ask because a keyer's message was refused: the record was lost, and the message may be old."""
        if group in self._watches:
            self._ask(group, UNPROVEN, now)

    def lost_key(self, group: str, now: Instant) -> None:
        """Note that the last key of a group is gone."""
        watch = self._watches.get(group)
        if watch is not None and not watch.is_keyer:
            watch.expiry_ask_s = None
            self._ask(group, NO_KEY, now)

    def next_timer(self) -> float | None:
        """The next deadline on the monotonic clock."""
        deadlines: list[float | None] = []
        for watch in self._watches.values():
            if watch.round is not None:
                deadlines += [watch.round.due_s, watch.round.gives_up_s]
            else:
                deadlines += [watch.expiry_ask_s, None if watch.is_keyer else watch.heard_s + SILENCE_S]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Send the asks that are due."""
        for group, watch in list(self._watches.items()):
            if watch.round is None and not watch.is_keyer:
                self._look(group, watch, now)
            if watch.round is not None and watch.round.gives_up_s is not None:
                self._look_at_silence(group, watch, watch.round, now)
            if watch.round is not None and watch.round.due_s <= now.mono_s:
                self._try(group, watch, watch.round, now)

    def _look(self, group: str, watch: _Watch, now: Instant) -> None:
        """Look for a reason to ask."""
        held = self._membership.newest(watch.config.l2_id)
        if watch.expiry_ask_s is not None and watch.expiry_ask_s <= now.mono_s:
            watch.expiry_ask_s = None
            self._ask(group, EXPIRES, now)
        elif watch.heard_s + SILENCE_S <= now.mono_s:
            if held is None:
                self._ask(group, NO_KEY, now)
                return
            self._ask(group, SILENCE, now)
            if watch.round is not None:
                watch.round.gives_up_s = now.mono_s + NO_ANSWER_S
            self._membership.hold_sending(watch.config.l2_id)
            self._desk.outbox.emit(GroupUnsure(group=group, speaks=False, why=SILENCE))

    def _look_at_silence(self, group: str, watch: _Watch, one: _Round, now: Instant) -> None:
        if one.gives_up_s is None or one.gives_up_s > now.mono_s:
            return
        one.gives_up_s = None
        if watch.config.speak_unsure:
            self._membership.go_on_sending(watch.config.l2_id)
            self._desk.outbox.emit(GroupUnsure(group=group, speaks=True, why="no keyer answers"))

    def _ask(self, group: str, why: str, now: Instant, *, index: int = 0) -> None:
        watch = self._watches[group]
        if watch.round is not None:
            return
        known = self._membership.known_mark(group)
        alarms = watch.false_alarms if why == UNHELD else 0
        rest_s = REST_S[min(alarms, len(REST_S)) - 1] if alarms else 0.0
        wants_new = watch.restarted and known and not watch.is_keyer and watch.config.restart is AfterRestart.ASK_NEW
        watch.round = _Round(
            why=why,
            due_s=now.mono_s + self._desk.part_of(FIRST_WITHIN_S) + rest_s,
            least_mark=known + 1 if wants_new else known,
            index=index & PGK_INDEX_BITS,
        )

    def _close(self, group: str) -> None:
        watch = self._watches.get(group)
        if watch is None or watch.round is None:
            return
        for request_hash in watch.round.hashes:
            self._open.pop(request_hash, None)
        watch.round = None
        self._membership.go_on_sending(watch.config.l2_id)

    def _try(self, group: str, watch: _Watch, one: _Round, now: Instant) -> None:
        keyers = watch.keyers
        keyer = keyers[one.tries // TRIES_OF_A_KEYER % len(keyers)]
        if one.tries % TRIES_OF_A_KEYER == 0 or not one.octets:
            try:
                one.octets = self._build(group, watch.config, one, keyer, now)
            except (SecurityError, ProseLinkError) as error:
                self._desk.outbox.emit(GroupAskFailed(group=group, why=str(error)))
                one.octets = b""
        one.tries += 1
        rests = one.tries - TRIES_OF_A_KEYER
        timers = self._desk.config.timers
        rest_s = timers.t4100_s if rests < 0 else REST_S[min(rests, len(REST_S) - 1)]
        one.due_s = now.mono_s + self._desk.spread(rest_s)
        if not one.octets:
            return
        link = self._desk.links.with_peer(keyer, State.ESTABLISHED)
        if link is not None and link.profile is Profile.IDENTITY:
            self._desk.send_protected(link, one.octets)
        else:
            to_group = self._desk.by_radio(watch.config.identity, watch.config.l2_id)
            self._desk.send_plain(one.octets, self._addresses.get(keyer, to_group))
        self._desk.outbox.emit(
            GroupAsked(group=group, keyer=keyer, why=one.why, tries=one.tries, octets=len(one.octets))
        )

    def _build(self, group: str, config: GroupConfig, one: _Round, keyer: str, now: Instant) -> bytes:
        desk = self._desk
        mark = one.least_mark
        draft = DirectRequest(
            sequence_number=desk.outbox.next_sequence_number(),
            user_info=desk.credentials.uri,
            ip_address_config=desk.config.ip_address_config,
            maximum_inactivity_period_s=desk.config.maximum_inactivity_period_s,
            nonce_1=desk.random_bytes(16),
            capabilities=SecurityCapabilities.of((config.eea,), NO_INTEGRITY),
            kd_sess_id_msb=NO_CONTEXT_MSB,
            target_user_info=keyer,
            link_l2_id=desk.config.l2_id,
            profile=ProfileAndFlags(mutual=Mutual.NOT_WANTED, purpose=Purpose.GROUP_ASK),
            group_info=GroupInfo(
                group_l2_id=config.l2_id,
                pgk_id=one.index,
                epoch=mark >> TAG_BITS,
                expiry_ntp_s=0,
                eea=0,
                mode=0,
                group_identity=group,
                tag=(mark & ((1 << TAG_BITS) - 1)).to_bytes(TAG_OCTETS),
            ),
            i_message=b"",
        )
        built = build_request(draft, desk.credentials, ntp_s=now.ntp_s, kind=Kind.GROUP_ASK)
        if len(one.hashes) == OPEN_HASHES:
            self._open.pop(one.hashes[0], None)
        one.hashes.append(built.asked.request_hash)
        self._open[built.asked.request_hash] = OpenAsk(keyer=keyer, group=group, least_mark=mark)
        return built.octets
