"""Keys and signatures of the profile: which octets are signed, which key periods are tried, what is made of an SSV.

The KMS has key periods of 1000 s from 0 on, with 100 s of overlap. No curve operation is done.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from prose_link.pc5s.core.credentials import Credentials
from prose_link.pc5s.ts24334 import keys
from prose_link.pc5s.ts24334.codec import encode, encode_unsigned
from prose_link.pc5s.ts24334.context import ModeContext
from prose_link.pc5s.ts24334.messages import SecurityModeCommand, SignedRequest
from prose_link.pc5s.wire.messages import ChosenAlgorithms, IpAddressConfig, SecurityCapabilities
from security import sakke
from security.eccsi import eccsi
from security.eccsi.eccsi import SignatureError
from security.identifiers import IdentityError, KeyRing, KmsDomain, NoKeysError, UserKeys
from security.link.kdf import kdf
from security.link.key_ladder import FC33303, FC33536, FC_P, derive_pek, derive_pik

ME, FRIEND = "tel:+441", "tel:+491"
HOME = KmsDomain(uri="home", z=b"h" * 257, kpak=b"h" * 65, uid_scheme=2, key_period_s=1000, namespace=("tel:+44*",))
AWAY = KmsDomain(uri="away", z=b"a" * 257, kpak=b"a" * 65, uid_scheme=2, key_period_s=1000, namespace=("tel:+49*",))
LABEL = b"pc5lab ts24334 v1 "
REQUEST = SignedRequest(
    sequence_number=1,
    user_info=ME,
    ip_address_config=IpAddressConfig.NOT_SUPPORTED,
    maximum_inactivity_period_s=30,
    nonce_1=bytes(16),
    capabilities=SecurityCapabilities.of((1,), (1,)),
    kd_sess_id_msb=0x21,
    kd_id=0x01020304,
    relay_service_code=0x0A0B0C,
    signature=b"\x5a" * 129,
    link_local=bytes(16),
)
COMMAND = SecurityModeCommand(
    sequence_number=2,
    capabilities=SecurityCapabilities.of((1,), (1,)),
    nonce_2=bytes(range(16)),
    algorithms=ChosenAlgorithms(eea=2, eia=3),
    kd_sess_id_lsb=0x77,
    kd_id_msb=0xBEEF,
    user_info=FRIEND,
    signature=b"\x5a" * 129,
    encrypted_payload=b"\xc3" * 273,
)


def keys_of(period: int, uri: str = ME) -> UserKeys:
    name = b"%s %d" % (uri.encode(), period)
    return UserKeys(
        uri=uri,
        kms_uri="home",
        uid=b"uid " + name,
        key_period_no=period,
        rsk=b"rsk " + name,
        ssk=b"ssk " + name,
        pvt=b"pvt " + name,
    )


def credentials_of(*users: UserKeys) -> Credentials:
    return Credentials(uri=ME, key_ring=KeyRing((HOME, AWAY), users), random_bytes=bytes)


def refusing(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: Any, good: Any = None) -> list[Any]:
    """Replace a function by one that accepts the `uid` given and refuses any other; the list gets each call."""
    calls: list[Any] = []

    def answer(*args: Any, **named: Any) -> bytes:
        calls.append((args, named))
        if named["uid"] != good:
            raise error(f"not {len(calls)}")
        return b"result"

    monkeypatch.setattr(owner, name, answer)
    return calls


def test_what_is_signed_is_everything_but_the_signature() -> None:
    assert keys.request_to_sign(REQUEST) == LABEL + b"request" + encode_unsigned(REQUEST)
    assert keys.request_to_sign(replace(REQUEST, signature=bytes(129))) == keys.request_to_sign(REQUEST)
    octets, unsigned = encode(REQUEST), encode_unsigned(COMMAND)
    assert keys.command_to_sign(octets, COMMAND) == b"".join(
        (LABEL, b"command", len(octets).to_bytes(4), octets, len(unsigned).to_bytes(4), unsigned)
    )


def test_a_signature_is_made_with_the_keys_of_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(eccsi, "sign", lambda *args, **named: calls.append((args, named)) or b"signature")
    signer = credentials_of(keys_of(1), keys_of(2))
    assert keys.sign(b"message", signer, lambda n: b"e" * n, 2500.0) == b"signature"
    named = {"ssk": keys_of(2).ssk, "pvt": keys_of(2).pvt, "uid": keys_of(2).uid, "kpak": HOME.kpak}
    assert calls == [((b"message",), {**named, "entropy": b"e" * 32})]
    with pytest.raises(NoKeysError):
        keys.sign(b"message", signer, bytes, 3500.0)


@pytest.mark.parametrize(
    ("ntp_s", "periods"), [(2500.0, [2]), (2050.0, [2, 1]), (2099.9, [2, 1]), (2100.0, [2]), (2900.0, [2, 3])]
)
def test_the_present_period_is_tried_first_and_its_neighbour_while_they_overlap(
    ntp_s: float, periods: list[int]
) -> None:
    assert keys.usable_periods(credentials_of(), HOME, ntp_s) == periods


def test_a_period_that_is_over_by_the_floor_is_not_tried() -> None:
    credentials = credentials_of()
    credentials.use_none_over_by(2100.0)
    assert keys.usable_periods(credentials, HOME, 2050.0) == [2]


@pytest.mark.parametrize("good", [2, 1])
def test_a_signature_is_tried_in_each_usable_period(monkeypatch: pytest.MonkeyPatch, good: int) -> None:
    calls = refusing(monkeypatch, eccsi, "verify", SignatureError, AWAY.uid_for_period(FRIEND, good))
    keys.verify(b"message", b"signature", FRIEND, credentials_of(), 2050.0)
    tried = [2, 1][: 3 - good]
    assert calls == [
        ((b"message", b"signature"), {"uid": AWAY.uid_for_period(FRIEND, period), "kpak": AWAY.kpak})
        for period in tried
    ]


def test_a_signature_that_no_period_verifies_gives_all_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(monkeypatch, eccsi, "verify", SignatureError)
    with pytest.raises(SignatureError, match=r"no key period of now: not 1, not 2$"):
        keys.verify(b"message", b"signature", FRIEND, credentials_of(), 2050.0)
    with pytest.raises(IdentityError):
        keys.verify(b"message", b"signature", "tel:+331", credentials_of(), 2050.0)


def test_an_ssv_is_encapsulated_to_the_receivers_identifier(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(sakke, "encapsulate", lambda *args: calls.append(args) or b"payload")
    assert keys.encapsulate(b"ssv", FRIEND, credentials_of(), 2500.0) == b"payload"
    assert calls == [(b"ssv", AWAY.uid(FRIEND, 2500.0), AWAY.z)]


@pytest.mark.parametrize("good", [2, 1])
def test_a_payload_is_opened_with_the_own_keys_of_each_usable_period(
    monkeypatch: pytest.MonkeyPatch, good: int
) -> None:
    calls = refusing(monkeypatch, sakke, "decapsulate", sakke.DecapsulationError, keys_of(good).uid)
    credentials = credentials_of(keys_of(2, "tel:+442"), keys_of(2), keys_of(1), keys_of(2, "tel:+443"))
    assert keys.decapsulate(b"payload", credentials, 2050.0) == b"result"
    tried = [keys_of(period) for period in [2, 1][: 3 - good]]
    assert calls == [((b"payload",), {"rsk": one.rsk, "uid": one.uid, "z": HOME.z}) for one in tried]


def test_a_payload_that_no_key_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(monkeypatch, sakke, "decapsulate", sakke.DecapsulationError)
    with pytest.raises(sakke.DecapsulationError, match=r"^not 1$"):
        keys.decapsulate(b"payload", credentials_of(keys_of(1)), 2050.0)
    with pytest.raises(sakke.DecapsulationError, match="no keys held for this period"):
        keys.decapsulate(b"payload", credentials_of(keys_of(1)), 2500.0)


@pytest.mark.parametrize("table", [FC33303, FC33536])
def test_keys_of_a_session_are_made_of_the_ssv_the_nonces_and_the_algorithms(table: Any) -> None:
    ssv, nonce_1, nonce_2 = b"s" * 16, b"1" * 16, b"2" * 16
    agreed = keys.agree(ssv, table, nonce_1, nonce_2, ChosenAlgorithms(eea=2, eia=3))
    kd_sess = kdf(kdf(ssv, FC_P, LABEL + b"KD"), table.fc_sess, nonce_1, nonce_2)
    assert agreed.keys.kd_sess == kd_sess
    assert (agreed.keys.pek, agreed.keys.pik) == (derive_pek(kd_sess, table, 2), derive_pik(kd_sess, table, 3))
    assert (agreed.kd_next, agreed.tx, agreed.keys.conf_r, agreed.keys.conf_i) == (b"", b"", b"", b"")


def test_an_ssv_is_drawn_for_its_one_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(sakke, "draw_ssv", lambda *args: calls.append(args) or b"ssv")
    assert keys.new_ssv(credentials_of(), FRIEND, 2500.0) == b"ssv"
    assert calls == [(bytes, [AWAY.uid(FRIEND, 2500.0)])]


def context(direction: int) -> ModeContext:
    return ModeContext(kd_sess_id=0x2107, pek=b"p" * 16, pik=b"i" * 16, eea=2, eia=2, direction=direction)


def test_the_command_is_sent_in_the_clear_with_a_mac_and_all_else_is_ciphered() -> None:
    responder, initiator = context(1), context(0)
    for lcid in (29, 30, 29, 30):
        sn = responder.next_sn(lcid)
        sent, mac_i = responder.seal(lcid, sn, b"header", b"plain octets")
        assert (sent == b"plain octets") is (lcid == 29)
        assert initiator.open(lcid, sn, b"header", sent, mac_i) == b"plain octets"
    assert (responder.next_sn(29), responder.next_sn(30)) == (3, 3)


def test_what_the_initiator_sends_is_ciphered_on_both_channels() -> None:
    responder, initiator = context(1), context(0)
    for lcid in (29, 30):
        sn = initiator.next_sn(lcid)
        sent, mac_i = initiator.seal(lcid, sn, b"header", b"plain octets")
        assert sent != b"plain octets"
        assert responder.open(lcid, sn, b"header", sent, mac_i) == b"plain octets"


def test_a_wiped_context_sends_no_command_either() -> None:
    made = context(1)
    made.wipe()
    assert made.wiped and made._command.wiped
