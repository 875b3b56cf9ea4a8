"""Dishonest UEs: the same protocol code with keys or clocks that it should not have."""

from __future__ import annotations

from dataclasses import replace

from lab_scripts.demo.plan import IDENTITY_A, Fault
from lab_scripts.runs.lab_world import KMS_URI, NAMESPACE
from prose_link.config.ue import UeConfig
from prose_link.instant import Instant
from prose_link.pc5s.core.credentials import Credentials
from prose_link.pc5s.core.replay import MemoryRecord
from prose_link.randomness import random_bytes
from prose_link.ue.identity import Identity, identity_of
from security.device.store import KeyStore
from security.identifiers import KeyRing, UidScheme
from security.kms.authority import Authority, MasterSecrets


def dishonest_identity(fault: Fault, config: UeConfig, store: KeyStore) -> Identity:
    """The identity of a UE that mounts `fault`, instead of the one in its store."""
    if fault is Fault.UNPROVISIONED:
        return _made_up_keys(config)
    if fault is Fault.IMPOSTOR:
        return _another_name(store)
    return replace(identity_of(store), record=MemoryRecord())


def _made_up_keys(config: UeConfig) -> Identity:
    """Keys of a self-made KMS with the name of the lab's."""
    now = Instant(mono_s=0.0, utc_s=config.utc_s_at_power_on)
    return Identity(
        uri=config.identity,
        key_ring=_made_up_key_ring(config.identity, config.seed, now),
        record=MemoryRecord(),
        denied=frozenset(),
        discovery_keys=(),
    )


def made_up_credentials(identity: str, seed: int, now: Instant) -> Credentials:
    """Keys of another UE's identity from a self-made KMS with the name of the lab's; they are no secret."""
    chance = random_bytes(seed, "made-up keys", lab_deterministic=True)
    return Credentials(uri=identity, key_ring=_made_up_key_ring(identity, seed, now), random_bytes=chance)


def _made_up_key_ring(identity: str, seed: int, now: Instant) -> KeyRing:
    authority = Authority.found(
        MasterSecrets.from_demo_seed(seed + 1),
        uri=KMS_URI,
        uid_scheme=UidScheme.MONTHLY_TEL,
        key_period_s=0,
        key_period_offset_s=0,
        namespace=(NAMESPACE,),
    )
    keys = authority.extract(identity, authority.domain.period_of(now.ntp_s))
    return KeyRing([authority.domain], [keys])


def _another_name(store: KeyStore) -> Identity:
    """The UE's own keys under another UE's name."""
    own = identity_of(store)
    domains = own.key_ring.domains
    posing = [
        replace(keys, uri=IDENTITY_A, uid=domains[0].uid_for_period(IDENTITY_A, keys.key_period_no))
        for keys in own.key_ring.users
    ]
    return replace(own, uri=IDENTITY_A, key_ring=KeyRing(domains, posing))
