"""UEs over a wire for the tests of carriers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from prose_link.carriers.direct import Direct
from prose_link.carriers.protocol import Carrier, CarrierParts
from prose_link.instant import Instant
from prose_link.pc5s.core.timers import TimerValues
from radio.l2.indications import PduReceived
from tests.benches.pc5s_bench import seeded
from tests.doubles.wire_access import WireAccess, carry

A, B, STRANGER = "tel:+447700900001", "tel:+447700900002", "tel:+447700900009"
L2_A, L2_B, L2_PROXY = 0x0A0001, 0x0B0002, 0x0F000F
OWN_KINDS = ("proxy", "ims")


@dataclasses.dataclass
class World:
    """Two UEs that one carrier joins."""

    a: Carrier
    b: Carrier
    pump: Callable[[], None] = lambda: None
    """Lets what was sent arrive."""
    garble: Callable[[bytes], None] = lambda _: None
    """Sends any octets to `b`, as any sender could."""
    request: Callable[[bytes], bytes] = lambda tail: b"\x01" + tail
    """A Request with these octets in it; a carrier that looks into messages gets whole ones."""
    answer: Callable[[bytes], bytes] = lambda tail: b"\x02" + tail


def wired(l2_id: int) -> tuple[WireAccess, Direct]:
    access = WireAccess()
    return access, Direct(access, TimerValues().direct)


def parts(l2_id: int, direct: Direct, identity: str = A) -> CarrierParts:
    now = lambda: Instant(10.0, 1_790_000_000.0)  # noqa: E731
    return CarrierParts(
        identity=identity,
        l2_id=l2_id,
        direct=direct,
        now=now,
        random_bytes=seeded(str(l2_id)),
        emit=lambda _event: None,
    )


def heard(octets: bytes, lcid: int = 28) -> PduReceived:
    return PduReceived(src_l2=L2_A, dst_l2=L2_B, lcid=lcid, to_group=False, data=octets)


def direct() -> World:
    ends = {l2_id: wired(l2_id) for l2_id in (L2_A, L2_B)}
    b = ends[L2_B][1]
    return World(ends[L2_A][1], b, lambda: carry(ends), lambda octets: b.heard(heard(octets)))
