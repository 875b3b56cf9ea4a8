"""Secrets that a link holds, in a form that can be overwritten."""

from __future__ import annotations

from collections import OrderedDict

from prose_link.pc5s.core.buckets import ANSWERS, Bucket


class Secret:
    """Octets that can be overwritten; nothing shows in repr."""

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
        """Overwrite and forget the octets."""
        self._octets[:] = bytes(len(self._octets))
        del self._octets[:]


class Answers:
    """The answers to one open request that its target has signed.

    So many are opened at a time; what came out of the good ones is kept by (H(T2), H(S(I))).
    """

    __slots__ = ("_bucket", "_opened")

    def __init__(self) -> None:
        self._bucket: Bucket | None = None
        self._opened: OrderedDict[tuple[bytes, bytes], Secret] = OrderedDict()

    def take(self, now_s: float) -> bool:
        """Take the right to open one more; False if there were too many of late."""
        if self._bucket is None:
            self._bucket = Bucket(ANSWERS, now_s)
        return self._bucket.take(now_s)

    def keep(self, pair: tuple[bytes, bytes], ssv: bytes) -> None:
        """Keep a good outcome; the oldest makes room."""
        self._opened[pair] = Secret(ssv)
        if len(self._opened) > ANSWERS.burst:
            self._opened.popitem(last=False)[1].wipe()

    def opened(self, pair: tuple[bytes, bytes]) -> bytes:
        """The SSV that came out of an answer; b"" if it isn't known."""
        ssv = self._opened.get(pair)
        return bytes(ssv) if ssv else b""

    def wipe(self) -> None:
        """Forget all of them."""
        for ssv in self._opened.values():
            ssv.wipe()
        self._opened.clear()
