"""Builds one UE from its configuration: keys from the KMS, layers, and its radio.

Each layer gets all that it uses as arguments; none finds another one by itself. So what a layer uses is made before it:

1. Tables for the keys' arithmetic, and the preconfiguration. Its pools must suit the radio's bandwidth, and the timers
   the pools' SC period, so that a UE that could not work doesn't start.
2. Credentials and signalling (PC5-S), which need no radio.
3. Clock, tap, and PDCP over the keys that signalling makes.
4. The access (the LTE sidelink, or a model of it), then direct radio above it, and the other carriers.
5. Discovery, synchronisation, user plane and the part in a group.
6. The node, which joins them.

A layer that needs one answer of another gets a function for it: PDCP finds its keys by one of signalling, the access
asks PDCP for the layer-2 id from which it sends to groups. So no layer knows the node.

Randomness has two sources. Secrets come from the system, unless the lab's configuration asks for a seed. All other
choices (resources, back-off, content) come from generators that are seeded by the run's seed, the UE's name and the
purpose. Each layer has its own, so that one more draw in one layer changes nothing in another, and a run can be
repeated.

The optional arguments of `build_node` replace a part by a model, for tests and for demonstrations of attacks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from prose_link.carriers.direct import Direct
from prose_link.config.preconfiguration import load_pools, load_preconfiguration, sync_parameters_of
from prose_link.config.ue import ConfigError, UeConfig
from prose_link.event_stream import EventStream
from prose_link.pc5s.core.credentials import Credentials
from prose_link.pc5s.core.group_config import AfterRestart, GroupConfig
from prose_link.pc5s.core.shared import KeyLog, Pc5sConfig
from prose_link.pc5s.core.timers import TimerError, TimerValues
from prose_link.pc5s.entity import Pc5sEntity
from prose_link.pc5s.wire.messages import IpAddressConfig
from prose_link.randomness import generator, random_bytes
from prose_link.sync.driver import FixedRole, SyncDriver
from prose_link.sync.entity import SyncEntity, SyncTimes
from prose_link.ue.carriers import open_carriers
from prose_link.ue.clock import UeClock
from prose_link.ue.discovery_setup import discovery_entity
from prose_link.ue.group_protector import OneToManyProtector
from prose_link.ue.group_role import GroupRole, keying_mode
from prose_link.ue.identity import Identity, prepare_tables
from prose_link.ue.link_protector import LinkProtector
from prose_link.ue.node import Node
from prose_link.ue.parts import NodeParts
from prose_link.ue.pdu_tap import PduTap
from prose_link.ue.phone_book import PhoneBook
from prose_link.ue.recorder import Recorder
from prose_link.userplane.addresses import own_addresses
from prose_link.userplane.group_messages import GroupEndpoint
from prose_link.userplane.packet_interface import PacketInterface
from prose_link.userplane.sessions import UserPlane
from prose_link.userplane.tun import TunConfig, TunInterface
from radio.access.lte import LteSettings, LteSidelink
from radio.access.phy_port import PhyMaker
from radio.access.protocol import SidelinkAccess
from radio.l2.pdcp import SduType
from radio.l2.pdcp_entity import PdcpEntity
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.pools.mode2 import SidelinkPools

_CARRIED = (SduType.IP, SduType.PC5_SIGNALLING, SduType.HEARING_REPORT)
"""The user plane is IP: there is no interface that ARP or other frames could come out of."""
_PERTURBATION_OCTETS = 16
_LINK_LOCAL_ONLY = IpAddressConfig.NOT_SUPPORTED


AccessMaker: TypeAlias = Callable[[SidelinkPools, int], SidelinkAccess]
"""(pools, own layer-2 id) -> an access."""


def build_node(
    config: UeConfig,
    identity: Identity,
    stream: EventStream,
    recorder: Recorder,
    key_log: KeyLog | None = None,
    *,
    node_type: type[Node] = Node,
    interface: PacketInterface | None = None,
    phy_of: PhyMaker | None = None,
    access_of: AccessMaker | None = None,
) -> Node:
    """A UE ready to be switched on.

    Args:
        config: the UE's configuration.
        identity: its identity and keys.
        stream: takes its events.
        recorder: takes samples and symbols.
        key_log: called with the keys of every context, if the user wants to decipher captures.
        interface: where the packets of the user plane come from and go to, if not as `[userplane]` says.
        node_type: the class that joins the layers; tests and demonstrations of attacks pass nodes that break the rules.
        phy_of: makes the model of a PHY that replaces the real one.
        access_of: makes the model of a whole access that replaces the real one.

    Raises:
        ConfigError: the preconfiguration cannot be used, a carrier can't be opened, or the KMS gave no keys of a code
            set.
        security.errors.SecurityError: no KMS speaks for the identity.
    """
    prepare_tables(identity.key_ring.domains, identity.key_ring.users)
    pools = load_pools(Path(config.preconfiguration))
    if pools.n_prb != config.radio.n_prb:
        raise ConfigError(f"{config.preconfiguration} is for {pools.n_prb} PRB, the radio for {config.radio.n_prb}")
    timers = _timers(config, pools.comm[0].sc_period)
    secrets = random_bytes(config.seed, config.name, lab_deterministic=config.lab_deterministic)
    credentials = Credentials(
        uri=identity.uri,
        key_ring=identity.key_ring,
        random_bytes=secrets,
        denied=identity.denied,
        granted=identity.peers,
    )
    pc5s = Pc5sEntity(
        _link_config(config, identity, timers, key_log),
        credentials,
        identity.record,
        secrets,
        chance=generator(config.seed, config.name, "link").bytes,
    )
    carrier = Carrier(pools.n_prb, pools.comm[0].cp)
    clock = UeClock(carrier.sample_rate_hz, config.utc_s_at_power_on, config.clock_error_s)
    tap = PduTap(lambda pdu: stream.emit(pdu, clock.now))
    protector = LinkProtector(pc5s.context, lambda command: pc5s.make_context_from(command, clock.own))
    pdcp = PdcpEntity(
        config.l2_id,
        protector,
        OneToManyProtector(pc5s.groups.traffic) if config.group else None,
        carried=_CARRIED,
        observer=tap.layer_2,
    )
    access: SidelinkAccess = (
        access_of(pools, config.l2_id)
        if access_of is not None
        else LteSidelink(
            pools,
            LteSettings(
                own_l2_id=config.l2_id,
                listen_l2_ids=_own_l2_ids(config),
                tx_lead_subframes=config.radio.tx_lead_subframes,
                judged_above=config.sync.role == "auto",
                layer_2=config.layer2.config_of_layer_2(config.queues.rule.pppp_by_lcid()),
                mode_2=config.layer2.config(),
            ),
            generator(config.seed, config.name, "layer 2"),
            group_sender=lambda: pdcp.group_sender_l2,
            observer=tap.layer_2,
            on_symbols=recorder.take_symbols,
            phy_of=phy_of,
        )
    )
    if config.group is not None:
        pdcp.join_group(config.group.l2_id)
        access.join_group(config.group.l2_id)
    direct = Direct(access, timers.direct)
    phone_book = PhoneBook(config, identity.numbers, identity.key_ring)
    parts = NodeParts(
        clock=clock,
        access=access,
        direct=direct,
        carriers=open_carriers(config, timers, direct, clock, phone_book, stream),
        pdcp=pdcp,
        protector=protector,
        tap=tap,
        pc5s=pc5s,
        credentials=credentials,
        discovery=discovery_entity(
            config, identity.key_ring, identity.discovery_keys, generator(config.seed, config.name, "discovery")
        ),
        sync=SyncDriver(access, pools, _sync_role(config, carrier)),
        user_plane=_user_plane(config, phone_book, interface),
        queues=config.queues.to_settings(config.userplane.mtu, _perturbation(config)),
        phone_book=phone_book,
        group=_group_role(config, pc5s),
    )
    return node_type(
        config,
        parts,
        stream,
        recorder,
        kms_ntp_s=identity.kms_ntp_s,
        refused_statements=identity.refused_statements,
    )


def _perturbation(config: UeConfig) -> bytes:
    return generator(config.seed, config.name, "flows").bytes(_PERTURBATION_OCTETS)


def _user_plane(config: UeConfig, phone_book: PhoneBook, interface: PacketInterface | None) -> UserPlane:
    section = config.userplane
    own = own_addresses(config.l2_id, ipv4=section.ipv4)
    if interface is None and section.kind == "tun":
        interface = TunInterface(TunConfig(name=section.interface, netns=section.netns, mtu=section.mtu), own)
    return UserPlane(
        own,
        lambda peer: phone_book.traffic_with(peer).plan,
        generator(config.seed, config.name, "content").bytes(_most_pushed(config)),
        transfer_id=config.l2_id & 0xFFFF,
        utc_at_power_on_s=config.utc_s_at_power_on,
        interface=interface,
    )


def _most_pushed(config: UeConfig) -> int:
    peers = (peer.traffic(config.traffic) for peer in config.link.called)
    return max(plan.push_octets for plan in (config.traffic, *peers))


def _own_l2_ids(config: UeConfig) -> tuple[int, ...]:
    return (config.l2_id, config.group.l2_id) if config.group else (config.l2_id,)


def _group_role(config: UeConfig, pc5s: Pc5sEntity) -> GroupRole | None:
    section = config.group
    if section is None:
        return None
    own = own_addresses(config.l2_id, ipv4=False).link_local
    endpoint = GroupEndpoint(own, section.multicast, copies=section.copies, every_s=section.copy_every_s)
    talk = generator(config.seed, config.name, "group talk")
    return GroupRole(section, pc5s.groups, endpoint, config.identity, talk)


def _group_configs(config: UeConfig) -> tuple[GroupConfig, ...]:
    section = config.group
    if section is None:
        return ()
    founding = (entry.identity for entry in section.members if not entry.joins_late)
    return (
        GroupConfig(
            identity=section.identity,
            l2_id=section.l2_id,
            keyers=section.keyers,
            members=tuple(identity for identity in founding if identity != config.identity),
            eea=section.eea,
            mode=keying_mode(section),
            backward_secrecy=section.backward_secrecy,
            lifetime_s=section.lifetime_s,
            asks=section.asks,
            restart=AfterRestart(section.restart),
            speak_unsure=section.speak_unsure,
            deliver_when_heard=section.deliver_when_heard,
            deferred_delivery=section.deferred_delivery,
        ),
    )


def _sync_role(config: UeConfig, carrier: Carrier) -> FixedRole | SyncEntity:
    sync = config.sync
    if sync.role != "auto":
        return FixedRole(role=sync.role, n_sl_id=sync.n_sl_id, in_coverage=sync.in_coverage)
    return SyncEntity(
        sync_parameters_of(
            load_preconfiguration(Path(config.preconfiguration)).sync, lowest_id_wins=sync.lowest_id_wins
        ),
        SyncTimes(listen_s=sync.listen_s, scan_every_s=sync.scan_every_s),
        generator(config.seed, config.name, "synchronisation"),
        n_prb=carrier.n_prb,
        rx_reference_dbm=config.radio.rx_reference_dbm,
        sample_rate_hz=carrier.sample_rate_hz,
    )


def _timers(config: UeConfig, sc_period_ms: int) -> TimerValues:
    """The UE's timers. Raises ConfigError if they don't suit the pool's SC period."""
    try:
        values = config.timers.to_values(sc_period_ms)
        values.check_against(sc_period_ms)
        values.check_inactivity(config.timers.t4108_s)
    except TimerError as error:
        raise ConfigError(f"[timers] and {config.preconfiguration} do not fit: {error}") from error
    return values


def _link_config(config: UeConfig, identity: Identity, timers: TimerValues, key_log: KeyLog | None) -> Pc5sConfig:
    allocation = IpAddressConfig.DHCPV4_SERVER_AND_IPV6_ROUTER if config.userplane.ipv4 else _LINK_LOCAL_ONLY
    return Pc5sConfig(
        l2_id=config.l2_id,
        ip_address_config=allocation,
        link_local=own_addresses(config.l2_id, ipv4=False).link_local.packed,
        maximum_inactivity_period_s=config.timers.t4108_s,
        policy=config.link.to_policy(),
        timers=timers,
        kd_age_s=config.timers.kd_age_s,
        reject_unverified=config.link.reject_unverified,
        refuses_mismatch=config.link.carrier_mismatch == "refuse",
        verify_per_s=config.link.verify_per_s,
        key_log=key_log,
        groups=_group_configs(config),
        marks_lost_at_ntp_s=identity.marks_lost_at_ntp_s,
        require_kms=config.time.requirement,
    )
