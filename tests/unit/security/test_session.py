from __future__ import annotations

import ast
import hashlib
import hmac
import struct
from pathlib import Path

import pytest

from security.groups import GroupKeying
from security.link import key_ladder as session
from security.link.kdf import KdfError, kdf
from security.link.key_ladder import FC33303, FC33536, KDF_PROFILES, KeyScheduleError

SSV_A = bytes.fromhex("00112233445566778899aabbccddeeff")
SSV_B = SSV_A[::-1]
NONCE_1 = bytes(range(16))
NONCE_2 = bytes(range(16, 32))
WORKED = Path(__file__).parents[2] / "vectors" / "security" / "profile_worked_numbers.txt"


def _worked() -> dict[str, dict]:
    profiles: dict[str, dict] = {}
    for line in WORKED.read_text().splitlines():
        name, _, rest = line.partition(" ")
        if name == "profile":
            profiles[rest] = {}
            current = profiles[rest]
        elif name in ("one-way", "mutual"):
            current[name] = ast.literal_eval(rest)
        elif name in ("DCR", "DCA"):
            current[name] = bytes.fromhex(rest.split()[1])
        elif name in ("H(T1)", "H(T2)", "HR"):
            current[name] = bytes.fromhex(rest)
    return profiles


@pytest.mark.parametrize(("profile", "table"), [("01", FC33303), ("11", FC33536)])
def test_worked_numbers(profile, table):
    numbers = _worked()[profile]
    assert KDF_PROFILES[int(profile[0])] is table
    assert NONCE_1 in numbers["DCR"]
    assert NONCE_2 in numbers["DCA"]
    hash_t1 = session.binding_hash_t1(numbers["DCR"])
    hash_t2 = session.binding_hash_t2(numbers["HR"], numbers["DCA"])
    assert (hash_t1, hash_t2) == (numbers["H(T1)"], numbers["H(T2)"])
    for form, ssv_b in (("one-way", None), ("mutual", SSV_B)):
        expected = numbers[form]
        kd = session.derive_kd(SSV_A, ssv_b, hash_t1, hash_t2)
        assert kd.hex() == expected["KD"]
        keys = session.derive_session_keys(
            kd,
            profile=table,
            nonce_1=NONCE_1,
            nonce_2=NONCE_2,
            tx=bytes.fromhex(expected["TX"]),
            eea=2,
            eia=2,
        )
        derived = {
            "KDsess": keys.kd_sess,
            "PEK": keys.pek,
            "PIK": keys.pik,
            "conf_R": keys.conf_r,
            "conf_I": keys.conf_i,
        }
        assert {name: value.hex() for name, value in derived.items()} == {name: expected[name] for name in derived}


@pytest.mark.parametrize(
    ("form", "begins", "ends"), [("one-way", "7ce9d80f", "109100f6"), ("mutual", "9686c40d", "7936151a")]
)
def test_kd_next_by_a_second_writing(form, begins, ends):
    """The numbers of PROFILE 12, and octet by octet what they are made of: FC, then each parameter with its length."""
    numbers = _worked()["01"][form]
    kd, tx = bytes.fromhex(numbers["KD"]), bytes.fromhex(numbers["TX"])
    written = b"\xf0" + b"pc5lab identity v1 KD-next" + b"\x00\x1a" + tx + b"\x00\x20"
    second = hmac.new(kd, written, hashlib.sha256).hexdigest()
    assert session.derive_kd_next(kd, tx).hex() == second
    assert (second[:8], second[-8:]) == (begins, ends)


def test_key_proof_by_a_second_writing():
    hashes = [bytes([n]) * 32 for n in (1, 2, 3)]
    written = b"\xf0" + b"pc5lab identity v1 pre" + b"\x00\x16" + b"".join(one + b"\x00\x20" for one in hashes)
    assert session.key_proof(SSV_A, *hashes) == hmac.new(SSV_A, written, hashlib.sha256).digest()[:8]
    with pytest.raises(KeyScheduleError):
        session.key_proof(SSV_A, hashes[0], hashes[1], b"")


