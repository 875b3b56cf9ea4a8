"""The proxy as a carrier: PDUs go in frames by direct radio, to a proxy and on (PROFILE 12).

A UE behind proxies sends its DCR, DCA and Reject in frames to a proxy's layer-2 id, and takes frames with its own id
out of what direct radio hears. A UE that serves as proxy hands frames of others on, within its owner's rules. One UE
can be both. The carrier lies on direct radio, so its addresses are layer-2 ids: the origin field stands for the source.

With `relay_data` at both ends and in the proxy, the carrier bears links: Confirm, keepalives, rekeying and user data go
through the proxy too, sealed end to end, and the two UEs need not hear each other at all. Without it the Confirm and
all that follows use direct radio, and the two UEs have to hear each other.

A frame goes on the logical channel of what is inside, so that it keeps its place among other traffic.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from prose_link.carriers.events import DataHandedOn, FrameHandedOn, FramesNotHandedOn
from prose_link.carriers.protocol import MAX_WAITING, Carried, Carrier, CarrierParts
from prose_link.carriers.proxy.end import ProxyEnd
from prose_link.carriers.proxy.forwarding import HandedOn, Proxy, ProxyRules
from prose_link.carriers.proxy.frames import (
    DATA_FRAME_OCTETS,
    FRAME_OCTETS,
    MAX_HOPS,
    AnyFrame,
    RelayedPdcp,
    RelayFrame,
    RelayFrameError,
    encode,
    frame_in,
    headed,
    message_in,
)
from prose_link.carriers.proxy.next_hops import NextHops
from prose_link.pc5s.wire.party import MAX_SDU_OCTETS, CarrierError, CarrierTraits, Party, Via
from prose_link.pc5s.wire.pdus import LCID_UNPROTECTED
from prose_link.pc5s.wire.table import name_of
from radio.l2.blocks import AddressPair
from radio.l2.indications import PduReceived
from radio.l2.pdcp_entity import PdcpPdu

PROXY: Final = "proxy"
_MAX_STREAMS: Final = 64
"""Pairs of ends whose data was told to be handed on; the oldest is told again."""
_HEADER_OCTETS: Final = len(headed(b""))

_L2Id = Annotated[int, Field(gt=0, lt=0xFFFFFF)]


def traits_of(*, relay_data: bool) -> CarrierTraits:
    """What is true of a proxy that bears links or doesn't."""
    return CarrierTraits(
        name=PROXY,
        addresses_count=True,
        knows_sources=False,
        repeats_by_itself=False,
        bears_links=relay_data,
        max_pdu_octets=MAX_SDU_OCTETS - FRAME_OCTETS,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyOptions:
    """Links through D2D proxies: by which proxies this UE sends, and whether it is one for others."""

    proxies: tuple[_L2Id, ...] = ()
    """Layer-2 ids of the proxies that this UE sends through, by preference. One that is silent makes way for the next.

    Without any the UE makes no call this way, and answers through the proxy that a request came by.
    """
    relay_data: bool = False
    """Let the links that are set up through a proxy live there too: Confirm, rekeying and user data go through it."""
    serve: bool = False
    """Be a proxy: hand on the frames of others, and what `relay_data` says."""
    serve_for: tuple[_L2Id, ...] = ()
    """Layer-2 ids of the UEs that this proxy serves; none: every UE."""
    hop_limit: Annotated[int, Field(ge=1, le=MAX_HOPS)] = MAX_HOPS
    """Hops that a frame of others has at most when it leaves this proxy."""
    frames_per_s: Annotated[int, Field(ge=1, le=1000)] = 50
    """Frames around PC5-S messages that this proxy hands on in a second, at most."""
    data_frames_per_s: Annotated[int, Field(ge=2, le=100_000)] = 2000
    """Frames around PDUs of links that this proxy hands on in a second, at most; half of them for one UE."""

    @property
    def rules(self) -> ProxyRules:
        """What the owner of the proxy consents to."""
        return ProxyRules(
            relay_data=self.relay_data,
            serve_for=frozenset(self.serve_for),
            hop_limit=self.hop_limit,
            frames_per_s=self.frames_per_s,
            data_frames_per_s=self.data_frames_per_s,
        )


class ProxyCarrier:
    """A `Carrier` on top of direct radio.

    Args:
        options: the proxies, and whether to be one.
        parts: what the UE lends.
    """

    def __init__(self, options: ProxyOptions, parts: CarrierParts) -> None:
        self._own_l2 = parts.l2_id
        self._direct = parts.direct
        self._now = parts.now
        self._emit = parts.emit
        self._traits: Final = traits_of(relay_data=options.relay_data)
        self._end = ProxyEnd(parts.l2_id, parts.random_bytes)
        self._hops = NextHops(options.proxies)
        self._has_proxies = bool(options.proxies)
        self._proxy = Proxy(parts.l2_id, options.rules, options.proxies) if options.serve else None
        self._waiting: deque[Carried] = deque(maxlen=MAX_WAITING)
        self._streams: OrderedDict[tuple[int, int, int], None] = OrderedDict()
        self._counters: Counter[str] = Counter()
        self._closed = False
        parts.direct.divert(self._take)

    @property
    def name(self) -> str:
        """`proxy`."""
        return PROXY

    @property
    def traits(self) -> CarrierTraits:
        """Those of a proxy, with or without links."""
        return self._traits

    @property
    def counters(self) -> Mapping[str, int]:
        """What became of frames of others, and what direct radio had no room for."""
        return self._counters + Counter(self._proxy.counters if self._proxy else {})

    def reaches(self, identity: str, l2_id: int | None) -> Party | None:
        """A peer whose layer-2 id is known, if there is a proxy to send through."""
        if not (self._has_proxies and l2_id):
            return None
        return Party(identity=identity, l2_id=l2_id, via=Via(traits=self._traits, address=l2_id))

    def check_room(self, to: Via, pair: AddressPair, lcid: int, octets: int) -> None:  # noqa: ARG002
        """Raises CarrierError: an LCID that isn't taken, no proxy, or no room by direct radio."""
        self._check(lcid)
        next_hop = self._hops.guess(_layer_2_id(to))
        if next_hop is None:
            raise CarrierError("no proxy to send through")
        onward = AddressPair(self._own_l2, next_hop)
        self._direct.check_room(self._by_radio(next_hop), onward, lcid, octets + DATA_FRAME_OCTETS + _HEADER_OCTETS)

    def send(self, pdu: PdcpPdu, to: Via) -> None:
        """Put the PDU into a frame for a proxy. Raises CarrierError."""
        self._check(pdu.lcid)
        destination_l2 = _layer_2_id(to)
        frame = self._frame_around(pdu, destination_l2)
        next_hop = self._hops.choose(destination_l2, self._now().mono_s)
        if next_hop is None:
            raise CarrierError("no proxy to send through")
        self._send_frame(frame, next_hop, pdu.lcid)

    def queued_octets(self, to: Via) -> int:
        """What waits for the proxy that a peer is reached by."""
        next_hop = self._hops.guess(_layer_2_id(to))
        return self._direct.queued_octets(self._by_radio(next_hop)) if next_hop is not None else 0

    def receive(self) -> list[Carried]:
        """What came in frames for this UE."""
        taken = list(self._waiting)
        self._waiting.clear()
        return taken

    def close(self) -> None:
        """Take and hand on nothing any more."""
        self._closed = True
        self._waiting.clear()

    def _check(self, lcid: int) -> None:
        """Raises CarrierError where nothing of a logical channel is sent."""
        if self._closed:
            raise CarrierError("the proxy is closed")
        if lcid != LCID_UNPROTECTED and not self._traits.bears_links:
            raise CarrierError(f"the proxy takes LCID {LCID_UNPROTECTED} only, not {lcid}: relay_data is not set")

    def _frame_around(self, pdu: PdcpPdu, destination_l2: int) -> bytes:
        """Raises CarrierError."""
        if pdu.lcid != LCID_UNPROTECTED:
            return self._end.wrap_pdcp(pdu.data, pdu.lcid, destination_l2)
        message = message_in(pdu.data)
        if message is None:
            raise CarrierError(f"the proxy takes PC5-S without protection only on LCID {LCID_UNPROTECTED}")
        return self._end.wrap(message, destination_l2)

    def _take(self, carried: Carried) -> bool:
        """Take a frame out of what direct radio has heard; all else is left."""
        octets = None if carried.pdu.to_group else frame_in(carried.pdu.data)
        if self._closed or octets is None:
            return False
        frame = self._end.unwrap(octets)
        if frame is not None:
            self._take_own(frame, carried.pdu.src_l2)
        elif self._proxy is not None:
            self._hand_on(self._proxy, octets, carried.pdu.src_l2)
        return True

    def _take_own(self, frame: AnyFrame, came_from_l2: int) -> None:
        if isinstance(frame, RelayedPdcp) and (frame.lcid == LCID_UNPROTECTED or not self._traits.bears_links):
            self._counters["data is not taken"] += 1
            return
        self._hops.learn(frame.origin_l2, came_from_l2, self._now().mono_s)
        pdu = PduReceived(
            src_l2=frame.origin_l2,
            dst_l2=self._own_l2,
            lcid=frame.lcid,
            to_group=False,
            data=headed(frame.pdu) if isinstance(frame, RelayFrame) else frame.pdu,
        )
        self._waiting.append(Carried(pdu=pdu, via=Via(traits=self._traits, address=frame.origin_l2)))

    def _hand_on(self, proxy: Proxy, octets: bytes, came_from_l2: int) -> None:
        before = proxy.counters
        for onward in proxy.forward(octets, came_from_l2, self._now()):
            try:
                self._send_frame(encode(onward.frame), onward.to_l2, onward.frame.lcid)
            except (CarrierError, RelayFrameError):
                self._counters["no room for a frame"] += 1
            else:
                self._tell_handed_on(onward)
        self._tell_dropped(before, proxy.counters, came_from_l2)

    def _tell_handed_on(self, onward: HandedOn) -> None:
        frame = onward.frame
        if isinstance(frame, RelayFrame):
            self._emit(
                FrameHandedOn(
                    message=name_of(frame.pdu[0]) if frame.pdu else "nothing",
                    origin_l2=frame.origin_l2,
                    destination_l2=frame.destination_l2,
                    to_l2=onward.to_l2,
                    hop_limit=frame.hop_limit,
                )
            )
            return
        stream = (frame.origin_l2, frame.destination_l2, onward.to_l2)
        if stream not in self._streams:
            self._streams[stream] = None
            if len(self._streams) > _MAX_STREAMS:
                self._streams.popitem(last=False)
            self._emit(DataHandedOn(origin_l2=stream[0], destination_l2=stream[1], to_l2=stream[2]))

    def _tell_dropped(self, before: Mapping[str, int], after: Mapping[str, int], came_from_l2: int) -> None:
        for why, frames in after.items():
            if why != "handed on" and frames != before.get(why, 0) and not frames & (frames - 1):
                self._emit(FramesNotHandedOn(why=why, frames=frames, neighbour_l2=came_from_l2))

    def _send_frame(self, frame: bytes, dst_l2: int, lcid: int) -> None:
        """Raises CarrierError."""
        data = headed(frame)
        to = self._by_radio(dst_l2)
        self._direct.check_room(to, AddressPair(self._own_l2, dst_l2), lcid, len(data))
        self._direct.send(PdcpPdu(src_l2=self._own_l2, dst_l2=dst_l2, lcid=lcid, to_group=False, data=data), to)

    def _by_radio(self, l2_id: int) -> Via:
        return Via(traits=self._direct.traits, address=l2_id)


def _layer_2_id(to: Via) -> int:
    """The address of a way through proxies. Raises CarrierError."""
    if not isinstance(to.address, int):
        raise CarrierError("a way through proxies ends at a layer-2 id")
    return to.address


class _Kind:
    """The proxy in a UE's configuration; a `CarrierKind`."""

    name: ClassVar[str] = PROXY
    options: ClassVar[type[Any]] = ProxyOptions

    def open(self, options: Any, parts: CarrierParts) -> Carrier:
        """Return the carrier on top of the UE's direct radio. Raises CarrierError for a proxy that is this UE."""
        if parts.l2_id in options.proxies:
            raise CarrierError(f"carriers.proxy: proxies has {parts.l2_id:06x}, which is this UE itself")
        return ProxyCarrier(options, parts)


KIND: Final = _Kind()
