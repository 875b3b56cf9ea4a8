"""A D2D security context: keys and counters of one KD-sess, as PDCP of one UE uses them.

COUNT must never repeat: the same COUNT twice under one key reveals the exclusive-or of two messages. COUNT = KD-sess ID
|| SN here (TS 33.303 with the PDCP of TS 36.323 6.2.10): SNs rise from 1 for each bearer and end at 0xFFFF, there is no
wrap and no hyper frame number. Before that a rekey is asked for (`REKEY_SN`); after it the bearer is silent. A number
is given out (`next_sn`) and used once, in rising order (`seal`).

Receiving checks MAC-I first and the window after it, so that a forged SN moves nothing. The window tells 256 SNs behind
the highest one apart; what is older counts as a repeat. A failure changes nothing. `wipe` drops the keys, and every
later call raises.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from security.ciphers.algorithms import MAC_OCTETS, Ciphering, Eia, Integrity, ciphering, integrity
from security.errors import SecurityError

FIRST_SN = 1
REKEY_SN = 0xE000
"""At this SN a rekey is asked for (P)."""
LAST_SN = 0xFFFF
REPLAY_WINDOW = 256
"""Size of the window: SNs behind the highest one received that are still distinguished (P)."""
MAX_LCID = 31


class ContextError(SecurityError):
    """A context can't do what is asked: it is wiped, the SN was used, or the LCID is out of range."""


class CountExhausted(SecurityError):
    """SN 0xFFFF has been sent on this bearer: silent until the rekey is through."""


class IntegrityFailure(SecurityError):
    """MAC-I doesn't verify."""


class ReplayedPdu(SecurityError):
    """An SN was received before, or lies behind the replay window."""


@dataclass(slots=True)
class ReplayWindow:
    """The received SNs of one bearer and direction: the highest, and a bitmap of those behind it."""

    highest: int = 0
    seen: int = 0

    def check(self, sn: int) -> None:
        """Raise ReplayedPdu if this SN came before or is too old for the window."""
        behind = self.highest - sn
        if behind >= REPLAY_WINDOW or (behind >= 0 and self.seen >> behind & 1) or sn < FIRST_SN:
            raise ReplayedPdu(f"SN {sn} came before, or lies behind the window that ends at {self.highest}")

    def accept(self, sn: int) -> None:
        """Note an SN that has been verified."""
        ahead = sn - self.highest
        if ahead > 0:
            self.seen = (self.seen << min(ahead, REPLAY_WINDOW) | 1) & (1 << REPLAY_WINDOW) - 1
            self.highest = sn
        else:
            self.seen |= 1 << -ahead


