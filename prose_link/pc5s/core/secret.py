"""Secrets of a link, in a form that can be overwritten."""

from __future__ import annotations

from collections import OrderedDict

from prose_link.pc5s.core.buckets import ANSWERS, Bucket


class Secret:
    """Octets that can be overwritten; their repr does not show them."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes = b"") -> None:
        self._octets = bytearray(octets)

    def __bool__(self) -> bool:
        return bool(self._octets)

    def __bytes__(self) -> bytes:
        return bytes(self._octets)

    def __repr__(self) -> str:
        return "Secret(held)" if self else "Secret(none)"

    def wipe(self) -> None:
        """Overwrite the octets with zeros and drop them."""
        self._octets[:] = bytes(len(self._octets))
        del self._octets[:]


class Answers:
    """Signed answers to one open request.

    A bucket bounds how many of them are opened. The results of the good ones are kept by (H(T2), H(S(I))).
    """

    __slots__ = ("_bucket", "_opened")

    def __init__(self) -> None:
        self._bucket: Bucket | None = None
        self._opened: OrderedDict[tuple[bytes, bytes], Secret] = OrderedDict()

    def take(self, now_s: float) -> bool:
        """Take a token to open one more answer. Returns False if too many were opened recently."""
        if self._bucket is None:
            self._bucket = Bucket(ANSWERS, now_s)
        return self._bucket.take(now_s)

    def keep(self, pair: tuple[bytes, bytes], ssv: bytes) -> None:
        """Keep the SSV of a good answer; the oldest one is dropped when there is no room."""
        self._opened[pair] = Secret(ssv)
        if len(self._opened) > ANSWERS.burst:
            self._opened.popitem(last=False)[1].wipe()

    def opened(self, pair: tuple[bytes, bytes]) -> bytes:
        """The SSV of an answer that was opened before; b"" if it isn't known."""
        ssv = self._opened.get(pair)
        return bytes(ssv) if ssv else b""

    def wipe(self) -> None:
        """Wipe all of them."""
        for ssv in self._opened.values():
            ssv.wipe()
        self._opened.clear()
