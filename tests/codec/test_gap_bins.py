"""Rare numbers between frequent round ones are as frequent in synthetic rows, and none is released."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.codec import Codec
from tabsynth.data import Table

from .round_trips import numeric, round_trip, schema_of

ROWS = 3000


def exceptions(kind: str, seed: int) -> tuple[np.ndarray, float]:
    """Round numbers with a few odd ones, and the unit of the round ones."""
    rng = np.random.default_rng(seed)
    odd = rng.random(ROWS)
    income = rng.lognormal(8, 0.5, ROWS)
    pressure, weight = rng.normal(130, 20, ROWS), rng.normal(75, 12, ROWS)
    return {
        "income": (np.where(odd < 0.036, income.round(), income.round(-2)), 100.0),
        "blood pressure": (np.where(odd < 0.1, pressure.round(), pressure.round(-1)), 10.0),
        "weight": (np.where(odd < 0.1, weight.round(1), weight.round()), 1.0),
    }[kind]


def odd_share(values: np.ndarray, unit: float) -> float:
    return float((np.abs(values / unit - np.rint(values / unit)) > 1e-9).mean())


@pytest.mark.parametrize("kind", ["income", "blood pressure", "weight"])
def test_odd_numbers_among_round_ones_are_as_frequent(kind: str) -> None:
    real, synthetic = [], []
    for seed in range(3):
        values, unit = exceptions(kind, seed)
        back = round_trip(pd.DataFrame({"x": values}), schema_of(x=numeric()))["x"].to_numpy()
        real.append(odd_share(values, unit))
        synthetic.append(odd_share(back, unit))
    assert np.mean(synthetic) == pytest.approx(np.mean(real), abs=0.007)


def test_odd_numbers_of_too_few_persons_are_not_drawn() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(130, 20, ROWS).round(-1)
    frame = pd.DataFrame({"who": [*["p"] * 40, *(f"q{i}" for i in range(ROWS - 40))], "x": values})
    frame.loc[:39, "x"] = rng.integers(101, 109, 40)
    schema = schema_of(who={"kind": "identifier", "role": "person"}, x=numeric())
    assert odd_share(round_trip(frame, schema)["x"].to_numpy(), 10) == 0


def test_encoding_a_number_that_was_decoded_gives_its_token() -> None:
    frame = pd.DataFrame({"x": exceptions("income", 0)[0]})
    codec = Codec.measure(Table.of(frame))
    coder = codec.numeric_coders["x"]
    tokens = np.repeat(np.arange(coder.n_ordered_tokens, dtype=np.int32), 50)
    numbers = coder.decode(tokens, np.random.default_rng(0))
    dense = (numbers > 2000) & (numbers < 4000)
    assert (numbers[dense] % 100 != 0).any()
    assert (coder.encode(numbers) == tokens)[dense].mean() > 0.995
    assert coder.mass.sum() == pytest.approx(ROWS)
    assert (np.diff(coder.edges) > 0).all()


def test_codes_have_no_numbers_between_them() -> None:
    rng = np.random.default_rng(0)
    codes = np.sort(rng.choice(900, 30, replace=False)) + 100
    values = rng.choice(codes, ROWS).astype(float)
    rare = [code for code in range(100, 1000) if code not in codes][:8]
    values[:8] = rare
    back = round_trip(pd.DataFrame({"x": values}), schema_of(x=numeric()))["x"].to_numpy()
    assert set(back) <= set(codes)
