"""m-of-n sharing: any m shares make the secret, fewer say nothing."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest

from security.kms.secret_shares import passphrase_of_shares, write_share_files
from security.kms.secret_sharing import combine_shares, divide, multiply, split_secret
from security.kms_wire.errors import SecretShareError


def test_the_field_is_that_of_fips_197() -> None:
    assert multiply(0x57, 0x83) == 0xC1
    assert multiply(0x57, 0x13) == 0xFE
    assert [multiply(0x57, power) for power in (2, 4, 8, 16)] == [0xAE, 0x47, 0x8E, 0x07]


def test_every_quotient_undoes_its_product() -> None:
    assert all(divide(multiply(a, b), b) == a for a in range(256) for b in range(1, 256))


@pytest.mark.parametrize(("threshold", "shares"), [(2, 2), (2, 3), (3, 5), (5, 5)])
def test_any_threshold_of_shares_makes_the_secret(threshold: int, shares: int) -> None:
    secret = os.urandom(33)
    split = split_secret(secret, threshold=threshold, shares=shares, random=os.urandom)
    for count in range(threshold, shares + 1):
        for chosen in itertools.combinations(split, count):
            assert combine_shares({index: split[index] for index in chosen}) == secret
    for chosen in itertools.combinations(split, threshold - 1):
        assert combine_shares({index: split[index] for index in chosen}) != secret


def test_fewer_shares_fit_every_secret_equally_often() -> None:
    for index in (1, 2, 255):
        seen = [
            split_secret(b"\x42", threshold=2, shares=255, random=lambda _, octet=octet: bytes([octet]))[index]
            for octet in range(256)
        ]
        assert len(set(seen)) == 256


@pytest.mark.parametrize(("threshold", "shares"), [(1, 3), (4, 3), (2, 256), (0, 0)])
def test_impossible_splits_are_refused(threshold: int, shares: int) -> None:
    with pytest.raises(SecretShareError):
        split_secret(b"x", threshold=threshold, shares=shares, random=os.urandom)


@pytest.mark.parametrize("shares", [{}, {1: b"ab", 2: b"a"}, {0: b"a", 1: b"b"}, {256: b"a", 1: b"b"}])
def test_shares_that_cannot_be_of_one_secret_are_refused(shares: dict[int, bytes]) -> None:
    with pytest.raises(SecretShareError):
        combine_shares(shares)


def test_share_files_say_whose_they_are_and_find_damage(tmp_path: Path) -> None:
    secret = os.urandom(32)
    paths = write_share_files(secret, tmp_path / "a", kms_uri="kms.example", threshold=2, shares=3)
    assert all(path.stat().st_mode & 0o077 == 0 for path in paths)
    assert passphrase_of_shares(paths[1:], kms_uri="kms.example") == secret
    other = write_share_files(secret, tmp_path / "b", kms_uri="kms.example", threshold=2, shares=3)
    damaged = tmp_path / "damaged.json"
    form = json.loads(paths[0].read_text())
    damaged.write_text(json.dumps(form | {"share": form["share"][2:] + "00"}))
    for wrong, why in (
        ([paths[0]], "2 different shares"),
        ([paths[0], paths[0]], "2 different shares"),
        ([paths[0], other[1]], "different sets"),
        ([paths[0], tmp_path / "none"], "No such file"),
        ([damaged, paths[1]], "damaged"),
    ):
        with pytest.raises(SecretShareError, match=why):
            passphrase_of_shares(wrong, kms_uri="kms.example")
    with pytest.raises(SecretShareError, match=r"kms\.other"):
        passphrase_of_shares(paths, kms_uri="kms.other")
    with pytest.raises(SecretShareError):
        write_share_files(secret, tmp_path / "a", kms_uri="kms.example", threshold=2, shares=3)
