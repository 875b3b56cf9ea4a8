"""Discovery keys on their way from a KMS over TLS through sealed key stores to UEs that discover each other."""

import asyncio
import datetime as dt

import numpy as np
import pytest

from prose_link.config.ue import ConfigError, UeConfig
from prose_link.discovery.events import CodeDiscovered
from prose_link.instant import NTP_EPOCH_OFFSET_S, Instant
from prose_link.ue.discovery_setup import discovery_entity, renew_discovery_keys
from prose_link.ue.identity import identity_of
from security.device.kms_client import provision
from security.device.store import KeyStore
from security.identifiers import UidScheme
from security.kms.home import KmsHome, KmsPlan
from security.kms.operator_orders import EnrolmentOrder, enrol
from security.kms.server import KmsServer
from security.kms.service import Clocks
from tests.doubles.discovery_period import sent_in_period

POWER_ON = dt.datetime(2026, 3, 30, 12, tzinfo=dt.UTC)
"""Near the end of a month: keys of two periods are handed out."""
UTC_S = POWER_ON.timestamp()
CODE = "40414243" + "00" * 19
SETS = {"alice": ("chess-club", "0051ab"), "bob": ("chess-club",), "carol": ("0051ab",)}
IDENTITIES = {user: f"tel:+44770090000{number}" for number, user in enumerate(SETS)}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Each user's key store as it is found on the disk after one contact with the KMS."""
    folder = tmp_path_factory.mktemp("lab")

    async def provision_all():
        plan = KmsPlan(uri="kms.example", namespace=("tel:*",), uid_scheme=UidScheme.MONTHLY_TEL, demo_seed=7)
        home = KmsHome.found(folder / "kms", plan, passphrase_file=None, database_url=None, now=dt.datetime.now(dt.UTC))
        clocks = Clocks(wall=lambda: dt.datetime.now(dt.UTC), lab_ntp_s=lambda: int(UTC_S + NTP_EPOCH_OFFSET_S))
        service = home.unseal(passphrase_file=None, clocks=clocks)
        server = KmsServer(service, emit=lambda _: None)
        url = await server.start(host="127.0.0.1", port=0)
        try:
            for user, sets in SETS.items():
                order = EnrolmentOrder(user=user, identities=(IDENTITIES[user],), discovery_groups=sets)
                ticket = enrol(service, order)
                store = KeyStore.create(
                    folder / user, identity=IDENTITIES[user], passphrase=b"correct horse", now_ntp_s=0, log2_n=4
                )
                await provision(store, url=url, ca_pem=ticket.ca_pem.encode(), token=ticket.token)
        finally:
            await server.stop()
            home.database.close()
            service.database.close()

    asyncio.run(provision_all())
    return {
        user: KeyStore.open(folder / user, identity=identity, passphrase=b"correct horse", now_ntp_s=0)
        for user, identity in IDENTITIES.items()
    }


def configuration(user, **discovery):
    return UeConfig.model_validate(
        {
            "name": user,
            "identity": IDENTITIES[user],
            "l2_id": 0x5C1A00 + len(user),
            "utc_at_power_on": POWER_ON,
            "kms": {"url": "", "ticket": "t", "store": "s"},
            "discovery": {"group_id": 0x51AB, **discovery},
        }
    )


def entity(stores, user, **discovery):
    config = configuration(user, **discovery)
    identity = identity_of(stores[user])
    return discovery_entity(config, identity.key_ring, identity.discovery_keys, np.random.default_rng(1))


def code(role):
    return [{"role": role, "key_set": "chess-club", "code": CODE, "duck_mask": "ff" * 23}]


def test_a_code_under_keys_of_the_kms_is_discovered_in_this_period_and_the_next(stores):
    domain = stores["alice"].key_ring().domains[0]
    period_end_s = domain.period_bounds(domain.period_of(UTC_S + NTP_EPOCH_OFFSET_S))[1] - NTP_EPOCH_OFFSET_S
    on_air = set()
    for utc_s in (UTC_S, period_end_s - 1, period_end_s + 1):
        alice = entity(stores, "alice", announce=False, restricted=code("announce"))
        bob = entity(stores, "bob", announce=False, restricted=code("monitor"))
        now = Instant(1.0, utc_s)
        (sent,) = sent_in_period(alice, 18, now)
        bob.receive(sent.data, now)
        found = [event for event in iter(bob.next_event, None) if isinstance(event, CodeDiscovered)]
        assert [(event.code.hex(), event.verified) for event in found] == [(CODE, True)]
        on_air.add(sent.data[1:28])
    assert len(on_air) == 3


def test_discovery_goes_on_with_the_keys_of_a_later_contact(stores):
    """Held at power-on: the period's keys alone. Without the contact nothing is sent in the next one."""
    ring, keys = stores["alice"].key_ring(), stores["alice"].discovery_keys()
    domain = ring.domains[0]
    period = domain.period_of(UTC_S + NTP_EPOCH_OFFSET_S)
    first = tuple(one for one in keys if one.key_period_no == period)
    assert 0 < len(first) < len(keys)
    overlap_over_s = domain.period_bounds(period)[1] - NTP_EPOCH_OFFSET_S + domain.overlap_s() + 10
    later = Instant(1.0, overlap_over_s)
    config = configuration("alice", announce=False, restricted=code("announce"))
    alice = discovery_entity(config, ring, first, np.random.default_rng(1))
    assert not sent_in_period(alice, 18, later)
    renew_discovery_keys(alice, config, ring, keys)
    (sent,) = sent_in_period(alice, 18, later)
    monitor = configuration("bob", announce=False, restricted=code("monitor"))
    bob = discovery_entity(monitor, stores["bob"].key_ring(), first, np.random.default_rng(2))
    bob.receive(sent.data, later)
    assert not [event for event in iter(bob.next_event, None) if isinstance(event, CodeDiscovered)]
    renew_discovery_keys(bob, monitor, stores["bob"].key_ring(), stores["bob"].discovery_keys())
    bob.receive(sent.data, later)
    assert [event.code.hex() for event in iter(bob.next_event, None) if isinstance(event, CodeDiscovered)] == [CODE]


def test_who_was_not_enrolled_for_a_key_set_is_told_so_and_cant_take_part(stores):
    with pytest.raises(ConfigError, match=r"carol has no discovery keys of key set 'chess-club': .* those of 0051ab"):
        entity(stores, "carol", restricted=code("monitor"))
    assert {keys.group for keys in stores["carol"].discovery_keys()} == {"0051ab"}
