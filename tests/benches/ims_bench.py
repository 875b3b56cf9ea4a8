"""UEs of the IMS carrier against programs of others: whole carriers with their sockets, by the wall clock."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from typing import Any

from prose_link.carriers.ims.carrier import ImsCarrier
from prose_link.carriers.ims.envelope import cut, join
from prose_link.carriers.ims.options import ImsOptions
from prose_link.carriers.protocol import Carried, CarrierParts
from prose_link.instant import Instant
from prose_link.pc5s.wire.codec import encode
from prose_link.pc5s.wire.messages import DirectReject
from radio.l2.pdcp import OneToOnePdu, SduType, encode_one_to_one
from radio.l2.pdcp_entity import PdcpPdu
from tests.samples import pc5s_messages as samples

KAMAILIO = shutil.which("kamailio", path="/usr/sbin:/usr/local/sbin:/usr/bin")
SIPP = shutil.which("sipp")
A, B = "+447700900001", "+447700900002"
L2 = {A: 0x5C1A01, B: 0x5C1B02}

I_MESSAGE = bytes(range(256)) * 2 + b"\r\n\x00\xff--"
"""No I_MESSAGE at all, but octets that a careless carrier would change."""
REQUEST = join(cut(encode(samples.REQUEST))[0], I_MESSAGE)
ONE_WAY_ACCEPT = cut(encode(samples.ACCEPT))[0]
ACCEPT = join(ONE_WAY_ACCEPT, I_MESSAGE[::-1])
REJECT = next(one.octets for one in samples.SAMPLES if isinstance(one.message, DirectReject))


class Ue:
    """One UE's carrier and what it has told and brought."""

    def __init__(self, number: str, **options: Any) -> None:
        self.number = number
        self.told: list[Any] = []
        self.ahead_s = 0.0
        """How far its clock is ahead: time passes for it at once."""
        self.carrier = ImsCarrier(
            ImsOptions(**options).checked(),
            CarrierParts(
                identity=f"tel:{number}",
                l2_id=L2[number],
                direct=None,
                now=lambda: Instant(time.monotonic() + self.ahead_s, time.time()),
                random_bytes=bytes,
                emit=self.told.append,
            ),
        )
        self.brought: list[Carried] = []

    def call(self, number: str, message: bytes = REQUEST) -> None:
        party = self.carrier.reaches(f"tel:{number}", None)
        assert party is not None, "not registered"
        self.send(message, party.via)

    def send(self, message: bytes, via: Any) -> None:
        data = encode_one_to_one(OneToOnePdu(sdu_type=SduType.PC5_SIGNALLING, kd_sess_id=0, sn=0, data=message))
        self.carrier.send(PdcpPdu(src_l2=L2[self.number], dst_l2=0, lcid=28, to_group=False, data=data), via)

    def take(self) -> tuple[bytes, Carried]:
        """The oldest message that was brought, without its PDCP header."""
        carried = self.brought.pop(0)
        return carried.pdu.data[5:], carried

    def told_of(self, kind: type) -> list[Any]:
        return [one for one in self.told if isinstance(one, kind)]


def wait_until(condition: Callable[[], object], ues: Sequence[Ue], limit_s: float = 5.0) -> None:
    """Let the UEs run until something holds; fails where it doesn't within the limit."""
    ends_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < ends_s, [one.told[-3:] for one in ues]
        run(ues, 0.005)


def run(ues: Sequence[Ue], for_s: float) -> None:
    ends_s = time.monotonic() + for_s
    while True:
        for ue in ues:
            ue.brought += ue.carrier.receive()
        if time.monotonic() >= ends_s:
            return
        time.sleep(0.002)
