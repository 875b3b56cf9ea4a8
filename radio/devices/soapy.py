"""Radios driven through SoapySDR: LimeSDR, and USRPs by way of SoapyUHD.

Ticks are integers of the sample clock; nanoseconds exist at the driver's edge only. Not tried on hardware yet.
"""

from __future__ import annotations

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

_NS = 1_000_000_000
_READ_TIMEOUT_US = 100_000


def ticks_to_ns(ticks: int, rate_hz: int) -> int:
    """Return the nanoseconds of a count of ticks, rounded to nearest."""
    return (ticks * _NS + rate_hz // 2) // rate_hz


def ns_to_ticks(time_ns: int, rate_hz: int) -> int:
    """Return the count of ticks nearest to a time in nanoseconds."""
    return (time_ns * rate_hz + _NS // 2) // _NS


class SoapyDevice(StreamedSdr):
    """One channel of a SoapySDR device, full duplex, both directions on one carrier."""

    def __init__(
        self,
        args: str,
        *,
        sample_rate_hz: int,
        carrier_hz: float,
        rx_gain_db: float,
        tx_gain_db: float,
        channel: int = 0,
        rx_antenna: str | None = None,
        tx_antenna: str | None = None,
        clock_source: str | None = None,
        tx_margin_ms: float = TX_MARGIN_MS,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        """Open and start; raises DeviceNotFound (no library, no device), DeviceError (a setting it can't do)."""
        super().__init__(
            "radio",
            sample_rate_hz=sample_rate_hz,
            tx_margin_ms=tx_margin_ms,
            read_timeout_s=read_timeout_s,
        )
        self._soapy = _library()
        rx, tx = self._soapy.SOAPY_SDR_RX, self._soapy.SOAPY_SDR_TX
        try:
            self._device = self._soapy.Device(args)
            if clock_source is not None:
                self._device.setClockSource(clock_source)
            for direction, gain_db, antenna in ((rx, rx_gain_db, rx_antenna), (tx, tx_gain_db, tx_antenna)):
                self._device.setSampleRate(direction, channel, float(sample_rate_hz))
                self._device.setFrequency(direction, channel, carrier_hz)
                self._device.setGain(direction, channel, gain_db)
                if antenna is not None:
                    self._device.setAntenna(direction, channel, antenna)
        except RuntimeError as error:
            raise DeviceNotFound(f"SoapySDR can't open {args!r}: {error}; `SoapySDRUtil --find` lists radios") from None
        self._check_rates(rx, tx, channel)
        if not self._device.hasHardwareTime():
            raise DeviceError(f"{args!r} has no hardware time: bursts can't be timed with it")
        sample_format = self._soapy.SOAPY_SDR_CF32
        self._rx_stream = self._device.setupStream(rx, sample_format, [channel])
        self._tx_stream = self._device.setupStream(tx, sample_format, [channel])
        self._buffer = np.empty(self._device.getStreamMTU(self._rx_stream), dtype=np.complex64)
        start_ns = self._device.getHardwareTime() + round(START_AFTER_S * _NS)
        self._first_tick = ns_to_ticks(start_ns, sample_rate_hz)
        self._device.activateStream(self._tx_stream)
        self._device.activateStream(self._rx_stream, self._soapy.SOAPY_SDR_HAS_TIME, start_ns)

    def _send(self, samples: Iq, first_sample: int) -> None:
        time_ns = ticks_to_ns(self._first_tick + first_sample, self._sample_rate_hz)
        sent = 0
        while sent < len(samples):
            flags = self._soapy.SOAPY_SDR_END_BURST | (self._soapy.SOAPY_SDR_HAS_TIME if sent == 0 else 0)
            rest = samples[sent:]
            code = self._device.writeStream(self._tx_stream, [rest], len(rest), flags, time_ns, _READ_TIMEOUT_US).ret
            if code == self._soapy.SOAPY_SDR_TIME_ERROR:
                self.status.late += 1
                return
            if code in (self._soapy.SOAPY_SDR_UNDERFLOW, self._soapy.SOAPY_SDR_TIMEOUT):
                self.status.underflow += 1
                return
            if code <= 0:
                raise DeviceLost(f"the radio's transmit stream failed: {self._soapy.errToStr(code)}")
            sent += code

    def _stop(self) -> None:
        for stream in (self._rx_stream, self._tx_stream):
            self._device.deactivateStream(stream)
            self._device.closeStream(stream)

    def _count_transmit_faults(self) -> None:
        """Do nothing: `_send` has counted them, since SoapySDR reports them for the burst itself."""

    def _check_rates(self, rx: int, tx: int, channel: int) -> None:
        for direction in (rx, tx):
            self._check_rate(self._device.getSampleRate(direction, channel))

    def _read_packet(self) -> None:
        result = self._device.readStream(self._rx_stream, [self._buffer], len(self._buffer), 0, _READ_TIMEOUT_US)
        if result.ret > 0:
            if not result.flags & self._soapy.SOAPY_SDR_HAS_TIME:
                raise DeviceError("the radio gives samples without a time stamp")
            first = ns_to_ticks(result.timeNs, self._sample_rate_hz) - self._first_tick
            self._put(first, self._buffer[: result.ret].copy())
        elif result.ret == self._soapy.SOAPY_SDR_OVERFLOW:
            self._count_lost_packet()
        elif result.ret != self._soapy.SOAPY_SDR_TIMEOUT:
            raise DeviceLost(f"the radio's receive stream failed: {self._soapy.errToStr(result.ret)}")


def _library() -> Any:
    try:
        return import_module("SoapySDR")
    except ImportError:
        raise DeviceNotFound(
            "the SoapySDR Python binding is missing; it comes from the operating system, not from PyPI: "
            "on Debian `apt install python3-soapysdr soapysdr-module-lms7 soapysdr-module-uhd`, "
            "and a virtual environment made with --system-site-packages"
        ) from None


class SoapyKind:
    """The `DeviceKind` of this driver."""

    name = "soapy"
    air = AirKind.REAL
    options = SdrOptions

    def open(
        self, options: SdrOptions, *, ue: str, sample_rate_hz: int, stopped: Stopped = never_stopped
    ) -> SoapyDevice:
        """Open and start; see `DeviceKind.open`."""
        return SoapyDevice(
            options.address,
            sample_rate_hz=sample_rate_hz,
            carrier_hz=options.carrier_hz,
            rx_gain_db=options.rx_gain_db,
            tx_gain_db=options.tx_gain_db,
            rx_antenna=options.rx_antenna,
            tx_antenna=options.tx_antenna,
            clock_source=options.clock_source,
        )


KIND = SoapyKind()
