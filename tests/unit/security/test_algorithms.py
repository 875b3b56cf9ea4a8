from __future__ import annotations

from itertools import islice

import pytest

from security.ciphers import snow3g, zuc
from security.ciphers.algorithm_inputs import AlgorithmError
from security.ciphers.algorithms import ciphering, eea, eia, integrity

KEY = bytes(range(16))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_eea_vectors(vectors, number):
    for case in vectors("eea_eia.json")["algorithms"][f"128-EEA{number}"]:
        octets = [bytes.fromhex(case[name]) for name in ("key", "data", "output")]
        arguments = case["count"], case["bearer"], case["direction"]
        assert eea(number, octets[0], *arguments, octets[1], case["bitlen"]) == octets[2], case["name"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_eia_vectors(vectors, number):
    for case in vectors("eea_eia.json")["algorithms"][f"128-EIA{number}"]:
        arguments = case["count"], case["bearer"], case["direction"], bytes.fromhex(case["data"]), case["bitlen"]
        assert eia(number, bytes.fromhex(case["key"]), *arguments).hex() == case["output"], case["name"]


def test_snow3g_kernel_agrees_with_the_definition(random):
    for n_words in (1, 2, 17, 400):
        key, iv = random(16), tuple(int.from_bytes(random(4), "big") for _ in range(4))
        assert snow3g.keystream(key, iv, n_words).tolist() == list(islice(snow3g.keystream_plain(key, iv), n_words))


def test_zuc_kernel_agrees_with_the_definition(random):
    for n_words in (1, 2, 17, 400):
        key, iv = random(16), random(16)
        assert zuc.keystream(key, iv, n_words).tolist() == list(islice(zuc.keystream_plain(key, iv), n_words))
    ones = b"\xff" * 16
    assert zuc.keystream(ones, ones, 2).tolist() == [0x0657CFA0, 0x7096398B]


def test_zuc_boxes_are_permutations():
    assert sorted(zuc.S0) == sorted(zuc.S1) == list(range(256))


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_ciphering_undoes_itself_at_every_length(number, random):
    keyed = ciphering(number, KEY)
    for bits in (0, 1, 7, 8, 9, 31, 32, 33, 127, 128, 129, 12_000):
        data = random((bits + 7) // 8 + 2)
        ciphered = keyed.apply(1, 2, 1, data, bits)
        again = keyed.apply(1, 2, 1, ciphered, bits)
        kept = int.from_bytes(data, "big") >> (8 * len(data) - bits)
        assert len(ciphered) == (bits + 7) // 8
        assert int.from_bytes(again, "big") >> (-bits % 8) == kept


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_batch_is_its_packets_one_by_one(number, random):
    keyed = ciphering(number, KEY)
    packets = [random(length) for length in (0, 1, 15, 16, 17, 0, 33, 1500, 4)]
    counts = [0xFFFFFFFF, 0, 5, 4, 3, 2, 1, 7, 8]
    one_by_one = [keyed.apply(count, 31, 1, packet) for count, packet in zip(counts, packets, strict=True)]
    assert keyed.apply_batch(counts, 31, 1, packets) == one_by_one
    assert keyed.apply_batch([], 1, 0, []) == []
    assert keyed.apply(1, 2, 0, b"abc") == eea(number, KEY, 1, 2, 0, b"abc")
    for bad in (([1], []), ([1 << 32], [b"x"]), ([-1], [b"x"])):
        with pytest.raises(AlgorithmError):
            keyed.apply_batch(bad[0], 1, 0, bad[1])


@pytest.mark.parametrize("number", [1, 2, 3])
def test_mac_depends_on_every_input(number, random):
    keyed = integrity(number, KEY)
    data = random(40)
    macs = {
        keyed.mac(1, 2, 0, data),
        keyed.mac(2, 2, 0, data),
        keyed.mac(1, 3, 0, data),
        keyed.mac(1, 2, 1, data),
        keyed.mac(1, 2, 0, data + b"\0"),
        keyed.mac(1, 2, 0, data, 319),
        integrity(number, bytes(16)).mac(1, 2, 0, data),
    }
    assert len(macs) == 7
    assert len(keyed.mac(1, 2, 0, b"")) == 4


def test_null_algorithms():
    assert eea(0, KEY, 1, 2, 0, b"plain") == b"plain"
    assert eia(0, KEY, 1, 2, 0, b"plain") == bytes(4)


@pytest.mark.parametrize("number", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("count", "bearer", "direction", "bits"),
    [(1 << 32, 0, 0, 8), (-1, 0, 0, 8), (0, 32, 0, 8), (0, 0, 2, 8), (0, 0, 0, 9), (0, 0, 0, -1)],
)
def test_inputs_out_of_range_are_refused(number, count, bearer, direction, bits):
    for algorithm in (eea, eia):
        with pytest.raises(AlgorithmError):
            algorithm(number, KEY, count, bearer, direction, b"x", bits)


def test_unknown_algorithms_and_key_lengths_are_refused():
    for keyed in (ciphering, integrity):
        with pytest.raises(AlgorithmError):
            keyed(4, KEY)
        with pytest.raises(AlgorithmError):
            keyed(2, KEY + b"\0")
