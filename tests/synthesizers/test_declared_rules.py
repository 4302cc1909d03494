"""Declared constraints hold in every row of every synthesizer, under conditions and privacy, without distortion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth import Privacy, load
from tabsynth.errors import ConditionError, DataError, InputError, PrivacyError
from tabsynth.schema import Schema
from tabsynth.schema.validation import satisfies
from tabsynth.synthesizers.base import Synthesizer
from tabsynth.synthesizers.registry import create

COUNTRIES = {"Bern": "CH", "Basel": "CH", "Oslo": "NO", "Rome": "IT"}

RULES: list[dict[str, Any]] = [
    {"kind": "order", "sequence": ["admitted", "discharged"], "greatest": 60},
    {"kind": "order", "sequence": ["discharged", "death"]},
    {"kind": "missing", "column": "death", "when": "not died"},
    {"kind": "range", "column": "mid", "low": "low", "high": "high"},
    {"kind": "range", "column": "age", "by": "group", "bounds": {"child": [0, 17], "adult": [18, 64], "old": [65, 99]}},
    {"kind": "linear", "column": "total", "terms": ["net", "tax"]},
    {"kind": "expression", "rule": "tax <= net"},
    {"kind": "product", "column": "bmi", "terms": {"weight": 1, "height": -2}},
    {"kind": "lookup", "column": "country", "by": "city", "values": COUNTRIES},
    {"kind": "combinations", "of": ["sex", "pregnant"], "values": [["f", True], ["f", False], ["m", False]]},
    {"kind": "forbidden", "of": ["group", "pregnant"], "values": [["old", True], ["child", True]]},
    {"kind": "if_then", "when": "age < 18", "then": "kids == 0"},
    {"kind": "one_of", "of": ["x", "y", "z"]},
    {"kind": "expression", "rule": "where(pregnant, age > 17, True)"},
    {"kind": "unique", "of": ["shop", "week"]},
]


def table(n: int = 600, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.integers(0, 90, n)
    sex = rng.choice(["f", "m"], n)
    net = np.round(rng.lognormal(3, 0.5, n), 2)
    tax = np.round(net * 0.2 * rng.random(n), 2)
    weight, height = np.round(rng.normal(70, 12, n), 1), np.round(rng.normal(1.7, 0.1, n), 2)
    admitted = pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D")
    discharged = admitted + pd.to_timedelta(np.floor(rng.exponential(3, n)), "D")
    died = rng.random(n) < 0.15
    low = np.round(rng.normal(0, 1, n), 2)
    high = np.round(low + rng.exponential(1, n), 2)
    picked = rng.integers(0, 4, n)
    city = rng.choice(list(COUNTRIES), n)
    return pd.DataFrame(
        {
            "age": age,
            "sex": sex,
            "pregnant": (sex == "f") & (age > 17) & (age < 50) & (rng.random(n) < 0.2),
            "kids": np.where(age < 18, 0, rng.poisson(1.3, n)),
            "group": np.where(age < 18, "child", np.where(age < 65, "adult", "old")),
            "city": city,
            "country": [COUNTRIES[name] for name in city],
            "net": net,
            "tax": tax,
            "total": np.round(net + tax, 2),
            "weight": weight,
            "height": height,
            "bmi": np.round(weight / height**2, 1),
            "admitted": admitted,
            "discharged": discharged,
            "died": died,
            "death": pd.Series(discharged + pd.to_timedelta(rng.integers(0, 100, n), "D")).where(died),
            "x": picked == 0,
            "y": picked == 1,
            "z": picked == 2,
            "low": low,
            "mid": np.clip(np.round(low + (high - low) * rng.random(n), 2), low, high),
            "high": high,
            "shop": np.arange(n) // 25,
            "week": np.arange(n) % 25,
        }
    )


def with_rules(frame: pd.DataFrame, rules: list[dict[str, Any]]) -> Schema:
    return Schema.from_dict({**Schema.infer(frame).to_dict(), "constraints": rules})


def violations(rows: pd.DataFrame, schema: Schema) -> dict[str, int]:
    counts = {rule.describe(): int((~satisfies(rule, rows, schema)).sum()) for rule in schema.constraints}
    return {rule: count for rule, count in counts.items() if count}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return table()


@pytest.fixture(scope="module")
def marginal(frame: pd.DataFrame) -> Synthesizer:
    return create("marginal").fit(frame, schema=with_rules(frame, RULES), seed=0)


CONDITIONS: list[dict[str, Any]] = [
    {},
    {"age": (70, 80)},
    {"age": (0, 3)},
    {"discharged": ("2023-01-01", "2023-01-07"), "country": "NO"},
    {"total": (20.0, 22.0)},
    {"died": True, "death": ("2022-06-01", "2022-06-30")},
    {"pregnant": True},
    {"kids": 4, "mid": (2.0, None)},
    {"x": True},
]


@pytest.mark.parametrize("given", CONDITIONS)
def test_rules_hold_with_and_without_conditions(marginal: Synthesizer, given: dict[str, Any]) -> None:
    rows = marginal.sample(300, given=given or None, seed=1)
    assert len(rows) == 300
    assert violations(rows, marginal.schema_) == {}
    for name, wanted in given.items():
        if isinstance(wanted, tuple):
            low, high = (end if end is None or not isinstance(end, str) else pd.Timestamp(end) for end in wanted)
            assert (rows[name] >= low).all()
            assert high is None or (rows[name] <= high).all()
        else:
            assert (rows[name] == wanted).all()


def test_rules_hold_beside_values_given_for_each_row(marginal: Synthesizer, frame: pd.DataFrame) -> None:
    usual = (
        frame["discharged"].between("2022-03-01", "2024-03-01") & frame["total"].between(12, 40) & (frame["kids"] < 4)
    )
    given = frame.loc[usual, ["discharged", "total", "kids", "city"]].head(150).reset_index(drop=True)
    rows = marginal.sample(given=given, seed=1)
    assert violations(rows, marginal.schema_) == {}
    pd.testing.assert_frame_equal(rows[given.columns], given, check_dtype=False)


def test_rules_hold_in_filled_rows(marginal: Any, frame: pd.DataFrame) -> None:
    gaps = frame.drop(columns=["shop", "week"]).head(100)
    gaps = gaps.assign(discharged=pd.NaT, total=np.nan, country=None, mid=np.nan, group=None)
    schema = Schema(marginal.schema_.columns, marginal.schema_.constraints[:-1])
    for draw in (True, False):
        filled = marginal.impute(gaps, seed=0, draw=draw)
        assert violations(filled, schema) == {}
        assert filled["discharged"].notna().all()


def test_types_columns_and_rows_of_a_seed_stay(marginal: Synthesizer, frame: pd.DataFrame, tmp_path: Path) -> None:
    rows = marginal.sample(50, seed=3)
    assert rows.dtypes.equals(frame.dtypes)
    marginal.save(tmp_path / "m.tabsynth")
    pd.testing.assert_frame_equal(load(tmp_path / "m.tabsynth").sample(50, seed=3), rows)


def test_the_card_says_how_each_rule_is_kept(marginal: Synthesizer) -> None:
    card = {one["rule"]: one for one in marginal.card()["constraints"]}
    assert len(card) == len(RULES)
    assert card["total = net + tax"]["kept_by"] == "arithmetic"
    assert card["discharged <= death"]["kept_by"] == "learning 'death - discharged'"
    assert 0 < card["at most one of x, y, z"]["repaired_share"] < 0.5


def test_conditions_that_contradict_a_rule_are_refused_by_its_name(marginal: Synthesizer) -> None:
    with pytest.raises(ConditionError, match="country is looked up by city"):
        marginal.sample(10, given={"city": "Oslo", "country": "IT"})
    with pytest.raises(ConditionError, match="at most one of x, y, z"):
        marginal.sample(10, given={"x": True, "y": True})


def test_a_key_with_too_few_values_is_refused(marginal: Synthesizer) -> None:
    with pytest.raises(InputError, match=r"repeat the key \(shop, week\)"):
        marginal.sample(700, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["masked", "vae", "gan", "gaussian_copula", "tvae"])
def test_rules_hold_in_every_synthesizer(kind: str) -> None:
    if kind in ("gaussian_copula", "tvae"):
        pytest.importorskip("sdv")
    options = {} if kind == "gaussian_copula" else {"epochs": 2}
    few = table(250)
    model = create(kind, **options).fit(few, schema=with_rules(few, RULES), seed=0)
    assert violations(model.sample(200, seed=1), model.schema_) == {}
    if kind in ("masked", "vae", "gan"):
        assert violations(model.sample(100, given={"age": (0, 20)}, seed=1), model.schema_) == {}


def stays(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ward = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    mean = np.select([ward == "a", ward == "b"], [1.75, 3.25], 7.0)
    admitted = pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 1400, n), "D")
    days = np.floor(rng.exponential(mean) + 0.5)
    return pd.DataFrame({"ward": ward, "admitted": admitted, "discharged": admitted + pd.to_timedelta(days, "D")})


def days_of(rows: pd.DataFrame) -> pd.Series:
    return (rows["discharged"] - rows["admitted"]).dt.days


STAY = [{"kind": "order", "sequence": ["admitted", "discharged"]}]


def test_the_distribution_of_a_difference_is_kept() -> None:
    real = stays(1500)
    model = create("marginal").fit(real, schema=with_rules(real, STAY), seed=0)
    own, drawn = days_of(real), days_of(model.sample(6000, seed=1))
    assert abs(drawn.mean() / own.mean() - 1) < 0.05
    assert abs((drawn > 20).mean() - (own > 20).mean()) < 0.01
    late = days_of(model.sample(2000, given={"discharged": ("2024-01-01", "2024-02-01")}, seed=1))
    assert abs(late.mean() / own.mean() - 1) < 0.2


def test_public_rules_cost_a_private_fit_nothing() -> None:
    real = stays(4000)
    dates = {"kind": "datetime", "low": "2022-01-01", "high": "2026-12-31", "resolution": "D"}
    columns = {"ward": {"kind": "categorical", "values": ["a", "b", "c"]}, "admitted": dates, "discharged": dates}
    schema = Schema.from_dict({"columns": columns, "constraints": [{**STAY[0], "greatest": 120}]})
    fits = [
        create("marginal").fit(real, schema=own, privacy=Privacy(4.0, 1e-6, insecure_seed=0))
        for own in (schema, Schema(schema.columns))
    ]
    assert fits[0].ledger_.epsilon() == pytest.approx(fits[1].ledger_.epsilon(), rel=1e-6)
    drawn = days_of(fits[0].sample(4000, seed=1))
    assert drawn.min() >= 0
    assert abs(drawn.mean() / days_of(real).mean() - 1) < 0.25
    # A real row that violates a rule changes nothing but its own counts, and raises nothing.
    create("marginal").fit(
        real[:400].assign(discharged=real["admitted"] - pd.Timedelta(5, "D")),
        schema=schema,
        privacy=Privacy(1.0, 1e-6, insecure_seed=0),
    )


def test_a_private_fit_takes_no_combinations_from_the_table() -> None:
    column = {"kind": "categorical", "values": ["a", "b"]}
    rule = {"kind": "combinations", "of": ["one", "two"]}
    schema = Schema.from_dict({"columns": {"one": column, "two": column}, "constraints": [rule]})
    with pytest.raises(PrivacyError, match="list them"):
        create("marginal").fit(pd.DataFrame({"one": ["a"], "two": ["b"]}), schema=schema, privacy=Privacy(1.0))


def test_combinations_are_taken_from_the_training_rows() -> None:
    rng = np.random.default_rng(0)
    city = rng.choice(list(COUNTRIES), 300)
    frame = pd.DataFrame({"city": city, "country": [COUNTRIES[name] for name in city], "x": rng.normal(size=300)})
    schema = with_rules(frame, [{"kind": "combinations", "of": ["city", "country"]}])
    model = create("marginal").fit(frame, schema=schema, seed=0)
    assert set(model.schema_.constraints[0].values) == set(COUNTRIES.items())  # type: ignore[attr-defined]
    assert violations(model.sample(500, seed=0), model.schema_) == {}


class TestTrainingRowsThatViolate:
    @staticmethod
    def fit(on_violation: str, kind: str = "marginal") -> tuple[pd.DataFrame, Synthesizer]:
        frame = stays(500)
        swapped = frame["discharged"].head(20) - pd.Timedelta(400, "D")
        frame.loc[:19, "discharged"] = swapped
        rule = {**STAY[0], "on_violation": on_violation}
        return frame, create(kind).fit(frame, schema=with_rules(frame, [rule]), seed=0)

    def test_by_default_the_table_is_refused(self) -> None:
        with pytest.raises(DataError, match="20 rows violate"):
            self.fit("error")

    @pytest.mark.parametrize("on_violation", ["exclude", "repair", "drop"])
    def test_they_are_counted_and_bend_nothing(self, on_violation: str) -> None:
        frame, model = self.fit(on_violation)
        assert model.card()["constraints"][0]["rows"] == 20
        assert model.rows_ == (480 if on_violation == "drop" else 500)
        rows = model.sample(2000, seed=0)
        own = days_of(frame.iloc[20:])
        assert violations(rows, model.schema_) == {}
        assert abs(days_of(rows).mean() / own.mean() - 1) < 0.15

    def test_weights_of_dropped_rows_go_too(self) -> None:
        frame = stays(300)
        frame.loc[:9, "discharged"] -= pd.Timedelta(400, "D")
        schema = with_rules(frame, [{**STAY[0], "on_violation": "drop"}])
        model = create("masked", epochs=1).fit(frame, schema=schema, weights=np.arange(300.0), seed=0)
        assert model.rows_ == 290
