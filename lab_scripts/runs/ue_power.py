"""Switches a UE on: once, or repeatedly if its radio may be lost and come back."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

from prose_link.config.ue import UeConfig
from prose_link.event_stream import EventStream
from prose_link.instant import Instant
from prose_link.pc5s.core.shared import KeyLog
from prose_link.ue.build import build_node
from prose_link.ue.events import RadioLost
from prose_link.ue.identity import Identity
from prose_link.ue.key_renewal import KeyRenewal
from prose_link.ue.node import Node
from prose_link.ue.radio import open_radio
from prose_link.ue.recorder import Recorder
from prose_link.ue.runtime import StopRequest, WallClock, run
from radio.devices.protocol import never_stopped
from radio.errors import RadioError

_PAUSE_S = 0.5


class UePower:
    """A UE that has its keys.

    Args:
        config: its configuration.
        identity: its identity.
        stream: takes its events.
        recorder: takes samples and symbols.
        key_log: called with the keys of every context, if the user asked for them.
        renewal: keeps its keys fresh; None for a UE without a KMS.
        node_type: the class that joins its layers.
        urgently: returns whether a UE that was asked to stop has to shorten its farewell.
    """

    def __init__(
        self,
        config: UeConfig,
        identity: Identity,
        stream: EventStream,
        recorder: Recorder,
        key_log: KeyLog | None,
        renewal: KeyRenewal | None = None,
        *,
        node_type: type[Node] = Node,
        urgently: Callable[[], bool] = never_stopped,
    ) -> None:
        self.sample_rate_hz = 0
        """Of the radio it ran on last."""
        self._config = config
        self._identity = identity
        self._stream = stream
        self._recorder = recorder
        self._key_log = key_log
        self._renewal = renewal
        self._node_type = node_type
        self._urgently = urgently

    def on(self, stop: Callable[[], bool]) -> bool:
        """Run until the UE is done, its radio ends or `stop`; returns whether the UE is done. Raises DeviceError."""
        config = self._config
        node = build_node(
            config,
            self._take_identity(),
            self._stream,
            self._recorder,
            self._key_log,
            node_type=self._node_type,
        )
        request = StopRequest(stop, self._urgently)
        with closing(node), closing(open_radio(config, node.sample_rate_hz, request.is_final)) as device:
            self.sample_rate_hz = device.sample_rate_hz
            node.power_on()
            run(
                node,
                device,
                self._stream,
                stop=request,
                wall_clock=WallClock() if config.held_to_real_time else None,
                calendar=None if config.utc_at_power_on else time.time,
                renewal=self._renewal,
            )
        return bool(node.done)

    def _take_identity(self) -> Identity:
        """The newest identity; the time that the KMS gave before power-on is valid for one power-on."""
        newest = self._renewal.newest if self._renewal else None
        identity = newest or self._identity
        self._identity = replace(identity, kms_ntp_s=None, refused_statements=())
        return identity

    def keep_on(self, stop: Callable[[], bool]) -> None:
        """Run until the UE is done or `stop`: after a lost radio it starts again, with new links and new keys."""
        is_done = False
        while not (is_done or stop()):
            why = "its run has ended"
            try:
                is_done = self.on(stop)
            except RadioError as error:
                why = str(error)
            if not (is_done or stop()):
                now = Instant(mono_s=0.0, utc_s=self._config.utc_s_at_power_on)
                self._stream.emit(RadioLost(why=why), now)
                time.sleep(_PAUSE_S)
