"""Formulas of several columns are discovered, and hold in rows whose columns were shuffled independently."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth
from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.relations.declared.suggestion import suggest_constraints
from tabsynth.relations.enforcement import Relations
from tabsynth.relations.formulas.rule import FormulaRule
from tabsynth.schema import Schema
from tabsynth.schema.validation import satisfies
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.masked import MaskedSynthesizer

N = 500
FEES = {"basic": (1.0, 0.02), "free": (0.0, 0.0), "plus": (2.5, 0.015), "pro": (10.0, 0.005)}
OFFSETS = {"basic": 14, "free": 30, "plus": 60, "pro": 7}
PRICES = {(own, size): 7.25 + 3 * i + 1.5 * j for i, own in enumerate(FEES) for j, size in enumerate("SML")}


def of_plan(rows: pd.DataFrame, at: int) -> pd.Series:
    return rows["plan"].astype(str).map({name: own[at] for name, own in FEES.items()})


def brackets(income: pd.Series) -> np.ndarray:
    return np.select([income <= 10_000, income <= 40_000], [0 * income, 0.2 * income - 2000], 0.4 * income - 10_000)


def wage(rows: pd.DataFrame) -> pd.Series:
    return rows["rate"] * (np.minimum(rows["hours"], 40) + 1.5 * np.maximum(rows["hours"] - 40, 0))


def list_price(rows: pd.DataFrame) -> pd.Series:
    return pd.Series([PRICES[key] for key in zip(rows["plan"], rows["size"], strict=True)])


Compute = Callable[[pd.DataFrame], object]

FORMULAS: dict[str, tuple[tuple[str, ...], Compute, int | None, str]] = {
    "max of two": (("a", "b"), lambda d: np.maximum(d["a"], d["b"]), None, "y = max(a, b)"),
    "max of three": (("a", "b", "c"), lambda d: d[["a", "b", "c"]].max(axis=1), None, "y = max(a, b, c)"),
    "min of two": (("a", "b"), lambda d: np.minimum(d["a"], d["b"]), None, "y = min(a, b)"),
    "median": (("a", "b", "c"), lambda d: d[["a", "b", "c"]].median(axis=1), None, "y = median(a, b, c)"),
    "best two": (("a", "b", "c"), lambda d: d[["a", "b", "c"]].sum(axis=1) - d[["a", "b", "c"]].min(axis=1), None,
                 "y = a + b + c - min(a, b, c)"),
    "last of two days": (("begin", "end"), lambda d: d[["begin", "end"]].max(axis=1), None, "y = max(begin, end)"),
    "least charge": (("count",), lambda d: np.maximum(5, 0.35 * d["count"]), 2, "y = max(5, 0.35 * count)"),
    "least product": (("count", "rate"), lambda d: np.maximum(5, d["rate"] * d["count"] / 50), 2,
                      "y = max(5, 0.02 * count * rate)"),
    "excess": (("a", "b"), lambda d: np.maximum(0, d["a"] - d["b"]), None, "y = max(0, a - b)"),
    "capped sum": (("a", "b"), lambda d: np.minimum(120, d["a"] + d["b"]), None, "y = min(120, a + b)"),
    "tax": (("income",), lambda d: brackets(d["income"]), 2,
            "y = where(income < 10000, 0, where(income < 40000, 0.2 * income - 2000, 0.4 * income - 10000))"),
    "overtime": (("hours", "rate"), wage, 2, "y = where(hours < 40, rate * hours, 1.5 * rate * hours - 20 * rate)"),
    "fee": (("plan", "price"), lambda d: of_plan(d, 0) + of_plan(d, 1) * d["price"], 2,
            "y is a linear function of price for each of 4 values of plan"),
    "allowance": (("plan", "count"), lambda d: of_plan(d, 1) * 100 + 0.15 * np.maximum(d["count"] - 30, 0), 2,
                  "y is a piecewise linear function of count for each of 4 values of plan"),
    "due day": (("plan", "begin"), lambda d: d["begin"] + pd.to_timedelta(d["plan"].astype(str).map(OFFSETS), "D"),
                None, "y is a linear function of begin for each of 4 values of plan"),
    "price list": (("plan", "size"), list_price, 2,
                   "y is a number for each of 12 values of size and plan"),
    "discount": (("price", "count", "discount"), lambda d: d["price"] * d["count"] * (1 - d["discount"]), 2,
                 "y = price * count * (1 - discount)"),
    "percentage off": (("price", "percent"), lambda d: d["price"] * (100 - d["percent"]) / 100, 2,
                       "y = 0.01 * price * (100 - percent)"),
    "share won": (("count", "c"), lambda d: d["count"] / (d["count"] + d["c"]), 3, "y = count / (count + c)"),
    "boxes": (("count", "per_box"), lambda d: np.ceil(d["count"] / d["per_box"]), None,
              "y = count / per_box rounded up"),
    "whole boxes": (("a", "per_box"), lambda d: d["a"] // d["per_box"], None, "y = a / per_box rounded down"),
    "five cents": (("price",), lambda d: 1.077 * d["price"], 2, "y = 1.077 * price"),
    "clearance": (("age", "a", "rate"), lambda d: (140 - d["age"]) * d["a"] / (72 * d["rate"]), 2,
                  "y = (140 - age) * a / 72 / rate"),
    "clearance by sex": (("age", "a", "rate", "sex"),
                         lambda d: (140 - d["age"]) * d["a"] / d["rate"] * np.where(d["sex"] == "f", 0.85, 1), 1,
                         "y is a linear function of age and a and rate for each of 2 values of sex"),
    "filtration rate": (("age", "creatinine", "sex"),
                        lambda d: np.where(d["sex"] == "f", 130, 175) * d["creatinine"]**-1.154 * d["age"]**-0.203, 1,
                        "y is a linear function of age and creatinine for each of 2 values of sex"),
    "compound growth": (("income", "rate", "years"), lambda d: d["income"] * (1 + d["rate"] / 100) ** d["years"], 2,
                        "y = income * (0.01 * rate + 1)^years"),
    "annuity": (("income", "rate", "term"),
                lambda d: d["income"] * d["rate"] / 1200 / (1 - (1 + d["rate"] / 1200) ** -d["term"]), 2,
                "y = income * (rate / 1200) / (1 - 1 / (rate / 1200 + 1)^term)"),
    "mean pressure": (("a", "b"), lambda d: (d["a"] + 2 * d["b"]) / 3, 0, "y = a / 3 + 0.666667 * b"),
    "pack years": (("age", "count", "hours"), lambda d: d["count"] / 20 * (d["age"] - d["hours"]), 1,
                   "y = (0.05 * age - 0.05 * hours) * count"),
    "capped ratio": (("creatinine",), lambda d: np.minimum(120, 90 / d["creatinine"]), 0,
                     "y = min(120, 90 / creatinine)"),
    "distance": (("x", "z"), lambda d: np.hypot(d["x"], d["z"]), 2, "y = sqrt(x^2 + z^2)"),
    "gap": (("x", "z"), lambda d: np.abs(d["x"] - d["z"]), 1, "y = abs(x - z)"),
    "growth": (("price", "rate"), lambda d: 100 * (d["price"] - d["rate"]) / d["rate"], 1,
               "y = 100 * price / rate - 100"),
}  # fmt: skip


def inputs(n: int = N) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    start = pd.Timestamp("2021-01-01")
    return pd.DataFrame(
        {
            **{name: np.round(rng.normal(60, 15, n)).clip(1, 100) for name in "abc"},
            "count": rng.integers(1, 60, n),
            "per_box": rng.integers(2, 12, n),
            "rate": np.round(rng.uniform(10, 40, n), 2),
            "hours": np.round(rng.normal(40, 8, n)).clip(5, 80),
            "income": np.round(rng.lognormal(10, 0.7, n)),
            "price": np.round(rng.lognormal(3, 0.6, n), 2),
            "discount": rng.choice([0, 0.05, 0.1, 0.2, 0.25], n),
            "percent": rng.choice([0, 5, 10, 15, 20, 50], n),
            "x": np.round(rng.normal(0, 5, n), 1),
            "z": np.round(rng.normal(0, 5, n), 1),
            "creatinine": np.round(rng.lognormal(0, 0.4, n), 2),
            "years": rng.integers(1, 11, n),
            "term": rng.choice([12, 24, 36, 48, 60], n),
            "age": rng.integers(20, 90, n),
            "sex": rng.choice(["f", "m"], n),
            "plan": rng.choice(list(FEES), n),
            "size": rng.choice(list("SML"), n),
            "begin": start + pd.to_timedelta(rng.integers(0, 700, n), "D"),
            "end": start + pd.to_timedelta(rng.integers(0, 700, n), "D"),
        }
    )


def table_of(kind: str, n: int = N) -> pd.DataFrame:
    names, compute, decimals, _ = FORMULAS[kind]
    frame = inputs(n)[list(names)]
    own = compute(frame)
    own = np.round(own / 0.05) * 0.05 if kind == "five cents" else own
    return frame.assign(y=own if decimals is None else np.round(own, decimals), noise=np.arange(len(frame)) % 7)


def broken(kind: str, rows: pd.DataFrame) -> int:
    _, compute, decimals, _ = FORMULAS[kind]
    own = compute(rows.reset_index(drop=True))
    if decimals is None:
        return int((rows["y"].to_numpy() != own).sum())
    step = 0.05 if kind == "five cents" else 10.0**-decimals
    return int((np.abs(rows["y"].to_numpy(dtype=float) - np.asarray(own, dtype=float)) > 0.502 * step).sum())


@pytest.mark.parametrize("kind", FORMULAS)
def test_a_formula_is_found_and_holds_in_shuffled_rows(kind: str) -> None:
    frame = table_of(kind)
    table = Table.of(frame)
    codec = Codec.measure(table)
    relations = Relations.from_state(*Relations.discover(table, codec).state())
    assert FORMULAS[kind][3] in relations.describe()
    rng = np.random.default_rng(1)
    shuffled = np.stack([rng.permutation(tokens) for tokens in codec.encode(frame).T], axis=1)
    rows = relations.decode(codec, shuffled, rng)
    assert broken(kind, rows) == 0
    assert relations.hold(rows, codec).all()


@pytest.mark.parametrize("kind", ["max of two", "least product", "tax", "fee", "boxes"])
def test_one_row_that_breaks_a_formula_is_enough(kind: str) -> None:
    frame = table_of(kind)
    frame.loc[17, "y"] += 3
    table = Table.of(frame)
    relations = Relations.discover(table, Codec.measure(table))
    assert not any(rule.column == "y" for rule in relations.rules if isinstance(rule, FormulaRule))


def test_a_missing_attempt_is_ignored_by_the_best() -> None:
    frame = inputs()[["a", "b", "c"]]
    frame["b"] = frame["b"].where(np.arange(N) % 3 > 0)
    frame["best"] = frame.max(axis=1)
    table = Table.of(frame)
    assert "best = max(a, b, c)" in Relations.discover(table, Codec.measure(table)).describe()


def test_the_column_that_was_rounded_is_computed_wherever_it_stands() -> None:
    frame = table_of("discount")
    table = Table.of(frame[["y", "discount", "count", "price"]])
    assert Relations.discover(table, Codec.measure(table)).describe() == ["y = count * price * (1 - discount)"]


@pytest.fixture(scope="module")
def model() -> MaskedSynthesizer:
    frame = table_of("fee").assign(best=inputs()["a"], first=inputs()["a"], second=inputs()["b"])
    frame["best"] = np.maximum(frame["first"], frame["second"])
    return MaskedSynthesizer(epochs=1).fit(frame, seed=0, progress=False)


def test_a_saved_model_keeps_formulas_also_under_conditions(model: MaskedSynthesizer, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    loaded = tabsynth.load(tmp_path / "model")
    for given in (None, {"best": 70.0}, {"best": (40, 60), "plan": "plus"}, {"y": (2.5, 4.0)}):
        rows = loaded.sample(200, given=given, seed=1, progress=False)
        assert broken("fee", rows) == 0
        assert (rows["best"] == rows[["first", "second"]].max(axis=1)).all()
    assert rows["y"].between(2.5, 4).all()
    assert "best = max(first, second)" in str(model.relations_.card())


def test_a_product_holds_in_a_range_that_its_number_must_be_in() -> None:
    frame = table_of("discount")
    fitted = MaskedSynthesizer(epochs=1).fit(frame, seed=0, progress=False)
    rows = fitted.sample(200, given={"y": (100, 200)}, seed=1, progress=False)
    assert rows["y"].between(100, 200).all()
    assert broken("discount", rows) == 0


def test_a_formula_can_be_refused() -> None:
    frame = table_of("max of two")
    plain = Schema.infer(frame).to_dict()
    schema = Schema.from_dict({**plain, "constraints": [{"kind": "refused", "rule": "y = max(a, b)"}]})
    table = Table.of(frame, schema=schema)
    assert "y = max(a, b)" not in Relations.discover(table, Codec.measure(table)).describe()


def test_no_formula_is_found_in_columns_that_only_nearly_agree() -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(100, 600))
        shared, group = rng.normal(size=n), rng.integers(0, 3, n)
        frame = pd.DataFrame({"group": np.array(list("abc"))[group]})
        for at in range(5):
            frame[f"c{at}"] = np.round(20 + 5 * shared + rng.normal(0, 1.5, n), at % 3)
        frame["score"] = np.clip(np.round(shared + 3), 1, 5)
        frame["near_max"] = np.maximum(frame["c0"], frame["c3"]) + (rng.random(n) < 0.1)
        frame["near_fee"] = np.round((1 + group) * frame["c1"] + rng.normal(0, 0.2, n), 1)
        frame["near_product"] = np.round(frame["c1"] * frame["c2"] * np.exp(rng.normal(0, 0.01, n)), 1)
        frame["many_zeros"] = np.where(rng.random(n) < 0.4, 0, np.round(frame["c1"] + rng.normal(0, 1, n), 2))
        table = Table.of(frame)
        rules = Relations.discover(table, Codec.measure(table)).rules
        assert [rule.text for rule in rules if isinstance(rule, FormulaRule)] == []


def test_a_discount_is_found_beside_columns_that_are_missing_in_groups() -> None:
    """Where the rate is missing, both numbers are equal, and no other column is present: none may enter the formula."""
    rng = np.random.default_rng(0)
    group = rng.choice(["a", "b", "c"], 600, p=[0.6, 0.3, 0.1])
    frame = pd.DataFrame({"group": group, "price": np.round(rng.lognormal(3, 1, 600), 2)})
    for at, absent in enumerate((["a"], ["b"], ["a", "b"], ["c"])):
        frame[f"x{at}"] = np.where(np.isin(group, absent), np.nan, np.round(rng.lognormal(3, 1, 600), 1))
    frame["rare"] = np.where(np.arange(600) < 580, np.nan, frame["price"])
    frame["rate"] = np.where(group == "a", np.nan, rng.choice([0.1, 0.2, 0.3], 600))
    frame["y"] = np.round(frame["price"] * (1 - frame["rate"].fillna(0)), 2)
    table = Table.of(frame)
    codec = Codec.measure(table)
    relations = Relations.discover(table, codec)
    assert [one for one in relations.arithmetic if "y" in one.columns] == []
    own = {"y = price * (1 - rate)", "y == price if rate is missing"}
    assert {rule.text for rule in relations.rules if {"y", "price"} <= {*rule.columns}} == own
    again = Relations.from_state(*relations.state())
    tokens = np.stack([rng.permutation(tokens) for tokens in codec.encode(frame).T], axis=1)
    rows = again.decode(codec, tokens, rng)
    assert rows["rate"].isna().any()
    assert np.abs(rows["y"] - rows["price"] * (1 - rows["rate"].fillna(0))).max() < 0.00502


@pytest.mark.parametrize("kind", FORMULAS)
def test_a_formula_is_suggested_as_an_expression_that_holds(kind: str) -> None:
    table = Table.of(table_of(kind))
    suggested = [rule for rule in suggest_constraints(table) if "y" in rule.columns]
    assert len(suggested) == 1
    assert satisfies(suggested[0], table.frame, table.schema).all()
    frame = table.frame.assign(y=table.frame["y"].sample(frac=1, random_state=0).to_numpy())
    assert not satisfies(suggested[0], frame, table.schema).all()


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("max of two", "y == max(a, b)"),
        ("boxes", "y == -floor(-(count / per_box))"),
        ("fee", "y == where(plan == 'basic', 0.02 * price + 1, where(plan == 'plus', 0.015 * price + 2.5, "
                "where(plan == 'free', 0, 0.005 * price + 10)))"),
    ],
)  # fmt: skip
def test_a_suggested_formula_that_is_declared_is_kept_without_discovery(kind: str, rule: str) -> None:
    frame = table_of(kind)
    table = Table.of(frame)
    suggested = [own.to_dict() for own in suggest_constraints(table) if "y" in own.columns]
    assert suggested == [{"kind": "expression", "rule": rule}]
    refused = {"kind": "refused", "rule": FORMULAS[kind][3]}
    schema = Schema.from_dict({**Schema.infer(frame).to_dict(), "constraints": [*suggested, refused]})
    fitted = MarginalSynthesizer().fit(frame, schema=schema, seed=0, progress=False)
    assert fitted.relations_.describe() == []
    low, high = frame["y"].quantile([0.3, 0.8])
    for given in (None, {"y": (low, high)}):
        rows = fitted.sample(300, given=given, seed=1, progress=False)
        assert broken(kind, rows) == 0
        assert rows["y"].nunique() > 4
    assert "setting what other cells determine" in str(fitted.card()["constraints"])
