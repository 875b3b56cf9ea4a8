"""Many UEs in one cell of air in one process: whole UEs, emulated radio, virtual time, one thread.

A cell joins the same nodes and the same emulated air as the processes of a run, without sockets. A KMS authority of its
own gives every UE its keys. Virtual time advances in blocks of 1 ms. In each round every UE takes as many subframes as
it has received completely, and its bursts go on the air; then the air mixes the next block and gives each UE its
samples. The lock-step rule of `LockStepClock` says up to where a UE's transmission is complete; a UE that breaks it
would stop the air, which is an error here. The same seed repeats a run bit for bit. Tests may change configurations,
keys and nodes, and may put attackers between the antennas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from lab_scripts.events.selection import AnyEvent
from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.runs.lab_world import DISCOVERY_GROUP, KMS_URI, LAB_UTC, NAMESPACE
from lab_scripts.runs.plan import RunPlan, scenario_of
from prose_link.config.ue import UeConfig
from prose_link.event_stream import EventStream
from prose_link.instant import NTP_EPOCH_OFFSET_S
from prose_link.pc5s.core.replay import MemoryRecord
from prose_link.ue.build import AccessMaker, build_node
from prose_link.ue.identity import Identity, keys_of_member
from prose_link.ue.key_renewal import KeyRenewal
from prose_link.ue.node import Node
from prose_link.ue.recorder import Recorder
from prose_link.userplane.packet_interface import PacketInterface
from radio.access.phy_port import PhyMaker
from radio.emulator.actions import OverTheAirAction
from radio.emulator.air import Air
from radio.emulator.lock_step import LockStepClock
from radio.emulator.scenario import Scenario
from security.identifiers import KeyRing, UidScheme
from security.kms.authority import Authority, MasterSecrets

_MONTH_S: Final = 30 * 86_400
"""Nominal value: the monthly scheme uses calendar months."""


@dataclass(slots=True, kw_only=True)
class _Station:
    node: Node
    clock: LockStepClock
    identity: Identity
    renewal: KeyRenewal | None = None
    on: bool = True


class Cell:
    """The UEs of a plan with keys of an own KMS; `events` has all their events, in order of air time."""

    def __init__(
        self,
        plan: RunPlan,
        changes: Mapping[str, Mapping[str, Any]],
        *,
        changes_of: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
        key_sets_of: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
        keyed_at: datetime = LAB_UTC,
        identity_of: Callable[[UeConfig], Identity] | None = None,
        node_types: Mapping[str, type[Node]] = MappingProxyType({}),
        actions: Sequence[OverTheAirAction] = (),
        interface_of: Callable[[UeConfig], PacketInterface | None] = lambda _: None,
    ) -> None:
        """Give every UE its keys.

        Args:
            plan: the UEs, their places, and their tasks.
            changes: section -> keys that differ from the plan's configuration, for every UE.
            changes_of: UE -> key or section -> values that differ for this UE only.
            key_sets_of: UE -> the discovery groups whose keys it has, if not the plan's one.
            keyed_at: time at which every UE got its keys; they are those of that key period.
            identity_of: gives a UE its keys, if they don't come from the cell's own KMS.
            node_types: UE -> the node that joins its layers, if it breaks the rules.
            actions: the third parties between the antennas.
            interface_of: gives a UE the interface of its packets, or None: the one of its configuration.
        """
        scenario = scenario_of(plan)
        authority = self.authority = Authority.found(
            MasterSecrets.from_demo_seed(plan.seed),
            uri=KMS_URI,
            uid_scheme=UidScheme.MONTHLY_TEL,
            key_period_s=_MONTH_S,
            key_period_offset_s=0,
            namespace=(NAMESPACE,),
        )
        self.events: list[AnyEvent] = []
        self._block = scenario.block_samples
        self._open_air(scenario, actions)
        self._stations: dict[str, _Station] = {}
        for name in plan.names:
            power_on_s = scenario.ue(name).power_on_sample / scenario.sample_rate_hz
            document = plan.ue_config(name, kms_url="", ticket=Path(), air="", power_on_s=power_on_s)
            for name_of, value in (*changes.items(), *changes_of.get(name, {}).items()):
                document[name_of] = {**document.get(name_of, {}), **value} if isinstance(value, Mapping) else value
            key_sets = key_sets_of.get(name, (f"{DISCOVERY_GROUP:06x}",))
            config = UeConfig.model_validate(document)
            identity = identity_of(config) if identity_of else _identity(config, authority, key_sets, keyed_at)
            stream, node_type = EventStream(config.name, self.events.append), node_types.get(name, Node)
            node = build_node(
                config,
                identity,
                stream,
                Recorder(0),
                node_type=node_type,
                interface=interface_of(config),
                phy_of=self._phy_of(name),
                access_of=self._access_of(name),
            )
            clock = LockStepClock(self._block, scenario.tx_lead_blocks)
            self._declare_complete(name, clock.complete_to)
            self._stations[name] = _Station(node=node, clock=clock, identity=identity)

    def _open_air(self, scenario: Scenario, actions: Sequence[OverTheAirAction]) -> None:
        self._air = Air(scenario, actions=actions)

    def _declare_complete(self, name: str, sample: int) -> None:
        self._air.declare_complete(name, sample)

    def _phy_of(self, name: str) -> PhyMaker | None:  # noqa: ARG002 - all UEs alike
        """Makes the PHY of a UE; None for the one over samples."""
        return None

    def _access_of(self, name: str) -> AccessMaker | None:  # noqa: ARG002 - all UEs alike
        """Makes the access of a UE; None for LTE."""
        return None

    def node(self, name: str) -> Node:
        """One of the UEs, for a test to manipulate."""
        return self._stations[name].node

    def identity(self, name: str) -> Identity:
        """The identity that one of the UEs got at the start."""
        return self._stations[name].identity

    def renew(self, name: str, renewal: KeyRenewal) -> None:
        """Keep the keys of a UE fresh: `renewal` is called before each of its steps."""
        self._stations[name].renewal = renewal

    def run(self, for_s: float, until: Callable[[list[AnyEvent]], bool] = lambda _: False) -> None:
        """Let `for_s` of air time pass, or less: until every UE is off, or `until` returns True.

        It is called every 40 ms. Raises LabError if the radios wait for each other.
        """
        for station in self._stations.values():
            station.node.power_on()
        for block in range(round(for_s * 1000)):
            for name, station in self._stations.items():
                while station.on and self._step(name, station):
                    pass
            if not any(station.on for station in self._stations.values()):
                break
            if block % 40 == 0 and until(self.events):
                break
            if self._air.waiting_for():
                raise LabError(f"the air waits for {', '.join(self._air.waiting_for())}", code=ExitCode.BUG)
            for heard in self._air.mix():
                self._stations[heard.ue].clock.push(heard.iq)
        self._air.close()

    def _step(self, name: str, station: _Station) -> bool:
        """Let a UE take its next subframe, if it has been heard whole; what it sends goes on the air."""
        clock = station.clock
        end = clock.position + self._block
        available = min(end, clock.position + clock.n_buffered)
        self._air.declare_complete(name, clock.advance_to(max(clock.position, min(available, end - 1))))
        if available < end:
            return False
        if station.renewal is not None:
            station.renewal.step(station.node)
        for burst, first_sample in station.node.step(*clock.pull(self._block)):
            self._air.write(name, first_sample, burst)
        if station.node.done:
            station.on = False
            station.node.shut_down()
            self._air.switch_off(name)
        return True


def _identity(config: UeConfig, authority: Authority, key_sets: tuple[str, ...], keyed_at: datetime) -> Identity:
    """The identity of a UE with the keys of one period from its KMS."""
    period = authority.domain.period_of(keyed_at.timestamp() + NTP_EPOCH_OFFSET_S)
    users = [authority.extract(config.identity, period)]
    if config.group is not None:
        users.append(keys_of_member(authority.group_key(config.group.identity, period)))
    return Identity(
        uri=config.identity,
        key_ring=KeyRing([authority.domain], users),
        record=MemoryRecord(),
        denied=frozenset(),
        discovery_keys=tuple(authority.discovery_keys(key_set, period) for key_set in key_sets),
    )
