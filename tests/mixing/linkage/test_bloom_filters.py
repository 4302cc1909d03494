"""Bloom filters: similar records match under one secret only, and the probability increases with similarity."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabsynth.errors import DataError, InputError
from tabsynth.mixing.linkage import bloom_filters
from tabsynth.mixing.linkage.fields import FieldKind

from ..people import registers

KINDS: dict[str, FieldKind] = {"name": "text", "born": "date"}
TABLE = pa.table(
    {"name": ["maria lindner", "maria linder", "john smith"], "born": ["19800102", "19800102", "19510923"]}
)


def test_like_records_have_like_filters_under_one_secret_only() -> None:
    filters = bloom_filters.encode_filters(TABLE, KINDS, b"a secret of the parties", 10)
    assert filters.shape == (3, bloom_filters.N_BITS // 8)
    alike = bloom_filters.dice_similarity(filters, filters)
    assert np.diag(alike) == pytest.approx(1)
    assert alike[0, 1] > 0.85 > 0.4 > alike[0, 2]
    other = bloom_filters.encode_filters(TABLE, KINDS, b"another secret of others", 10)
    assert np.diag(bloom_filters.dice_similarity(filters, other)).max() < 0.4
    np.testing.assert_array_equal(filters, bloom_filters.encode_filters(TABLE, KINDS, b"a secret of the parties", 10))


def test_a_missing_value_sets_no_bit() -> None:
    table = pa.table({"name": pa.array(["ann", None]), "born": pa.array([None, None], pa.string())})
    filters = bloom_filters.encode_filters(table, KINDS, b"a secret of the parties", 10)
    assert filters[0].any()
    assert not filters[1].any()


def test_about_half_the_bits_are_set() -> None:
    frame = registers({"a": 200}, shared=0)["a"]
    table = pa.table({name: frame[name].astype(object).to_list() for name in ("given", "family", "street", "born")})
    kinds: dict[str, FieldKind] = {"given": "text", "family": "text", "street": "text", "born": "date"}
    filters = bloom_filters.encode_filters(
        table, kinds, b"a secret of the parties", bloom_filters.optimal_hashes([table])
    )
    assert 0.35 < np.unpackbits(filters, axis=1).mean() < 0.65


@given(st.integers(0, 2**31), st.floats(0.05, 0.95))
@settings(deadline=None, max_examples=25)
def test_a_higher_score_is_never_less_likely_a_match(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    matched = rng.random(300) < share
    best = np.where(matched, rng.normal(0.85, 0.06, 300), rng.normal(0.4, 0.03, 300)).clip(0, 1)
    next_best = rng.normal(0.4, 0.03, 300).clip(0, 1)
    found = bloom_filters.match_probability(best, next_best, np.linspace(0, 1, 200))
    assert (np.diff(found) >= 0).all()
    assert ((found >= 0) & (found <= 1)).all()
    is_match = bloom_filters.match_probability(best, next_best, best) > 0.5
    assert (is_match != matched).mean() < 0.02


def test_a_short_secret_and_too_many_pairs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="the secret has 5 bytes"):
        bloom_filters.encode_filters(TABLE, KINDS, b"short", 10)
    with pytest.raises(InputError, match="1 to 32 hashes, not 33"):
        bloom_filters.encode_filters(TABLE, KINDS, b"a secret of the parties", 33)
    monkeypatch.setattr(bloom_filters, "MAX_PAIRS", 1e4)
    with pytest.raises(DataError, match="too many to compare all filters"):
        bloom_filters.score_pairs(registers({"a": 150, "b": 150}, shared=10), ("given", "born"), 0.5)
