"""Two UEs run across the end of a key period: whole UEs over emulated radio, in virtual time.

Each starts with the keys of the old period alone, a few seconds before its end. The KMS is a double, but for the last
test: there it is a process of its own, reached over TLS.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab_scripts.events.reading import read_line
from lab_scripts.events.selection import events_of
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import CrowdPlan
from lab_scripts.runs.lab_world import DISCOVERY_GROUP
from lab_scripts.runs.nearby_kms import NearbyKms
from prose_link.instant import NTP_EPOCH_OFFSET_S
from prose_link.pc5s.core.events import ClockApartFromKms, LinkEstablished, LinkReleased, Rekeyed, RekeyFailed
from prose_link.ue.events import KeysNotRenewed, KeysRenewed
from prose_link.ue.identity import fetch_keys, identity_of, open_store
from prose_link.ue.key_renewal import key_renewal
from security.kms.events import KmsServing
from security.kms_wire.errors import KmsRefusal, KmsUnreachable
from security.kms_wire.protocol import Refusal

PERIOD_END = datetime(2026, 4, 1, tzinfo=UTC)
BEFORE_S = 2.5
"""From power-on to the end of the key period: the link stands by then."""
OLD, NEW = 1514, 1515
"""Months from 1900-01: March and April 2026."""


class AcrossTheEnd(CrowdPlan):
    """One link that stays, whose UEs are switched on shortly before the end of a key period."""

    def _pair_sections(self, name):
        sections = super()._pair_sections(name)
        return sections | {"traffic": {"pings": 1, "push_octets": 0, "release_when_done": False}}


class Lab:
    """A cell of two UEs, and the KMS that one or both renew their keys at."""

    def __init__(self, *, renewing: dict[str, float]) -> None:
        plan = AcrossTheEnd(seed=7, n_ues=2, group=False, folder=Path())
        on = {
            name: {"utc_at_power_on": PERIOD_END - timedelta(seconds=BEFORE_S), "stop_after_s": 20.0}
            for name in plan.names
        }
        keyed_at = PERIOD_END - timedelta(days=15)
        self.cell = Cell(plan, {}, changes_of=on, keyed_at=keyed_at)
        self.granted = plan.granted
        self.kms = NearbyKms(self.cell.authority, lambda: self.cell.node("ue-a").now.ntp_s)
        for name, first_wait_s in renewing.items():
            renewal = self.kms.renewal(
                self.cell.identity(name), key_sets=(f"{DISCOVERY_GROUP:06x}",), first_wait_s=first_wait_s
            )
            self.cell.renew(name, renewal)

    def of(self, kind, source=None):
        return events_of(self.cell.events, kind, source)

    def seconds_after_the_end(self, event):
        return event.utc_ns / 1e9 - PERIOD_END.timestamp()


def rekeyed_at_both(lab):
    return lambda _events: {one.source for one in lab.of(Rekeyed)} == {"ue-a", "ue-b"}


def assert_link_goes_on(lab):
    rekeyed = lab.of(Rekeyed)
    assert {one.source for one in rekeyed} == {"ue-a", "ue-b"} and all(one.event.new_kd for one in rekeyed)
    assert not lab.of(LinkReleased) and len(lab.of(LinkEstablished)) == 2
    assert {one.event.kd_sess_id for one in rekeyed}.isdisjoint(one.event.kd_sess_id for one in lab.of(LinkEstablished))


def test_keys_fetched_in_time_carry_the_link_across_the_end_of_the_period():
    lab = Lab(renewing={"ue-a": 1.0, "ue-b": 1.2})
    lab.cell.run(6.0, rekeyed_at_both(lab))
    for name in ("ue-a", "ue-b"):
        (renewed,) = lab.of(KeysRenewed, name)
        assert renewed.event.key_periods == (OLD, NEW) and lab.seconds_after_the_end(renewed) < 0
    assert_link_goes_on(lab)
    assert all(lab.seconds_after_the_end(one) >= 0 for one in lab.of(Rekeyed))
    assert len(lab.kms.contacts) == 2


def test_keys_that_come_late_still_renew_the_link():
    lab = Lab(renewing={"ue-a": BEFORE_S + 0.6, "ue-b": BEFORE_S + 0.6})
    lab.cell.run(8.0, rekeyed_at_both(lab))
    assert lab.of(RekeyFailed) and lab.seconds_after_the_end(lab.of(RekeyFailed)[0]) >= 0
    assert all(lab.seconds_after_the_end(one) > 0 for one in lab.of(KeysRenewed))
    assert_link_goes_on(lab)


def test_without_renewal_there_is_no_new_key():
    lab = Lab(renewing={})
    lab.cell.run(5.0)
    assert lab.of(LinkEstablished) and lab.of(RekeyFailed) and not lab.of(Rekeyed)


@pytest.mark.parametrize(
    ("failure", "again_after_s"),
    [(KmsUnreachable("away"), 60.0), (KmsRefusal(Refusal.IDENTITY_REVOKED, "revoked"), None)],
)
def test_a_failed_contact_is_told_and_the_link_stays(failure, again_after_s):
    lab = Lab(renewing={"ue-a": 0.1})
    lab.kms.failures.append(failure)
    lab.cell.run(2.4, lambda _events: len(lab.of(LinkEstablished)) == 2)
    (told,) = lab.of(KeysNotRenewed)
    assert (told.event.why, told.event.again_after_s) == (str(failure), again_after_s)
    assert len(lab.of(LinkEstablished)) == 2 and not lab.of(KeysRenewed)


def test_whom_the_kms_denies_or_no_longer_lets_link_is_dropped_at_the_contact():
    for change in ({"denied": True}, {"peers": True}):
        lab = Lab(renewing={"ue-a": 2.0})
        if "denied" in change:
            lab.kms.denied = (lab.granted["ue-b"],)
        else:
            lab.kms.peers = ("tel:+447700900042",)
        lab.cell.run(2.3, lambda _events, lab=lab: bool(lab.of(LinkReleased, "ue-a")))
        (released,) = lab.of(LinkReleased, "ue-a")
        assert ("deny list" if "denied" in change else "no longer allows") in released.event.why


def test_a_kms_whose_clock_differs_is_told_by_the_running_ue():
    lab = Lab(renewing={})
    far = NearbyKms(lab.cell.authority, lambda: PERIOD_END.timestamp() + NTP_EPOCH_OFFSET_S + 400)
    lab.cell.renew("ue-a", far.renewal(lab.cell.identity("ue-a"), key_sets=(), first_wait_s=0.1))
    lab.cell.run(0.3)
    (apart,) = lab.of(ClockApartFromKms)
    assert apart.event.kms_ntp_s - apart.event.now_ntp_s > 300


PC5LAB = (sys.executable, "-m", "lab_scripts.cli.main")
SHORTEST_PERIOD_S = 60


def order(*words):
    subprocess.run([*PC5LAB, *words], check=True, capture_output=True, timeout=300)


@contextlib.contextmanager
def kms_at(folder, moment, port=0):
    """A KMS process whose clock stands at a moment; its URL."""
    utc = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    command = [*PC5LAB, "kms", "serve", str(folder), "--fixed-utc", utc, "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        serving = read_line(process.stdout.readline()).event
        assert isinstance(serving, KmsServing)
        yield serving.url
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_a_real_kms_gives_running_ues_the_keys_of_the_next_period(tmp_path):
    """Its key periods last a minute. It was away when the UEs started, so that they ask again soon."""
    home, identities = tmp_path / "kms", AcrossTheEnd(seed=7, n_ues=2, group=False, folder=tmp_path).granted
    group = f"0x{DISCOVERY_GROUP:06X}"
    order("kms", "init", str(home), "--demo-seed", "7", "--key-period-s", str(SHORTEST_PERIOD_S))
    for name, identity in identities.items():
        ticket = str(tmp_path / f"{name}.ticket")
        order("kms", "enrol", str(home), name, "--identity", identity, "--discovery-group", group, "--out", ticket)
    stores, renewals = {}, {}

    def enrolled(config):
        store = stores[config.name] = open_store(config, config.utc_s_at_power_on + NTP_EPOCH_OFFSET_S)
        fetch_keys(config, store)
        assert len(store.key_ring().users) == 1
        renewals[config.name] = key_renewal(config, store, KmsUnreachable("away at power-on"))
        return identity_of(store)

    def section(name, url):
        kms = {"url": url, "ticket": tmp_path / f"{name}.ticket", "store": tmp_path / "stores" / name}
        return {"kms": kms, "utc_at_power_on": PERIOD_END - timedelta(seconds=BEFORE_S), "stop_after_s": 20.0}

    with kms_at(home, PERIOD_END - timedelta(seconds=50)) as url:
        plan = AcrossTheEnd(seed=7, n_ues=2, group=False, folder=tmp_path)
        of_each = {name: section(name, url) for name in plan.names}
        cell = Cell(plan, {}, changes_of=of_each, identity_of=enrolled)
    for name, renewal in renewals.items():
        cell.renew(name, renewal)

    def told(kind):
        return events_of(cell.events, kind)

    with kms_at(home, PERIOD_END - timedelta(seconds=2), port=int(url.rpartition(":")[2])):
        cell.run(8.0, lambda _events: {one.source for one in told(Rekeyed)} == set(identities))
    assert {one.source for one in told(KeysRenewed)} == set(identities) and not told(KeysNotRenewed)
    assert all(len(one.event.key_periods) == 2 for one in told(KeysRenewed))
    assert all(len(store.key_ring().users) == 2 for store in stores.values())
    assert {one.source for one in told(Rekeyed)} == set(identities) and all(one.event.new_kd for one in told(Rekeyed))
    assert not told(LinkReleased)
