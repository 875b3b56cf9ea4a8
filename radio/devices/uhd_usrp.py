"""USRPs driven through UHD's own Python binding.

Ticks are integers of the sample clock; `TimeSpec`s exist at the driver's edge only. Not tried on hardware yet.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from radio.arrays import Iq
from radio.devices.protocol import (
    AirKind,
    DeviceError,
    DeviceLost,
    DeviceNotFound,
    Stopped,
    never_stopped,
)
from radio.devices.sdr_options import SdrOptions
from radio.devices.streamed_sdr import READ_TIMEOUT_S, START_AFTER_S, TX_MARGIN_MS, StreamedSdr

_RECV_TIMEOUT_S = 0.1
_LOCK_TIMEOUT_S = 10.0


def ticks_to_time(ticks: int, rate_hz: int) -> tuple[int, float]:
    """Return (whole seconds, fraction) of a count of ticks."""
    seconds, rest = divmod(ticks, rate_hz)
    return seconds, rest / rate_hz


def time_to_ticks(full_s: int, fraction_s: float, rate_hz: int) -> int:
    """Return the count of ticks nearest to a time."""
    return full_s * rate_hz + round(fraction_s * rate_hz)


class UhdDevice(StreamedSdr):
    """One channel of a USRP, full duplex, both directions on one carrier."""

    def __init__(
        self,
        args: str = "",
        *,
        sample_rate_hz: int,
        carrier_hz: float,
        rx_gain_db: float,
        tx_gain_db: float,
        channel: int = 0,
        rx_antenna: str | None = None,
        tx_antenna: str | None = None,
        clock_source: str | None = None,
        time_source: str | None = None,
        tx_margin_ms: float = TX_MARGIN_MS,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        """Open and start; raises DeviceNotFound (no binding, no USRP), DeviceError (a setting it can't do, no lock).

        With a `time_source` the USRP's time is set to 0 at the next pulse per second.
        """
        super().__init__(
            "USRP",
            sample_rate_hz=sample_rate_hz,
            tx_margin_ms=tx_margin_ms,
            read_timeout_s=read_timeout_s,
        )
        self._uhd = _library()
        try:
            self._usrp = self._uhd.usrp.MultiUSRP(args)
            self._set_up_clock(clock_source, time_source)
            self._tune(channel, carrier_hz, rx_gain_db, tx_gain_db, rx_antenna, tx_antenna)
        except RuntimeError as error:
            raise DeviceNotFound(f"UHD can't open {args!r}: {error}; `uhd_find_devices` lists USRPs") from None
        stream_args = self._uhd.usrp.StreamArgs("fc32", "sc16")
        stream_args.channels = [channel]
        self._rx_streamer = self._usrp.get_rx_stream(stream_args)
        self._tx_streamer = self._usrp.get_tx_stream(stream_args)
        self._rx_metadata = self._uhd.types.RXMetadata()
        self._buffer = np.empty((1, self._rx_streamer.get_max_num_samps()), dtype=np.complex64)
        now = self._usrp.get_time_now()
        start = time_to_ticks(now.get_full_secs(), now.get_frac_secs() + START_AFTER_S, sample_rate_hz)
        self._first_tick = start
        command = self._uhd.types.StreamCMD(self._uhd.types.StreamMode.start_cont)
        command.stream_now = False
        command.time_spec = self._time_spec(0)
        self._rx_streamer.issue_stream_cmd(command)

    def _send(self, samples: Iq, first_sample: int) -> None:
        metadata = self._uhd.types.TXMetadata()
        metadata.has_time_spec = True
        metadata.time_spec = self._time_spec(first_sample)
        metadata.start_of_burst = True
        metadata.end_of_burst = True
        if self._tx_streamer.send(samples.reshape(1, -1), metadata, _RECV_TIMEOUT_S) < samples.size:
            self.status.underflow += 1

    def _stop(self) -> None:
        self._rx_streamer.issue_stream_cmd(self._uhd.types.StreamCMD(self._uhd.types.StreamMode.stop_cont))

    def _set_up_clock(self, clock_source: str | None, time_source: str | None) -> None:
        if clock_source is not None:
            self._usrp.set_clock_source(clock_source)
            self._wait_for_lock(clock_source)
        if time_source is not None:
            self._usrp.set_time_source(time_source)
            self._usrp.set_time_next_pps(self._uhd.types.TimeSpec(0, 0.0))
            time.sleep(1.1)

    def _wait_for_lock(self, clock_source: str) -> None:
        sensor = "gps_locked" if clock_source == "gpsdo" else "ref_locked"
        if sensor not in self._usrp.get_mboard_sensor_names():
            return
        deadline = time.monotonic() + _LOCK_TIMEOUT_S
        while not self._usrp.get_mboard_sensor(sensor).to_bool():
            if time.monotonic() > deadline:
                raise DeviceError(f"the USRP's {sensor} stayed false for {_LOCK_TIMEOUT_S:.0f} s")
            time.sleep(0.1)

    def _tune(
        self,
        channel: int,
        carrier_hz: float,
        rx_gain_db: float,
        tx_gain_db: float,
        rx_antenna: str | None,
        tx_antenna: str | None,
    ) -> None:
        usrp, request = self._usrp, self._uhd.types.TuneRequest(carrier_hz)
        usrp.set_rx_rate(float(self._sample_rate_hz), channel)
        usrp.set_tx_rate(float(self._sample_rate_hz), channel)
        for actual in (usrp.get_rx_rate(channel), usrp.get_tx_rate(channel)):
            self._check_rate(actual)
        usrp.set_rx_freq(request, channel)
        usrp.set_tx_freq(request, channel)
        usrp.set_rx_gain(rx_gain_db, channel)
        usrp.set_tx_gain(tx_gain_db, channel)
        if rx_antenna is not None:
            usrp.set_rx_antenna(rx_antenna, channel)
        if tx_antenna is not None:
            usrp.set_tx_antenna(tx_antenna, channel)

    def _time_spec(self, sample: int) -> Any:
        return self._uhd.types.TimeSpec(*ticks_to_time(self._first_tick + sample, self._sample_rate_hz))

    def _read_packet(self) -> None:
        metadata, codes = self._rx_metadata, self._uhd.types.RXMetadataErrorCode
        n = self._rx_streamer.recv(self._buffer, metadata, _RECV_TIMEOUT_S)
        if metadata.error_code == codes.overflow:
            self._count_lost_packet()
        elif metadata.error_code not in (codes.none, codes.timeout):
            raise DeviceLost(f"the USRP's receive stream failed: {metadata.strerror()}")
        if n:
            spec = metadata.time_spec
            ticks = time_to_ticks(spec.get_full_secs(), spec.get_frac_secs(), self._sample_rate_hz)
            self._put(ticks - self._first_tick, self._buffer[0, :n].copy())

    def _count_transmit_faults(self) -> None:
        metadata, events = self._uhd.types.TXAsyncMetadata(), self._uhd.types.TXMetadataEventCode
        while self._tx_streamer.recv_async_msg(metadata, 0.0):
            if metadata.event_code == events.time_error:
                self.status.late += 1
            elif metadata.event_code in (events.underflow, events.underflow_in_packet):
                self.status.underflow += 1


def _library() -> Any:
    try:
        return import_module("uhd")
    except ImportError:
        raise DeviceNotFound(
            "UHD's Python binding is missing; on Linux it comes from the operating system, not from PyPI: "
            "on Debian `apt install python3-uhd uhd-host`, and a virtual environment made with --system-site-packages. "
            "A binding built for NumPy 1 does not work with NumPy 2: use the soapy device with soapysdr-module-uhd then"
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class UhdOptions(SdrOptions):
    """One channel of a USRP."""

    time_source: str | None = None
    """A name that the driver knows, as for `clock_source`."""


class UhdKind:
    """The `DeviceKind` of this driver."""

    name = "uhd"
    air = AirKind.REAL
    options = UhdOptions

    def open(self, options: UhdOptions, *, ue: str, sample_rate_hz: int, stopped: Stopped = never_stopped) -> UhdDevice:
        """Open and start; see `DeviceKind.open`."""
        return UhdDevice(
            options.address,
            sample_rate_hz=sample_rate_hz,
            carrier_hz=options.carrier_hz,
            rx_gain_db=options.rx_gain_db,
            tx_gain_db=options.tx_gain_db,
            rx_antenna=options.rx_antenna,
            tx_antenna=options.tx_antenna,
            clock_source=options.clock_source,
            time_source=options.time_source,
        )


KIND = UhdKind()
