"""A KMS in a folder of its own, without a network."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from security.at_rest.sealing import Seal
from security.device.provisioning import check_provisioning
from security.held_keys import ALL_USES, Use
from security.identifiers import NTP_EPOCH, UidScheme
from security.kms.home import KmsHome, KmsPlan
from security.kms.operator_orders import EnrolmentOrder, enrol
from security.kms.service import Clocks, KmsService
from security.kms_wire.protocol import EnrolRequest, KeysRequest, KeysResponse
from security.kms_wire.tls import ClientRequest, TlsIdentity

MID_MONTH = dt.datetime(2026, 3, 11, 12, tzinfo=dt.UTC)


@dataclass
class Kms:
    """A KMS's home and opened service; `at` is the time that chooses key periods."""

    home: KmsHome
    service: KmsService
    at: dt.datetime
    users: dict[str, TlsIdentity] = field(default_factory=dict)

    def ntp_s(self) -> int:
        return int((self.at - NTP_EPOCH).total_seconds())

    def clocks(self) -> Clocks:
        return Clocks(wall=lambda: dt.datetime.now(dt.UTC), lab_ntp_s=self.ntp_s)

    def enrol(self, user: str, *identities: str, uses: frozenset[Use] = ALL_USES, **more: Any) -> TlsIdentity:
        """Grant, and enrol with the ticket."""
        ticket = enrol(self.service, EnrolmentOrder(user=user, identities=identities, uses=uses, **more))
        request = ClientRequest.create(user)
        answer = self.service.enrol(EnrolRequest(token=ticket.token, csr_pem=request.csr_pem.decode()))
        self.users[user] = request.complete(answer.certificate_pem.encode())
        return self.users[user]

    def keys(self, user: str, uri: str) -> KeysResponse:
        """What a user gets, checked as a UE checks it."""
        fingerprint = self.users[user].fingerprint
        answer = self.service.keys(fingerprint, KeysRequest(uri=uri))
        check_provisioning(self.service.parameters(fingerprint), answer, uri=uri)
        return answer

    def actions(self) -> list[object]:
        with self.service.database.read() as records:
            return [line.fields["action"] for line in records.audit_lines()]

    def close(self) -> None:
        self.home.database.close()


@pytest.fixture(autouse=True)
def _cheap_seals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seals of tests are made with little work; scrypt's cost is not what is tested here."""
    monkeypatch.setitem(Seal.create.__func__.__kwdefaults__, "log2_n", 4)  # type: ignore[attr-defined]


@pytest.fixture
def make_kms(tmp_path: Path) -> Iterator[Callable[..., Kms]]:
    """Makes a KMS; options: `name`, `at`, `scheme`, `database_url`, `uri`, `namespace`, `seed`."""
    made: list[Kms] = []

    def make(
        name: str = "kms",
        *,
        at: dt.datetime = MID_MONTH,
        scheme: UidScheme = UidScheme.MONTHLY_TEL,
        database_url: str | None = None,
        uri: str = "kms.example",
        namespace: tuple[str, ...] = ("tel:+44*",),
        seed: int = 7,
    ) -> Kms:
        plan = KmsPlan(uri=uri, namespace=namespace, uid_scheme=scheme, demo_seed=seed)
        home = KmsHome.found(
            tmp_path / name, plan, passphrase_file=None, database_url=database_url, now=dt.datetime.now(dt.UTC)
        )
        kms = Kms(home=home, service=None, at=at)
        kms.service = home.unseal(passphrase_file=None, clocks=kms.clocks())
        made.append(kms)
        return kms

    yield make
    for kms in made:
        kms.close()
