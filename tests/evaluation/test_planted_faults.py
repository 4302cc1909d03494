"""The report detects and locates each planted fault, and reports none without faults."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest

from tabsynth.evaluation.evaluate import evaluate
from tabsynth.evaluation.findings import find_faults
from tabsynth.evaluation.report import Report
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.encoded_table import encode_tables
from tabsynth.schema import Schema

Plant = Callable[[pd.DataFrame], pd.DataFrame]
Where = Callable[[tuple[str, ...]], bool]

ROWS = 3000
SLOW = pytest.mark.slow
"""Each report takes seconds; `make test` has a fault of columns, one of a unit and one of rows."""

COLUMNS = {
    "group": {"kind": "categorical"},
    "sex": {"kind": "categorical", "role": "sensitive"},
    "age": {"kind": "numeric"},
    "height": {"kind": "numeric"},
    "weight": {"kind": "numeric"},
    "income": {"kind": "numeric"},
    "test": {"kind": "numeric", "nullable": True},
    "job": {"kind": "categorical"},
    "ill": {"kind": "categorical", "role": "target"},
}
SCHEMA = Schema.from_dict({"columns": COLUMNS})


def population(n: int, seed: int) -> pd.DataFrame:
    """People whose columns depend on each other; a test is missing where the person is young."""
    rng = np.random.default_rng(seed)
    group = rng.choice(["north", "south", "east", "west"], n, p=[0.4, 0.3, 0.2, 0.1])
    sex = rng.choice(["f", "m"], n)
    age = np.clip(rng.normal(50, 15, n), 18, 95).round()
    height = (rng.normal(170, 7, n) + 6 * (sex == "m")).round(1)
    weight = (0.9 * (height - 100) + rng.normal(0, 8, n) + 0.1 * (age - 50)).round(1)
    income = np.exp(rng.normal(10, 0.6, n) + 0.01 * (age - 50)).round()
    test = (5 + 0.04 * age + rng.normal(0, 1, n)).round(2)
    test[rng.random(n) < 1 / (1 + np.exp((age - 38) / 3))] = np.nan
    richer = income > np.exp(10.3)
    job = np.where(richer, rng.choice(["doctor", "lawyer"], n), rng.choice(["clerk", "farmer", "smith"], n))
    risk = 1 / (1 + np.exp(-(0.08 * (age - 55) + 0.06 * (weight - 70) + (group == "west"))))
    ill = np.where(rng.random(n) < risk, "yes", "no")
    columns = (group, sex, age, height, weight, income, test, job, ill)
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


TRAIN, HOLDOUT, FRESH = (population(ROWS, seed) for seed in (1, 2, 3))


def shuffled(synthetic: pd.DataFrame) -> pd.DataFrame:
    return synthetic.assign(age=np.random.default_rng(0).permutation(synthetic["age"]))


def dropped(synthetic: pd.DataFrame) -> pd.DataFrame:
    return synthetic.assign(job=synthetic["job"].replace("farmer", "clerk"))


def broken(synthetic: pd.DataFrame) -> pd.DataFrame:
    """Weight no longer depends on height: it is resampled among people of the same age and sex."""
    rng = np.random.default_rng(0)
    key = [pd.cut(synthetic["age"], 12, labels=False), synthetic["sex"]]
    return synthetic.assign(weight=synthetic.groupby(key)["weight"].transform(lambda x: rng.permutation(x.to_numpy())))


def clipped(synthetic: pd.DataFrame) -> pd.DataFrame:
    low, high = synthetic["income"].quantile([0.04, 0.96])
    return synthetic.assign(income=synthetic["income"].clip(low, high))


def at_random(synthetic: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    whole = (5 + 0.04 * synthetic["age"] + rng.normal(0, 1, len(synthetic))).round(2)
    return synthetic.assign(test=whole.where(rng.random(len(synthetic)) > synthetic["test"].isna().mean()))


def degraded(synthetic: pd.DataFrame) -> pd.DataFrame:
    """Everything that people of the west have in common is lost; each of their columns keeps its values."""
    rng = np.random.default_rng(0)
    out = synthetic.copy()
    west = out["group"] == "west"
    for name in ("sex", "age", "height", "weight", "income", "test", "job", "ill"):
        out.loc[west, name] = rng.permutation(out.loc[west, name].to_numpy())
    return out


def copied(synthetic: pd.DataFrame) -> pd.DataFrame:
    out = synthetic.copy()
    out.iloc[: ROWS // 20] = TRAIN.iloc[: ROWS // 20].to_numpy()
    return out.astype(synthetic.dtypes)


def leaked(synthetic: pd.DataFrame) -> pd.DataFrame:
    return synthetic.assign(height=np.where(synthetic["ill"] == "yes", synthetic["height"].max(), synthetic["height"]))


def describe_unit_change(synthetic: pd.DataFrame) -> pd.DataFrame:
    return synthetic.assign(height=(synthetic["height"] / 2.54).round(2))


def collapsed(synthetic: pd.DataFrame) -> pd.DataFrame:
    """The well-off are seven people over and over."""
    rng = np.random.default_rng(0)
    rich = np.flatnonzero(synthetic["job"].isin(["doctor", "lawyer"]))
    out = synthetic.copy()
    out.iloc[rich] = synthetic.iloc[rng.choice(rich[:7], len(rich))].to_numpy()
    return out.astype(synthetic.dtypes)


def report_of(synthetic: pd.DataFrame) -> Report:
    return evaluate(TRAIN, synthetic, HOLDOUT, schema=SCHEMA, sdmetrics=False)


@cache
def report_with(plant: Plant) -> Report:
    """The report of fresh rows in which a fault was planted."""
    return report_of(plant(FRESH))


@pytest.mark.parametrize(
    ("plant", "score", "where"),
    [
        pytest.param(shuffled, "trend_error", lambda w: w == ("age",), id="a column shuffled"),
        pytest.param(dropped, "coverage", lambda w: w == ("job", "farmer"), marks=SLOW, id="a category dropped"),
        pytest.param(
            broken, "trend_error", lambda w: set(w) == {"height", "weight"}, marks=SLOW, id="a dependence broken"
        ),
        pytest.param(clipped, "tail_error", lambda w: w == ("income",), marks=SLOW, id="only tails wrong"),
        pytest.param(
            at_random, "missing_relation_error", lambda w: w[:2] == ("test", "age"), marks=SLOW, id="missing at random"
        ),
        pytest.param(
            degraded, "subgroup_error", lambda w: w == ("group = west",), marks=SLOW, id="a subgroup degraded"
        ),
        pytest.param(copied, "copies", lambda w: w == ("rows",), id="copied rows"),
        pytest.param(leaked, "information_error", lambda w: w == ("height", "ill"), marks=SLOW, id="a leaked target"),
        pytest.param(describe_unit_change, "shape_error", lambda w: w == ("height",), id="units changed"),
        pytest.param(
            collapsed, "mode_loss", lambda w: "doctor" in str(w) or "lawyer" in str(w), marks=SLOW, id="a mode lost"
        ),
    ],
)
def test_a_planted_fault_is_found_and_named(plant: Plant, score: str, where: Where) -> None:
    report = report_with(plant)
    found = [finding for finding in report.findings if finding["score"] == score]
    assert any(where(tuple(finding["where"])) for finding in found), report.findings
    assert found[0]["text"] in report.to_markdown()


def test_changed_units_are_called_so() -> None:
    texts = [finding["text"] for finding in report_with(describe_unit_change).findings]
    assert any("0.394 × the real ones" in text for text in texts), texts


@pytest.mark.parametrize("seed", [10, pytest.param(11, marks=SLOW)])
def test_fresh_real_rows_show_no_fault(seed: int) -> None:
    assert report_of(population(ROWS, seed)).findings == []


@pytest.mark.parametrize(("chance", "found"), [(12.0, 0), (5.0, 1), (None, 1)])
def test_what_chance_reaches_is_no_fault(chance: float | None, found: int) -> None:
    part = Part(columns=("age", "height"), value=9.0, floor=1.0, chance=chance)
    facts = {"title": "Pair trends", "value": 1.0, "interval": (0.5, 1.5), "better": "lower", "floor": 1.0, "unit": "%"}
    score = Score.from_dict({"name": "trend_error", "target": 0.0, "detail": [part.to_dict()], **facts})
    assert score.detail[0] == part
    assert len(find_faults({score.name: score}, *encode_tables([TRAIN[:200], FRESH[:200]], SCHEMA), None)) == found


def test_a_column_that_all_wrong_pairs_share_is_named_instead_of_them() -> None:
    others = ("height", "weight", "income")
    parts = [Part(columns=("age", name), value=30.0, floor=1.0) for name in others]
    facts = {
        "title": "Pair trends",
        "value": 9.0,
        "interval": (8.0, 10.0),
        "better": "lower",
        "floor": 1.0,
        "unit": "%",
    }
    score = Score.from_dict({"name": "trend_error", "target": 0.0, "detail": [p.to_dict() for p in parts], **facts})
    said = find_faults({score.name: score}, *encode_tables([TRAIN[:200], FRESH[:200]], SCHEMA), None)
    assert [finding.where for finding in said] == [("age",)]
