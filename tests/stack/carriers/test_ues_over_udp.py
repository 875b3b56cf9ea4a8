"""Whole UEs over a UDP carrier from their configurations, each with a radio that hears no other UE."""

from __future__ import annotations

import socket
from importlib import metadata
from types import SimpleNamespace

import numpy as np
import pytest

from lab_scripts.runs.lab_world import KMS_URI, LAB_UTC, NAMESPACE
from prose_link.carriers.registry import ENTRY_POINT_GROUP
from prose_link.config.ue import ConfigError, UeConfig
from prose_link.event_stream import EventStream, PduSeen
from prose_link.instant import NTP_EPOCH_OFFSET_S
from prose_link.pc5s.core.replay import MemoryRecord
from prose_link.ue.build import build_node
from prose_link.ue.identity import Identity
from prose_link.ue.pdu_tap import PduTap
from prose_link.ue.recorder import Recorder
from security.identifiers import KeyRing, UidScheme
from security.kms.authority import Authority, MasterSecrets
from tests.benches.pc5s_bench import L2, A, B
from tests.doubles import udp_carrier


def plug_in(patch):
    point = SimpleNamespace(name="udp", value="udp_carrier:KIND", load=lambda: udp_carrier.KIND)
    others = metadata.entry_points
    patch.setattr(
        metadata, "entry_points", lambda **of: [point] if of.get("group") == ENTRY_POINT_GROUP else others(**of)
    )


def free_ports(number):
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def node_of(name, identity, l2_id, more, events):
    authority = Authority.found(
        MasterSecrets.from_demo_seed(7),
        uri=KMS_URI,
        uid_scheme=UidScheme.MONTHLY_TEL,
        key_period_s=30 * 86_400,
        key_period_offset_s=0,
        namespace=(NAMESPACE,),
    )
    period = authority.domain.period_of(LAB_UTC.timestamp() + NTP_EPOCH_OFFSET_S)
    config = UeConfig.model_validate(
        {
            "name": name,
            "identity": identity,
            "l2_id": l2_id,
            "utc_at_power_on": LAB_UTC,
            "sync": {"role": "reference"},
            "kms": {"url": "https://kms", "ticket": "ticket", "store": "store"},
            **more,
        }
    )
    who = Identity(
        uri=identity,
        key_ring=KeyRing([authority.domain], [authority.extract(identity, period)]),
        denied=frozenset(),
        discovery_keys=(),
        record=MemoryRecord(),
    )
    return build_node(config, who, EventStream(name, events.append), Recorder(0))


def test_whole_ues_do_it_from_their_configurations(monkeypatch):
    plug_in(monkeypatch)
    ports, events = free_ports(2), []
    a = node_of(
        "ue-a",
        A,
        L2[A],
        {
            "carriers": {"udp": {"port": ports[0], "peers": {B: ports[1]}}},
            "link": {"peers": [{"identity": B, "carrier": "udp"}]},
            "traffic": {"pings": 2, "push_octets": 2000},
        },
        events,
    )
    b = node_of("ue-b", B, L2[B], {"carriers": {"udp": {"port": ports[1]}}}, events)
    nodes = (a, b)
    for node in nodes:
        node.power_on()
    silence = np.zeros(a.sample_rate_hz // 1000, np.complex64)
    for n in range(4000):
        for node in nodes:
            node.step(silence, n * len(silence))
        if any(event.record()["event"] == "transfer-sent" for event in events):
            break
    for node in nodes:
        assert node.shut_down() == 0
    events = [event.record() for event in events]
    told = [(event["source"], event["event"]) for event in events]
    for source in ("ue-a", "ue-b"):
        assert (source, "link-established") in told and (source, "first-protected") in told
    assert told.count(("ue-a", "ping-reply")) == 2 and ("ue-b", "transfer-received") in told
    (connecting,) = [event for event in events if event["event"] == "connecting"]
    assert connecting["carrier"] == "udp" and connecting["peer_l2"] == 0
    pc5s = [event for event in events if event["event"] == "pdu-seen" and event["layer"] in ("pc5s", "ip", "pdcp")]
    assert {event["note"] for event in pc5s} == {"carrier udp"}


def test_a_carrier_that_can_not_be_opened_ends_the_start_and_leaves_no_socket(monkeypatch):
    plug_in(monkeypatch)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"\[carriers\]: UDP port {port}"):
            node_of("ue-a", A, L2[A], {"carriers": {"udp": {"port": port}}}, [])


def test_a_peer_is_called_by_a_carrier_that_there_is():
    with pytest.raises(ValueError, match=r"no \[carriers\.udp\]"):
        node_of("ue-a", A, L2[A], {"link": {"peers": [{"identity": B, "carrier": "udp"}]}}, [])


def test_pdu_seen_says_nothing_of_direct_radio():
    seen: list[PduSeen] = []
    PduTap(seen.append).signalling("tx", b"\x04\0\1", 1, 2, 28)
    assert [one.note for one in seen] == [""]
