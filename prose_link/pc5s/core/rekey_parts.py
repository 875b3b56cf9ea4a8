"""The data of a link's rekeys: the one that this end asks for, and the one that it has answered (PROFILE 9).

They are separate because an end may have both: it keeps a context whose Confirm has not come, and sends a Request
itself. Each holds the keys that it has made, until they are in use or wiped.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from prose_link.pc5s.core.fsm import RekeyState
from prose_link.pc5s.core.secret import Answers, Secret
from prose_link.pc5s.core.transcript import Asked
from prose_link.pc5s.wire.messages import RekeyingRequest


@dataclass(slots=True, eq=False, kw_only=True)
class NewKeys:
    """A context that a rekey has made and that isn't in use yet, with its keys; `kd_sess_id` is 0 if there is none.

    `expected_conf_i` is the key confirmation that the peer's Confirm must hold, at the end that has answered.
    """

    kd_sess_id: int = 0
    kd_next: Secret = field(default_factory=Secret)
    tx: bytes = b""
    expected_conf_i: bytes = b""
    new_kd: bool = False
    kd_born_ntp_s: float = 0.0

    def wipe(self) -> None:
        """Wipe its secret."""
        self.kd_next.wipe()
        self.expected_conf_i = b""


@dataclass(slots=True, eq=False, kw_only=True)
class OwnRekey:
    """A Rekeying Request of this end with its secret, and from the Response on the Confirm and the new keys.

    `new_kd`: whether the Request has an I_MESSAGE.
    """

    asked: Asked[RekeyingRequest] | None = None
    request_octets: bytes = b""
    confirm_octets: bytes = b""
    ssv: Secret = field(default_factory=Secret)
    answers: Answers = field(default_factory=Answers)
    new_kd: bool = False
    kd_born_ntp_s: float = 0.0
    made: NewKeys = field(default_factory=NewKeys)

    def wipe(self) -> None:
        """Wipe its secrets."""
        self.ssv.wipe()
        self.answers.wipe()
        self.made.wipe()


@dataclass(slots=True, eq=False, kw_only=True)
class KeptRekey:
    """Data that an end keeps after it has answered, until the Confirm: the Response, and its context.

    `answered_sn`: the highest PDCP SN under which the answered Request has come.
    """

    request_hash: bytes = b""
    response_octets: bytes = b""
    answered_sn: int = 0
    made: NewKeys = field(default_factory=NewKeys)

    def wipe(self) -> None:
        """Wipe its secrets."""
        self.made.wipe()


@dataclass(slots=True, eq=False)
class Rekey:
    """Rekeys of one link.

    The rekey that this end asks for, the one that it has answered, and the number of failed ones since the last
    success. `asked_msbs`: MSBs of all Requests of this end; the peer may hold a context for one whose answer never
    came.
    """

    state: RekeyState = RekeyState.NONE
    own: OwnRekey = field(default_factory=OwnRekey)
    kept: KeptRekey = field(default_factory=KeptRekey)
    failures: int = 0
    asked_msbs: set[int] = field(default_factory=set)

    def forget_own(self) -> None:
        """Drop the rekey that this end has asked for, with its secrets."""
        self.own.wipe()
        self.own = OwnRekey()

    def forget_kept(self) -> None:
        """Drop the rekey that this end has answered, with its secrets."""
        self.kept.wipe()
        self.kept = KeptRekey()

    def wipe(self) -> None:
        """Drop everything but the state."""
        self.forget_own()
        self.forget_kept()
