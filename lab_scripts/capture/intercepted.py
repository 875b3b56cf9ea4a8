"""The security contexts of a capture whose session keys (SSVs) an interception export holds (PROFILE 4, 5, 9, 10).

The key exchange is followed as its two ends made it: a request and its answer meet by the request hash, each I_MESSAGE
meets its SSV by the SHA-256 of its signed part, and keys hold only where the answer's key confirmation verifies. An
answer that brings an I_MESSAGE of its own takes both SSVs. Rekeys are found under the contexts already opened.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from lab_scripts.capture.decrypt import open_pdu
from lab_scripts.capture.keylog import ContextKeys, KeyLog
from lab_scripts.capture.signalling import Signalling
from lab_scripts.dissectors.pdcp import SlrbPdcp
from prose_link.pc5s.core.transcript import DIRECTION_OF_RESPONDER, Agreed, Asked
from prose_link.pc5s.identity.key_exchange import accept_t2, agree, asked, contributed_kd, rekey_asked, response_t2
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.messages import DirectAccept, DirectRequest, Kdf, Message, RekeyingRequest, RekeyingResponse
from security.ciphers.algorithms import Eea, Eia
from security.mikey import MikeyError
from security.mikey.i_message import signed_part

_M = TypeVar("_M", DirectRequest, RekeyingRequest)
_CIPHERING, _INTEGRITY = frozenset(Eea), frozenset(Eia)


class Keying(StrEnum):
    """The I_MESSAGEs of an exchange."""

    MUTUAL = "mutual"
    ONE_WAY = "one-way"
    NONCES = "nonces alone"


class Verdict(StrEnum):
    """The result for an exchange."""

    OPENED = "opened"
    NO_KEY = "not opened: no session key of any of its I_MESSAGEs"
    NO_REQUEST_KEY = "not opened: no session key of the request's I_MESSAGE"
    NO_ANSWER_KEY = "not opened: no session key of the answer's I_MESSAGE"
    NOT_CONFIRMED = "not opened: the key confirmation does not verify"
    UNKNOWN_ALGORITHM = "not opened: its algorithms are not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and its answer: the two ends, the requested context, and the result."""

    asker: str
    answerer: str
    rekey: bool
    keying: Keying
    kd_sess_id: int
    verdict: Verdict

    def line(self) -> str:
        """The exchange in words."""
        kind = "rekey" if self.rekey else "set-up"
        return f"{kind} {self.asker} > {self.answerer}, {self.keying}, KD-sess ID {self.kd_sess_id:04x}: {self.verdict}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intercepted:
    """All exchanges of a capture, and the keys of those that were opened."""

    contexts: tuple[ContextKeys, ...]
    exchanges: tuple[Exchange, ...]


def follow_exchanges(signalling: Signalling, ssvs: Mapping[bytes, bytes]) -> Intercepted:
    """Follow every set-up of a capture, and every rekey of what opens.

    Args:
        signalling: PC5-S of a capture; the order of its messages doesn't matter.
        ssvs: SHA-256 of an I_MESSAGE's signed part (32 octets) -> SSV (16 octets).
    """
    follower = _Follower(signalling, ssvs)
    follower.run()
    return Intercepted(contexts=tuple(follower.contexts), exchanges=tuple(follower.exchanges))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    """The data of a link that stay through its rekeys."""

    users: Mapping[int, str]
    """The two link layer-2 ids with their identities."""
    initiator_l2: int
    responder_l2: int
    kdf: Kdf

    def other_end(self, l2_id: int) -> int:
        return self.initiator_l2 if l2_id == self.responder_l2 else self.responder_l2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """An opened context, with the data from which its rekey builds."""

    link: _Link
    keys: ContextKeys
    kd_next: bytes = field(repr=False)
    tx: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """The answering half of an exchange: T2 and S(I_B), b"" without an I_MESSAGE; `asker_l2` asked for it."""

    message: DirectAccept | RekeyingResponse
    t2: bytes
    signed_part: bytes
    asker_l2: int


