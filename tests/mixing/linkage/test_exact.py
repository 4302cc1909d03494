"""Exact keys: growth of a join and content of the linking column are counted before joining."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabsynth.errors import DataError, InputError
from tabsynth.mixing.linkage import blocking
from tabsynth.mixing.linkage.exact import check_growth, count_growth, number_keys
from tabsynth.mixing.linkage.fields import infer_kind, normalise_text, prepare_fields

keys = st.lists(st.sampled_from(["a1", "a2", "a3", None]), min_size=1, max_size=8)


@given(keys, keys)
@settings(deadline=None)
def test_growth_counts_what_pandas_would_join(left: list[str | None], right: list[str | None]) -> None:
    frames = {"a": pd.DataFrame({"k": left}, dtype=object), "b": pd.DataFrame({"k": right}, dtype=object)}
    found = count_growth(number_keys(frames, {"a": ["k"], "b": ["k"]}))
    joined = frames["a"].dropna().merge(frames["b"].dropna(), on="k")
    assert found.rows == len(joined)
    many = joined["k"].isin([k for k in left if left.count(k) > 1 and right.count(k) > 1])
    assert (found.factor > 1) == (found.cardinality == "m:n") == bool(many.any())


def test_an_explosion_is_stopped_before_it_happens() -> None:
    groups = {"a": np.zeros(1000, int), "b": np.zeros(2000, int)}
    found = count_growth(groups)
    assert (found.rows, found.worst, found.factor) == (2_000_000, 2_000_000, 1000.0)
    with pytest.raises(DataError, match="would produce 2,000,000 rows.*above max_growth 1 "):
        check_growth(found, 1.0)
    check_growth(count_growth({"a": np.arange(5), "b": np.repeat(np.arange(5), 3)}), 1.0)


def test_an_explosion_between_two_of_three_sources_is_seen() -> None:
    groups = {"a": np.zeros(100, int), "b": np.zeros(100, int), "c": np.array([1])}
    assert count_growth(groups).rows == 10_000
    with pytest.raises(DataError, match="10,000 rows"):
        check_growth(count_growth(groups), 1.0)
    with pytest.raises(DataError, match="declares the join 1:n, but 'a', 'b' have"):
        check_growth(count_growth(groups), 100.0, "1:n")


def test_keys_of_several_columns_match_part_by_part() -> None:
    frames = {
        "a": pd.DataFrame({"site": ["x", "x", "y", None], "no": [1, 2, 1, 1]}),
        "b": pd.DataFrame({"ward": ["y", "x"], "nr": ["1", "2"]}),
    }
    found = number_keys(frames, {"a": ["site", "no"], "b": ["ward", "nr"]})
    assert found["a"][3] == -1
    assert found["b"].tolist() == [found["a"][2], found["a"][1]]
    assert len(set(found["a"][:3])) == 3
    with pytest.raises(InputError, match="different numbers of columns"):
        number_keys(frames, {"a": ["site", "no"], "b": ["ward"]})


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["19800102", "1999-12-31", "2001-02-03 00:00:00"] * 20, "date"),
        (list(pd.date_range("1980-01-01", periods=50)), "date"),
        ([f"{i * 7919 + 1000000}" for i in range(60)], "identifier"),
        ([f"MRN-{i:04d}" for i in range(60)], "identifier"),
        ([str(i % 9 + 2000) for i in range(60)], "number"),
        ([0.5 * (i % 7) for i in range(60)], "number"),
        (["nsw", "vic", None] * 40, "code"),
        ([f"{chr(97 + i % 26)}{chr(97 + i // 26)}ton street" for i in range(60)], "text"),
    ],
)
def test_a_kind_is_read_off_the_values(values: list[object], kind: str) -> None:
    assert infer_kind([normalise_text(pd.Series(values))]) == kind


def test_sources_write_alike_after_preparation() -> None:
    frames = {
        "a": pd.DataFrame(
            {"zip": ["04223", "0800"] * 5, "born": ["1980-01-02", "1999-12-31"] * 5, "name": [" Ann  Lee", "x"] * 5}
        ),
        "b": pd.DataFrame(
            {"zip": [4223.0, np.nan] * 5, "born": ["19800102", None] * 5, "name": ["ann lee", "Unknown"] * 5}
        ),
    }
    tables, kinds = prepare_fields(frames, ["zip", "born", "name"])
    assert kinds["born"] == "date"
    for name in frames["a"]:
        assert tables["a"][name][0] == tables["b"][name][0]
        assert tables["b"][name].null_count == 5


@pytest.mark.parametrize(
    ("value", "is_one"), [("0", True), ("tbd", True), ("1900-01-01", True), ("4000", False), ("o'neil", False)]
)
def test_placeholders_are_known(value: str, is_one: bool) -> None:
    assert (normalise_text(pd.Series([value], dtype=object))[0].as_py() is None) == is_one


def test_blocking_takes_rules_that_few_pairs_share_and_trains_by_rules_that_share_no_field() -> None:
    pairs = {"id": 1_000, "born": 3_000, "name": 40_000, "town": 2_000_000}

    def count(rule: blocking.Rule) -> int:
        return int(np.prod([pairs[name] / 1e8 for name in rule]) * 1e8)

    rules, reach = blocking.choose_rules(list(pairs), dict.fromkeys(pairs, 1.0), count, 10_000)
    assert ("town",) not in rules
    assert {("id",), ("born",), ("name",)} <= set(rules)
    assert 0.98 < reach < 1
    training = blocking.choose_training_rules(rules, {name: {name} for name in pairs})
    assert len({name for rule in training for name in rule}) == sum(len(rule) for rule in training)
    together = blocking.choose_training_rules(rules, {"id": {"id"}, "born": {"born", "name"}, "name": {"name", "born"}})
    assert sum(bool({"born", "name"} & set(rule)) for rule in together) == 1