class SecurityContext:
    """Protects one link's PDUs in both directions under PEK and PIK.

    COUNT = KD-sess ID || SN; BEARER = 5 LSB of LCID; own PDUs carry `direction` (1 at the UE that sent the DCA, else
    0), the peer's the other. MAC-I covers header and plain data, then the data is ciphered. COUNT never repeats: SNs
    rise from 1 for each bearer and end at 0xFFFF.
    """

    def __init__(self, *, kd_sess_id: int, pek: bytes, pik: bytes, eea: int, eia: int, direction: int) -> None:
        if not 1 <= kd_sess_id <= 0xFFFF or direction not in (0, 1):
            raise ContextError(f"KD-sess ID {kd_sess_id} or direction {direction} out of range")
        self.kd_sess_id = kd_sess_id
        self.eea = eea
        self.eia = eia
        self.direction = direction
        self._ciphering: Ciphering | None = ciphering(eea, pek)
        self._integrity: Integrity | None = integrity(eia, pik)
        self._next_sn: dict[int, int] = {}
        self._last_sealed: dict[int, int] = {}
        self._windows: dict[int, ReplayWindow] = {}

    def __repr__(self) -> str:
        state = "wiped" if self.wiped else "live"
        return f"SecurityContext(kd_sess_id=0x{self.kd_sess_id:04x}, eea={self.eea}, eia={self.eia}, {state})"

    @property
    def wiped(self) -> bool:
        """Whether the keys are gone."""
        return self._ciphering is None

    @property
    def null_integrity(self) -> bool:
        """Whether MAC-I proves nothing (EIA0)."""
        return self.eia == Eia.EIA0_NULL

    @property
    def wants_rekey(self) -> bool:
        """Whether an SN of this UE or of its peer has reached 0xE000."""
        sent = max(self._next_sn.values(), default=FIRST_SN) - 1
        return max(sent, self.highest_received) >= REKEY_SN

    @property
    def exhausted(self) -> bool:
        """Whether a bearer has no SN left to send with."""
        return any(sn > LAST_SN for sn in self._next_sn.values())

    @property
    def highest_received(self) -> int:
        """The highest SN accepted on any bearer."""
        return max((window.highest for window in self._windows.values()), default=0)

    def next_sn(self, lcid: int) -> int:
        """Take the next SN of a bearer; raises CountExhausted after 0xFFFF, ContextError when wiped."""
        self._keyed()
        _bearer(lcid)
        sn = self._next_sn.get(lcid, FIRST_SN)
        if sn > LAST_SN:
            raise CountExhausted(f"LCID {lcid}: all SNs of KD-sess ID 0x{self.kd_sess_id:04x} are used")
        self._next_sn[lcid] = sn + 1
        return sn

    def seal(self, lcid: int, sn: int, header: bytes, data: bytes) -> tuple[bytes, bytes]:
        """Protect a PDU under an SN that `next_sn` gave: (ciphered data, MAC-I of 4 octets). Raises ContextError.

        Each SN seals once, and in rising order.
        """
        cipher, mac = self._keyed()
        if not self._last_sealed.get(lcid, FIRST_SN - 1) < sn < self._next_sn.get(lcid, FIRST_SN):
            raise ContextError(f"LCID {lcid}: SN {sn} was not given out, or it or a later one has been used")
        self._last_sealed[lcid] = sn
        count = self._count(sn)
        mac_i = mac.mac(count, _bearer(lcid), self.direction, header + data)
        return cipher.apply(count, _bearer(lcid), self.direction, data), mac_i

    def open(self, lcid: int, sn: int, header: bytes, data: bytes, mac_i: bytes) -> bytes:
        """Verify and decipher a peer's PDU: `mac_i` has 4 octets. A failure changes nothing.

        Raises IntegrityFailure, ReplayedPdu, ContextError.
        """
        cipher, mac = self._keyed()
        if not FIRST_SN <= sn <= LAST_SN or len(mac_i) != MAC_OCTETS:
            raise IntegrityFailure(f"LCID {lcid}: SN {sn} or a MAC-I of {len(mac_i)} octets can't be")
        count, direction = self._count(sn), 1 - self.direction
        plain = cipher.apply(count, _bearer(lcid), direction, data)
        if not hmac.compare_digest(mac.mac(count, _bearer(lcid), direction, header + plain), mac_i):
            raise IntegrityFailure(f"LCID {lcid}, SN {sn}: MAC-I doesn't verify")
        window = self._windows.setdefault(lcid, ReplayWindow())
        window.check(sn)
        window.accept(sn)
        return plain

    def wipe(self) -> None:
        """Drop the keys; nothing can be sealed or opened afterwards."""
        self._ciphering = None
        self._integrity = None

    def _count(self, sn: int) -> int:
        return self.kd_sess_id << 16 | sn

    def _keyed(self) -> tuple[Ciphering, Integrity]:
        if self._ciphering is None or self._integrity is None:
            raise ContextError(f"the context of KD-sess ID 0x{self.kd_sess_id:04x} is wiped")
        return self._ciphering, self._integrity


def _bearer(lcid: int) -> int:
    """BEARER: the 5 LSB of the LCID, all of it in use here (U)."""
    if not 0 <= lcid <= MAX_LCID:
        raise ContextError(f"LCID {lcid} is not in 0..{MAX_LCID}")
    return lcid
