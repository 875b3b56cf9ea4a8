"""Sealed octets open only with the right passphrase, for the right purpose, and whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from security.at_rest.sealing import (
    MAX_PASSPHRASE_FILE_OCTETS,
    Seal,
    SealError,
    make_passphrase_file,
    passphrase_from_file,
)

PASSPHRASE = b"correct horse battery"


def test_what_is_sealed_opens_again_after_deriving_the_key_anew() -> None:
    sealed = Seal.create(PASSPHRASE, log2_n=4).seal(b"secret", purpose="a")
    assert b"secret" not in sealed
    assert Seal.of(sealed, PASSPHRASE).open(sealed, purpose="a") == b"secret"


def test_every_octet_counts() -> None:
    seal = Seal.create(PASSPHRASE, log2_n=4)
    sealed = seal.seal(b"secret", purpose="a")
    for position in range(len(sealed)):
        with pytest.raises(SealError):
            seal.open(sealed[:position], purpose="a")
        with pytest.raises(SealError):
            seal.open(sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :], purpose="a")


def test_another_purpose_or_passphrase_does_not_open() -> None:
    sealed = Seal.create(PASSPHRASE, log2_n=4).seal(b"secret", purpose="a")
    with pytest.raises(SealError, match="b: wrong passphrase"):
        Seal.of(sealed, PASSPHRASE).open(sealed, purpose="b")
    with pytest.raises(SealError):
        Seal.of(sealed, b"wrong horse battery").open(sealed, purpose="a")


def test_a_crafted_cost_does_not_exhaust_the_machine() -> None:
    sealed = bytearray(Seal.create(PASSPHRASE, log2_n=4).seal(b"secret", purpose="a"))
    sealed[len(b"pc5lab-sealed\x01")] = 40
    with pytest.raises(SealError, match="2\\^40"):
        Seal.of(bytes(sealed), PASSPHRASE)


def test_short_passphrases_are_refused_and_none_is_shown() -> None:
    with pytest.raises(SealError, match=r"8\.\.1024"):
        Seal.create(b"short", log2_n=4)
    seal = Seal.create(PASSPHRASE, log2_n=4)
    assert repr(seal.key) not in repr(seal)


def test_passphrase_files_are_private(tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    made = make_passphrase_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert passphrase_from_file(path) == made
    with pytest.raises(SealError, match="exists"):
        make_passphrase_file(path)
    path.chmod(0o644)
    with pytest.raises(SealError, match="chmod 600"):
        passphrase_from_file(path)
    with pytest.raises(SealError, match="No such file"):
        passphrase_from_file(tmp_path / "none")


def test_a_passphrase_file_without_end_is_refused(tmp_path):
    endless = tmp_path / "endless"
    endless.symlink_to("/dev/zero")
    with pytest.raises(SealError, match="read by others"):
        passphrase_from_file(endless)
    long = tmp_path / "long"
    long.write_bytes(b"x" * (MAX_PASSPHRASE_FILE_OCTETS + 1))
    long.chmod(0o600)
    with pytest.raises(SealError, match="more than 65536 octets"):
        passphrase_from_file(long)
