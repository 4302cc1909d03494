"""Excluded pairs of tokens that follow from the bounds of a number under a condition on a category."""

import numpy as np
import pandas as pd

from tabsynth.relations.categories.bounded_pairs import bounded_pairs
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.histories.history import vocabulary


def test_numbers_outside_the_bounds_of_a_category_are_excluded_and_no_others() -> None:
    rng = np.random.default_rng(0)
    kind = rng.choice(["fee", "rent", "cash"], 3000)
    low = pd.Series(kind).map({"fee": 1.0, "rent": 60.0, "cash": 50.0}).to_numpy()
    frame = pd.DataFrame({"kind": kind, "amount": (low * rng.uniform(1, 4, 3000)).round(2)})
    codec, relations = vocabulary(frame, Schema.infer(frame), np.arange(3000), min_group=5, tokens=64)
    order = [next(i for i, slot in enumerate(codec.slots) if slot.column == name) for name in ("amount", "kind")]
    (pairs,) = bounded_pairs(relations.rules, codec, order)
    assert pairs.slots == (1, 0)
    tokens = codec.encode(frame)[:, order]
    assert not pairs.violated(tokens).any()
    kinds = {value: int(tokens[kind == value][0, 1]) for value in ("fee", "rent", "cash")}
    least, most = codec.numeric_coders["amount"].token_bounds()
    excluded = {value: pairs.pairs[kinds[value]][: len(least)] for value in kinds}
    assert excluded["fee"][least > 10].all()
    assert not excluded["fee"][most < 4].any()
    assert excluded["rent"][most < 59].all()
    assert not excluded["rent"][(least > 61) & (most < 230)].any()
    assert excluded["cash"][(most < 49) | (least > 201)].all()
    assert not excluded["cash"][(least > 51) & (most < 199)].any()
