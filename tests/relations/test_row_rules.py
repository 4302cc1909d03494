"""Row rules are discovered, reported and enforced; rules by chance are not discovered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth
from tabsynth.codec import Codec
from tabsynth.codec.quantile_bins import measure_quantiles
from tabsynth.data import Table
from tabsynth.relations.enforcement import Relations
from tabsynth.relations.functional_dependencies import discover
from tabsynth.relations.row_rules import BandRule, OrderRule
from tabsynth.schema import Schema
from tabsynth.schema.columns import Identifier
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.registry import create

TEXTS = {
    "amount <= price",
    "age - seniority >= 14",
    "slos <= d_time",
    "d_time == slos if died == 1",
    "dnr_day == slos if dnr == no dnr",
    "surv6m <= surv2m",
    "start <= end",
    "grp is a step function of kappa + lambda with 10 steps",
}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Loans, hospital stays and laboratory values with rules of every kind."""
    rng, n = np.random.default_rng(0), 2500
    price = np.round(rng.lognormal(6, 0.8, n))
    amount = np.minimum(np.round(price * rng.beta(4, 1.2, n) * 1.05), price)
    age = rng.integers(18, 80, n)
    seniority = np.minimum(rng.poisson((age - 18) * 0.6 + 0.1), age - 14)
    seniority = np.where(rng.random(n) < 0.08, age - 14, seniority)
    slos, died = np.round(rng.gamma(2, 10, n)) + 3, (rng.random(n) < 0.26).astype(int)
    dnr = rng.choice(["no dnr", "after", "before"], n, p=[0.6, 0.3, 0.1])
    kappa = np.round(rng.gamma(3, 0.5, n), 3)
    lambda_ = np.round(rng.gamma(3, 0.6, n) + 0.3 * kappa, 3)
    start = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D")
    surv2m = rng.beta(3, 1.5, n)
    surv6m = np.round(surv2m * (1 - rng.beta(1.2, 6, n)), 4)
    first = np.where(rng.random(n) < 0.3, np.nan, np.round(rng.normal(5, 1, n), 1))
    sex = rng.choice(["m", "f"], n)
    return pd.DataFrame(
        {
            "price": price,
            "amount": amount,
            "age": age,
            "seniority": seniority,
            "slos": slos,
            "died": died,
            "d_time": np.where(died == 1, slos, slos + np.round(rng.exponential(400, n))),
            "dnr": dnr,
            "dnr_day": np.where(dnr == "no dnr", slos, np.minimum(np.round(rng.exponential(8, n)), slos)),
            "kappa": kappa,
            "lambda": lambda_,
            "grp": np.searchsorted(_thresholds(kappa + lambda_), kappa + lambda_) + 1,
            "start": start,
            "end": start + pd.to_timedelta(rng.poisson(3, n), unit="D"),
            "surv2m": np.round(surv2m, 4),
            "surv6m": np.minimum(surv6m, np.round(surv2m, 4)),
            "lab1": first,
            "lab2": np.where(np.isnan(first), np.nan, np.round(rng.normal(3, 1, n), 1)),
            "sex": sex,
            "pregnant": np.where((sex == "f") & (rng.random(n) < 0.3), "yes", "no"),
            "noise": rng.normal(size=n),
        }
    )


def _thresholds(total: np.ndarray) -> np.ndarray:
    return np.quantile(total, np.arange(0.1, 1, 0.1))


def broken(rows: pd.DataFrame, frame: pd.DataFrame) -> dict[str, int]:
    """Number of rows that break each planted rule."""
    thresholds = _thresholds((frame["kappa"] + frame["lambda"]).to_numpy())
    violations = {
        "amount": rows["amount"] > rows["price"],
        "seniority": rows["seniority"] > rows["age"] - 14,
        "order": rows["d_time"] < rows["slos"],
        "died": (rows["died"] == 1) & (rows["d_time"] != rows["slos"]),
        "dnr": (rows["dnr"] == "no dnr") & (rows["dnr_day"] != rows["slos"]),
        "survival": rows["surv6m"] > rows["surv2m"],
        "dates": rows["end"] < rows["start"],
        "group": rows["grp"] != np.searchsorted(thresholds, rows["kappa"] + rows["lambda"]) + 1,
        "missing": rows["lab1"].isna() != rows["lab2"].isna(),
        "pregnant": (rows["sex"] == "m") & (rows["pregnant"] == "yes"),
    }
    return {name: int(rule.sum()) for name, rule in violations.items() if rule.any()}


def rules_of(frame: pd.DataFrame, schema: Schema | None = None) -> set[str]:
    table = Table.of(frame, schema)
    return {rule.text for rule in Relations.discover(table, Codec.measure(table)).rules}


@pytest.fixture(scope="module")
def barely_fitted(frame: pd.DataFrame) -> MaskedSynthesizer:
    """A model that has learned little."""
    return MaskedSynthesizer(epochs=1).fit(frame, seed=0, progress=False)


