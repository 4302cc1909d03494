"""Rules that hold in the rows of some values: ranges of days, and formulas within a value or beside zeros."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.relations.declared.suggestion import suggest_constraints
from tabsynth.relations.enforcement import Relations
from tabsynth.relations.formulas.rule import FormulaRule
from tabsynth.schema.validation import satisfies
from tabsynth.synthesizers.masked import MaskedSynthesizer

N = 3000


def deliveries() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    method = rng.choice(["express", "standard", "pickup"], N, p=[0.3, 0.5, 0.2])
    days = np.select(
        [method == "express", method == "pickup"], [rng.integers(1, 3, N), np.zeros(N, int)], rng.integers(2, 9, N)
    )
    ordered = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 365, N), "D")
    return pd.DataFrame({"method": method, "ordered": ordered, "delivered": ordered + pd.to_timedelta(days, "D")})


def wrong_days(rows: pd.DataFrame) -> int:
    days, method = (rows["delivered"] - rows["ordered"]).dt.days, rows["method"].astype(str)
    least = method.map({"express": 1, "standard": 2, "pickup": 0})
    return int((~days.between(least, method.map({"express": 2, "standard": 8, "pickup": 0}))).sum())


def claims() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    status = rng.choice(["settled", "rejected", "open"], N, p=[0.5, 0.3, 0.2])
    claim, deductible = np.round(rng.lognormal(6, 1, N)), rng.choice([0, 100, 250, 500], N)
    value = np.round(rng.lognormal(5.5, 1, N), 2)
    return pd.DataFrame(
        {
            "status": status,
            "claim": claim,
            "deductible": deductible,
            "paid": np.where(status == "settled", np.maximum(claim - deductible, 0), 0.0),
            "value": value,
            "premium": np.where(rng.random(N) < 0.4, 0.0, np.round(np.maximum(3, 0.01 * value), 2)),
        }
    )


def wrong_amounts(rows: pd.DataFrame) -> int:
    due = np.where(rows["status"] == "settled", np.maximum(rows["claim"] - rows["deductible"], 0), 0.0)
    premium = np.maximum(3, 0.01 * rows["value"])
    wrong_premium = (rows["premium"] != 0) & ((rows["premium"] - premium).abs() > 0.00502)
    return int(((rows["paid"] != due) | wrong_premium).sum())


def found(frame: pd.DataFrame) -> tuple[Relations, Codec]:
    table = Table.of(frame)
    codec = Codec.measure(table)
    return Relations.from_state(*Relations.discover(table, codec).state()), codec


def shuffled(relations: Relations, codec: Codec, frame: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return relations.decode(codec, np.stack([rng.permutation(own) for own in codec.encode(frame).T], axis=1), rng)


def test_days_of_each_method_are_found() -> None:
    frame = deliveries()
    relations, _ = found(frame)
    assert wrong_days(frame) == 0
    assert {
        "delivered - ordered <= 2 D if method != standard",
        "delivered - ordered >= 2 D if method == standard",
        "delivered - ordered >= 1 D if method != pickup",
        "delivered - ordered <= 8 D",
    } <= set(relations.describe())


def test_a_range_of_ages_of_which_few_reach_the_ends_is_found() -> None:
    rng = np.random.default_rng(0)
    born = pd.Timestamp("1930-01-01") + pd.to_timedelta(rng.integers(0, 9000, N), "D")
    frame = pd.DataFrame({"born": born, "retired": born + pd.to_timedelta(rng.integers(60 * 366, 68 * 365, N), "D")})
    relations, codec = found(frame)
    rows = shuffled(relations, codec, frame)
    days = (rows["retired"] - rows["born"]).dt.days
    # Few rows reach the ends, which are not known to the day.
    assert days.between(60 * 366 - 60, 68 * 365 + 60).all()


def test_formulas_within_a_status_and_beside_zeros_are_found_and_hold_in_shuffled_rows() -> None:
    frame = claims()
    relations, codec = found(frame)
    texts = [rule.text for rule in relations.rules if isinstance(rule, FormulaRule)]
    assert "premium = max(3, 0.01 * value) unless premium == 0" in texts
    assert any(text.startswith("paid is") and text.endswith("for each of 3 values of status") for text in texts)
    rows = shuffled(relations, codec, frame)
    assert wrong_amounts(frame) == wrong_amounts(rows) == 0
    assert 0.3 < (rows["premium"] == 0).mean() < 0.5
    assert relations.hold(rows, codec).all()


def test_they_are_suggested_as_constraints_that_hold() -> None:
    table = Table.of(claims())
    suggested = suggest_constraints(table)
    premium = {"kind": "if_then", "when": "premium != 0", "then": "premium == round(max(3, 0.01 * value), 2)"}
    assert premium in [rule.to_dict() for rule in suggested]
    assert any("paid" in rule.columns for rule in suggested)
    assert all(satisfies(rule, table.frame, table.schema).all() for rule in suggested)


def test_none_is_found_where_numbers_and_days_are_random() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        size = int(rng.integers(300, 2000))
        shared, group = rng.normal(size=size), rng.integers(0, 3, size)
        ordered = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 365, size), "D")
        lag = np.round(rng.normal(5 * group, 6)).astype(int)
        amount = np.round(np.exp(4 + shared / 2 + group / 3), 2)
        frame = pd.DataFrame(
            {
                "group": np.array(list("abc"))[group],
                "ordered": ordered,
                "delivered": ordered + pd.to_timedelta(lag, "D"),
                "amount": amount,
                "paid": np.round(np.where(group == 1, 0, amount * np.exp(rng.normal(0, 0.05, size))), 2),
                "fee": np.where(rng.random(size) < 0.4, 0, np.round(0.02 * amount + rng.normal(3, 0.1, size), 2)),
            }
        )
        relations, _ = found(frame)
        assert [rule.text for rule in relations.rules if isinstance(rule, FormulaRule)] == []
        assert not any(" D" in text for text in relations.describe())


@pytest.mark.parametrize("given", [None, {"status": "settled"}, {"premium": 0.0}, {"paid": (100.0, 400.0)}])
def test_a_model_keeps_formulas(model: MaskedSynthesizer, given: dict[str, object] | None) -> None:
    rows = model.sample(1000, given=given, seed=1, progress=False)
    assert len(rows) == 1000
    assert wrong_amounts(rows) == wrong_days(rows) == 0


@pytest.mark.parametrize("given", [{"method": "express"}, {"ordered": ("2023-03-01", "2023-03-31")}])
def test_a_model_keeps_days_under_conditions(model: MaskedSynthesizer, given: dict[str, object]) -> None:
    rows = model.sample(1000, given=given, seed=1, progress=False)
    assert wrong_amounts(rows) == wrong_days(rows) == 0


@pytest.fixture(scope="module")
def model() -> MaskedSynthesizer:
    return MaskedSynthesizer(epochs=1).fit(claims().join(deliveries()), seed=0, progress=False)
