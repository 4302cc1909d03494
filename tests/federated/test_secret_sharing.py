"""Shares, masks and sealed messages."""

from __future__ import annotations

import os
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabsynth.errors import PrivacyError
from tabsynth.federated import masking
from tabsynth.federated.secret_sharing import join_shares, split_secret


@given(st.binary(min_size=32, max_size=32), st.integers(3, 6), st.data())
def test_any_threshold_of_shares_gives_the_secret(secret: bytes, n: int, data: st.DataObject) -> None:
    threshold = data.draw(st.integers(2, n))
    shares = split_secret(secret, n, threshold)
    for chosen in combinations(range(n), threshold):
        assert join_shares({place: shares[place] for place in chosen}) == secret


def test_fewer_shares_give_nothing() -> None:
    secret = os.urandom(32)
    shares = split_secret(secret, 5, 3)
    with pytest.raises(ValueError, match="do not belong"):  # a random element of a far larger field
        join_shares({0: shares[0], 3: shares[3]})
    assert shares != split_secret(secret, 5, 3)


def test_two_sites_derive_one_seed_for_each_purpose() -> None:
    first, second, third = (masking.new_key() for _ in range(3))
    seed = masking.shared_seed(first, masking.public_bytes(second), "mask 1")
    assert seed == masking.shared_seed(second, masking.public_bytes(first), "mask 1")
    assert seed != masking.shared_seed(second, masking.public_bytes(first), "mask 2")
    assert seed != masking.shared_seed(third, masking.public_bytes(first), "mask 1")
    with pytest.raises(PrivacyError, match="not valid"):
        masking.shared_seed(first, bytes(32), "mask 1")


def test_a_stream_is_uniform_and_repeats_for_its_seed() -> None:
    stream = masking.mask_stream(bytes(range(32)), 20_000)
    np.testing.assert_array_equal(stream, masking.mask_stream(bytes(range(32)), 20_000))
    counts = np.bincount((stream >> np.uint64(60)).astype(np.int64), minlength=16)
    assert np.abs(counts - 1250).max() < 6 * np.sqrt(1250)


def test_a_sealed_message_cannot_be_changed_or_sent_elsewhere() -> None:
    seed, text = os.urandom(32), b"a share"
    sealed = masking.seal(seed, text, "a>b")
    assert text not in sealed
    assert masking.unseal(seed, sealed, "a>b") == text
    for changed, label in ((sealed[:-1] + bytes([sealed[-1] ^ 1]), "a>b"), (sealed, "a>c"), (b"", "a>b")):
        with pytest.raises(PrivacyError, match="changed"):
            masking.unseal(seed, changed, label)
