"""Numbers that another column decides, such as the population of a country, hold in every synthetic row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth
from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.relations.determined_columns import LookupRule
from tabsynth.relations.enforcement import Relations
from tabsynth.schema import Identifier, Schema
from tabsynth.synthesizers.masked import MaskedSynthesizer

N_STATES = 60


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Shops of sixty states, whose area has decimals and whose population is missing for some."""
    rng = np.random.default_rng(0)
    area, people = np.round(rng.uniform(30, 900, N_STATES), 2), rng.integers(1000, 90_000, N_STATES).astype(float)
    people[:3] = np.nan
    state = rng.integers(0, N_STATES, 1200)
    return pd.DataFrame(
        {
            "state": np.array([f"s{number:02d}" for number in range(N_STATES)])[state],
            "area": area[state],
            "people": people[state],
            "turnover": np.round(rng.lognormal(5, 1, 1200), 2),
        }
    )


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> MaskedSynthesizer:
    return MaskedSynthesizer(epochs=1).fit(frame, seed=0, progress=False)


def facts(frame: pd.DataFrame) -> set[tuple[str, float, float]]:
    rows = frame[["state", "area", "people"]].fillna({"people": -1.0})
    return set(rows.itertuples(index=False, name=None))


def rules_of(frame: pd.DataFrame) -> list[str]:
    table = Table.of(frame)
    return Relations.discover(table, Codec.measure(table)).describe()


def test_a_state_has_its_area_in_every_row(frame: pd.DataFrame, model: MaskedSynthesizer, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    drawn = tabsynth.load(tmp_path / "model").sample(800, seed=1, progress=False)
    assert model.relations_.describe() == [
        f"area is a function of state with {N_STATES} values",
        f"people is a function of state with {N_STATES - 3} values",
    ]
    assert facts(drawn) <= facts(frame)
    assert drawn["state"].nunique() == N_STATES


def test_a_number_that_is_given_decides_the_state(frame: pd.DataFrame, model: MaskedSynthesizer) -> None:
    state, area = frame.loc[7, ["state", "area"]]
    assert (model.sample(40, seed=1, given={"area": area})["state"] == state).all()
    assert (model.sample(40, seed=1, given={"state": state})["area"] == area).all()


def test_one_other_number_is_enough_to_refuse(frame: pd.DataFrame) -> None:
    frame = frame.copy()
    frame.loc[11, "area"] += 0.01
    assert rules_of(frame) == [f"people is a function of state with {N_STATES - 3} values"]


def test_states_of_few_rows_release_no_number(frame: pd.DataFrame) -> None:
    few = frame.groupby("state").head(4)
    more = pd.concat([frame[frame["state"] > "s05"], few[few["state"] <= "s05"]])
    table = Table.of(more)
    relations = Relations.discover(table, Codec.measure(table))
    rule = next(rule for rule in relations.rules if rule.columns == ("state", "area"))
    released = set(rule.numbers)  # type: ignore[union-attr]
    assert not released & set(few.loc[few["state"] <= "s05", "area"])
    assert len(released) == N_STATES - 6


def test_a_fact_of_few_values_holds_although_it_is_sometimes_missing(frame: pd.DataFrame) -> None:
    rng = np.random.default_rng(1)
    tier = rng.integers(1, 5, N_STATES)[frame["state"].str[1:].astype(int)].astype(float)
    tier[rng.random(len(frame)) < 0.1] = np.nan
    more = frame[["state", "turnover"]].assign(tier=tier)
    drawn = MaskedSynthesizer(epochs=1).fit(more, seed=0, progress=False).sample(500, seed=1, progress=False)
    assert drawn["tier"].isna().any()
    pairs = {
        name: set(rows.dropna()[["state", "tier"]].itertuples(index=False, name=None))
        for name, rows in (("real", more), ("drawn", drawn))
    }
    assert pairs["drawn"] <= pairs["real"]


def test_numbers_of_values_count_persons_not_rows() -> None:
    """One person has a third of the rows; a product that only this person buys has no stored price."""
    rng = np.random.default_rng(0)
    n = 1800
    person = np.where(rng.random(n) < 0.33, 0, rng.integers(1, 200, n))
    product = np.where((person == 0) & (rng.random(n) < 0.1), 60, rng.integers(0, 60, n))
    price, amount = np.round(rng.uniform(5, 900, 61), 2), rng.integers(1, 9, n)
    total = np.where(product < 30, amount * 2.5 + 1, amount * 3.0)
    names = np.array([f"p{number:02d}" for number in range(61)])
    kind = np.where(product < 30, "low", "high")
    frame = pd.DataFrame({"person_id": person, "product": names[product], "price": price[product]})
    frame = frame.assign(kind=kind, amount=amount, total=total)
    schema = Schema.infer(frame)
    schema = replace(schema, columns={**schema.columns, "person_id": Identifier(name="person_id", role="person")})
    table = Table(frame, schema)
    relations = Relations.discover(table, Codec.measure(table, min_group=5))
    rule = next(rule for rule in relations.rules if isinstance(rule, LookupRule))
    assert rule.text == "price is a function of product with 60 values"
    assert price[60] not in rule.numbers
    assert any(text.startswith("total is a linear function of amount") for text in relations.describe())


def test_a_fee_by_state_holds_beside_free_orders() -> None:
    rng = np.random.default_rng(0)
    fees = {"NY": 4.5, "CA": 7.25, "TX": 5.0, "OR": 9.9}
    state, price, count = (
        rng.choice(list(fees), 2000),
        np.round(rng.lognormal(3, 0.8, 2000), 2),
        rng.integers(1, 6, 2000),
    )
    frame = pd.DataFrame({"state": state, "count": count, "price": price, "value": np.round(count * price, 2)})
    frame["fee"] = frame["state"].map(fees).where(frame["value"] < 100, 0.0)
    table = Table.of(frame)
    codec = Codec.measure(table)
    relations = Relations.from_state(*Relations.discover(table, codec).state())
    assert "fee is a function of state with 4 values unless fee == 0" in relations.describe()
    tokens = codec.encode(frame)
    for name in codec.coders:
        tokens[:, codec.positions(name)] = tokens[rng.permutation(2000)][:, codec.positions(name)]
    rows = relations.decode(codec, tokens, rng)
    assert (rows["fee"] == rows["state"].map(fees).where(rows["value"] < 100, 0.0)).all()


def test_a_number_that_is_often_zero_is_no_lookup() -> None:
    rng = np.random.default_rng(1)
    group, number = rng.choice(list("abc"), 1000), rng.choice([0.0, 1.5, 2.5, 3.5], 1000, p=[0.7, 0.1, 0.1, 0.1])
    assert not any("unless" in text for text in rules_of(pd.DataFrame({"group": group, "number": number})))


def test_few_marks_of_groups_are_no_lookup() -> None:
    group = np.repeat(list("abcd"), 32)
    marks = np.where(np.arange(128) % 2, 3.0, np.repeat([2.0, 2.0, 4.0, 5.0], 32))
    assert not any("unless" in text for text in rules_of(pd.DataFrame({"group": group, "mark": marks})))
