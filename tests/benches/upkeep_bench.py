"""One end of links with its upkeep alone: a profile that runs the rows all links share, and time that a test sets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from prose_link.instant import NTP_EPOCH_OFFSET_S, Instant
from prose_link.pc5s.core.fsm import Action, Input, Role, State, Table, to
from prose_link.pc5s.core.link import Link, LinkKeys, Setup, Terms
from prose_link.pc5s.core.policy import LinkPolicy, Profile
from prose_link.pc5s.core.shared import Desk, Pc5sConfig, link_machine
from prose_link.pc5s.core.tables import ESTABLISHED
from prose_link.pc5s.core.timers import Timer, TimerValues
from prose_link.pc5s.core.transcript import Asked
from prose_link.pc5s.core.upkeep import Upkeep
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.party import Via
from prose_link.pc5s.wire.pdus import LCID_PROTECTED, ReceivedPdu
from security.link.context import SecurityContext

TIMERS = TimerValues(t4101_s=0.4, n4101=2, t4102_s=5.0, t4103_s=0.6, n4103=3)
NOW = Instant(100.0, 5000.0 - NTP_EPOCH_OFFSET_S)
"""5000 s of NTP's time."""
PEER, OTHER = "tel:+447700900002", "tel:+447700900003"
OLD_ID, ID = 0x2106, 0x2107
PERIOD_END, LAST = 9000.0, 9900.0
TABLE: Table[State] = {
    **ESTABLISHED,
    (State.CONFIRMING, Input.ACK): to(State.ESTABLISHED, Action.ESTABLISH),
    (State.CONFIRMING, Input.REJECT): to(State.CONFIRMING, Action.REMEMBER_CAUSE),
    (State.CONFIRMING, Input.T4101_TRIES_LEFT): to(State.CONFIRMING, Action.COUNT),
    (State.CONFIRMING, Input.T4101_NONE_LEFT): to(State.IDLE, Action.FAIL),
    (State.CONFIRMING, Input.RELEASE_WANTED): to(State.RELEASING, Action.SEND_RELEASE),
    (State.PROVISIONAL, Input.T4111): to(State.IDLE, Action.FAIL),
    (State.PROVISIONAL, Input.REPLACED): to(State.IDLE, Action.DROP_PROVISIONAL),
    (State.PROVISIONAL, Input.ENDED): to(State.IDLE, Action.FAIL),
}


class Bench:
    """One end of links: it is its own credentials, and a profile that runs the rows that all links share."""

    name = Profile.IDENTITY

    def __init__(self, *, chance: int = 0, timers: TimerValues = TIMERS) -> None:
        config = Pc5sConfig(l2_id=0x0A0001, timers=timers, kd_age_s=1000.0)
        self.desk = Desk(
            config=config,
            direct=TIMERS.direct,
            credentials=self,
            record=None,
            random_bytes=bytes,
            chance=lambda n: chance.to_bytes(n, "big"),
        )
        self.upkeep = Upkeep(self.desk)
        tables = {Role.INITIATOR: TABLE, Role.RESPONDER: TABLE}
        self.run = link_machine(self.desk, tables, self.upkeep.actions).run
        self.desk.profiles[self.name] = self
        self.period_end, self.last = PERIOD_END, LAST
        self.asked_times: list[tuple[str, float]] = []
        self.settled: list[tuple[int, Instant]] = []
        self.renewed: list[tuple[int, Instant]] = []
        self.can_be_renewed = True
        self.keys_held_from = LAST
        """From when on keys are held, seconds since 1900."""

    def key_times(self, peer: str, ntp_s: float) -> tuple[float, float]:
        self.asked_times.append((peer, ntp_s))
        return self.period_end, self.last

    def has_keys_at(self, ntp_s: float) -> bool:
        return ntp_s >= self.keys_held_from

    def settle(self, link: Link, now: Instant) -> None:
        self.settled.append((link.number, now))

    def can_renew(self, link: Link) -> bool:
        return self.can_be_renewed and link in self.desk.links

    def renew(self, link: Link, now: Instant) -> None:
        self.renewed.append((link.number, now))

    def link(self, state: State, *, peer: str = PEER, initiator: bool = True) -> Link:
        contexts = {
            one: SecurityContext(kd_sess_id=one, pek=bytes(16), pik=bytes(16), eea=2, eia=1, direction=0)
            for one in (OLD_ID, ID)
        }
        link = Link(
            number=self.desk.links.next_number(),
            initiator=initiator,
            peer=peer,
            peer_l2=0x0B0002,
            via=Via(traits=TIMERS.direct, address=0x0B0002),
            policy=LinkPolicy(),
            profile=self.name,
            asked=Asked(message=SimpleNamespace(), t1=b"", signed_part=b"", request_hash=b""),
            state=state,
            setup=Setup(),
            terms=Terms(mutual=True, peer_link_local=bytes(16), ip_versions=frozenset({6}), inactivity_period_s=30.0),
            keys=LinkKeys(born_ntp_s=4000.0, contexts=contexts, current_id=ID),
        )
        self.desk.links.add(link)
        return link

    def events(self) -> list[Any]:
        events = []
        while (event := self.desk.outbox.next_event()) is not None:
            events.append(event)
        return events

    def sent(self) -> list[tuple[Any, int]]:
        """Messages on their way out, each with its KD-sess ID."""
        pdus = self.desk.outbox.take_pdus()
        assert {pdu.lcid for pdu in pdus} <= {LCID_PROTECTED}
        assert {(pdu.to.identity, pdu.to.l2_id) for pdu in pdus} <= {(PEER, 0x0B0002)}
        return [(decode(pdu.data), pdu.kd_sess_id) for pdu in pdus]

    def deadlines(self, link: Link) -> dict[Timer, float]:
        running = self.desk.timers._deadlines.items()
        return {timer: deadline for (owner, timer), deadline in running if owner == link.number}

    def receive(self, link: Link, message: Any, kd_sess_id: int = ID, now: Instant = NOW) -> None:
        pdu = ReceivedPdu(
            data=b"", src_l2=link.peer_l2, dst_l2=1, lcid=LCID_PROTECTED, kd_sess_id=kd_sess_id, sn=1, via=link.via
        )
        self.upkeep.receive(link, pdu, message, now)
