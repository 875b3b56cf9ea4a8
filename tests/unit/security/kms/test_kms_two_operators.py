"""What opens the master secrets for interception: the operators' shares together, and no passphrase of one of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab_scripts.cli.main import run
from security.at_rest.sealing import SealError
from security.kms.backup import restore_backup, write_backup
from security.kms.home import KmsHome, KmsPlan
from security.kms.home_files import PASSPHRASE_FILE
from security.kms.intercept import Operator, add_operator, approve_intercept, export_intercept, request_intercept
from security.kms.interception_shares import SHARES_FOLDER
from security.kms.operator_orders import revoke_identity
from security.kms.resealing import renew_interception_shares, split_secrets
from security.kms.sealed_secrets import SealedSecrets
from security.kms.secret_shares import SharePlan
from security.kms_wire.errors import InterceptError, KmsConfigError, SecretShareError
from security.mikey import create_i_message

ALICE, BOB, SSV = "tel:+447700900001", "tel:+447700900002", bytes(range(16))
MakeKms = Callable[..., Any]


def ordered(kms: Any) -> Operator:
    """Two operators and an order that both signed."""
    erin, frank = (Operator(name=name, key=Ed25519PrivateKey.generate()) for name in ("erin", "frank"))
    for one in (erin, frank):
        add_operator(kms.service, one.name, one.key.public_key())
    domain = kms.service.authority.domain
    period = domain.period_of(kms.ntp_s())
    message = create_i_message(
        keys=kms.service.authority.extract(ALICE, period),
        initiator_domain=domain,
        responder_uri=BOB,
        responder_domain=domain,
        ntp_s=kms.ntp_s(),
        ssv=SSV,
        csb_id=1,
        random=lambda count: bytes(range(count)),
    )
    request_intercept(kms.service, erin, warrant="W", identities=(BOB,), key_period_no=period, messages=(message,))
    approve_intercept(kms.service, frank, 1)
    return erin


def shares_of(kms: Any) -> list[Path]:
    return sorted((kms.home.folder / SHARES_FOLDER).iterdir())


def unseal(kms: Any, **options: Any) -> Any:
    return kms.home.unseal(**({"passphrase_file": None, "clocks": kms.clocks()} | options))


def exported(service: Any, operator: Operator) -> str:
    (session,) = export_intercept(service, operator, 1).sessions
    return session.ssv


def test_a_passphrase_exports_nothing_and_both_shares_do(make_kms: MakeKms) -> None:
    kms = make_kms()
    erin = ordered(kms)
    with pytest.raises(InterceptError, match="shares that operators hold"):
        exported(kms.service, erin)
    assert kms.actions()[-1] == "intercept-export-refused"
    with pytest.raises(SecretShareError, match="2 different shares are needed, 1 given"):
        unseal(kms, share_files=shares_of(kms)[:1])
    assert exported(unseal(kms, share_files=shares_of(kms)), erin) == SSV.hex()


def test_the_holder_of_the_passphrase_makes_no_shares_alone(make_kms: MakeKms, tmp_path: Path) -> None:
    kms = make_kms()
    erin = ordered(kms)
    opened = kms.home.opened(None)
    with pytest.raises(InterceptError, match="already"):
        renew_interception_shares(kms.service, opened, tmp_path / "own", threshold=2, shares=2)
    passphrase = kms.home.passphrase(None)
    own = split_secrets(kms.home, kms.service, passphrase=passphrase, folder=tmp_path / "s", threshold=2, shares=2)
    with pytest.raises(InterceptError, match="made alone"):
        exported(unseal(kms, share_files=own), erin)
    opened = kms.home.opened(None, own)
    with pytest.raises(InterceptError, match="already"):
        renew_interception_shares(kms.service, opened, tmp_path / "own", threshold=2, shares=2)
    assert exported(unseal(kms, share_files=shares_of(kms)), erin) == SSV.hex()


def test_operators_split_the_kms_and_their_new_shares_serve_for_everything(make_kms: MakeKms, tmp_path: Path) -> None:
    kms = make_kms()
    erin = ordered(kms)
    passphrase = kms.home.passphrase(None, shares_of(kms))
    new = split_secrets(kms.home, kms.service, passphrase=passphrase, folder=tmp_path / "s", threshold=2, shares=3)
    with pytest.raises(SealError):
        unseal(kms, share_files=shares_of(kms))
    assert exported(unseal(kms, share_files=new[1:]), erin) == SSV.hex()
    opened = kms.home.opened(None, new)
    with pytest.raises(InterceptError, match="serve for interception as well"):
        renew_interception_shares(kms.service, opened, tmp_path / "own", threshold=2, shares=2)


def test_operators_renew_their_shares_and_the_old_ones_open_nothing(make_kms: MakeKms, tmp_path: Path) -> None:
    kms = make_kms()
    erin, old = ordered(kms), shares_of(kms)
    opened = kms.home.opened(None, old)
    new = renew_interception_shares(unseal(kms, share_files=old), opened, tmp_path / "new", threshold=3, shares=4)
    with pytest.raises(SealError):
        unseal(kms, share_files=old)
    assert exported(unseal(kms, share_files=new[:3]), erin) == SSV.hex()
    assert kms.actions()[-2:] == ["share-for-interception", "intercept-export"]


def test_a_kms_founded_with_shares_never_had_a_passphrase(tmp_path: Path, make_kms: MakeKms) -> None:
    template = make_kms()
    plan = KmsPlan(uri="kms.two", namespace=("tel:+44*",))
    shares = SharePlan(folder=tmp_path / "shares", threshold=2, shares=3)
    home = KmsHome.found(
        tmp_path / "two",
        plan,
        passphrase_file=None,
        database_url=None,
        now=dt.datetime.now(dt.UTC),
        shares=shares,
    )
    assert not (home.folder / PASSPHRASE_FILE).exists()
    assert not (home.folder / SHARES_FOLDER).exists()
    files = sorted(shares.folder.iterdir())
    with pytest.raises(SealError, match="--share"):
        home.unseal(passphrase_file=None, clocks=template.clocks())
    with pytest.raises(SecretShareError, match="2 different shares"):
        home.unseal(passphrase_file=None, share_files=files[:1], clocks=template.clocks())
    service = home.unseal(passphrase_file=None, share_files=files[1:], clocks=template.clocks())
    assert service.may_intercept
    revoke_identity(service, BOB)
    write_backup(service, tmp_path / "kms.backup")
    again, _ = restore_backup(
        tmp_path / "kms.backup",
        tmp_path / "again",
        database_url=None,
        passphrase_file=None,
        share_files=files[:2],
        clocks=template.clocks(),
    )
    for one in (home, again):
        one.database.close()


def test_a_kms_that_can_not_be_founded_leaves_no_shares(tmp_path: Path) -> None:
    plan = KmsPlan(uri="kms.two", namespace=("tel:+44*",))
    now = dt.datetime.now(dt.UTC)
    (tmp_path / "kms").mkdir()
    (tmp_path / "kms" / "kms.sqlite").mkdir()
    for _ in range(2):
        with pytest.raises(KmsConfigError, match=r"kms\.sqlite"):
            KmsHome.found(tmp_path / "kms", plan, passphrase_file=None, database_url=None, now=now)
        assert list((tmp_path / "kms" / SHARES_FOLDER).iterdir()) == []


def test_init_says_what_one_holder_can_do_and_shows_the_audit_key(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["kms", "init", str(tmp_path / "one")]) == 0
    said = capfd.readouterr()
    assert "single holder" in said.err and "interception-shares" in said.err
    assert KmsHome.open(tmp_path / "one").row.audit_key_hex in said.out
    split = ["--split", str(tmp_path / "shares"), "--threshold", "2", "--shares", "3"]
    assert run(["kms", "init", str(tmp_path / "two"), *split]) == 0
    said = capfd.readouterr()
    assert "single holder" not in said.err and "2 of the 3 share files" in said.out
    assert run(["kms", "revoke", str(tmp_path / "two"), "--identity", BOB]) == 2
    both = [text for number in (1, 3) for text in ("--share", str(tmp_path / "shares" / f"share-{number}.json"))]
    assert run(["kms", "revoke", str(tmp_path / "two"), "--identity", BOB, *both]) == 0
    assert run(["kms", "init", str(tmp_path / "x"), *split, "--passphrase-file", "f"]) == 2


def test_a_right_to_intercept_is_sealed_and_not_an_option(make_kms: MakeKms) -> None:
    kms = make_kms()
    by_passphrase, by_shares = kms.home.opened(None), kms.home.opened(None, shares_of(kms))
    assert (by_passphrase.by_operators, by_shares.by_operators) == (False, True)
    assert isinstance(by_shares.secrets, SealedSecrets)
    assert by_shares.secrets.model_copy(update={"interception": False}) == by_passphrase.secrets