class _Follower:
    def __init__(self, signalling: Signalling, ssvs: Mapping[bytes, bytes]) -> None:
        self._signalling = signalling
        self._ssvs = ssvs
        self.contexts: list[ContextKeys] = []
        self.exchanges: list[Exchange] = []

    def run(self) -> None:
        """Set-ups first, then their rekeys, then rekeys of rekeys, until nothing more opens."""
        sessions = self._set_ups()
        while sessions:
            self.contexts += [session.keys for session in sessions]
            sessions = [later for session in sessions for later in self._rekeys(session)]

    def _set_ups(self) -> list[_Session]:
        messages = list(_decoded(self._signalling.messages))
        halves = [asked(message, signed) for message, signed in messages if isinstance(message, DirectRequest)]
        requests = {half.request_hash: half for half in halves}
        sessions = []
        for message, signed in messages:
            if isinstance(message, DirectAccept) and (half := requests.get(message.request_hash)):
                request = half.message
                link = _Link(
                    users={request.link_l2_id: request.user_info, message.link_l2_id: message.user_info},
                    initiator_l2=request.link_l2_id,
                    responder_l2=message.link_l2_id,
                    kdf=request.profile.kdf,
                )
                t2 = accept_t2(half, message)
                answer = _Answer(message=message, t2=t2, signed_part=signed, asker_l2=link.initiator_l2)
                sessions += self._concluded(link, half, answer)
        return sessions

    def _rekeys(self, session: _Session) -> list[_Session]:
        opened = list(self._opened(session))
        requests: dict[tuple[int, bytes], Asked[RekeyingRequest]] = {}
        for src_l2, message, signed in opened:
            if isinstance(message, RekeyingRequest):
                asked_again = rekey_asked(message, session.tx, signed)
                requests[src_l2, asked_again.request_hash] = asked_again
        sessions = []
        for src_l2, message, signed in opened:
            asker_l2 = session.link.other_end(src_l2)
            if isinstance(message, RekeyingResponse) and (half := requests.get((asker_l2, message.request_hash))):
                t2 = response_t2(half, message)
                answer = _Answer(message=message, t2=t2, signed_part=signed, asker_l2=asker_l2)
                sessions += self._concluded(session.link, half, answer, before=session)
        return sessions

    def _opened(self, session: _Session) -> Iterator[tuple[int, Message, bytes]]:
        """PC5-S messages protected under a context: sender's layer-2 id, message, signed part of its I_MESSAGE."""
        log = KeyLog([session.keys])
        for protected in self._signalling.protected:
            pdu = SlrbPdcp(protected.octets)
            context = log.find(protected.src_l2, protected.dst_l2, pdu.kd_sess_id)
            octets = open_pdu(pdu, context, protected.lcid) if context else None
            for message, signed in _decoded([octets] if octets else []):
                yield protected.src_l2, message, signed

    def _concluded(
        self, link: _Link, half: Asked[_M], answer: _Answer, before: _Session | None = None
    ) -> list[_Session]:
        """Record the result of an exchange; return its session if it opens."""
        kd_sess_id = half.message.kd_sess_id_msb << 8 | answer.message.kd_sess_id_lsb
        agreed = self._agreed(half, answer, kdf=link.kdf, kd_previous=before.kd_next if before else b"")
        self.exchanges.append(
            Exchange(
                asker=link.users[answer.asker_l2],
                answerer=link.users[link.other_end(answer.asker_l2)],
                rekey=before is not None,
                keying=_keying(half.signed_part, answer.signed_part),
                kd_sess_id=kd_sess_id,
                verdict=agreed if isinstance(agreed, Verdict) else Verdict.OPENED,
            )
        )
        if isinstance(agreed, Verdict):
            return []
        keys = _context_keys(link, kd_sess_id, answer, agreed)
        return [_Session(link=link, keys=keys, kd_next=agreed.kd_next, tx=agreed.tx)]

    def _agreed(self, half: Asked[_M], answer: _Answer, *, kdf: Kdf, kd_previous: bytes) -> Agreed | Verdict:
        """The keys that both ends agreed, or the reason why they are unknown.

        KD is KD-next if the request has no I_MESSAGE.
        """
        kd, algorithms = kd_previous, answer.message.algorithms
        if algorithms.eea not in _CIPHERING or algorithms.eia not in _INTEGRITY:
            return Verdict.UNKNOWN_ALGORITHM
        if half.signed_part:
            ssv_a, ssv_b = self._ssv(half.signed_part), self._ssv(answer.signed_part)
            if ssv_a is None or ssv_b is None:
                return _lacking(ssv_a, ssv_b)
            kd = contributed_kd(half, answer.t2, ssv_a=ssv_a, ssv_b=ssv_b or None, kd_previous=kd_previous)
        agreed = agree(half, answer.t2, answer.message, kd=kd, kdf=kdf, signed_b=answer.signed_part)
        confirmed = hmac.compare_digest(agreed.keys.conf_r, answer.message.confirmation)
        return agreed if confirmed else Verdict.NOT_CONFIRMED

    def _ssv(self, signed: bytes) -> bytes | None:
        """The SSV of an I_MESSAGE: b"" where there is no I_MESSAGE, None where its SSV isn't known."""
        return self._ssvs.get(hashlib.sha256(signed).digest()) if signed else b""


def _keying(signed_a: bytes, signed_b: bytes) -> Keying:
    if not signed_a:
        return Keying.NONCES
    return Keying.MUTUAL if signed_b else Keying.ONE_WAY


def _lacking(ssv_a: bytes | None, ssv_b: bytes | None) -> Verdict:
    if ssv_a is not None:
        return Verdict.NO_ANSWER_KEY
    return Verdict.NO_REQUEST_KEY if ssv_b else Verdict.NO_KEY


def _context_keys(link: _Link, kd_sess_id: int, answer: _Answer, agreed: Agreed) -> ContextKeys:
    algorithms = answer.message.algorithms
    return ContextKeys(
        src_l2=link.responder_l2,
        dst_l2=link.initiator_l2,
        kd_sess_id=kd_sess_id,
        eea=algorithms.eea,
        eia=algorithms.eia,
        direction=DIRECTION_OF_RESPONDER,
        pek=agreed.keys.pek,
        pik=agreed.keys.pik,
    )


def _decoded(octets: Iterable[bytes]) -> Iterator[tuple[Message, bytes]]:
    """Messages with S of their I_MESSAGE, b"" without one; anything malformed is passed over, as the UEs do."""
    for candidate in octets:
        try:
            message = decode(candidate)
            i_message: bytes | None = getattr(message, "i_message", None)
            yield message, signed_part(i_message) if i_message else b""
        except (MalformedMessage, MikeyError):
            continue
