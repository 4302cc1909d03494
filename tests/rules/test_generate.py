"""Tables from a schema and rules only, and the expression language of formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabsynth.data import Table
from tabsynth.errors import InputError, SchemaError, SourceError
from tabsynth.rules import generate
from tabsynth.schema import Schema
from tabsynth.schema.expressions import Formula

CLINIC = {
    "columns": {
        "mrn": {"kind": "identifier", "pattern": r"P-\d{6}"},
        "row": {"kind": "identifier"},
        "sex": {"kind": "categorical", "values": ["f", "m"], "nullable": True},
        "age": {"kind": "numeric", "low": 18, "high": 95, "decimals": 0},
        "height": {"kind": "numeric", "low": 100, "high": 220, "decimals": 1},
        "weight": {"kind": "numeric", "low": 30, "high": 200, "decimals": 1, "nullable": True},
        "bmi": {"kind": "numeric", "decimals": 1},
        "smoker": {"kind": "boolean", "nullable": True},
        "stage": {"kind": "categorical", "values": [1, 2, 3], "ordered": True},
        "admitted": {"kind": "datetime", "format": "%Y-%m-%d"},
        "discharged": {"kind": "datetime", "format": "%Y-%m-%d"},
        "seen": {"kind": "datetime", "resolution": "h", "low": "2024-01-01", "high": "2024-01-02T12:00"},
        "cost": {"kind": "numeric", "low": 0, "decimals": 2},
        "note": {"kind": "text", "nullable": True},
    },
    "constraints": [{"kind": "inequality", "low": "admitted", "high": "discharged"}],
}

RULES = """
sex: {distribution: choice, weights: {f: 3, m: 1}}
age: {distribution: normal, mean: 50, sd: 20}
height:
  by: sex
  cases:
    m: {distribution: normal, mean: 180, sd: 7}
  otherwise: {distribution: normal, mean: 166, sd: 6}
weight: {distribution: normal, mean: height - 95 + 0.1 * age, sd: 8, missing: 0.2}
bmi: {formula: weight / (height / 100) ** 2}
smoker:
  distribution: chance
  p: where(age < 40, 0.4, 0.1)
  missing: 0
stage:
  by: smoker
  cases:
    true: {distribution: choice, weights: [2, 3]}
    false: {distribution: choice, weights: {1: 1}}
