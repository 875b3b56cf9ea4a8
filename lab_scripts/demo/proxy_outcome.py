"""What a run with proxies came to, worked out from its events alone."""

from __future__ import annotations

from typing import Any

from lab_scripts.demo.crowd_outcome import CrowdOutcome, common_figures, common_rows, keys_left, pair_figures
from lab_scripts.demo.figures import air_time_ms
from lab_scripts.demo.proxy_plan import INITIATOR, PINGS, PUSH_OCTETS, RESPONDER, ProxyPlan
from lab_scripts.events.selection import Events, events_of, time_ns
from prose_link.carriers.events import DataHandedOn, FrameHandedOn, FramesNotHandedOn
from prose_link.event_stream import PduSeen
from prose_link.pc5s.core.events import LinkEstablished, RequestSent
from prose_link.userplane.events import TransferReceived

_READABLE = ("ip", "pc5s", "mikey")
"""Layers above PDCP: a proxy that opened something of a link would show it there."""


def proxy_outcome(plan: ProxyPlan, events: Events, *, wall_s: float) -> CrowdOutcome:
    """Whether the link came up and carried its traffic through every proxy, and no proxy opened anything of it."""
    pair = pair_figures(events, INITIATOR, RESPONDER)
    hops = [_hop(plan, name, events) for name in plan.proxies]
    heard = _heard_without_proxy(plan, events)
    opened = sum(hop["opened"] for hop in hops)
    by_proxy = all(hop["signalling"] >= 2 and (hop["data"] > 0) == plan.relay_data for hop in hops)
    ok = pair["ok"] and by_proxy and not opened and heard == 0 and keys_left(events) == 0
    del pair["goodput_kbps"]  # the transfers are too short for one
    asked_ns, linked_ns = time_ns(events, RequestSent, INITIATOR), time_ns(events, LinkEstablished, INITIATOR)
    whole_ns = [one.utc_ns for one in events_of(events, TransferReceived)]
    document = {
        **common_figures(plan, events, wall_s, ok),
        "carrier": "proxy",
        "pair": pair,
        "dcr_to_link_ms": air_time_ms(asked_ns, linked_ns),
        "link_to_last_octet_ms": air_time_ms(linked_ns, max(whole_ns) if len(whole_ns) == len(plan.pairs[0]) else None),
        "proxies": hops,
        "blocks_heard_without_proxy": heard,
    }
    rows = [
        ("carrier", f"proxy, {len(hops)} in a row; the two ends are out of each other's range"),
        ("request to link", f"{document['dcr_to_link_ms'] or '-'} ms"),
        ("pings answered", f"{pair['pings_answered']} of {PINGS}"),
        (
            "transfers, each way",
            f"{PUSH_OCTETS} octets; the last came {document['link_to_last_octet_ms'] or '-'} ms after the link",
        ),
        *((f"handed on by {hop['ue']}", _in_words(hop)) for hop in hops),
        ("opened by proxies", f"{opened} PDUs of the link"),
        ("heard past the proxies", f"{heard} blocks"),
        *common_rows(document),
    ]
    sentence = (
        f"{INITIATOR} and {RESPONDER} never heard each other: they agreed a key and carried protected IP traffic both "
        f"ways through {' and '.join(plan.proxies)}, which could read none of it."
        if ok
        else "The run through proxies did not get to its end: see the timeline for the last thing that worked."
    )
    document["sentence"] = sentence
    return CrowdOutcome(ok=ok, sentence=sentence, rows=tuple(rows), document=document)


def _hop(plan: ProxyPlan, name: str, events: Events) -> dict[str, Any]:
    """What one proxy did."""
    dropped: dict[str, int] = {}
    for one in events_of(events, FramesNotHandedOn, name):
        dropped[one.event.why] = max(one.event.frames, dropped.get(one.event.why, 0))
    seen = [one.event for one in events_of(events, PduSeen, name)]
    return {
        "ue": name,
        "l2_id": f"{plan.l2_id(name):06x}",
        "signalling": len(events_of(events, FrameHandedOn, name)),
        "data": len(events_of(events, DataHandedOn, name)),
        "not_handed_on": dropped,
        "opened": sum(pdu.layer in _READABLE for pdu in seen),
    }


def _in_words(hop: dict[str, Any]) -> str:
    words = f"{hop['signalling']} frames of signalling; sealed data in {hop['data']} directions"
    dropped = ", ".join(f"{frames}: {why}" for why, frames in hop["not_handed_on"].items())
    return f"{words}; not handed on: {dropped}" if dropped else words


def _heard_without_proxy(plan: ProxyPlan, events: Events) -> int:
    """MAC PDUs that one end of the link heard of the other end's radio."""
    ends = {INITIATOR: plan.l2_id(RESPONDER), RESPONDER: plan.l2_id(INITIATOR)}
    return sum(
        one.event.layer == "mac" and one.event.direction == "rx" and one.event.src_l2 == far
        for name, far in ends.items()
        for one in events_of(events, PduSeen, name)
    )
