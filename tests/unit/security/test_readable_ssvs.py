"""SSVs are drawn so that no value of the encapsulation begins with a zero octet, for one receiver or a whole group."""

from __future__ import annotations

import itertools
import json
import os

import pytest
from typer.testing import CliRunner

from lab_scripts.cli.mikey import app
from security import mikey, sakke
from security.groups import GroupKeyer, KeyingMode
from security.keyfile import parse_key_file
from security.mikey.opening import open_i_message
from security.sakke import kem, readable
from security.sakke.curve import decode_point, encode_field
from security.sakke.pairing import PairingLines, power_plain
from security.sakke.parameters import G_PAIRING

SEVERAL = [b"member %d" % number for number in range(24)]


def numbers(start: int = 0):
    """SSVs in order."""
    count = itertools.count(start)
    return lambda n: next(count).to_bytes(n)


@pytest.fixture(scope="module")
def unreadable(world):
    """An SSV with a short w for Bob, and one with a short H."""
    found = {}
    for number in range(4000):
        ssv = number.to_bytes(16)
        w = kem.powers_of_g().power(kem.sender_scalar(ssv, world.bob.uid))
        for name, octet in (("w", encode_field(w)[0]), ("H", kem.mask_with(ssv, w)[0])):
            if octet == 0:
                found.setdefault(name, ssv)
        if len(found) == 2:
            return found
    raise AssertionError("neither found in 4000 SSVs")


def test_what_is_readable_is_what_the_payload_shows(world, unreadable):
    """w is taken from the receiving end: the pairing of R with Bob's RSK."""
    lines = PairingLines(decode_point(world.bob.rsk))
    for ssv in (*unreadable.values(), *(number.to_bytes(16) for number in range(40))):
        sed = sakke.encapsulate(ssv, world.bob.uid, world.domain.z)
        w = int(lines.pairing(decode_point(sed[:257]))).to_bytes(128)
        assert sakke.is_readable(ssv, world.bob.uid) is (w[0] != 0 and sed[257] != 0)
    assert power_plain(G_PAIRING, kem.sender_scalar(unreadable["w"], world.bob.uid)) < 1 << 1016


def test_an_unreadable_ssv_is_drawn_again(world, unreadable):
    for ssv in unreadable.values():
        draws = iter((ssv, ssv, bytes(15) + b"\7"))
        drawn = sakke.draw_ssv(lambda n, draws=draws: next(draws), [world.bob.uid])
        assert drawn == bytes(15) + b"\7"
        assert sakke.is_readable(drawn, world.bob.uid)


def test_a_groups_ssv_suits_every_member():
    for start in range(0, 4000, 1000):
        ssv = sakke.draw_ssv(numbers(start), SEVERAL)
        assert all(sakke.is_readable(ssv, uid) for uid in SEVERAL)


def test_the_work_is_bounded_and_the_best_draw_is_kept(monkeypatch):
    asked = []

    def suits_but_the_last(ssv, uid):
        asked.append(ssv)
        return uid != SEVERAL[-1] if ssv == (3).to_bytes(16) else uid != SEVERAL[5]

    monkeypatch.setattr(readable, "is_readable", suits_but_the_last)
    monkeypatch.setattr(readable, "MAX_CHECKS", 100)
    assert readable.draw_ssv(numbers(), SEVERAL) == (3).to_bytes(16)
    assert len(asked) <= 100 + len(SEVERAL)


class Marks:
    def __init__(self):
        self.values = {}

    def mark(self, name):
        return self.values.get(name, 0)

    def marks_named(self, prefix):
        return {}

    def raise_mark(self, name, value):
        self.values[name] = value


class Particular:
    """SSVs in order; those in `unsuited` suit no new member."""

    def __init__(self, unsuited):
        self.unsuited, self.asked, self.next = unsuited, [], numbers()

    def draw(self, recipients):
        self.asked.append(recipients)
        return self.next(16)

    def suits(self, ssv, recipient):
        return ssv not in self.unsuited


@pytest.mark.parametrize("suited", [True, False])
def test_a_joiner_whom_the_groups_ssv_does_not_suit_gets_a_new_epoch(suited):
    ssvs = Particular(() if suited else (bytes(16),))
    keyer = GroupKeyer(
        identity="tel:+9",
        keyers=("tel:+9",),
        group_identity="tel:+3",
        group_l2=9,
        eea=2,
        mode=KeyingMode.PER_MEMBER,
        members=("tel:+1",),
        marks=Marks(),
        random=bytes,
        ssvs=ssvs,
        backward_secrecy=False,
    )
    first = keyer.new_epoch(expiry_ntp_s=9)
    joined = keyer.add("tel:+2", expiry_ntp_s=9)
    assert (joined.ssv == first.ssv) is suited
    assert joined.recipients == (("tel:+2",) if suited else ("tel:+1", "tel:+2"))
    assert ssvs.asked[0] == ("tel:+1",)


@pytest.fixture
def key_file(world, tmp_path):
    domain = world.domain
    users = [
        {"uri": one.uri, "kms": domain.uri, "uid": one.uid.hex(), "key_period_no": one.key_period_no}
        | {"rsk": one.rsk.hex(), "ssk": one.ssk.hex(), "pvt": one.pvt.hex()}
        for one in (world.alice, world.bob)
    ]
    kms = {"uri": domain.uri, "z": domain.z.hex(), "kpak": domain.kpak.hex(), "uid_format": 1}
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"kms": [kms], "users": users}))
    return path


def create(key_file, world, *options):
    out = key_file.with_name("message.bin")
    sent = ["create", "--keys", str(key_file), "--from", world.alice.uri, "--to", world.bob.uri, "--out", str(out)]
    result = CliRunner().invoke(app, [*sent, "--time", "2025-10-02T23:47:52Z", "--json", *options])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), result.stderr, out.read_bytes()


def test_the_command_says_where_a_given_key_can_not_be_read_by_all(key_file, world, unreadable):
    file = parse_key_file(key_file.read_bytes())
    for ssv in unreadable.values():
        answer, spoken, octets = create(key_file, world, "--kd", ssv.hex())
        assert "zero octet" in answer["note"] and answer["note"] in spoken
        assert answer["kd"] == ssv.hex() == open_i_message(mikey.parse_i_message(octets), file).ssv.hex()
    answer, spoken, _ = create(key_file, world, "--kd", (bytes(15) + b"\7").hex())
    assert answer["note"] is None and "note" not in spoken


def test_the_command_draws_again_where_no_key_is_given(key_file, world, unreadable, monkeypatch):
    real = os.urandom
    first = iter(unreadable.values())
    monkeypatch.setattr("os.urandom", lambda n: next(first, None) or real(n) if n == 16 else real(n))
    answer, _, octets = create(key_file, world)
    assert answer["note"] is None and bytes.fromhex(answer["kd"]) not in unreadable.values()
    data = mikey.parse_i_message(octets).sakke.data
    assert data[257] != 0 and sakke.is_readable(bytes.fromhex(answer["kd"]), world.bob.uid)
