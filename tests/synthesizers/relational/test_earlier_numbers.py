"""Numbers relative to an earlier sibling's: which depend on it, in which classes, and which repeat it."""

import numpy as np
import pandas as pd
import pytest

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.codec.quantile_bins import measure_quantiles
from tabsynth.synthesizers.relational.occurrences.earlier_numbers import (
    N_DISTANCES,
    choose_earlier_numbers,
    distance_classes,
)
from tabsynth.synthesizers.relational.occurrences.precedents import RowClass
from tabsynth.synthesizers.relational.occurrences.repeated_numbers import (
    NumbersByClass,
    SampledNumbers,
    repeat_rate,
    rounding_units,
)
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

PARENTS, LENGTH = 200, 12
STARTS = np.arange(PARENTS + 1) * LENGTH


def measured(data: np.ndarray) -> tuple[QuantileCoder, np.ndarray]:
    coder = measure_quantiles(data, tokens=64, decimals=2)
    assert coder is not None
    return coder, coder.encode(data).astype(np.int64)


def test_classes_of_distances_are_alike_upwards_and_downwards() -> None:
    coder, _ = measured(np.random.default_rng(0).lognormal(3, 1, 5000).round(2))
    classes = distance_classes(coder)
    n = coder.n_ordered_tokens
    assert classes.shape == (coder.size + 1, coder.size)
    assert (np.diag(classes[:n, :n]) == 0).all()
    upper = np.triu_indices(n, 1)
    assert (classes[:n, :n].T[upper] - classes[:n, :n][upper].astype(int) == N_DISTANCES // 2 - 1).all()
    assert (classes[n:] == N_DISTANCES - 1).all()
    assert (np.diff(classes[0, 1:n].astype(int)) >= 0).all()


@pytest.mark.parametrize(("kind", "expected"), [("series", [False]), ("by class", [True]), ("independent", [])])
def test_numbers_that_depend_on_an_earlier_sibling_are_found(kind: str, expected: list[bool]) -> None:
    """Sales resemble those of the week before, a salary the last salary, and prices only those of their category."""
    rng = np.random.default_rng(1)
    classes = rng.integers(0, 3, PARENTS * LENGTH)
    parent = np.repeat(np.arange(PARENTS), LENGTH)
    level = {
        "series": rng.normal(0, 1, PARENTS)[parent],
        "by class": rng.normal(0, 1, (PARENTS, 3))[parent, classes],
        "independent": 2.0 * classes,
    }[kind]
    coder, tokens = measured(np.exp(5 + level + rng.normal(0, 0.05, len(level))).round(2))
    rows = np.stack([classes, tokens], axis=1)
    found = choose_earlier_numbers(rows, {1: coder}, [0], RowClass.at([0], [3, coder.size]), STARTS)
    assert [one.by_class for one in found] == expected


def test_numbers_repeat_earlier_ones_as_often_as_in_training() -> None:
    """A salary stays the same for months, and a purchase is never exactly the one before."""
    rng = np.random.default_rng(2)
    n = PARENTS * LENGTH
    classes, before = np.arange(n) % 2, np.arange(n) - 2
    before[np.arange(n) % LENGTH < 2] = -1
    salary = np.repeat(rng.normal(0, 1, PARENTS), LENGTH)
    data = np.where(classes == 0, salary, rng.normal(0, 1, n))
    tokens = np.zeros(n, np.int64)
    rates = repeat_rate(data, tokens, before, classes, 2)
    assert rates[0] > 0.98
    assert rates[1] < 0.02
    coder, _ = measured(rng.normal(0, 1, n).round(2))
    sampled = SampledNumbers(PARENTS, {3: coder}, NumbersByClass({3: np.array([1.0, 0.0])}), [3])
    assert sampled.draw(2, np.zeros(PARENTS, np.int64), np.zeros(PARENTS, np.int64), rng) is None
    out = np.zeros((PARENTS, LENGTH))
    for place in range(LENGTH):
        own = sampled.draw(3, np.full(PARENTS, 5), np.full(PARENTS, place % 2), rng)
        assert own is not None
        assert (coder.encode(own) == 5).all()
        out[:, place] = own
    assert (out[:, ::2] == out[:, :1]).all()
    assert (out[:, 3::2] != out[:, 1:-1:2]).mean() > 0.5


def test_numbers_of_a_class_are_multiples_of_its_unit() -> None:
    """Cash is in hundreds, and transfers have cents; a class of few persons is not rounded."""
    rng = np.random.default_rng(4)
    n = PARENTS * LENGTH
    classes, persons = np.arange(n) % 3, np.arange(n) // LENGTH
    data = np.where(classes == 0, 100 * rng.integers(1, 60, n), rng.uniform(100, 6000, n).round(2))
    units = rounding_units(data, classes, 3, persons, 5)
    assert units.tolist() == [100.0, 0.0, 0.0]
    assert not rounding_units(data, classes, 3, np.where(classes == 0, persons % 4, persons), 5).any()
    coder, tokens = measured(data)
    sampled = SampledNumbers(n, {0: coder}, NumbersByClass({}, {0: units}), [])
    own = sampled.draw(0, tokens, classes, rng)
    assert own is not None
    assert np.array_equal(coder.encode(own), tokens)
    assert (own[classes == 0] % 100 == 0).all()
    assert (own[classes > 0] % 100 == 0).mean() < 0.3


def test_a_first_column_that_follows_earlier_siblings_is_fitted() -> None:
    rng = np.random.default_rng(3)
    parents = pd.DataFrame({"id": [f"P{i}" for i in range(40)]})
    children = pd.DataFrame({"id": np.repeat(parents["id"], 6).to_numpy()})
    children["x"] = (np.repeat(rng.normal(0, 5, 40), 6) + rng.normal(0, 0.1, 240)).round(1)
    tables = {"parents": parents, "children": children}
    model = RelationalSynthesizer(epochs=1).fit(tables, seed=0)
    assert model._model.histories["children"].network.earlier
    assert len(model.sample(5, seed=0)["parents"]) == 5
