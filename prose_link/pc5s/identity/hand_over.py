"""The contexts that a rekey makes, from the Request to the change-over (PROFILE 9).

A new context that is not in use yet is in the link beside the others, and its keys are in the rekey's parts. It is
either taken into use or wiped. The change-over wipes the earlier KD-next: all keys in memory then depend on the new one
alone.
"""

from __future__ import annotations

from typing import Final

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.events import Rekeyed
from prose_link.pc5s.core.link import Link
from prose_link.pc5s.core.rekey_parts import NewKeys, OwnRekey
from prose_link.pc5s.core.secret import Secret
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.core.transcript import Agreed
from prose_link.pc5s.core.upkeep import Upkeep
from prose_link.pc5s.identity.key_exchange import build_rekey_request
from prose_link.pc5s.identity.rekey_checks import PreparedResponse, own_capabilities
from prose_link.pc5s.wire.codec import encode
from prose_link.pc5s.wire.messages import Keepalive, RekeyingRequest, RekeyingResponse
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.errors import SecurityError

AGAIN_AT_MOST_S: Final = 60.0
"""Longest wait after a failed rekey; the wait starts at 2 s and doubles (PROFILE 9)."""
OF_ONE_REKEY: Final = (Timer.REKEY_T4100, Timer.REKEY_T4101, Timer.REKEY_T4108)
"""The timers of one rekey in progress."""


class HandOver:
    """Makes and ends the contexts of rekeys."""

    def __init__(self, desk: Desk, upkeep: Upkeep) -> None:
        self._desk = desk
        self._upkeep = upkeep

    def prepare_request(self, link: Link, now: Instant, *, new_kd: bool) -> str:
        """Make a Request with its secret; it replaces any other one.

        Returns the reason if it can't be made, else an empty text.
        """
        desk = self._desk
        used, asked = link.keys.used_ids.msbs, link.rekey.asked_msbs
        msb = desk.links.draw_msb(desk.random_bytes, used | asked) or desk.links.draw_msb(desk.random_bytes, used)
        if msb is None:
            return "request can't be made: no KD-sess ID is free"
        draft = RekeyingRequest(
            sequence_number=desk.outbox.next_sequence_number(),
            capabilities=own_capabilities(link),
            nonce_1=desk.random_bytes(16),
            kd_sess_id_msb=msb,
        )
        signer = desk.credentials if new_kd else None
        try:
            built = build_rekey_request(draft, link.keys.tx, signer, to=link.peer, ntp_s=now.ntp_s)
        except (SecurityError, ProseLinkError) as error:
            return f"request can't be made: {error}"
        link.rekey.asked_msbs.add(msb)
        link.rekey.forget_own()
        link.rekey.own = OwnRekey(
            asked=built.asked,
            request_octets=built.octets,
            ssv=Secret(built.ssv),
            new_kd=new_kd,
            kd_born_ntp_s=now.ntp_s if new_kd else link.keys.born_ntp_s,
        )
        return ""

    def keep(self, link: Link, pdu: ReceivedPdu, prepared: PreparedResponse) -> None:
        """At the answering end: hold the new context for its Confirm only; a context held earlier is dropped."""
        self.forget_kept(link)
        kept, agreed = link.rekey.kept, prepared.answer.agreed
        kept.request_hash = prepared.half.request_hash
        kept.response_octets = prepared.answer.octets
        kept.answered_sn = pdu.sn
        kept.made = NewKeys(
            kd_sess_id=prepared.kd_sess_id,
            kd_next=Secret(agreed.kd_next),
            tx=agreed.tx,
            expected_conf_i=agreed.keys.conf_i,
            new_kd=prepared.half.message.i_message is not None,
            kd_born_ntp_s=prepared.kd_born_ntp_s,
        )
        self._desk.make_context(link, prepared.kd_sess_id, prepared.algorithms, agreed)

    def install_own(self, link: Link, message: RekeyingResponse, agreed: Agreed) -> None:
        """At the asking end: hold the new context beside the one in use, and send the Confirm on it."""
        own = link.rekey.own
        msb = own.asked.message.kd_sess_id_msb if own.asked else 0
        own.ssv.wipe()
        own.answers.wipe()
        own.made = NewKeys(
            kd_sess_id=msb << 8 | message.kd_sess_id_lsb,
            kd_next=Secret(agreed.kd_next),
            tx=agreed.tx,
            new_kd=own.new_kd,
            kd_born_ntp_s=own.kd_born_ntp_s,
        )
        self._desk.make_context(link, own.made.kd_sess_id, message.algorithms, agreed)
        sequence_number = self._desk.outbox.next_sequence_number()
        own.confirm_octets = encode(
            Keepalive(sequence_number=sequence_number, counter=0, confirmation=agreed.keys.conf_i)
        )

    def go_over(self, link: Link, made: NewKeys, now: Instant) -> None:
        """Send on the new context from now on; the old one accepts user data for T_old more."""
        keys, desk = link.keys, self._desk
        desk.stop(link, *OF_ONE_REKEY, Timer.REKEY_AGAIN)
        keys.drop_context(keys.old_id)
        keys.old_id, keys.current_id = keys.current_id, made.kd_sess_id
        desk.start(link, Timer.T_OLD, desk.config.timers.t_old_s, now)
        keys.kd_next.wipe()
        keys.kd_next, made.kd_next = made.kd_next, Secret()
        keys.tx, keys.expected_conf_i = made.tx, made.expected_conf_i
        keys.nonce_only_rekeys = 0 if made.new_kd else keys.nonce_only_rekeys + 1
        keys.born_ntp_s = made.kd_born_ntp_s
        keys.rekeyed = True
        link.rekey.failures = 0
        desk.outbox.emit(
            Rekeyed(
                peer=link.peer,
                peer_l2=link.peer_l2,
                old_kd_sess_id=keys.old_id,
                kd_sess_id=keys.current_id,
                new_kd=made.new_kd,
            )
        )
        if made.new_kd:
            self._upkeep.schedule_rekey(link, now)
        else:
            self.stay_due(link, now)
        link.rekey.wipe()

    def stay_due(self, link: Link, now: Instant) -> None:
        """Keep a new KD due that became due while another rekey was in progress."""
        if not self._desk.timers.runs(link.number, Timer.REKEY_DUE):
            self.ask_again_later(link, Timer.REKEY_DUE, now)

    def ask_again_later(self, link: Link, timer: Timer, now: Instant) -> None:
        """Start the wait before another attempt: 2, 4, ... 60 s, with the jitter of T4100."""
        wait_s = min(AGAIN_AT_MOST_S, 2.0 ** max(1, link.rekey.failures))
        self._desk.start(link, timer, self._desk.spread(wait_s), now)

    def forget_own(self, link: Link) -> None:
        """Drop the rekey that this end has asked for: its timers, its context and its secrets."""
        self._desk.stop(link, *OF_ONE_REKEY)
        link.keys.drop_context(link.rekey.own.made.kd_sess_id)
        link.rekey.forget_own()

    def forget_kept(self, link: Link) -> None:
        """Drop the rekey that this end has answered: its context and its secrets."""
        link.keys.drop_context(link.rekey.kept.made.kd_sess_id)
        link.rekey.forget_kept()
