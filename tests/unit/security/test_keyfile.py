from __future__ import annotations

import json

import pytest

from security.keyfile import KeyFileError, parse_key_file


@pytest.fixture
def document(world):
    domain, user = world.domain, world.alice
    return {
        "kms": [{"uri": domain.uri, "z": domain.z.hex(), "kpak": domain.kpak.hex(), "uid_format": 1}],
        "users": [
            {
                "uri": user.uri,
                "kms": domain.uri,
                "uid": user.uid.hex(),
                "key_period_no": user.key_period_no,
                "rsk": user.rsk.hex(),
                "ssk": user.ssk.hex(),
                "pvt": user.pvt.hex(),
            },
            {"uri": world.bob.uri, "kms": domain.uri},
        ],
    }


def test_good_file(document, world):
    file = parse_key_file(json.dumps(document).encode())
    assert file.ring().keys_for(world.alice.uri, world.alice.key_period_no) == world.alice
    keys, domain = file.signing_keys(world.alice.uri, 3_968_437_672)
    assert keys == world.alice
    assert domain.uri == world.domain.uri
    assert file.users[1].rsk is None
    assert world.alice.ssk.hex() not in repr(file)


def test_numbers_may_be_decimal_strings(document):
    document["kms"][0]["uid_format"] = "1"
    assert parse_key_file(json.dumps(document).encode()).domains[0].uid_scheme == 1


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"kms": 1}', b'{"kms": [1]}', b'{"x": 1}', b"[" * 100_000])
def test_files_of_another_kind_are_refused(content):
    with pytest.raises(KeyFileError):
        parse_key_file(content)


@pytest.mark.parametrize(
    ("where", "field", "value"),
    [
        ("kms", "z", "04"),
        ("kms", "z", None),
        ("kms", "kpak", "zz"),
        ("kms", "uid_format", 3),
        ("kms", "uid_format", None),
        ("kms", "uid_format", 2),
        ("kms", "uri", 5),
        ("kms", "uri", "a b"),
        ("kms", "colour", "red"),
        ("users", "rsk", "0011"),
        ("users", "rsk", 7),
        ("users", "kms", "kms.other.example"),
        ("users", "uri", None),
        ("users", "key_period_no", -1),
        ("users", "key_period_no", True),
        ("users", "key_period_no", "x"),
    ],
)
def test_bad_fields_are_named(document, where, field, value):
    document[where][0][field] = value
    with pytest.raises(KeyFileError, match=where):
        parse_key_file(json.dumps(document).encode())


def test_keys_of_another_period_are_not_used(document, world):
    file = parse_key_file(json.dumps(document).encode())
    with pytest.raises(KeyFileError):
        file.signing_keys(world.alice.uri, 3_968_437_672 + 40 * 86_400)
    with pytest.raises(KeyFileError):
        file.signing_keys("tel:+1", 3_968_437_672)
