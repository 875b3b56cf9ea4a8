"""Row 59: a UE calls a telephone number, and the statement that it holds is not valid. Whole UEs, virtual time.

Each case also shows that a genuine statement, brought by the next contact with the KMS, makes the call at once.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from lab_scripts.events.selection import events_of
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import CrowdPlan
from lab_scripts.runs.lab_world import KMS_URI, LAB_UTC
from prose_link.instant import NTP_EPOCH_OFFSET_S
from prose_link.pc5s.core.events import LinkEstablished, RequestSent
from prose_link.ue.events import NumberNotResolved, NumberResolved, StatementRefused
from security.device.number_store import take_statements
from security.identifiers import KeyRing, UidScheme
from security.identity_map.checks import HeldNumber
from security.identity_map.signature import sign_statement
from security.identity_map.statement import ALL_MAP_USES, MapState, MapStatement, MapUse
from security.kms.authority import Authority, MasterSecrets

NUMBER, OTHER_NUMBER = "+447700900077", "+447700900078"
NOW = int(LAB_UTC.timestamp() + NTP_EPOCH_OFFSET_S)
DAY_S = 86_400
OTHER_KMS = Authority.found(
    MasterSecrets.from_demo_seed(99),
    uri="sip:kms.other.example",
    uid_scheme=UidScheme.MONTHLY_TEL,
    key_period_s=0,
    key_period_offset_s=0,
    namespace=("tel:+49*",),
)

E = TypeVar("E")


class Lab:
    """A cell of two UEs, the first of which calls the second by its number."""

    def __init__(self, **more_of_the_caller: Any) -> None:
        plan = CrowdPlan(seed=7, n_ues=2, group=False, folder=Path())
        self.target, self.someone_else = plan.granted["ue-b"], plan.granted["ue-a"]
        called = plan.ue_config("ue-b", kms_url="", ticket=Path(), air="", power_on_s=0.0)
        peer = {"number": NUMBER, "l2_id": called["l2_id"]}
        link = {"connect_to": "", "peer_user_info_id": 0, "connect_after_s": 0.1, "peers": [peer]}
        everybody: dict[str, Any] = {"stop_after_s": 30.0}
        self.cell = Cell(plan, everybody, changes_of={"ue-a": {"link": link, **more_of_the_caller}})
        self.kms = self.cell.authority
        self.identity = self.cell.identity("ue-a")
        self.ring = KeyRing([*self.identity.key_ring.domains, OTHER_KMS.domain], self.identity.key_ring.users)
        self.held: dict[str, HeldNumber] = {}

    def signed(self, kms: Authority | None = None, **changes: Any) -> bytes:
        kms = kms or self.kms
        statement = MapStatement(
            kms_uri=kms.domain.uri,
            serial=5,
            issued_ntp_s=NOW - DAY_S,
            not_before_ntp_s=NOW - DAY_S,
            not_after_ntp_s=NOW + 20 * DAY_S,
            number=NUMBER,
            identity=self.target,
            scheme=1,
            uses=ALL_MAP_USES,
        )
        statement = replace(statement, **changes)
        keys = kms.map_signing_keys(kms.domain.period_of(statement.issued_ntp_s))
        entropy = hashlib.shake_256(statement.encode()).digest
        return sign_statement(statement, keys=keys, kpak=kms.domain.kpak, random=entropy)

    def contact(self, *statements: bytes, now_ntp_s: int = NOW) -> None:
        """What a contact with a KMS brings: checked and kept as the key store does, then handed to the UE."""
        self.held, refused = take_statements(
            self.held, statements, asked=(NUMBER, OTHER_NUMBER), ring=self.ring, now_ntp_s=now_ntp_s
        )
        self.cell.node("ue-a").take_keys(
            replace(self.identity, key_ring=self.ring, numbers=self.held, refused_statements=refused)
        )

    def of(self, kind: type[E]) -> list[E]:
        return [timed.event for timed in events_of(self.cell.events, kind, "ue-a")]

    def run(self, until: type, for_s: float = 8.0) -> None:
        self.cell.run(for_s, until=lambda _events: bool(self.of(until)))

    def assert_nobody_is_called(self, why: str) -> None:
        self.run(NumberNotResolved)
        assert why in self.of(NumberNotResolved)[0].why
        assert not self.of(NumberResolved) and not self.of(RequestSent)

    def assert_a_genuine_statement_makes_the_call(self, serial: int = 1 << 40, **changes: Any) -> None:
        self.contact(self.signed(serial=serial, **changes))
        self.run(LinkEstablished)
        (resolved,) = self.of(NumberResolved)
        assert (resolved.identity, resolved.by) == (self.target, KMS_URI)
        assert [one.peer for one in self.of(LinkEstablished)] == [self.target]


def test_row_59_no_statement_calls_nobody():
    lab = Lab()
    lab.assert_nobody_is_called("no KMS has said whose it is")
    lab.assert_a_genuine_statement_makes_the_call()


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("another KMS", "KMS: "),
        ("its signature", "signature: "),
        ("expired", "dates: "),
        ("lasts too long", "dates: "),
        ("another number", "no KMS has said"),
    ],
)
def test_row_59_a_statement_that_is_not_believed_leaves_no_trace_and_calls_nobody(case, why):
    lab = Lab()
    bad = {
        "another KMS": lambda: lab.signed(OTHER_KMS),
        "its signature": lambda: lab.signed(OTHER_KMS, kms_uri=KMS_URI),
        "expired": lambda: lab.signed(not_after_ntp_s=NOW - 1),
        "lasts too long": lambda: lab.signed(not_after_ntp_s=NOW + 40 * DAY_S),
        "another number": lambda: lab.signed(number=OTHER_NUMBER),
    }[case]()
    lab.contact(bad)
    lab.assert_nobody_is_called("no KMS has said whose it is")
    said = [one.why for one in lab.of(StatementRefused)]
    assert (case == "another number" and not said) or (len(said) == 1 and said[0].startswith(why))
    lab.assert_a_genuine_statement_makes_the_call(serial=5)


def test_row_59_a_statement_that_was_good_dies_at_its_end():
    lab = Lab()
    lab.contact(lab.signed(not_after_ntp_s=NOW - DAY_S + 1), now_ntp_s=NOW - DAY_S)
    lab.assert_nobody_is_called("dates: ")
    lab.assert_a_genuine_statement_makes_the_call()


def test_row_59_an_old_serial_is_refused_and_the_number_that_nobody_has_stays_so():
    lab = Lab()
    lab.contact(lab.signed(serial=6, state=MapState.NOBODY))
    lab.contact(lab.signed(serial=5))
    assert [one.why.partition(":")[0] for one in lab.of(StatementRefused)] == ["serial"]
    lab.assert_nobody_is_called("it has no holder")
    lab.assert_a_genuine_statement_makes_the_call()


def test_row_59_two_statements_with_one_serial_are_an_event_and_neither_stands():
    lab = Lab()
    lab.contact(lab.signed())
    lab.contact(lab.signed(identity=lab.someone_else))
    assert "two statements have it" in lab.of(StatementRefused)[0].why
    lab.assert_nobody_is_called("contradict each other")
    lab.assert_a_genuine_statement_makes_the_call(serial=6)


def test_row_59_a_number_that_is_not_for_calls_is_not_called():
    lab = Lab()
    lab.contact(lab.signed(uses=MapUse.ASSERTED))
    lab.assert_nobody_is_called("use: ")
    lab.assert_a_genuine_statement_makes_the_call()


def test_a_number_that_leads_to_the_ue_itself_is_not_called():
    lab = Lab()
    lab.contact(lab.signed(identity=lab.someone_else))
    lab.assert_nobody_is_called("leads to this UE itself")


def test_an_entry_of_the_own_file_wins_over_the_kms_and_is_shown_as_own():
    target = CrowdPlan(seed=7, n_ues=2, group=False, folder=Path()).granted["ue-b"]
    lab = Lab(numbers=[{"number": NUMBER, "identity": target}])
    lab.contact(lab.signed(identity="tel:+447700900055"))
    lab.run(LinkEstablished)
    assert [(one.identity, one.by) for one in lab.of(NumberResolved)] == [(target, "own")]
    assert lab.of(LinkEstablished)[0].peer == target