admitted: {distribution: dates, low: 2023-01-01, high: 2023-06-30}
discharged: {formula: admitted + 5, noise: 4}
cost: {distribution: lognormal, median: 1000 * stage, sigma: 0.3}
note: {missing: 0.5}
"""


@pytest.fixture
def schema() -> Schema:
    return Schema.from_dict(CLINIC)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


def test_rules_are_followed(schema: Schema, rules: Path) -> None:
    frame = generate(schema, 4000, rules=rules, seed=0)
    assert Table.of(frame, schema).schema == schema
    assert list(frame.columns) == list(schema)
    assert frame["mrn"].is_unique
    assert frame["mrn"].str.fullmatch(r"P-\d{6}").all()
    assert frame["row"].tolist() == list(range(1, 4001))
    assert abs((frame["sex"] == "f").sum() / frame["sex"].notna().sum() - 0.75) < 0.03
    assert abs(frame["sex"].isna().mean() - 0.05) < 0.02
    assert abs(frame["weight"].isna().mean() - 0.2) < 0.03
    assert abs(frame["note"].isna().mean() - 0.5) < 0.04
    assert frame["smoker"].dtype == bool
    heights = frame.groupby("sex")["height"].mean()
    assert abs(heights["m"] - 180) < 1.5
    assert abs(heights["f"] - 166) < 1.5
    whole = frame.dropna(subset="weight")
    np.testing.assert_allclose(whole["bmi"], (whole["weight"] / (whole["height"] / 100) ** 2).round(1), atol=0.051)
    young = frame["age"] < 40
    assert abs(frame["smoker"][young].mean() - 0.4) < 0.05
    assert abs(frame["smoker"][~young].mean() - 0.1) < 0.05
    assert set(frame["stage"][frame["smoker"]]) == {2, 3}
    assert set(frame["stage"][~frame["smoker"]]) == {1}
    assert (frame["admitted"] <= frame["discharged"]).all()
    assert frame["admitted"].between("2023-01-01", "2023-06-30").all()
    assert (frame["seen"].dt.floor("h") == frame["seen"]).all()
    assert 900 < frame["cost"][frame["stage"] == 1].median() < 1100


def test_a_seed_decides(schema: Schema, rules: Path) -> None:
    first, again, other = (generate(schema, 50, rules=rules, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


def test_a_schema_alone_is_enough(schema: Schema) -> None:
    frame = generate(schema, 500, seed=0)
    assert frame["age"].between(18, 95).all()
    assert frame["age"].max() > 85
    assert set(frame["stage"]) == {1, 2, 3}
    assert frame["smoker"].isna().any()
    assert generate(schema, 0).empty
    with pytest.raises(SchemaError, match="has no values to choose from"):
        generate(Schema.from_dict({"columns": {"x": {"kind": "categorical"}}}), 3)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"agee": {}}, "unknown columns: 'agee'"),
        ({"age": 5}, "a rule is a mapping"),
        ({"age": {"distribution": "normal", "maen": 5, "sd": 1}}, r"unknown key 'maen' \(did you mean 'mean'"),
        ({"age": {"distribution": "normal", "mean": 5}}, "requires 'sd'"),
        ({"age": {"distribution": "chance", "p": 1}}, "a numeric column has no distribution 'chance'"),
        ({"age": {"distribution": "normal", "formula": "3"}}, "just one of distribution, formula and by"),
        ({"age": {"distribution": "normal", "mean": "hieght", "sd": 1}}, r"reads 'hieght' \(did you mean 'height'"),
        ({"age": {"formula": "age + 1"}}, "reads 'age'"),
        ({"age": {"formula": "height"}, "height": {"formula": "age"}}, "depend on each other in a cycle"),
        ({"age": {"distribution": "normal", "mean": 5, "sd": 1, "missing": 0.1}}, "does not allow missing"),
        ({"sex": {"distribution": "choice", "weights": {"x": 1}}}, "does not have the value 'x'"),
        ({"sex": {"distribution": "choice", "weights": {"f": -1}}}, "weight of 'f'"),
        ({"sex": {"formula": "where(age > 50, 'f', 'd')"}}, "'d' is not a value of the schema"),
        ({"sex": {"missing": 2}}, "missing must be a share"),
        ({"stage": {"by": "sex", "cases": {"f": {"formula": "1"}}}}, "no case for 'm' of 'sex'"),
        ({"stage": {"by": "age", "cases": {1: {"formula": "1"}}}}, "another column of categories"),
        ({"age": {"distribution": "normal", "mean": 500, "sd": 1}}, "most violate the bounds of 'age'"),
        ({"age": {"distribution": "normal", "mean": 50, "sd": "0 - height"}}, "sd must be at least 0"),
        ({"age": {"formula": "height / 0"}}, "most violate the bounds of 'age'"),
        ({"age": {"formula": "sex * 3"}}, "text cannot be reckoned with"),
        ({"mrn": {"formula": "3"}}, "is generated"),
    ],
)
def test_a_wrong_rule_is_said(schema: Schema, rules: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        generate(schema, 20, rules=rules, seed=0)


def test_a_file_that_is_not_there_or_not_yaml(schema: Schema, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot read the rules"):
        generate(schema, 3, rules=tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("age: [")
    with pytest.raises(SourceError, match="is not YAML"):
        generate(schema, 3, rules=tmp_path / "bad.yaml")


def value(text: str, **columns: Any) -> Any:
    arrays = {
        name: np.asarray(held, dtype=object if isinstance(held[0], str) else None) for name, held in columns.items()
    }
    return Formula.parse(text, arrays).evaluate(arrays, 2).tolist()


def test_formulas_work_out() -> None:
    assert value("1 + 2 * x ** 2 - -x % 3", x=[1.0, 2.0]) == [1.0, 8.0]
    assert value("min(x, 3, y) + max(x, y)", x=[1.0, 9.0], y=[2.0, 5.0]) == [3.0, 12.0]
    assert value("where(s == 'a' and not x > 1, 'low', 'high')", s=["a", "b"], x=[1, 1]) == ["low", "high"]
    assert value("0 < x <= 2 or x == 9", x=[2.0, 3.0]) == [True, False]
    assert value("s in ('a', 'c')", s=["a", "b"]) == [True, False]
    assert value("s not in ('a', 'c')", s=["a", "b"]) == [False, True]
    assert value("round(x / 3, 2) + floor(x) + abs(-x) + sqrt(4) + exp(0) + log(1)", x=[1.0, 2.0]) == [5.33, 7.67]
    assert value("col('a b') * 2", **{"a b": [1, 2]}) == [2.0, 4.0]
    assert value("7 // 2") == [3.0, 3.0]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "x.__class__",
        "x[0]",
        "[i for i in x]",
        "lambda: 1",
        "open('f')",
        "(y := 3)",
        "f'{x}'",
        "x if x else 1",
        "min(*x)",
        "round(x, ndigits=3)",
        "round(x, x)",
        "where(x, 1)",
        "b'bytes'",
        "1j",
        "None",
        "10 ** 10 ** 10 if x else 0",
        "99999999999999999999",
        "x +",
        "",
        "(" * 500 + "x" + ")" * 500,
        "x & 1",
        "x @ x",
        "print",
    ],
)
def test_a_formula_can_do_nothing_else(text: str) -> None:
    with pytest.raises(InputError):
        Formula.parse(text, ["x"])


def test_a_power_of_powers_is_a_number_and_no_burden() -> None:
    assert value("9 ** 9 ** 9 ** 9") == [float("inf")] * 2


@given(st.text(alphabet="x1+-*/() .,'\"<>=andorwhetimx", max_size=40))
def test_any_text_is_a_formula_or_an_input_error(text: str) -> None:
    try:
        formula = Formula.parse(text, ["x"])
    except InputError:
        return
    try:
        assert formula.evaluate({"x": np.ones(2)}, 2).shape == (2,)
    except InputError:
        return


@pytest.mark.parametrize(
    "facts",
    [
        {"low": "1600-01-01", "high": "1650-01-01"},
        {"low": "1600-01-01", "high": "9999-12-31", "format": "%Y-%m-%d"},
        {"low": "9990-01-01", "high": "9999-12-31"},
        {"low": "2300-01-01"},
    ],
)
def test_dates_that_cannot_be_held_are_refused_instead_of_moved(facts: dict[str, str]) -> None:
    schema = Schema.from_dict({"columns": {"seen": {"kind": "datetime", **facts}}})
    with pytest.raises(InputError, match="column 'seen': its dates are not all from 1678 to 2261"):
        generate(schema, 200, seed=0)
