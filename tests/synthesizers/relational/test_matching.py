"""Further foreign keys: parents by class and level, and composite keys without repeats."""

import numpy as np
import pandas as pd
import pytest

from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.composite_keys import make_unique
from tabsynth.synthesizers.relational.matching import Match, fit_levels, fit_match


def test_rows_get_a_parent_of_their_class_with_as_many_rows_as_in_training() -> None:
    """Shops of kind b have four times the orders of the others, and an order is of its shop's kind."""
    rng = np.random.default_rng(0)
    shops = pd.DataFrame({"size": rng.choice(["s", "m"], 60), "kind": ["a", "b"] * 30})
    rows = rng.permutation(np.repeat(np.arange(60), np.where(shops.kind == "a", 2, 8)))
    orders = pd.DataFrame({"kind": shops.kind.to_numpy()[rows], "price": rng.normal(size=len(rows))})
    match, classes = fit_match(orders, rows, shops, Schema.infer(shops), np.arange(60), 2)
    assert match.column == "kind"
    found = Match.from_dict(match.to_dict()).assign(classes, match.classes(shops), None, rng)
    assert (shops.kind.to_numpy()[found] == orders.kind).all()
    assert (np.bincount(found, minlength=60) == np.where(shops.kind == "a", 2, 8)).all()


def test_parents_without_a_known_class_take_rows_of_any() -> None:
    match = Match(column="kind", values=("a", "b"), degrees={0: ((1, 1),), 1: ((1, 1),)})
    found = match.assign(np.array([0, 0, 1, -1]), np.array([0, 0]), None, np.random.default_rng(0))
    assert set(found[:3]) <= {0, 1}
    assert found[3] == -1


def test_replies_refer_to_one_level_up_in_the_same_thread() -> None:
    threads = np.repeat(np.arange(50), 3)
    rows = np.tile([-1, 0, 1], 50) + np.where(np.tile([True, False, False], 50), 0, 3 * threads)
    match, above = fit_levels(rows, threads)
    assert match.within
    assert above.tolist() == [-1, 0, 1] * 50
    found = match.assign(above, above + 1, threads, np.random.default_rng(0))
    assert (found == rows).all()


def test_rows_in_a_circle_have_no_level() -> None:
    match, above = fit_levels(np.array([1, 0, -1, 2]), None)
    assert above.tolist() == [-1, -1, -1, 0]
    assert not match.within


@pytest.mark.parametrize(("values", "left"), [(range(10), 12), (range(2), 6)])
def test_repeated_composite_keys_get_another_value_or_are_removed(values: range, left: int) -> None:
    """Three orders with four lines of equal code: ten codes suffice for all, two for two lines each."""
    frame = pd.DataFrame({"order": np.repeat([1, 2, 3], 4), "code": 0, "price": np.arange(12.0)})
    out = make_unique(frame, ["order", "code"], "code", pd.Series(values), np.random.default_rng(0))
    assert len(out) == left
    assert not out.duplicated(["order", "code"]).any()
    assert out.dtypes.equals(frame.dtypes)
    assert not make_unique(frame, ["order", "code"], None, pd.Series(values), np.random.default_rng(0)).empty
