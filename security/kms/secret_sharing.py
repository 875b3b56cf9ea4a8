"""m-of-n sharing of a secret (Shamir): each octet is the value at 0 of a random polynomial over GF(2^8).

Fewer than m shares give no information about the secret. Shares carry no check of their own: only the use of the secret
shows whether it is right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from security.kms_wire.errors import SecretShareError
from security.random_source import RandomSource

FIELD_POLYNOMIAL: Final = 0x11B
"""x^8 + x^4 + x^3 + x + 1 (FIPS 197 4.2)."""
MAX_SHARES: Final = 255


def split_secret(secret: bytes, *, threshold: int, shares: int, random: RandomSource) -> dict[int, bytes]:
    """Shares by their index 1..shares, each as long as the secret; any `threshold` of them make it.

    Raises SecretShareError unless 2 <= threshold <= shares <= 255.
    """
    if not 2 <= threshold <= shares <= MAX_SHARES:
        raise SecretShareError(f"{threshold} of {shares} shares: 2 <= threshold <= shares <= {MAX_SHARES} is needed")
    coefficients = [secret, *(random(len(secret)) for _ in range(threshold - 1))]
    return {
        x: bytes(_value_at(x, [row[place] for row in coefficients]) for place in range(len(secret)))
        for x in range(1, shares + 1)
    }


def combine_shares(shares: Mapping[int, bytes]) -> bytes:
    """The secret of these shares, if they are enough. Raises SecretShareError if they can't be of one secret."""
    if not shares or len({len(share) for share in shares.values()}) != 1:
        raise SecretShareError("shares of one secret are equally long")
    if not all(1 <= x <= MAX_SHARES for x in shares):
        raise SecretShareError(f"a share's index is 1..{MAX_SHARES}")
    weights = {x: _weight(x, [other for other in shares if other != x]) for x in shares}
    length = len(next(iter(shares.values())))
    return bytes(_sum(multiply(weights[x], share[place]) for x, share in shares.items()) for place in range(length))


def multiply(a: int, b: int) -> int:
    """Product in GF(2^8)."""
    return _POWERS[(_LOGARITHMS[a] + _LOGARITHMS[b]) % 255] if a and b else 0


def divide(a: int, b: int) -> int:
    """Quotient in GF(2^8); b is not 0."""
    return _POWERS[(_LOGARITHMS[a] - _LOGARITHMS[b]) % 255] if a else 0


def _value_at(x: int, coefficients: list[int]) -> int:
    """The polynomial's value, lowest coefficient first."""
    value = 0
    for coefficient in reversed(coefficients):
        value = multiply(value, x) ^ coefficient
    return value


def _weight(x: int, others: list[int]) -> int:
    """Lagrange's factor of the value at x for the value at 0."""
    weight = 1
    for other in others:
        weight = multiply(weight, divide(other, other ^ x))
    return weight


def _sum(terms: Iterable[int]) -> int:
    total = 0
    for term in terms:
        total ^= term
    return total


def _tables() -> tuple[list[int], list[int]]:
    powers, logarithms, value = [0] * 255, [0] * 256, 1
    for exponent in range(255):
        powers[exponent], logarithms[value] = value, exponent
        doubled = value << 1
        value ^= doubled ^ (FIELD_POLYNOMIAL if doubled & 0x100 else 0)
    return powers, logarithms


_POWERS, _LOGARITHMS = _tables()
