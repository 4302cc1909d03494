"""Rare values are pooled, and replaced when a table is decoded."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from tabsynth.codec import Codec
from tabsynth.codec.categorical_encoder import ValueCoder
from tabsynth.codec.rare_value_pooling import pooling_warnings
from tabsynth.data import Table
from tabsynth.errors import DataError
from tabsynth.schema import Schema
from tabsynth.schema.kinds.release_floor import release_floor

from .round_trips import round_trip, schema_of


def test_rare_categories_are_pooled_and_only_public_ones_come_back() -> None:
    values = ["common"] * 95 + ["rare"] * 3 + ["odd"] * 2
    inferred = round_trip(pd.DataFrame({"x": values}), schema_of(x={"kind": "categorical"}))
    assert set(inferred["x"]) == {"common"}
    declared = Schema.from_dict({"columns": {"x": {"kind": "categorical", "values": ["common", "rare", "odd"]}}})
    assert set(round_trip(pd.DataFrame({"x": values}), declared)["x"]) == {"common", "rare", "odd"}
    assert set(round_trip(pd.DataFrame({"x": values}), schema_of(x={"kind": "categorical"}), min_group=1)["x"]) == {
        "common",
        "rare",
        "odd",
    }


@pytest.mark.parametrize(("rare", "shown"), [(["b"] * 3, {}), (["b"] * 3 + ["c"] * 2, {"x": 0.05})])
def test_a_card_says_what_was_pooled_and_not_learned(rare: list[str], shown: dict[str, float]) -> None:
    frame = pd.DataFrame({"x": ["a"] * (100 - len(rare)) + rare, "note": [f"n{i}" for i in range(100)]})
    card = Codec.measure(Table.of(frame, schema_of(x={"kind": "categorical"}, note={"kind": "text"}))).card()
    assert card == {"min_group": 5, "pooled_share": shown, "not_learned": ["note"], "rows": 100}


def fitted_column(values: pd.Series, **facts: object) -> tuple[pd.Series, Codec]:
    """A column through a codec that warns, and the codec."""
    frame = pd.DataFrame({"x": values})
    schema = schema_of(x={"kind": "categorical", **facts})
    with pytest.warns(UserWarning, match="shared by fewer than 5 rows.*lower min_group"):
        codec = Codec.measure(Table.of(frame, schema))
    return codec.decode(codec.encode(frame), np.random.default_rng(0))["x"], codec


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([f"W{i // 4}" for i in range(400)]),
        pd.Series(["D0"] * 20 + [f"D{i}" for i in range(1, 381)]),
        pd.Series([f"{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(400)]),
        pd.Series([10_000 + i // 3 for i in range(400)]),
        pd.Series([100 + i // 3 for i in range(60)], dtype="uint8"),
        pd.Series([f"W{i // 4}" for i in range(400)], dtype="category"),
        pd.Series([f"W{i // 4}" for i in range(400)], dtype="string"),
        pd.Series([7.0, *[float(1000 + i) for i in range(399)]]),
    ],
    ids=["codes", "one frequent", "words", "integers", "small integers", "category", "string", "floats"],
)
def test_pooled_values_are_neither_missing_nor_real_nor_piled_on_frequent_ones(values: pd.Series) -> None:
    back, codec = fitted_column(values)
    assert back.notna().all()
    assert back.dtype.name == values.dtype.name
    counts = values.value_counts()
    frequent = set(counts[counts >= 5].index)
    assert not (set(back) - frequent) & set(values)
    for value in frequent:
        assert (back == value).sum() == counts[value]
    advice = codec.card()["pooled_advice"]
    assert len(advice) == 1
    assert "column 'x'" in advice[0]
    again = Codec.from_state(*codec.state())
    assert again.decode(again.encode(pd.DataFrame({"x": values})), np.random.default_rng(0))["x"].equals(back)


def test_a_declared_replacement_takes_the_place_of_pooled_values() -> None:
    values = pd.Series(["common"] * 90 + [f"rare {i}" for i in range(10)])
    back, _ = fitted_column(values, replacement="Other")
    assert back.value_counts().to_dict() == {"common": 90, "Other": 10}


def test_values_that_nothing_can_replace_are_refused() -> None:
    frame = pd.DataFrame({"x": [i + 0.5 for i in range(30)]})
    with pytest.raises(DataError, match=r"column 'x'.*declare it numeric"):
        Codec.measure(Table.of(frame, schema_of(x={"kind": "categorical"})))


def test_replacements_of_rare_codes_lie_between_known_ones() -> None:
    rng = np.random.default_rng(0)
    frequent = [0.0, *range(100, 1000, 50), 999.0]
    values = pd.Series([*np.repeat(frequent, 30), *rng.choice(np.arange(101, 999, 7), 80, replace=False).astype(float)])
    back, _ = fitted_column(values)
    replaced = set(back) - set(frequent)
    assert len(replaced) > 30  # 80 draws with replacement hit about 50 of 80
    assert not replaced & set(values)
    assert all(0 < value < 999 and value % 1 == 0 for value in replaced)


def test_replacements_of_rare_postcodes_have_as_many_digits() -> None:
    rng = np.random.default_rng(0)
    known = [f"{code:04d}" for code in rng.choice(np.arange(800, 8000), 900, replace=False)]
    values = pd.Series([*np.repeat(known[:20], 6), *known[20:]])
    out, _ = fitted_column(values)
    made = set(out) - set(known)
    assert len(made) > 100
    assert {len(value) for value in out} == {4}


def long_tail(rows: int, seed: int = 0) -> pd.Series:
    """A column of places, most of which a few rows share."""
    rng = np.random.default_rng(seed)
    sizes = rng.gamma(0.7, size=rows // 4)
    return pd.Series([f"place {at}" for at in rng.choice(len(sizes), rows, p=sizes / sizes.sum())])


def test_a_long_tail_of_rare_values_raises_the_floor() -> None:
    values = long_tail(4000)
    with pytest.warns(UserWarning, match=r"fewer than (6|7|8|9|1\d) rows"):
        codec = Codec.measure(Table.of(pd.DataFrame({"x": values}), schema_of(x={"kind": "categorical"})), warn=True)
    coder = codec.coders["x"]
    assert isinstance(coder, ValueCoder)
    assert coder.raised_floor > 5
    assert min(coder.counts[: coder.rare]) >= coder.raised_floor
    assert ValueCoder.from_state(*coder.state()).raised_floor == coder.raised_floor
    declared = {"kind": "categorical", "values": sorted(set(values)), "origin": "declared"}
    public = Codec.measure(Table.of(pd.DataFrame({"x": values}), schema_of(x=declared)))
    assert min(public.coders["x"].counts[:-2]) == 5


def test_rows_are_released_about_as_often_if_they_were_not_in_the_training_table() -> None:
    gaps = {5: 0.0, 0: 0.0}
    for seed in range(5):
        values = long_tail(6000, seed)
        train, fresh = values.iloc[:3000], values.iloc[3000:]
        counts = train.value_counts()
        for least in gaps:
            floor = least or release_floor(counts.to_numpy(), 5)
            kept = counts.index[counts >= floor]
            gaps[least] += (train.isin(kept).mean() - fresh.isin(kept).mean()) / 5
    assert gaps[5] > 0.05, gaps
    assert gaps[0] < 0.035


@pytest.mark.parametrize(
    "persons",
    [[5] * 200, [5] * 7 + [4] * 200 + [100], [5] * 8 + [4] * 8 + [10_000], [300, 5, 4, 3]],
    ids=["equal groups", "few values", "few rows", "short tail"],
)
def test_other_columns_keep_the_floor(persons: list[int]) -> None:
    assert release_floor(np.array(persons), 5) == 5
    assert release_floor(np.array(persons), 1) == 1


def test_warnings_of_linked_tables_name_the_table_and_each_column_once() -> None:
    frame = pd.DataFrame({"ward": [f"W{i // 2}" for i in range(60)]})
    table = Table.of(frame, Schema.from_dict({"columns": {"ward": {"kind": "categorical"}}}))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pooling_warnings("visits"):
            Codec.measure(table)
            Codec.measure(table)
        with pooling_warnings(None):
            Codec.measure(table)
        Codec.measure(table)
    named = [str(item.message).partition(":")[0] for item in caught]
    assert named == ["table 'visits', column 'ward'", "column 'ward'"]
