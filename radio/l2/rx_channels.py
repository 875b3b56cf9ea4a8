"""RLC receiving entities of a UE, one for each source, destination and LCID (TS 36.322 5.1.2.2).

Nothing is set up for a sidelink bearer: the first PDU of a channel makes its entity. Source addresses can be forged, so
the number of entities is bounded, and the channel that has been silent longest gives way. An SDU in parts is lost with
its entity; counts are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from radio.l2.config import L2Config
from radio.l2.rlc_um import UmReceiver
from radio.l2.rlc_um_pdu import decode_umd


class RxChannel(NamedTuple):
    """What a receiving entity belongs to."""

    src_l2: int
    dst_l2: int
    lcid: int


class RxChannels:
    """Makes an entity on the first PDU of a channel; bounded, the channel longest silent gives way."""

    def __init__(self, config: L2Config) -> None:
        self._config = config
        self._receivers: OrderedDict[RxChannel, UmReceiver] = OrderedDict()
        self._next_timer: int | None = None
        self._n_lost_before = 0

    def __len__(self) -> int:
        return len(self._receivers)

    @property
    def n_lost(self) -> int:
        """RLC SDUs given up, on all channels there have been."""
        return self._n_lost_before + sum(receiver.n_lost for receiver in self._receivers.values())

    def receive(self, channel: RxChannel, octets: bytes, subframe: int) -> list[bytes]:
        """RLC SDUs that a UMD PDU lets go up. Raises RlcPduError."""
        pdu = decode_umd(octets)
        receiver = self._receivers.get(channel)
        if receiver is None:
            self._make_room()
            receiver = self._receivers[channel] = UmReceiver(
                pdu.sn,
                um_window_size=self._config.um_window_size,
                t_reordering_subframes=self._config.t_reordering_subframes,
                sn_cycle_subframes=self._config.sn_cycle_subframes,
            )
        self._receivers.move_to_end(channel)
        sdus = receiver.receive(pdu, subframe)
        self._next_timer = _earlier(self._next_timer, receiver.next_timer)
        return sdus

    def advance(self, subframe: int) -> list[tuple[RxChannel, bytes]]:
        """RLC SDUs that t-Reordering lets go up by `subframe`; parts of SDUs that are too old are let go."""
        if self._next_timer is None or subframe < self._next_timer:
            return []
        sdus = [(channel, sdu) for channel, rx in self._receivers.items() for sdu in rx.advance(subframe)]
        self._next_timer = None
        for receiver in self._receivers.values():
            self._next_timer = _earlier(self._next_timer, receiver.next_timer)
        return sdus

    def forget(self, src_l2: int) -> None:
        """Let go of all entities of a source."""
        for channel in [channel for channel in self._receivers if channel.src_l2 == src_l2]:
            self._n_lost_before += self._receivers.pop(channel).n_lost

    def _make_room(self) -> None:
        if len(self._receivers) >= self._config.max_receivers:
            _, oldest = self._receivers.popitem(last=False)
            self._n_lost_before += oldest.n_lost


def _earlier(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
