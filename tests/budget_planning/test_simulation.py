"""Simulation of the error at each epsilon from public facts."""

from __future__ import annotations

import html
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.budget_planning import simulation
from tabsynth.budget_planning.assumptions import complete_schema
from tabsynth.budget_planning.report import (
    explain_plainly,
    render_page,
    render_svg,
    summarise_structure,
    table_rows,
    worst_rows,
)
from tabsynth.budget_planning.simulation import PrivacyPlan, from_cardinalities, plan_privacy, simulate_table
from tabsynth.cli import main
from tabsynth.errors import InputError, PrivacyError
from tabsynth.schema import Schema

SCHEMA = Schema.from_dict(
    {
        "columns": {
            "id": {"kind": "identifier"},
            "age": {"kind": "numeric", "low": 0, "high": 120, "decimals": 0},
            "seen": {"kind": "datetime", "low": "2020-01-01", "high": "2021-12-31", "resolution": "D"},
            "town": {"kind": "categorical", "values": ["A", "B", "C", "D"], "nullable": True},
            "ill": {"kind": "boolean", "role": "target"},
        }
    }
)


@pytest.fixture(scope="module")
def plan() -> PrivacyPlan:
    return plan_privacy(SCHEMA, 4000, epsilons=(0.1, 10.0), seed=1)


def test_a_larger_budget_errs_less_and_never_less_than_nothing(plan: PrivacyPlan) -> None:
    tight, loose = plan.expected
    assert tight.epsilon < loose.epsilon
    assert loose.pairs < 0.6 * tight.pairs
    assert 0 < plan.floor.pairs < plan.best(0.1).pairs


def test_more_epsilon_is_never_simulated_to_err_more(monkeypatch: pytest.MonkeyPatch) -> None:
    floor_and_fits = iter([(0.0, 0.0), (0.3, 0.5), (0.2, 0.2), (0.1, 0.3), (0.05, 0.1)])
    monkeypatch.setattr(simulation, "mean_distances", lambda *tables: next(floor_and_fits))
    expected = plan_privacy(from_cardinalities([2, 3]), 50, epsilons=(0.1, 3.0, 1.0, 10.0)).expected
    assert [one.epsilon for one in expected] == [0.1, 3.0, 1.0, 10.0]
    assert [one.columns for one in expected] == pytest.approx([0.3, 0.15, 0.15, 0.05])
    assert [one.pairs for one in expected] == pytest.approx([0.5, 0.2, 0.3, 0.1])


def test_persons_of_several_rows_cost_more() -> None:
    sizes = from_cardinalities([2, 3, 5])
    alone, four = (
        plan_privacy(sizes, 3000, epsilons=(0.3,), mechanisms=("marginal",), rows_per_person=k) for k in (1, 4)
    )
    assert four.expected[0].columns > 2 * alone.expected[0].columns


def test_the_made_table_follows_one_factor_and_its_schema() -> None:
    made = simulate_table(SCHEMA, 3000, None, seed=0)
    assert list(made) == list(SCHEMA)
    assert made["age"].between(0, 120).all()
    assert abs(np.corrcoef(made["age"], made["seen"].astype("int64"))[0, 1]) > 0.2
    made = simulate_table(SCHEMA, 3000, {"ill": {"formula": "age > 60"}}, seed=0)
    assert ((made["age"] > 60) == made["ill"]).all()


def test_keys_missing_cells_and_dates_written_as_text_are_planned_for() -> None:
    columns = {
        "mrn": {"kind": "identifier", "pattern": "[0-9]{6}"},
        "ward": {"kind": "categorical", "values": ["a", "b"]},
        "age": {"kind": "numeric", "low": 0, "high": 99, "decimals": 0, "nullable": True},
        "seen": {"kind": "datetime", "low": "2020-01-01", "high": "2020-12-31", "format": "%d.%m.%Y"},
    }
    schema = Schema.from_dict({"columns": columns})
    table = simulate_table(schema, 1000, None, seed=0)
    assert table["age"].value_counts().max() < 40
    assert table["age"].isna().mean() == pytest.approx(0.05, abs=0.03)
    (expected,) = plan_privacy(schema, 500, epsilons=(10.0,), mechanisms=("marginal",), rows_per_person=2).expected
    assert 0 < expected.columns < expected.pairs < 1


def test_bounds_between_the_declared_decimals_are_planned_for() -> None:
    """Bounds as measured, such as those of columns of cell nuclei, are no multiples of the rounding step."""
    columns = {
        f"mean concave points {i}": {"kind": "numeric", "low": 0.04, "high": 0.29, "decimals": 1} for i in range(10)
    }
    schema = Schema.from_dict({"columns": columns})
    table = simulate_table(schema, 300, None, seed=0)
    assert all(table[name].between(column["low"], column["high"]).all() for name, column in columns.items())
    (expected,) = plan_privacy(schema, 300, epsilons=(10.0,)).expected
    assert 0 < expected.pairs < 1


def test_one_seed_gives_one_plan(plan: PrivacyPlan) -> None:
    again = plan_privacy(SCHEMA, 4000, epsilons=(0.1, 10.0), seed=1)
    assert [(one.columns, one.pairs) for one in again.expected] == [(one.columns, one.pairs) for one in plan.expected]


