"""Floods on the test air: messages that any receiver can make without a key, as fast as a pool carries them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

from lab_scripts.demo.forged_accepts import ANOTHER_SIGNER, KINDS, OTHER_CHOICE, AcceptForger
from prose_link.pc5s.core.timers import TimerValues
from prose_link.pc5s.wire.codec import decode, encode, encode_head
from prose_link.pc5s.wire.messages import DirectAccept
from security.eccsi.eccsi import SIGNATURE_OCTETS
from security.eccsi.p256 import Q
from security.link.key_ladder import binding_hash, transcript_t1
from tests.benches.pc5s_bench import L2, A, Air, B, E, Frame, Ue, forged_request, plain

DEFAULTS = TimerValues()
"""The timers that UEs have: first transmissions and T4100 at random."""


def with_bad_signature(octets: bytes, number: int) -> bytes:
    """A message whose last octets are an ECCSI signature, with another s: it takes the whole verification to see it."""
    signature = octets[-SIGNATURE_OCTETS:]
    s = 1 + int.from_bytes(hashlib.sha256(b"s%d" % number).digest()) % (int(Q) - 1)
    return octets[:-SIGNATURE_OCTETS] + signature[:32] + s.to_bytes(32) + signature[64:]


def malleated(octets: bytes) -> bytes:
    """The same with (r, q-s): another good signature."""
    signature = octets[-SIGNATURE_OCTETS:]
    s = int(Q) - int.from_bytes(signature[32:64])
    return octets[:-SIGNATURE_OCTETS] + signature[:32] + s.to_bytes(32) + signature[64:]


class RequestForger:
    """Makes DCRs to one UE that pass every check but the signature, each with another HR, from one that was heard."""

    def __init__(self, sender: Ue, target: Ue, air: Air) -> None:
        built = forged_request(sender, target, air)
        self._message = built.asked.message
        self._t1_hash = built.asked.t1_hash
        self._numbers = count()

    def forge(self, l2_id: int) -> bytes:
        """A new one, from a layer-2 id."""
        number = next(self._numbers)
        nonce = hashlib.sha256(b"nonce %d" % number).digest()[:16]
        draft = replace(self._message, nonce_1=nonce, link_l2_id=l2_id, i_message=b"")
        t1_hash = binding_hash(transcript_t1(encode_head(draft)))
        i_message = with_bad_signature(self._message.i_message.replace(self._t1_hash, t1_hash), number)
        return encode(replace(draft, i_message=i_message))


def own_source(honest: Ue) -> Callable[[int], int]:
    """Every forged message comes from the honest initiator's own layer-2 id."""
    return lambda number: honest.l2_id


def few_sources(_honest: Ue) -> Callable[[int], int]:
    """From eight."""
    return lambda number: 0x100000 + number % 8


def new_sources(_honest: Ue) -> Callable[[int], int]:
    """From a new one each."""
    return lambda number: 0x100000 + number


def times(rate: float, for_s: float, spacing: str, seed: int) -> Iterator[float]:
    """When the messages of a flood land: regular, or as a Poisson process."""
    draw = random.Random(seed)
    at_s = draw.uniform(0, 1 / rate)
    while at_s < for_s:
        yield at_s
        at_s += 1 / rate if spacing == "regular" else draw.expovariate(rate)


ACCEPT_KINDS = (*KINDS, OTHER_CHOICE, ANOTHER_SIGNER)


def accept_forger(target: Ue, request_octets: bytes, air: Air) -> AcceptForger:
    """Makes DCAs that answer a request in its target's name, of `ACCEPT_KINDS`."""
    return AcceptForger(
        request_octets,
        link_l2_id=target.l2_id,
        signer=Ue(B, seed="an answer heard long ago").credentials,
        ntp_s=air.now.ntp_s,
        insider=Ue(E, seed="insider").credentials,
    )


def altered_copies(octets: bytes) -> list[bytes]:
    """Altered copies of a genuine DCA that a fast attacker sends before it."""
    accept = decode(octets)
    assert isinstance(accept, DirectAccept)
    assert accept.i_message is not None
    copies = [
        replace(accept, i_message=with_bad_signature(accept.i_message, 1)),
        replace(accept, confirmation=bytes(16)),
        replace(accept, i_message=malleated(accept.i_message), confirmation=bytes(16)),
        replace(accept, i_message=None, key_proof=None),
        replace(accept, key_proof=bytes(8)),
    ]
    return [encode(copy) for copy in copies]


def flood(air: Air, frames: Callable[[int], Frame], at: Iterator[float]) -> int:
    """Put a flood on the air; how many messages it has."""
    number = -1
    for number, after_s in enumerate(at):
        air.inject(frames(number), after_s=after_s)
    return number + 1


def request_flood(air: Air, forger: RequestForger, source: Callable[[int], int], at: Iterator[float]) -> int:
    """A flood of forged DCRs to B."""
    return flood(air, lambda number: plain(forger.forge(source(number)), source(number), L2[B]), at)


__all__ = [
    "ACCEPT_KINDS",
    "DEFAULTS",
    "A",
    "RequestForger",
    "accept_forger",
    "altered_copies",
    "few_sources",
    "flood",
    "malleated",
    "new_sources",
    "own_source",
    "request_flood",
    "times",
    "with_bad_signature",
]
