"""Types of samples in a file, named as SigMF names them, and how each becomes complex64 with full scale 1.

A name is c (complex, I before Q) or r (real), f32, f64, i8, i16, i32, u8, u16 or u32, and where a number has several
octets _le or _be (SigMF 1.2, "Dataset Format"). Integers are divided by 2^(bits-1); unsigned ones have their zero
there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from radio.arrays import Iq
from radio.devices.protocol import DeviceError

_NAME = re.compile(r"(?P<kind>[cr])(?P<number>[fiu])(?P<bits>8|16|32|64)(?:_(?P<order>le|be))?")
_BITS = {"f": ("32", "64"), "i": ("8", "16", "32"), "u": ("8", "16", "32")}
_OTHER_NAMES = {
    "fc32": "cf32",
    "fc64": "cf64",
    "complex64": "cf32",
    "complex128": "cf64",
    "sc8": "ci8",
    "cs8": "ci8",
    "sc16": "ci16",
    "cs16": "ci16",
    "sc32": "ci32",
    "cs32": "ci32",
}
"""Names of GNU Radio, UHD, SoapySDR and numpy for the same types."""
USUAL_NAMES = ("cf32", "cf64", "ci8", "ci16", "ci32", "cu8", "cu16", "cu32")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleType:
    """How one complex sample is stored: numpy's `dtype` of I and of Q, what is zero, the factor to full scale 1."""

    name: str
    dtype: str
    zero: float
    scale: float

    @property
    def octets(self) -> int:
        """Octets of one sample of one channel."""
        return 2 * np.dtype(self.dtype).itemsize

    def to_complex64(self, octets: bytes, *, n_channels: int = 1, channel: int = 0) -> Iq:
        """The samples of one channel; `octets` holds whole samples of all channels, interleaved sample by sample."""
        stored = np.frombuffer(octets, dtype=self.dtype).reshape(-1, n_channels, 2)[:, channel]
        with np.errstate(over="ignore", invalid="ignore"):
            parts = stored.astype(np.float32, order="C")
        if self.zero:
            parts -= np.float32(self.zero)
        if self.scale != 1.0:
            parts *= np.float32(self.scale)
        return parts.view(np.complex64).reshape(-1)


def sample_type(name: str) -> SampleType:
    """The type of a name such as `ci16_le` or `cs16`; little-endian if the name has no order.

    Raises DeviceError for an unknown type, or one of real samples.
    """
    lower = name.strip().lower()
    base, _, order = lower.partition("_")
    match = _NAME.fullmatch("_".join(filter(None, (_OTHER_NAMES.get(base, base), order))))
    if match is None or match["bits"] not in _BITS[match["number"]]:
        raise DeviceError(
            f"sample type {name!r} is not known; known are {', '.join(USUAL_NAMES)}, each with _le or _be"
        )
    if match["kind"] == "r":
        raise DeviceError(
            f"sample type {name!r} is of real samples: a sidelink carrier is decoded from complex ones (I and Q); "
            "mix the recording to baseband first"
        )
    number, bits, order = match["number"], int(match["bits"]), match["order"] or "le"
    half = 2.0 ** (bits - 1)
    suffix = "" if bits == 8 else f"_{order}"
    return SampleType(
        name=f"c{number}{bits}{suffix}",
        dtype=f"{'<' if order == 'le' else '>'}{number}{bits // 8}",
        zero=half if number == "u" else 0.0,
        scale=1.0 if number == "f" else 1.0 / half,
    )