def test_the_page_holds_every_figure_and_the_drawing_is_xml(plan: PrivacyPlan) -> None:
    shown = render_page(plan)
    assert all(cell in shown for row in table_rows(plan) for cell in row)
    assert all(cell in shown for row in worst_rows(plan) for cell in row)
    assert len(worst_rows(plan)) == 5
    assert shown.count('<svg class="heat"') == len(plan.errors)
    assert shown.count("<details") - shown.count('<details class="panel">') == 1
    assert "<script" not in shown
    root = ET.fromstring(render_svg(plan))
    assert len(root.findall("{*}circle")) == len(plan.expected)


def test_the_plan_as_plain_data_has_the_error_of_every_column_and_pair(plan: PrivacyPlan) -> None:
    kept = json.loads(json.dumps(plan.to_dict()))
    assert [one["epsilon"] for one in kept["errors"]] == [0.1, 10.0]
    assert set(kept["errors"][0]["columns"]) == {"age", "seen", "town", "ill"}
    assert {tuple(pair["columns"]) for pair in kept["errors"][0]["pairs"]} == set(plan.errors[0].pairs)
    assert kept["structure"] is None
    assert summarise_structure(plan) == ""


def test_constraints_are_reported_with_what_they_save() -> None:
    rule = {"kind": "lookup", "column": "region", "by": "town", "values": {"A": "x", "B": "x", "C": "y", "D": "y"}}
    columns = {
        "town": {"kind": "categorical", "values": ["A", "B", "C", "D"]},
        "region": {"kind": "categorical", "values": ["x", "y"]},
        "ill": {"kind": "boolean"},
    }
    schema = Schema.from_dict({"columns": columns, "constraints": [rule]})
    plan = plan_privacy(schema, 1000, epsilons=(1.0,))
    text = summarise_structure(plan)
    assert "follow from other columns: region" in text
    assert f"{plan.errors[0].mean_pairs:.4f} instead of" in text
    assert text in html.unescape(render_page(plan))


def test_what_cannot_be_planned_is_said() -> None:
    with pytest.raises(InputError, match="mechanisms"):
        plan_privacy(SCHEMA, 1000, mechanisms=("magic",))
    with pytest.raises(InputError, match="rows"):
        plan_privacy(SCHEMA, 1)
    with pytest.raises(PrivacyError, match="'age' holds weights"):
        plan_privacy(SCHEMA.replace("age", role="weight"), 1000)
    with pytest.raises(InputError, match="two values"):
        from_cardinalities([1, 2])


def test_the_schema_that_inspect_wrote_can_be_planned_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is declared; and so can one that names the person, whose rows the plan counts."""
    rng = np.random.default_rng(0)
    visits = pd.DataFrame(
        {
            "patient_id": rng.integers(100, 160, 300),
            "cost": rng.gamma(2, 100, 300).round(2),
            "ward": rng.choice(["eye", "hip", "ear"], 300),
            "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 300, 300), "D"),
        }
    )
    visits.to_csv(tmp_path / "visits.csv", index=False)
    schema, page = tmp_path / "schema.yaml", tmp_path / "plan.html"
    assert main(["inspect", str(tmp_path / "visits.csv"), "--schema", str(schema)]) == 0
    schema.write_text(
        schema.read_text().replace("patient_id: {kind: identifier", "patient_id: {kind: identifier, role: person")
    )
    assert Schema.from_json(schema)["patient_id"].role == "person"
    capsys.readouterr()
    command = ["plan-privacy", "--schema", str(schema), "-n", "300", "--epsilons", "1", "--rows-per-person", "5"]
    assert main([*command, "--output", str(page)]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert set(plan["errors"][0]["columns"]) == {"cost", "ward", "seen"}
    assert ["8 values of 'ward'" in plan["assumed"][0], "'cost', 'seen'" in plan["assumed"][1]] == [True, True]
    assert "Assumed: 8 values of" in page.read_text()


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(None, 50, (-50, 50)), (7, None, (7, 107)), (None, None, (0, 100))]
)
def test_declared_facts_are_kept_beside_assumed_ones(
    low: float | None, high: float | None, expected: tuple[float, float]
) -> None:
    schema, notes = complete_schema(SCHEMA.replace("age", low=low, high=high))
    assert (schema["age"].low, schema["age"].high) == expected
    assert len(notes) == 1
    assert schema["town"].values == ("A", "B", "C", "D")


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    SCHEMA.to_json(tmp_path / "schema.json")
    output = tmp_path / "plan.html"
    command = ["plan-privacy", "--schema", str(tmp_path / "schema.json"), "-n", "500", "--epsilons", "1"]
    assert main([*command, "--mechanisms", "marginal", "--output", str(output)]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [one["mechanism"] for one in plan["expected"]] == ["marginal"]
    assert [one["epsilon"] for one in plan["errors"]] == [1]
    assert output.read_text().startswith("<!doctype html>")
    assert (
        main(["plan-privacy", "--cardinalities", "2,3", "-n", "500", "--epsilons", "1", "--mechanisms", "marginal"])
        == 0
    )
    assert main([*command, "--output", str(tmp_path / "plan.txt")]) == 2


def test_plan_begins_with_protection_and_quality_in_plain_words(plan: PrivacyPlan) -> None:
    small, large, compared = explain_plainly(plan)
    assert small.startswith("Epsilon 0.1: an attacker recognises at most 1.1 of 100 rows")
    assert "Columns do not depend on each other" in small
    assert "do not depend" not in large
    assert f"{100 * plan.floor.columns:.1f} and {100 * plan.floor.pairs:.1f} of 100" in compared
    page = html.unescape(render_page(plan))
    assert page.index(small) < page.index("<svg")
