"""What grants, groups, revocation and trust between KMSs bring a user, day by day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from security import sakke
from security.device.provisioning import check_group_key, check_provisioning
from security.device.store import KeyStore
from security.held_keys import Grant, Use
from security.kms.authority import periods_granted
from security.kms.operator_orders import (
    EnrolmentOrder,
    add_to_discovery_group,
    add_to_group,
    enrol,
    remove_from_discovery_group,
    remove_from_group,
    revoke_identity,
    revoke_user,
    trust_domain,
)
from security.kms.service import KeyOrder
from security.kms_wire.errors import KeySetRejected, KmsConfigError, KmsRefusal
from security.kms_wire.protocol import MAX_DENIED

ALICE, BOB, TEAM = "tel:+447700900001", "tel:+447700900002", "tel:+447700909999"
MakeKms = Callable[..., Any]


def day(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def test_uses_and_end_of_a_grant_reach_the_key_store(make_kms: MakeKms, tmp_path: Path) -> None:
    kms = make_kms()
    end = kms.ntp_s() + 86_400
    alice = kms.enrol("alice", ALICE, uses=frozenset({Use.ONE_TO_ONE, Use.OUT_OF_COVERAGE}), not_after_ntp_s=end)
    parameters = kms.service.parameters(alice.fingerprint)
    got = check_provisioning(parameters, kms.keys("alice", ALICE), uri=ALICE)
    store = KeyStore.create(
        tmp_path / "ue", identity=ALICE, passphrase=b"correct horse", now_ntp_s=kms.ntp_s(), log2_n=4
    )
    store.keep(got)
    again = KeyStore.open(tmp_path / "ue", identity=ALICE, passphrase=b"correct horse", now_ntp_s=kms.ntp_s())
    assert again.may_use(Use.ONE_TO_ONE, now_ntp_s=end - 1)
    assert again.may_use(Use.OUT_OF_COVERAGE, now_ntp_s=end - 1)
    assert not again.may_use(Use.ONE_TO_ONE, now_ntp_s=end)
    assert not again.may_use(Use.GROUP, now_ntp_s=end - 1)


def test_each_authorised_member_gets_the_groups_key_and_nobody_else(make_kms: MakeKms) -> None:
    kms = make_kms()
    for user, uri in (("alice", ALICE), ("bob", BOB)):
        kms.enrol(user, uri)
    add_to_group(kms.service, TEAM, (ALICE,))
    (mine,) = kms.keys("alice", ALICE).group_keys
    assert (mine.group_uri, kms.keys("bob", BOB).group_keys) == (TEAM, ())
    sed = sakke.encapsulate(bytes(16), bytes.fromhex(mine.uid), kms.service.authority.domain.z)
    z = kms.service.authority.domain.z
    assert sakke.decapsulate(sed, rsk=bytes.fromhex(mine.rsk), uid=bytes.fromhex(mine.uid), z=z) == bytes(16)
    add_to_group(kms.service, TEAM, (BOB,))
    assert kms.keys("bob", BOB).group_keys == (mine,)
    remove_from_group(kms.service, TEAM, (ALICE,))
    assert kms.keys("alice", ALICE).group_keys == ()


def test_a_group_key_needs_the_use_and_a_group_that_is_not_revoked(make_kms: MakeKms) -> None:
    kms = make_kms()
    kms.enrol("alice", ALICE, uses=frozenset({Use.ONE_TO_ONE}))
    kms.enrol("bob", BOB)
    add_to_group(kms.service, TEAM, (ALICE, BOB))
    assert kms.keys("alice", ALICE).group_keys == ()
    assert len(kms.keys("bob", BOB).group_keys) == 1
    revoke_identity(kms.service, TEAM)
    assert kms.keys("bob", BOB).group_keys == ()


def test_nobody_can_become_the_group_nor_the_group_somebody(make_kms: MakeKms) -> None:
    kms = make_kms()
    kms.enrol("alice", ALICE)
    add_to_group(kms.service, TEAM, (ALICE,))
    with pytest.raises(KmsConfigError, match="group's identity"):
        enrol(kms.service, EnrolmentOrder(user="mallory", identities=(TEAM,)))
    with pytest.raises(KmsConfigError, match="user's identity"):
        add_to_group(kms.service, ALICE, (BOB,))
    with pytest.raises(KmsConfigError, match="no member"):
        remove_from_group(kms.service, TEAM, (BOB,))
    with pytest.raises(KmsConfigError, match="namespace"):
        add_to_group(kms.service, "tel:+1", (BOB,))


def test_group_keys_are_checked_on_receipt_and_kept_two_periods(make_kms: MakeKms, tmp_path: Path) -> None:
    kms = make_kms(at=day("2026-03-30"))
    alice = kms.enrol("alice", ALICE)
    add_to_group(kms.service, TEAM, (ALICE,))
    answer = kms.keys("alice", ALICE)
    first, second = answer.group_keys
    assert second.key_period_no == first.key_period_no + 1
    got = check_provisioning(kms.service.parameters(alice.fingerprint), answer, uri=ALICE)
    store = KeyStore.create(tmp_path / "ue", identity=ALICE, passphrase=b"correct horse", now_ntp_s=1, log2_n=4)
    store.keep(got)
    assert [key.rsk.hex() for key in store.group_keys()] == [first.rsk, second.rsk]
    for forged in (first.model_copy(update={"rsk": second.rsk}), first.model_copy(update={"group_uri": BOB})):
        with pytest.raises(KeySetRejected):
            check_group_key(forged, domain=kms.service.authority.domain)
    with pytest.raises(KeySetRejected, match="does not speak for"):
        check_group_key(first.model_copy(update={"group_uri": "tel:+1"}), domain=kms.service.authority.domain)


def test_the_deny_list_forgets_who_has_no_living_keys_but_the_kms_does_not(make_kms: MakeKms) -> None:
    kms = make_kms(at=day("2026-03-15"))
    kms.enrol("alice", ALICE)
    kms.enrol("bob", BOB)
    revoke_identity(kms.service, ALICE)
    for date, listed in (
        ("2026-03-15", (ALICE,)),
        ("2026-04-02T23:59:59", (ALICE,)),
        ("2026-04-03", ()),
        ("2027-01-01", ()),
    ):
        kms.at = day(date)
        assert kms.keys("bob", BOB).deny_list == listed, date
        with pytest.raises(KmsRefusal, match="revoked"):
            kms.keys("alice", ALICE)


def test_a_year_of_days_brings_every_month_in_time_and_never_three(make_kms: MakeKms) -> None:
    kms = make_kms(at=day("2026-01-01"))
    domain, grant = kms.service.authority.domain, Grant(uri=ALICE)
    held: set[int] = set()
    for number in range(366):
        now = kms.ntp_s() + number * 86_400 + 7 * 3600
        periods = periods_granted(domain, grant, now)
        assert len(periods) <= 2
        held |= set(periods)
        assert domain.period_of(now + domain.overlap_s()) in held
    kms.enrol("alice", ALICE)
    for date, months in (("2026-12-15", [1523]), ("2026-12-30", [1523, 1524]), ("2027-01-02T23:59", [1523, 1524])):
        kms.at = day(date)
        assert [keys.key_period_no for keys in kms.keys("alice", ALICE).key_sets] == months


def test_many_orders_at_once_each_get_their_own_answer(make_kms: MakeKms) -> None:
    kms = make_kms()
    for number in range(5):
        kms.enrol(f"user{number}", f"tel:+4477009001{number}", discovery_groups=(str(number),))
    revoke_identity(kms.service, "tel:+44770090012")
    orders = [
        KeyOrder(fingerprint=kms.users[f"user{number}"].fingerprint, uri=f"tel:+4477009001{asked}")
        for number, asked in ((0, 0), (1, 0), (2, 2), (3, 3), (4, 4))
    ]
    orders.append(KeyOrder(fingerprint="00" * 32, uri=ALICE))
    orders.append(KeyOrder(fingerprint=orders[0].fingerprint, uri=orders[0].uri, period_no=1))
    before = len(kms.actions())
    answers = kms.service.issue(orders)
    assert [getattr(answer, "code", None) or answer.discovery_keys[0].group for answer in answers] == [
        "0",
        "not-authorised",
        "identity-revoked",
        "3",
        "4",
        "certificate-unknown",
        "not-authorised",
    ]
    assert kms.actions()[before:] == ["extract"] * 3
    assert kms.home.verify_audit().count == before + 3


def test_a_revocation_while_keys_are_made_holds_them_back(make_kms: MakeKms, monkeypatch: pytest.MonkeyPatch) -> None:
    kms = make_kms()
    kms.enrol("alice", ALICE)
    made = type(kms.service)._answer

    def slow(service: Any, *arguments: Any) -> Any:
        revoke_identity(kms.service, ALICE)
        return made(service, *arguments)

    monkeypatch.setattr(type(kms.service), "_answer", slow)
    with pytest.raises(KmsRefusal, match="revoked"):
        kms.keys("alice", ALICE)
    assert "extract" not in kms.actions()


def test_a_trusted_kms_keeps_its_parameters(make_kms: MakeKms) -> None:
    kms, other = make_kms(), make_kms("other", uri="kms.other", namespace=("sip:*",), seed=8)
    alice = kms.enrol("alice", ALICE)
    form = trust_domain(kms.service, other.home.row.parameters.encode())
    trust_domain(kms.service, other.home.row.parameters.encode())
    assert kms.service.trusted_domains(alice.fingerprint) == (kms.service.parameters_form, form)
    for bad in (b"{}", kms.home.row.parameters.encode(), form.model_copy(update={"kpak": form.kpak[:-2] + "00"})):
        octets = bad if isinstance(bad, bytes) else bad.model_dump_json().encode()
        with pytest.raises(KmsConfigError):
            trust_domain(kms.service, octets)


def test_discovery_groups_take_known_users_only_and_lose_members_only(make_kms: MakeKms) -> None:
    kms = make_kms()
    kms.enrol("alice", ALICE, discovery_groups=("0051ab",))
    kms.enrol("bob", BOB)
    revoke_user(kms.service, "bob")
    refused = [
        (add_to_discovery_group, "chess-club", ("carol",), "no user carol"),
        (add_to_discovery_group, "chess-club", ("alice", "bob"), "user bob is revoked"),
        (add_to_discovery_group, "chess club", ("alice",), "discovery group order: group"),
        (add_to_discovery_group, "chess-club", (), "discovery group order: users"),
        (remove_from_discovery_group, "chess-club", ("alice",), "alice is not in discovery group chess-club"),
    ]
    for change, group, users, why in refused:
        with pytest.raises(KmsConfigError, match=why):
            change(kms.service, group, users)
    assert [form.group for form in kms.keys("alice", ALICE).discovery_keys] == ["0051ab"]
    add_to_discovery_group(kms.service, "chess-club", ("alice",))
    add_to_discovery_group(kms.service, "chess-club", ("alice",))
    assert [form.group for form in kms.keys("alice", ALICE).discovery_keys] == ["0051ab", "chess-club"]
    remove_from_discovery_group(kms.service, "0051ab", ("alice",))
    assert [form.group for form in kms.keys("alice", ALICE).discovery_keys] == ["chess-club"]
    assert kms.actions().count("join-discovery") == 2 and kms.actions().count("leave-discovery") == 1


def test_more_than_a_message_holds_is_refused_at_the_order_and_never_stops_the_service(
    make_kms: MakeKms, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound in ("MAX_GROUPS", "MAX_DISCOVERY_GROUPS", "MAX_PEERS"):
        monkeypatch.setattr(f"security.kms.records.{bound}", 2)
    kms = make_kms(at=day("2026-03-15"))
    others = tuple(f"tel:+44770090020{number}" for number in range(3))
    kms.enrol("alice", ALICE, peers=others[:2], discovery_groups=("1", "2"))
    for order in ({"peers": others[2:]}, {"discovery_groups": ("3",)}):
        with pytest.raises(KmsConfigError, match="already"):
            enrol(kms.service, EnrolmentOrder(user="alice", identities=(ALICE,), **order))
    for number in range(2):
        add_to_group(kms.service, f"tel:+44770090030{number}", (ALICE,))
    with pytest.raises(KmsConfigError, match="already"):
        add_to_group(kms.service, "tel:+447700900309", (ALICE,))
    with kms.service.database.begin() as records:
        for number in range(MAX_DENIED + 5):
            records.deny(f"tel:+4477{number:06}", listed_until_ntp_s=kms.ntp_s() + 5 + number)
    deny_list = kms.keys("alice", ALICE).deny_list
    assert (len(deny_list), deny_list[0]) == (MAX_DENIED, "tel:+4477000005")