def test_transcripts_as_they_are_written():
    def lp(octets: bytes) -> bytes:
        return len(octets).to_bytes(4, "big") + octets

    prefix = b"pc5lab identity v1 "
    t1, t2 = session.transcript_t1(b"dcr"), session.transcript_t2(bytes(32), b"dca")
    assert t1 == prefix + b"DCR" + b"dcr"
    assert t2 == prefix + b"DCA" + bytes(32) + b"dca"
    assert session.rekey_transcript_t1(bytes(32), b"rq") == prefix + b"RKQ" + bytes(32) + b"rq"
    assert session.rekey_transcript_t2(bytes(32), b"rs") == prefix + b"RKS" + bytes(32) + b"rs"
    assert session.request_hash(t1, b"sa") == session.binding_hash(prefix + b"req" + lp(t1) + lp(b"sa"))
    one_way = prefix + b"link" + lp(t1) + lp(b"sa") + lp(t2) + lp(b"")
    assert session.link_hash(t1, b"sa", t2) == session.binding_hash(one_way)
    assert session.link_hash(t1, b"sa", t2, b"sb") == session.binding_hash(one_way[:-4] + lp(b"sb"))


def test_every_input_counts():
    hashes = bytes(32), b"\x01" * 32
    one_way = session.derive_kd(SSV_A, None, *hashes)
    zeros = session.derive_kd(SSV_A, bytes(16), *hashes)
    rekeyed = session.derive_kd(SSV_A, None, *hashes, one_way)
    assert len({one_way, zeros, rekeyed, session.derive_kd(SSV_A, None, *hashes[::-1])}) == 4


def test_group_ladder():
    pgk = session.derive_pgk(SSV_A, keyer="tel:+1", group_info=b"info")
    assert pgk == kdf(SSV_A, 0xF0, b"pc5lab identity v1 PGK", b"tel:+1", b"info")
    ptk = session.derive_ptk(pgk, sender_l2=b"xyz", ptk_id=0x1234, group_l2=b"abc")
    assert ptk == kdf(pgk, 0x4A, b"xyz", b"\x12\x34", b"abc")
    assert len(session.derive_pek(ptk, FC33303, 2)) == 16


def second_writing(key, *parts):
    """TS 33.220 B.2.0 written once more, from hashlib's sister alone."""
    octets = b"\xf0"
    for part in parts:
        octets += part + struct.pack(">H", len(part))
    return hmac.new(key, octets, "sha256").digest()


def test_worked_number_of_a_group_key():
    """PROFILE 11: tag and PGK of one keying message, octets put together by hand."""
    ssv = bytes.fromhex("00112233445566778899aabbccddeeff")
    before, after = bytes.fromhex("0c0003 01 0d022d00 eeb9de00 02 01 0000"), b"sip:group1@example.org"
    keyer = b"tel:+447700900001"
    tag = second_writing(ssv, b"pc5lab identity v1 PGK-tag", keyer, before + bytes(8) + after)[:8]
    pgk = second_writing(ssv, b"pc5lab identity v1 PGK", keyer, before + tag + after)
    assert tag.hex() == "c72af8043ddab4f5"
    assert (pgk.hex()[:8], pgk.hex()[-8:]) == ("a4978174", "efce57d8")
    keying = GroupKeying(
        group_identity=after.decode(),
        group_l2=0x0C0003,
        pgk_id=1,
        epoch=0x0D022D00,
        expiry_ntp_s=0xEEB9DE00,
        eea=2,
        mode=1,
    ).tagged(ssv, keyer.decode())
    assert (keying.tag, keying.derive_pgk(ssv, keyer.decode())) == (tag, pgk)
    assert keying.octets == before + tag + after
    assert keying.mark == int.from_bytes(bytes.fromhex("0d022d00") + tag)


def test_wrong_lengths_are_refused():
    for call in (
        lambda: session.derive_kd(SSV_A[:-1], None, bytes(32), bytes(32)),
        lambda: session.derive_kd(SSV_A, b"", bytes(32), bytes(32)),
        lambda: session.derive_kd_sess(bytes(32), FC33303, b"", NONCE_2, bytes(32)),
        lambda: session.derive_kd_sess(bytes(32), FC33303, NONCE_1, NONCE_2, b""),
        lambda: session.derive_kd_next(bytes(32), b""),
        lambda: session.transcript_t2(b"", b""),
    ):
        with pytest.raises(KeyScheduleError):
            call()
    with pytest.raises(KdfError):
        kdf(b"", 0x100)
    with pytest.raises(KdfError):
        kdf(b"", 0, bytes(65_536))


def test_keys_do_not_show():
    keys = session.derive_session_keys(
        bytes(32), profile=FC33303, nonce_1=NONCE_1, nonce_2=NONCE_2, tx=bytes(32), eea=2, eia=2
    )
    assert repr(keys) == "SessionKeys()"