@pytest.mark.parametrize("kind", ["masked", pytest.param("gan", marks=pytest.mark.slow)])
def test_every_synthetic_row_obeys(
    frame: pd.DataFrame, barely_fitted: MaskedSynthesizer, kind: str, tmp_path: Path
) -> None:
    assert broken(frame, frame) == {}
    fitted = barely_fitted if kind == "masked" else create(kind, epochs=1).fit(frame, seed=0, progress=False)
    assert broken(fitted.sample(2000, seed=1), frame) == {}
    assert {rule["rule"] for rule in fitted.card()["vocabulary"]["rules"]} >= TEXTS
    fitted.save(tmp_path / "model.tabsynth")
    again = tabsynth.load(tmp_path / "model.tabsynth")
    pd.testing.assert_frame_equal(again.sample(200, seed=2), fitted.sample(200, seed=2))


@pytest.mark.parametrize("given", [{"died": 1}, {"slos": (20, 40)}, {"dnr": ["no dnr", "after"]}, {"grp": 7}])
def test_rows_obey_under_conditions(
    frame: pd.DataFrame, barely_fitted: MaskedSynthesizer, given: dict[str, object]
) -> None:
    rows = barely_fitted.sample(150, given=given, seed=1)
    assert broken(rows, frame) == {}
    for name, wanted in given.items():
        allowed = wanted if isinstance(wanted, list) else [wanted]
        assert rows[name].between(*wanted).all() if isinstance(wanted, tuple) else rows[name].isin(allowed).all()


def test_a_condition_that_contradicts_a_rule_is_met(barely_fitted: MaskedSynthesizer) -> None:
    rows = barely_fitted.sample(20, given={"age": 20, "seniority": 30})
    assert (rows["age"] == 20).all()
    assert (rows["seniority"] == 30).all()


def test_rules_are_discovered_and_can_be_refused(frame: pd.DataFrame) -> None:
    found = rules_of(frame)
    assert found >= TEXTS
    assert not any("noise" in text for text in found)
    schema = Schema.infer(frame).to_dict()
    schema["constraints"] = [{"kind": "refused", "rule": "amount <= price"}]
    assert rules_of(frame, Schema.from_dict(schema)) == found - {"amount <= price"}


def test_one_row_that_breaks_a_rule_is_enough(frame: pd.DataFrame) -> None:
    changed = frame.copy()
    changed.loc[7, "amount"] = changed.loc[7, "price"] + 1
    changed.loc[9, "grp"] = 1 + changed.loc[9, "grp"] % 10
    assert rules_of(changed) & TEXTS == TEXTS - {"amount <= price"} - {text for text in TEXTS if "grp" in text}


