"""Shamir's secret sharing: any ``threshold`` shares reveal the secret, fewer reveal nothing (Shamir 1979)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

PRIME = 2**521 - 1
"""A Mersenne prime larger than any secret of 32 bytes."""

SHARE_BYTES, SECRET_BYTES = 66, 32


def split_secret(secret: bytes, shares: int, threshold: int) -> list[bytes]:
    """Return the shares of a secret of 32 bytes: the polynomial's values at 1, 2 and so on."""
    polynomial = [int.from_bytes(secret, "big"), *(secrets.randbelow(PRIME) for _ in range(threshold - 1))]
    values = [sum(part * pow(x, power, PRIME) for power, part in enumerate(polynomial)) for x in range(1, shares + 1)]
    return [(value % PRIME).to_bytes(SHARE_BYTES, "big") for value in values]


def join_shares(shares: Mapping[int, bytes]) -> bytes:
    """Return the secret of shares by position from 0, by Lagrange's interpolation at zero.

    Raises:
        ValueError: The shares do not belong together, or are too few.
    """
    total = 0
    for place, share in shares.items():
        numerator, denominator = 1, 1
        for other in shares:
            if other != place:
                numerator = numerator * (other + 1) % PRIME
                denominator = denominator * (other - place) % PRIME
        total += int.from_bytes(share, "big") * numerator * pow(denominator, -1, PRIME)
    secret = total % PRIME
    if secret >= 1 << (8 * SECRET_BYTES):
        raise ValueError("the shares do not belong to one secret")
    return secret.to_bytes(SECRET_BYTES, "big")
