"""Names in the IMS: what is registered, and whom the core's word for a sender means."""

from __future__ import annotations

import pytest

from prose_link.carriers.ims.naming import account_of, asserted_in, named_sender
from prose_link.carriers.ims.options import ImsOptions
from prose_link.pc5s.wire.party import CarrierError
from prose_link.sip.headers import Headers

TEL, HOME = "tel:+447700900001", "sip:+447700900001@ims.test"
MAP = {"+447700900001": "sip:alice@example.org"}


@pytest.mark.parametrize(
    ("names", "signed", "named"),
    [
        ([], TEL, ""),
        ([TEL], TEL, TEL),
        ([HOME], TEL, TEL),
        ([HOME, TEL], TEL, TEL),
        (["sip:+447700900001@IMS.TEST;user=phone"], TEL, TEL),
        (["sip:+447700900001@elsewhere.test"], TEL, "sip:+447700900001@elsewhere.test"),
        (["tel:+447700900002"], TEL, "tel:+447700900002"),
        (["sip:bob@example.org", TEL], TEL, TEL),
        (["sip:bob@example.org"], "sip:alice@example.org", "sip:bob@example.org"),
        (["sip:bob@example.org"], "", "sip:bob@example.org"),
    ],
)
def test_whom_the_core_names(names: list[str], signed: str, named: str) -> None:
    assert named_sender(names, signed, "ims.test", lambda _: "") == named


@pytest.mark.parametrize("name", [TEL, HOME])
def test_a_number_names_whom_the_identity_map_says(name: str) -> None:
    by_map = lambda number: MAP.get(number, "")  # noqa: E731
    assert named_sender([name], "sip:alice@example.org", "ims.test", by_map) == "sip:alice@example.org"
    assert named_sender([name], TEL, "ims.test", by_map) == "sip:alice@example.org", "the map, not the core"


def test_asserted_identities_are_read_and_garbage_is_none() -> None:
    assert asserted_in(Headers([("P-Asserted-Identity", f'"A" <{HOME}>, <{TEL}>')])) == (HOME, TEL)
    assert asserted_in(Headers([("P-Asserted-Identity", '"A <')])) == () and asserted_in(Headers()) == ()


def test_an_account_has_its_number_at_home_by_default() -> None:
    account = account_of(ImsOptions(password="x"), TEL, 5060, ())
    assert account.address_of_record == HOME and account.credentials.user_name == "+447700900001@ims.test"
    assert account.registers and account.contact == "sip:127.0.0.1:5060"
    own = account_of(ImsOptions(), "sip:alice@example.org", 5060, ())
    assert own.address_of_record == "sip:alice@example.org" and own.credentials.user_name == "alice@example.org"


@pytest.mark.parametrize("options", [{"transport": "tls"}, {"usim_k": "00" * 16}, {"usim_opc": "00" * 16}])
def test_options_that_do_not_go_together(options) -> None:
    with pytest.raises(CarrierError):
        ImsOptions(**options).checked()


def test_secrets_are_not_shown() -> None:
    shown = repr(ImsOptions(password="hidden", usim_k="12" * 16, usim_opc="34" * 16))
    assert "hidden" not in shown and "1212" not in shown and "3434" not in shown