def random_table(seed: int) -> pd.DataFrame:
    """Correlated and independent columns of every kind, without a rule."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([150, 300, 600, 1200]))
    loadings = rng.normal(size=(8, 3)) * rng.choice([0, 0.5, 1])
    factors = rng.normal(size=(n, 3)) @ loadings.T + rng.normal(size=(n, 8))
    columns = {}
    for i, own in enumerate((factors / factors.std(0)).T):
        kinds = [own, np.round(np.exp(own), 2), np.rint(own * 3 + 10), np.round(own * 12 + 50), rng.random(n)]
        kinds += [np.searchsorted([-1, -0.3, 0.3, 1], own) + 1, (own > 0.8).astype(int), rng.integers(0, 30, n)]
        column = pd.Series(kinds[rng.integers(len(kinds))])
        columns[f"c{i}"] = column.mask(rng.random(n) < 0.1) if rng.random() < 0.3 else column
    return pd.DataFrame(columns)


@pytest.mark.slow
def test_hardly_any_rule_is_discovered_by_chance() -> None:
    """In one table of a hundred; ``benchmarks/rules.py`` searches many more tables."""
    false = 0
    for seed in range(100):
        table = Table.of(random_table(seed))
        codec = Codec.measure(table)
        relations = Relations.discover(table, codec)
        pooled = [[codec.coders[slot.column].rare] if slot.digit is None else None for slot in codec.slots]
        tokens, missing = codec.encode(table.frame), [slot.missing for slot in codec.slots]
        false += bool(relations.describe() or discover(tokens, codec.sizes, pooled, missing))
    assert false <= 1


def test_columns_that_are_constant_in_a_group_have_no_equality() -> None:
    rng = np.random.default_rng(0)
    group = rng.choice(["a", "b"], 800)
    first, second = (np.where((group == "b") & (rng.random(800) < 0.3), rng.integers(1, 90, 800), 0) for _ in range(2))
    table = Table.of(pd.DataFrame({"group": group, "first": first, "second": second}))
    texts = Relations.discover(table, Codec.measure(table)).describe()
    assert not any(text.startswith(("first == second", "second == first")) for text in texts)


def test_an_order_that_names_say_needs_no_evidence() -> None:
    rng = np.random.default_rng(0)
    low = np.round(rng.normal(8, 5, 400), 1)
    range_ = rng.normal(8, 3.3, 600)
    day = pd.DataFrame({"temp_min": low, "temp_max": np.round(low + range_[range_ > 0.5][:400], 1)})
    assert rules_of(day) == {"temp_min <= temp_max"}
    assert rules_of(day.set_axis(["a", "b"], axis=1)) == set()
    day.loc[3, "temp_max"] = day.loc[3, "temp_min"] - 1
    assert rules_of(day) == set()


def test_a_death_comes_last_and_the_age_at_an_event_is_no_greater_than_the_age() -> None:
    rng = np.random.default_rng(0)
    left = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 800, 400), "D")
    later = left + pd.to_timedelta(np.ceil(rng.gamma(3, 40, 400)), "D")
    assert rules_of(pd.DataFrame({"left": left, "death_date": later})) == {"left <= death_date"}
    assert rules_of(pd.DataFrame({"left": left, "letter_date": later})) == set()
    age = np.round(rng.uniform(20, 80, 400))
    started = np.round(12 + rng.beta(2, 3, 400) * (age - 14))
    assert "age_started <= age" in rules_of(pd.DataFrame({"age": age, "age_started": started}))
    assert "started <= age" not in rules_of(pd.DataFrame({"age": age, "started": started}))


def test_a_date_of_birth_comes_first_without_evidence() -> None:
    rng = np.random.default_rng(0)
    birth = rng.integers(-36_000, -4_000, 600)
    entry = np.maximum(rng.integers(-12_000, -2000, 600), birth + 200 + rng.integers(0, 8000, 600))
    assert rules_of(pd.DataFrame({"birthdat": birth, "injecdat": entry})) == {"birthdat <= injecdat"}
    assert rules_of(pd.DataFrame({"birthweight": birth, "injected": entry})) == set()


def test_repaired_numbers_do_not_pile_up_at_the_end_of_the_column() -> None:
    rng = np.random.default_rng(0)
    values = np.round(rng.uniform(0, 100, 4000), 3)
    coder = measure_quantiles(values, tokens=32, decimals=3)
    assert coder is not None
    rule = OrderRule("start", "end", 0.0, "start <= end", 100.0)
    start, end = np.round(rng.uniform(60, 95, (2, 4000)), 3)
    end -= 50
    numbers = {"start": start, "end": end}
    free = {name: np.zeros(4000, bool) for name in numbers}
    rule.repair(numbers, {"start": coder, "end": coder}, free, rng.random(4000))
    assert rule.holds(numbers).all()
    assert (numbers["end"] == coder.high[-1]).mean() < 0.01
    assert len(np.unique(numbers["end"])) > 2000


def test_an_order_to_a_computed_column_holds() -> None:
    rng = np.random.default_rng(0)
    price = np.round(rng.gamma(2, 900, 800))
    table = pd.DataFrame({"cents": (price * 100).astype(int), "price": price, "due": np.round(price * rng.random(800))})
    model = MaskedSynthesizer(epochs=1).fit(table, seed=0, progress=False)
    assert "due <= price" in model.relations_.describe()
    rows = model.sample(600, seed=1)
    assert (rows["due"] <= rows["price"]).all()
    assert np.allclose(rows["price"] * 100, rows["cents"])


def test_an_order_whose_boundary_only_the_ratios_show() -> None:
    """An insurer pays a claim less a copay, and 95 % of a large one: few differences are small, and many ratios."""
    rng, n = np.random.default_rng(0), 4000
    large = rng.random(n) < 0.06
    claim = np.where(large, 2000 + rng.lognormal(8, 1, n), 85 + rng.lognormal(5, 1, n)).round(2)
    copay = np.where(rng.random(n) < 0.01, rng.uniform(13, 49, n), rng.choice([49.0, 60.0], n, p=[0.08, 0.92]))
    paid = np.where(large, claim * rng.uniform(0.9, 0.95, n), claim - copay).round(2)
    table = Table.of(pd.DataFrame({"claim": claim, "paid": paid}))
    rules = Relations.discover(table, Codec.measure(table)).rules
    assert "paid <= claim" in {rule.text for rule in rules}


def test_bands_end_at_the_values_of_enough_persons_not_of_many_rows() -> None:
    """One person has most rows; the ends of the bands are those of the other persons."""
    rng = np.random.default_rng(0)
    amount = np.round(np.concatenate([rng.uniform(1, 900, 1000), -rng.uniform(1, 900, 1000)]), 1)
    person = np.where(rng.random(2000) < 0.3, 0, rng.integers(1, 200, 2000))
    frame = pd.DataFrame({"person_id": person, "amount": amount, "type": np.where(amount > 0, "credit", "debit")})
    schema = Schema.infer(frame)
    schema = replace(schema, columns={**schema.columns, "person_id": Identifier(name="person_id", role="person")})
    table = Table(frame, schema)
    rules = Relations.discover(table, Codec.measure(table, min_group=5)).rules
    band = next(rule for rule in rules if isinstance(rule, BandRule))
    assert max(band.upper[0], -band.lower[1]) > -25  # the fifth smallest amount of 1,000
