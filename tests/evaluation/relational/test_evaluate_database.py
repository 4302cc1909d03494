"""Evaluation of linked tables: planted faults are found where they are, and fresh real data are good."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import DataError, InputError, SchemaError
from tabsynth.evaluation.evaluate import evaluate
from tabsynth.evaluation.relational.database_report import DatabaseReport
from tabsynth.evaluation.relational.database_specs import METRICS
from tabsynth.evaluation.relational.errors_between import number_tables
from tabsynth.evaluation.relational.evaluate_database import evaluate_database
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema

Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def fresh(real: Tables, schema: DatabaseSchema, clinic: Callable[..., Tables]) -> DatabaseReport:
    return evaluate_database(real, clinic(250, 1), schema=schema, sdmetrics=False)


def quick(real: Tables, changed: Tables, schema: DatabaseSchema) -> DatabaseReport:
    return evaluate_database(real, {**real, **changed}, schema=schema, quick=True)


def test_the_real_tables_themselves_have_no_error(real: Tables, schema: DatabaseSchema) -> None:
    report = quick(real, {}, schema)
    assert {name: score.value for name, score in report.scores.items() if score.value} == {}
    assert set(report.levels.values()) == {"good"}


def test_numbers_that_differ_by_rounding_only_are_one_value() -> None:
    noise = np.array([0.1, np.nextafter(0.1, 1), 0.1, np.nan])[:, None]
    first, second = number_tables(("mean",), noise, noise[::-1].copy())
    assert len(set(first.codes[:3, 0])) == len(set(second.codes[1:, 0])) == 1


def test_fresh_real_rows_are_as_good_as_the_floor(fresh: DatabaseReport) -> None:
    assert [name for name, level in fresh.levels.items() if level == "poor"] == []
    errors = [score for score in fresh.scores.values() if score.unit == "%" and score.floor]
    assert np.mean([score.value / score.floor for score in errors if score.floor]) == pytest.approx(1.0, abs=0.35)
    for name in ("visits.patient.kin_auc", "visits.patient.aggregate_auc", "visits.detection_auc"):
        assert fresh.scores[name].value == pytest.approx(0.5, abs=0.08)


def test_siblings_drawn_independently_are_seen_by_kin_and_not_by_rows(
    real: Tables, schema: DatabaseSchema, clinic: Callable[..., Tables]
) -> None:
    report = evaluate_database(real, clinic(250, 1, independent=True), schema=schema, sdmetrics=False)
    scores, levels = report.scores, report.levels
    assert scores["visits.detection_auc"].value < 0.6
    assert scores["visits.patient.kin_auc"].value > 0.75
    assert levels["visits.patient.kin_auc"] == "poor"
    assert levels["visits.shape_error"] == "good"
    assert levels["visits.persistence_error"] == "poor"
    assert levels["visits.transition_error"] == "poor"
    assert levels["visits.patient.aggregate_shape_error"] != "good"
    assert levels["visits.patient.cardinality_error"] == "good"
    assert all(METRICS[name].description in report.to_html() for name in ("kin_auc", "persistence_error"))


def test_a_link_that_is_shuffled_loses_parent_trends_only(real: Tables, schema: DatabaseSchema) -> None:
    rng = np.random.default_rng(0)
    swapped = real["patients"].assign(sex=rng.permutation(real["patients"].sex))
    report = quick(real, {"patients": swapped}, schema)
    parts = {part.columns: part for part in report.scores["visits.patient.aggregate_trend_error"].detail}
    assert ("sex", "mean step of day") in parts
    assert parts["sex", "mean step of day"].value > 15
    assert report.scores["visits.patient.cardinality_error"].value == 0
    assert report.levels["visits.gap_error"] == "good"


def test_faulty_keys_are_counted(real: Tables, schema: DatabaseSchema) -> None:
    visits = real["visits"].copy()
    visits.loc[:9, "patient"] = 9999
    visits["patient"] = visits.patient.where(visits.index < len(visits) - 20)
    patients = pd.concat([real["patients"], real["patients"].head(5)], ignore_index=True)
    report = quick(real, {"visits": visits, "patients": patients}, schema)
    n = len(visits)
    assert report.scores["visits.patient.dangling_keys"].value == pytest.approx(100 * 10 / n)
    assert report.scores["visits.patient.missing_keys"].value == pytest.approx(100 * 20 / n)
    assert report.scores["patients.repeated_keys"].value == pytest.approx(100 * 5 / 255)
    assert report.levels["visits.patient.dangling_keys"] == "poor"
    assert report.verdict.startswith("Keys are faulty: repeated keys of patients")


def test_number_of_children_gaps_and_equal_times(real: Tables, schema: DatabaseSchema) -> None:
    visits = real["visits"]
    first = ~visits.duplicated("patient")
    halved = visits[first | (visits.id % 2 == 0)]
    assert quick(real, {"visits": halved}, schema).levels["visits.patient.cardinality_error"] == "poor"
    same_day = visits.assign(day=visits.groupby("patient").day.transform("min"))
    report = quick(real, {"visits": same_day}, schema)
    assert report.scores["visits.equal_times_error"].value > 95
    assert report.levels["visits.gap_error"] == "poor"
    assert report.levels["visits.first_error"] == "good"
    shares = next(table for table in report.tables if table["name"] == "visits")["equal_times"]
    assert shares[0] < 5
    assert shares[1] == 100


def test_orders_that_real_rows_keep_are_rules(real: Tables, schema: DatabaseSchema) -> None:
    visits = real["visits"].copy()
    visits.loc[:49, "paid"] = visits.cost[:50] + 1
    report = quick(real, {"visits": visits}, schema)
    assert report.scores["visits.rule: paid ≤ cost"].value == pytest.approx(100 * 50 / len(visits))
    assert report.scores["visits.rule: paid ≤ cost"].floor == 0
    assert report.levels["visits.rule: paid ≤ cost"] == "poor"


def test_declared_constraints_are_rules(real: Tables, schema: DatabaseSchema) -> None:
    plain = schema.tables["visits"].to_dict()
    visits = Schema.from_dict({**plain, "constraints": [{"kind": "inequality", "low": "paid", "high": "cost"}]})
    declared = DatabaseSchema(
        {**schema.tables, "visits": visits}, schema.primary_keys, schema.foreign_keys, schema.order
    )
    broken = real["visits"].assign(paid=real["visits"].cost + 1)
    report = quick(real, {"visits": broken}, declared)
    rules = [score for name, score in report.scores.items() if name.startswith("visits.rule: ")]
    assert max(score.value for score in rules) == 100


def test_floors_and_seeds(real: Tables, schema: DatabaseSchema, clinic: Callable[..., Tables]) -> None:
    synthetic = clinic(250, 1)
    first, again = (quick(real, synthetic, schema) for _ in range(2))
    assert first.to_dict()["scores"] == again.to_dict()["scores"]
    held = evaluate_database(real, synthetic, clinic(250, 2), schema=schema, quick=True)
    floors = [held.scores[name].floor for name in held.scores if held.scores[name].floor]
    halves = [first.scores[name].floor for name in held.scores if held.scores[name].floor]
    assert np.mean([a / b for a, b in zip(floors, halves, strict=True) if a and b]) == pytest.approx(1, abs=0.4)
    assert "held-out roots" in held.scores["visits.gap_error"].method


def test_types_of_other_tools_are_read(real: Tables, schema: DatabaseSchema) -> None:
    text = real["visits"].assign(
        day=real["visits"].day.dt.strftime("%Y-%m-%d"), patient=real["visits"].patient.astype(str)
    )
    report = quick(real, {"visits": text}, schema)
    assert report.scores["visits.patient.dangling_keys"].value == 0
    assert report.scores["visits.gap_error"].value == 0


def test_an_empty_child_table_is_the_worst_and_no_error(real: Tables, schema: DatabaseSchema) -> None:
    report = quick(real, {"drugs": real["drugs"].head(0)}, schema)
    assert report.scores["drugs.shape_error"].value == 100
    assert report.scores["drugs.visit.cardinality_error"].value > 30


def test_tables_of_keys_only_self_references_and_public_tables() -> None:
    rng = np.random.default_rng(0)
    staff = pd.DataFrame(
        {"id": range(60), "boss": [np.nan, *rng.integers(0, 59, 59)], "pay": rng.normal(50, 9, 60).round()}
    )
    teams = pd.DataFrame({"code": ["t1", "t2", "t3"], "city": ["x", "y", "x"]})
    joins = pd.DataFrame({"person": rng.integers(0, 60, 120), "team": rng.choice(["t1", "t2", "t3"], 120)})
    projects = pd.DataFrame({"pid": range(30), "size": rng.integers(1, 9, 30)})
    works = pd.DataFrame({"person": rng.integers(0, 60, 90), "project": rng.integers(0, 30, 90)})
    tables = {"staff": staff, "teams": teams, "joins": joins, "projects": projects, "works": works}
    links = [("staff", "boss", "staff"), ("joins", "person", "staff"), ("joins", "team", "teams")]
    links += [("works", "person", "staff"), ("works", "project", "projects")]
    schema = DatabaseSchema.from_dict(
        {
            "tables": {name: Schema.infer(frame).to_dict() for name, frame in tables.items()},
            "primary_keys": {"staff": "id", "teams": "code", "projects": "pid"},
            "foreign_keys": [{"table": t, "column": c, "parent": p} for t, c, p in links],
            "reference": ["teams"],
        }
    )
    report = evaluate_database(tables, tables, schema=schema, sdmetrics=False)
    assert report.scores["works.project.cardinality_error"].value == 0
    assert report.scores["staff.boss.dangling_keys"].value == 0
    assert report.scores["staff.boss.missing_keys"].value == pytest.approx(100 / 60)
    assert "teams.shape_error" not in report.scores
    assert [part.columns for part in report.scores["joins.shape_error"].detail] == [("team",)]
    assert "<svg" in report.to_html()


def test_floors_come_from_the_root_of_each_table(real: Tables, schema: DatabaseSchema) -> None:
    """Tables below another root than the largest have floors, too."""
    rng = np.random.default_rng(0)
    wards = pd.DataFrame({"id": range(80), "beds": rng.integers(5, 30, 80)})
    beds = pd.DataFrame({"ward": rng.integers(0, 80, 200), "kind": rng.choice(["a", "b"], 200)})
    tables = {**real, "wards": wards, "beds": beds}
    more = {name: Schema.infer(tables[name]) for name in ("wards", "beds")}
    links = (*schema.foreign_keys, ForeignKey("beds", "ward", "wards"))
    both = DatabaseSchema({**schema.tables, **more}, {**schema.primary_keys, "wards": "id"}, links, schema.order)
    report = quick(tables, {}, both)
    errors = [score for name, score in report.scores.items() if name.endswith("_error")]
    assert min(score.floor or 0 for score in errors) > 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"drugs": None}, InputError, "has no tables 'drugs'"),
        ({"visits": "ward"}, SchemaError, "no columns 'ward'"),
        ({"visits": "day"}, DataError, "'visits' of the synthetic database"),
    ],
)
def test_faulty_tables_are_named(
    real: Tables, schema: DatabaseSchema, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    tables = dict(real)
    for name, column in change.items():
        if column is None:
            del tables[name]
        elif column == "day":
            tables[name] = real[name].assign(day="soon")
        else:
            tables[name] = real[name].drop(columns=column)
    with pytest.raises(error, match=message):
        evaluate_database(real, tables, schema=schema)


def test_too_few_roots_are_refused(real: Tables, schema: DatabaseSchema) -> None:
    few = {"patients": real["patients"].head(5), "visits": real["visits"].head(9), "drugs": real["drugs"].head(9)}
    with pytest.raises(DataError, match="fewer than 20"):
        evaluate_database(few, few, schema=schema)


def test_evaluate_passes_tables_on(real: Tables, schema: DatabaseSchema) -> None:
    report = evaluate(real, real, schema=schema, quick=True)
    assert isinstance(report, DatabaseReport)
    with pytest.raises(DataError, match="frames by name"):
        evaluate(real, real["visits"])  # type: ignore[call-overload]
    with pytest.raises(InputError, match="for one table"):
        evaluate(real, real, target="sex")  # type: ignore[call-overload]
    with pytest.raises(SchemaError, match="DatabaseSchema"):
        evaluate(real, real, schema=schema.tables["visits"])  # type: ignore[call-overload]
    with pytest.raises(SchemaError, match="several tables"):
        evaluate(real["visits"], real["visits"], schema=schema)  # type: ignore[call-overload]


def test_a_report_is_saved_and_read(fresh: DatabaseReport, tmp_path: Path) -> None:
    for suffix in ("html", "json", "md"):
        fresh.save(tmp_path / f"report.{suffix}")
    again = DatabaseReport.from_dict(json.loads((tmp_path / "report.json").read_text(encoding="utf-8")))
    assert again.to_dict() == fresh.to_dict()
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert again.to_html() == page
    assert "<script" not in page
    assert page.index('<svg class="diagram') < page.index("Detection AUC with relatives")
    assert "visits.patient.kin_auc" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "visits.patient.kin_auc" in str(fresh)
    with pytest.raises(DataError, match="upgrade"):
        DatabaseReport.from_dict({**fresh.to_dict(), "version": 99})
    with pytest.raises(DataError, match="format"):
        DatabaseReport.from_dict({"format": "tabsynth-evaluation"})


@pytest.mark.slow
def test_sdmetrics_reports_beside_ours(real: Tables, schema: DatabaseSchema) -> None:
    pytest.importorskip("sdmetrics")
    report = evaluate_database(real, real, schema=schema, quick=True, sdmetrics=True)
    for name in ("quality", "cardinality", "intertable_trends", "relationship_validity"):
        assert report.scores[f"sdmetrics_{name}"].value == pytest.approx(100)
    assert "sdmetrics_quality" not in report.levels
    assert "Intertable Trends" in report.to_html()
