"""The verdict on an attack, from the events of a run: whether, where and why it was stopped; and its sentence.

An attack counts as stopped if a UE refused it, no forbidden link came up, and no key was left. Some attacks run beside
a genuine link: that link must then have come up and carried all its traffic too. Either way the attack was mounted and
stopped, and the exit code is 5; a run whose genuine link fails ends with 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lab_scripts.demo.plan import BREAKERS, INTRUDER, LINK_COMES_UP, UES, Fault
from lab_scripts.events.selection import Events, events_of
from prose_link.pc5s.core.events import AcceptRefused, Dropped, LinkEstablished, RequestRefused
from prose_link.ue.events import NodeStopped
from prose_link.userplane.events import TrafficDone

_NO_SUCH_REQUEST: Final = 2
"""The step that takes only answers to a request that is still open (PROFILE 6)."""
ENOUGH_ACCEPTS: Final = 16
"""So many forged Accepts and more: an initiator that counted them would have given up its request (PROFILE C2)."""
_WHAT_HAPPENED: Final = {
    Fault.UNPROVISIONED: "UE-A got no keys from the KMS and signed its request with keys it made up",
    Fault.UNAUTHORISED: "UE-A asked for a link although UE-B does not list it as authorised",
    Fault.WRONG_RECIPIENT: "UE-A's request for another UE was delivered to UE-B",
    Fault.TAMPERED: "an attacker on the air altered UE-A's request and mended the transport block's CRC",
    Fault.REPLAYED: "an attacker recorded UE-A's request off the air and sent it again after the link had ended",
    Fault.STALE_TIME: "UE-A sent a request dated ten minutes in the past",
    Fault.EXPIRED_PERIOD: "UE-A used keys of a key period that is over",
    Fault.DOWNGRADE: "an attacker on the air rewrote UE-A's request to offer null algorithms only, and mended the CRC",
    Fault.IMPOSTOR: "a user with keys of its own sent a request in UE-A's name",
    Fault.STALE_CLOCK: "UE-B's clock was set back ten minutes while it ran, and UE-A sent a request with that time",
    Fault.OLD_CONTEXT: "UE-A ordered the link's end under the context before its rekey, as if it had stolen its keys",
    Fault.FORGED_ACCEPTS: "an attacker that heard UE-A's request answered it in UE-B's name while UE-B was jammed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The UE that stopped the attack, the cause on the air (None: no answer), the reason, and the count."""

    by: str
    cause: int | None
    why: str
    step: int | None
    """The number of the check in PROFILE 6; None for what is no step of a set-up."""
    times: int


def rejected_of(events: Events, fault: Fault) -> Rejected | None:
    """The first refusal of what the fault sends, and how many there are; None where there is none.

    Forged Accepts that come when the request has had its answer don't count.
    """
    refusals: list[Rejected] = []
    for one in events:
        match one.event:
            case RequestRefused(cause=cause, why=why, step=step):
                refusals.append(Rejected(by=one.source, cause=cause, why=why, step=step, times=1))
            case AcceptRefused(step=step) if step == _NO_SUCH_REQUEST:
                pass
            case AcceptRefused(why=why, step=step):
                refusals.append(Rejected(by=one.source, cause=None, why=why, step=step, times=1))
            case Dropped(message="release", why=why) if fault is Fault.OLD_CONTEXT:
                refusals.append(Rejected(by=one.source, cause=None, why=why, step=None, times=1))
    if not refusals:
        return None
    first = refusals[0]
    return Rejected(by=first.by, cause=first.cause, why=first.why, step=first.step, times=len(refusals))


def is_stopped(events: Events, fault: Fault, rejected: Rejected) -> bool:
    """Whether the attack had no effect, and the genuine link beside it was not hindered."""
    stopped = events_of(events, NodeStopped)
    n_ues = len({*UES, *BREAKERS.get(fault, ())})
    if len(stopped) != n_ues or any(one.event.live_contexts for one in stopped):
        return False
    if fault is Fault.FORGED_ACCEPTS and rejected.times < ENOUGH_ACCEPTS:
        return False
    allowed = UES if fault in LINK_COMES_UP or fault is Fault.REPLAYED else ()
    if sorted(one.source for one in events_of(events, LinkEstablished)) != sorted(allowed):
        return False
    return fault not in LINK_COMES_UP or job_done(events)


def job_done(events: Events) -> bool:
    """Whether both UEs' traffic has come through."""
    done = events_of(events, TrafficDone)
    return len(done) == len(UES) and all(one.event.ok for one in done)


def sentence_of(fault: Fault, rejected: Rejected | None) -> str:
    """The attack and its result in one plain sentence; `rejected` is None if the attack was not stopped."""
    what = _WHAT_HAPPENED[fault]
    if rejected is None:
        return f"{what}; nothing stopped it."
    told = "silently" if rejected.cause is None else f"with cause 0x{rejected.cause:02x}"
    where = "" if rejected.step is None else f" at check {rejected.step}"
    often = f" {rejected.times} times" if INTRUDER in BREAKERS.get(fault, ()) else ""
    link = "; the link came up all the same and carried its traffic" if fault in LINK_COMES_UP else ""
    return f"{what}; {rejected.by} refused it{often} {told}{where}: {rejected.why}{link}."
