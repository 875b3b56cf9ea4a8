"""A USIM in software for AKAv1-MD5: Milenage under test credentials, with a sequence number that only rises.

It checks the network as a card does (TS 33.102 6.3.3): MAC-A first, then the sequence number; one that is not above the
highest accepted is answered by AUTS. The highest is kept for the life of the process: there is no card to keep it on.
"""

from __future__ import annotations

import hmac

from prose_link.sip.digest import AkaAnswer, AuthenticationError
from security.ciphers.milenage import Milenage

AMF_OF_RESYNCHRONISATION = bytes(2)
"""The AMF that AUTS is made with (TS 33.102 6.3.3)."""


class Usim:
    """One subscriber's card.

    Args:
        k: subscriber key, 16 octets.
        opc: operator variant key, 16 octets.
    """

    def __init__(self, k: bytes, opc: bytes) -> None:
        self._milenage = Milenage(k, opc)
        self._highest = -1

    def __call__(self, rand: bytes, autn: bytes) -> AkaAnswer:
        """RES, or AUTS where the sequence number is not above the highest. Raises AuthenticationError: a false MAC."""
        made = self._milenage.f2345(rand)
        sqn = bytes(a ^ b for a, b in zip(autn[:6], made.ak, strict=True))
        amf, mac = autn[6:8], autn[8:16]
        if not hmac.compare_digest(self._milenage.f1(rand, sqn, amf).mac_a, mac):
            raise AuthenticationError("AUTN is not the home network's")
        number = int.from_bytes(sqn)
        if number <= self._highest:
            return AkaAnswer(auts=self._auts(rand))
        self._highest = number
        return AkaAnswer(res=made.res)

    def _auts(self, rand: bytes) -> bytes:
        """SQN_MS concealed by AK*, and MAC-S (TS 33.102 6.3.3)."""
        sqn = self._highest.to_bytes(6)
        mac_s = self._milenage.f1(rand, sqn, AMF_OF_RESYNCHRONISATION).mac_s
        return bytes(a ^ b for a, b in zip(sqn, self._milenage.f5_star(rand), strict=True)) + mac_s
