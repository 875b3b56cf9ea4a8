"""A stand-in for UHD's Python binding: enough for the driver's own logic, no test of UHD or of a USRP."""

from types import SimpleNamespace

import numpy as np

from radio.devices.uhd_usrp import ticks_to_time, time_to_ticks

RATE = 1_920_000


class TimeSpec:
    def __init__(self, full, fraction):
        self.full, self.fraction = full + int(fraction), fraction - int(fraction)

    def get_full_secs(self):
        return self.full

    def get_frac_secs(self):
        return self.fraction


class UhdDouble:
    """The part of UHD's binding that the driver uses."""

    def __init__(self, *, rate=float(RATE), locked=True):
        self.rate, self.locked, self.sent, self.commands, self.async_events, self.errors = rate, locked, [], [], [], []
        codes = SimpleNamespace(none="none", timeout="timeout", overflow="overflow", late="late")
        events = SimpleNamespace(time_error="late", underflow="under", underflow_in_packet="under2")
        self.types = SimpleNamespace(
            TimeSpec=TimeSpec,
            TuneRequest=float,
            StreamCMD=lambda mode: SimpleNamespace(mode=mode),
            StreamMode=SimpleNamespace(start_cont="start", stop_cont="stop"),
            RXMetadata=lambda: SimpleNamespace(error_code="none", time_spec=None, strerror=lambda: "broken chain"),
            RXMetadataErrorCode=codes,
            TXMetadata=SimpleNamespace,
            TXAsyncMetadata=lambda: SimpleNamespace(event_code=None),
            TXMetadataEventCode=events,
        )
        self.usrp = SimpleNamespace(MultiUSRP=self.open, StreamArgs=lambda cpu, wire: SimpleNamespace(channels=None))

    def open(self, args):
        if args == "none":
            raise RuntimeError("LookupError: KeyError: No devices found")
        return self

    def __getattr__(self, name):
        if name.startswith("set_"):
            return lambda *args: None
        if name in ("get_rx_rate", "get_tx_rate"):
            return lambda channel: self.rate
        if name in ("get_rx_stream", "get_tx_stream"):
            return lambda args: self
        raise AttributeError(name)

    def get_mboard_sensor_names(self):
        return ["ref_locked"]

    def get_mboard_sensor(self, name):
        return SimpleNamespace(to_bool=lambda: self.locked)

    def get_time_now(self):
        return TimeSpec(7, 0.5)

    def get_max_num_samps(self):
        return 300

    def issue_stream_cmd(self, command):
        self.commands.append(command.mode)
        if command.mode == "start":
            self.start = self.tick = time_to_ticks(command.time_spec.full, command.time_spec.fraction, RATE)

    def recv(self, buffer, metadata, timeout):
        metadata.error_code = self.errors.pop(0) if self.errors else "none"
        if metadata.error_code != "none":
            self.tick += 50
            return 0
        n = buffer.shape[1]
        buffer[0] = self.tick - self.start + np.arange(n)
        metadata.time_spec = TimeSpec(*ticks_to_time(self.tick, RATE))
        self.tick += n
        return n

    def send(self, samples, metadata, timeout):
        tick = time_to_ticks(metadata.time_spec.full, metadata.time_spec.fraction, RATE) - self.start
        self.sent.append((tick, samples.shape[1], metadata.start_of_burst, metadata.end_of_burst))
        return samples.shape[1]

    def recv_async_msg(self, metadata, timeout):
        if not self.async_events:
            return False
        metadata.event_code = self.async_events.pop(0)
        return True
