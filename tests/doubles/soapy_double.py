"""A stand-in for the SoapySDR module: enough for the driver's own logic, no test of SoapySDR or of a radio."""

from types import SimpleNamespace

import numpy as np

from radio.devices.soapy import ns_to_ticks, ticks_to_ns

RATE = 1_920_000


class SoapyDouble:
    """A radio whose input is a ramp of its own tick count; `codes` are given out instead of samples first."""

    SOAPY_SDR_RX, SOAPY_SDR_TX, SOAPY_SDR_CF32 = 1, 0, "CF32"
    SOAPY_SDR_END_BURST, SOAPY_SDR_HAS_TIME = 2, 4
    SOAPY_SDR_TIMEOUT, SOAPY_SDR_OVERFLOW, SOAPY_SDR_TIME_ERROR, SOAPY_SDR_UNDERFLOW = -1, -4, -6, -7

    def __init__(self, *, rate=float(RATE), timed=True, codes=(), write_codes=()):
        self.rate, self.timed, self.codes, self.write_codes = rate, timed, list(codes), list(write_codes)
        self.bursts, self.closed, self.tick = [], [], 0

    def Device(self, args):
        if args == "none":
            raise RuntimeError("no match")
        return self

    def __getattr__(self, name):
        if name.startswith(("set", "activate")):
            return lambda *args: self.tick if name == "setupStream" else None
        raise AttributeError(name)

    def setupStream(self, direction, sample_format, channels):
        return direction

    def activateStream(self, stream, flags=0, time_ns=0):
        if stream == self.SOAPY_SDR_RX:
            self.tick = ns_to_ticks(time_ns, RATE)
            self.start = self.tick

    def getSampleRate(self, direction, channel):
        return self.rate

    def hasHardwareTime(self):
        return self.timed

    def getHardwareTime(self):
        return 5_000_000_000

    def getStreamMTU(self, stream):
        return 1000

    def readStream(self, stream, buffers, n, flags, timeout_us):
        if self.codes and (code := self.codes.pop(0)) < 0:
            if code == self.SOAPY_SDR_OVERFLOW:
                self.tick += 500
            return SimpleNamespace(ret=code, flags=0, timeNs=0)
        buffers[0][:n] = self.tick - self.start + np.arange(n)
        result = SimpleNamespace(ret=n, flags=self.SOAPY_SDR_HAS_TIME, timeNs=ticks_to_ns(self.tick, RATE))
        self.tick += n
        return result

    def writeStream(self, stream, buffers, n, flags, time_ns, timeout_us):
        code = self.write_codes.pop(0) if self.write_codes else n
        if code > 0:
            tick = ns_to_ticks(time_ns, RATE) - self.start if flags & self.SOAPY_SDR_HAS_TIME else None
            self.bursts.append((tick, code))
        return SimpleNamespace(ret=code)

    def errToStr(self, code):
        return f"code {code}"

    def deactivateStream(self, stream):
        self.closed.append(stream)

    def closeStream(self, stream):
        self.closed.append(stream)
