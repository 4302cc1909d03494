"""Keys that are network addresses are valid ones."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tabsynth.codec.identifiers import generate_keys, learn_pattern

RNG = np.random.default_rng(0)
ROWS = 2000


def numbers(low: int, high: int, places: int) -> list[list[int]]:
    return RNG.integers(low, high, (ROWS, places)).tolist()


ADDRESSES: dict[str, tuple[list[str], Callable[[str], object]]] = {
    "ipv4": ([".".join(map(str, row)) for row in numbers(0, 256, 4)], ipaddress.IPv4Address),
    "private": ([f"10.0.{a}.{b}" for a, b in numbers(0, 256, 2)], ipaddress.IPv4Address),
    "network": ([f"{a}.{b}.{c}.0/24" for a, b, c in numbers(1, 255, 3)], ipaddress.IPv4Network),
    "ipv6": ([str(ipaddress.IPv6Address(RNG.bytes(16))) for _ in range(ROWS)], ipaddress.IPv6Address),
    "short ipv6": ([f"2001:db8::{a:x}" for (a,) in numbers(1, 65536, 1)], ipaddress.IPv6Address),
    "mixed": (
        [f"10.{a}.{b}.{c}" if a % 2 else f"2001:db8:{a:x}:{b:x}::{c:x}" for a, b, c in numbers(0, 256, 3)],
        ipaddress.ip_address,
    ),
    "mac": (
        [":".join(f"{byte:02x}" for byte in RNG.bytes(6)) for _ in range(ROWS)],
        lambda key: re.compile("(?:[0-9a-f]{2}:){5}[0-9a-f]{2}").fullmatch(key) or int("not an address"),
    ),
}


@pytest.mark.parametrize("kind", ADDRESSES)
def test_generated_addresses_are_valid_and_new(kind: str) -> None:
    real, parse = ADDRESSES[kind]
    keys = generate_keys(learn_pattern(pd.Series(real)), 500, np.random.default_rng(1))
    for key in keys:
        parse(str(key))
    assert len(set(keys)) == 500
    assert not set(keys) & set(real)


def test_ports_after_ipv6_are_valid() -> None:
    real = [f"[2001:db8::{a:x}]:{port}" for a, port in numbers(1, 65536, 2)]
    for key in generate_keys(learn_pattern(pd.Series(real)), 500, np.random.default_rng(1)):
        address, _, port = str(key).rpartition(":")
        assert ipaddress.IPv6Address(address.strip("[]"))
        assert 0 < int(port) < 65536


def test_ports_are_valid() -> None:
    real = [f"192.168.{a % 256}.{a % 199}:{1024 + a * 31}" for a in range(ROWS)]
    for key in generate_keys(learn_pattern(pd.Series(real)), 500, np.random.default_rng(1)):
        address, _, port = str(key).partition(":")
        assert ipaddress.IPv4Address(address)
        assert 0 < int(port) < 65536
