"""``evaluate``: results, refused arguments, and reports that survive their JSON form."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.data import Table
from tabsynth.errors import DataError, InputError, MissingDependencyError, SchemaError, SourceError
from tabsynth.evaluation.evaluate import QUICK_ROWS, evaluate
from tabsynth.evaluation.inputs import fingerprint
from tabsynth.evaluation.report import Report
from tabsynth.schema import Schema

OURS = {"shape_error", "trend_error", "detection_auc", "detection_column_auc"}
HELD = {"utility", "utility_gap", "dcr_share", "copies"}


@pytest.fixture(scope="module")
def report(cancer: tuple[pd.DataFrame, Schema]) -> Report:
    frame = cancer[0][[*list(cancer[0])[:10], "target"]]
    schema = Schema({name: cancer[1][name] for name in frame})
    synthetic = frame[:300].assign(**{"mean radius": np.random.default_rng(0).permutation(frame["mean radius"][:300])})
    return evaluate(frame[:300], synthetic, frame[300:], schema=schema, card={"model": "none", "epsilon": None})


@pytest.fixture(scope="module")
def narrow(cancer: tuple[pd.DataFrame, Schema]) -> tuple[pd.DataFrame, Schema]:
    """Six of its numbers and the class, for what does not depend on the columns."""
    frame, schema = cancer
    names = [*list(frame)[:6], "target"]
    return frame[names], Schema({name: schema[name] for name in names})


def test_scores_and_worst(report: Report) -> None:
    assert set(report.scores) >= OURS | HELD
    assert all(score.interval is not None for name, score in report.scores.items() if name in OURS | HELD)
    assert all("mean radius" in part.columns for part in report.worst[:5])
    assert report.scores["shape_error"].value < 1e-9
    assert report.verdict.areas["memorisation"] == "poor"
    assert report.scores["copies"].title == "Exact-match rate"


def test_valid_ranges(report: Report) -> None:
    for score in report.scores.values():
        bounds = (0, 100) if score.unit == "%" and score.name != "copies" else (-100, 100)
        assert bounds[0] <= score.value <= bounds[1]
        if score.interval is not None:
            assert score.interval[0] <= score.value <= score.interval[1]


def test_json_fits_its_schema_and_comes_back(report: Report, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    import tabsynth.evaluation.report as module

    schema = json.loads((Path(module.__file__).parent / "report.schema.json").read_text("utf-8"))
    report.save(tmp_path / "r.json")
    data = json.loads((tmp_path / "r.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(data)
    again = Report.from_dict(data)
    assert again == report
    assert again.to_html() == report.to_html()


def test_text_forms(report: Report, tmp_path: Path) -> None:
    text = str(report)
    assert "trend_error" in text
    assert "lower is better" in text
    report.save(tmp_path / "r.md")
    assert (tmp_path / "r.md").read_text("utf-8").startswith("# Evaluation of a synthetic table")
    with pytest.raises(SourceError, match=r"use \.html, \.json or \.md"):
        report.save(tmp_path / "r.pdf")


def test_foreign_reports_are_refused(report: Report) -> None:
    with pytest.raises(DataError, match="not an evaluation report"):
        Report.from_dict({"scores": []})
    with pytest.raises(DataError, match="later"):
        Report.from_dict({**report.to_dict(), "version": 99})
    broken = report.to_dict()
    del broken["notes"]
    with pytest.raises(DataError, match="key 'notes' is missing"):
        Report.from_dict(broken)
    first, *others = report.to_dict()["scores"]
    for changes, message in (
        ({"scores": [first | {"name": [[1]]}, *others]}, "name of a score is text"),
        ({"scores": 5}, "malformed"),
        ({"provenance": "x"}, "malformed"),
        ({"notes": None}, "malformed"),
    ):
        with pytest.raises(DataError, match=message):
            Report.from_dict({**report.to_dict(), **changes})


def test_same_seed_same_report(wine: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = wine
    stages: list[tuple[str, float]] = []
    reports = [
        evaluate(frame[:90], frame[90:], schema=schema, seed=7, sdmetrics=False, progress=lambda *s: stages.append(s))
        for _ in range(2)
    ]
    dicts = [report.to_dict() for report in reports]
    for data in dicts:
        del data["provenance"]["created"]
    assert dicts[0] == dicts[1]
    assert stages[-1] == ("done", 1.0)
    assert set(reports[0].scores) >= OURS
    quick = evaluate(frame[:90], frame[90:], schema=schema, seed=7, sdmetrics=False, thorough=False)
    assert set(quick.scores) == OURS
    assert quick.scores["trend_error"] == reports[0].scores["trend_error"]
    assert "need a holdout" in reports[0].notes[0]


def test_a_quick_report_has_the_scores_that_train_no_model(narrow: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = narrow
    tables = frame[:200], frame[200:400], frame[400:]
    stages: list[str] = []
    quick = evaluate(*tables, schema=schema, quick=True, progress=lambda stage, share: stages.append(stage))
    full = evaluate(*tables, schema=schema, sdmetrics=False, thorough=False)
    assert set(quick.scores) == {*OURS, "dcr_share", "copies"}
    assert {*quick.scores} == {name for name in full.scores if not name.startswith("utility")}
    assert all(quick.scores[name] == full.scores[name] for name in quick.scores)  # fewer rows than a quick one samples
    assert "utility" not in stages
    assert quick.notes[0].startswith("Quick evaluation: scores that train no model")
    assert "evaluate without quick" in quick.to_html()
    assert not any("quick" in note for note in full.notes)


def test_a_quick_report_detects_on_a_sample() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(2 * QUICK_ROWS + 200, 2)), columns=["a", "b"])
    half = len(frame) // 2
    schema = Schema.from_dict({"columns": {name: {"kind": "numeric"} for name in frame}})
    quick = evaluate(frame[:half], frame[half:] + 0.5, schema=schema, quick=True)
    assert f"on {QUICK_ROWS:,} rows of each table" in quick.scores["detection_auc"].method
    assert quick.scores["detection_auc"].value > 0.6


def test_scores_are_handed_out_as_they_come(narrow: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = narrow
    events: list[str] = []
    report = evaluate(
        *(frame[:200], frame[200:400], frame[400:]),
        schema=schema,
        progress=lambda stage, share: events.append(f"stage {stage}"),
        on_scores=lambda scores: events.extend(score.name for score in scores),
    )
    announced = [event for event in events if not event.startswith("stage")]
    assert sorted(announced) == sorted(report.scores)
    assert events.index("shape_error") < events.index("stage detection")
    assert events.index("detection_auc") < events.index("stage memorisation")
    assert events.index("alpha_precision") < events.index("stage learners")


def test_order_of_rows_and_columns_does_not_matter(diabetes: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = diabetes
    one = evaluate(frame[:200], frame[200:], schema=schema, sdmetrics=False)
    turned = frame[200:][frame.columns[::-1]].sample(frac=1, random_state=3)
    two = evaluate(frame[:200], Table(turned, schema), schema=schema, sdmetrics=False)
    for name in ("shape_error", "trend_error"):
        assert one.scores[name].value == pytest.approx(two.scores[name].value, abs=1e-9)


def test_every_kind_and_what_is_left_out(every_kind: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = every_kind
    report = evaluate(frame[:200], frame[200:300], frame[300:], target="flag", schema=schema)
    assert "'id', 'note'" in report.notes[0]
    assert [picture["name"] for picture in report.distributions] == [
        name for name in schema if schema[name].kind not in ("identifier", "text")
    ]
    assert "p0001" not in report.to_html()


def test_pictures_show_no_rare_value() -> None:
    rng = np.random.default_rng(0)
    number = rng.normal(size=1000)
    number[0] = 987654.321
    frame = pd.DataFrame({"x": number, "k": ["rare-one"] + ["a"] * 500 + ["b"] * 499})
    schema = Schema.from_dict({"columns": {"x": {"kind": "numeric"}, "k": {"kind": "categorical"}}})
    text = json.dumps(evaluate(frame, frame, schema=schema, sdmetrics=False).to_dict())
    assert "rare-one" not in text
    assert "98765" not in text


def refused(error: type[Exception], match: str, *tables: object, **options: object) -> None:
    with pytest.raises(error, match=match):
        evaluate(*tables, **options)  # type: ignore[arg-type]


def test_bad_input_is_refused_before_any_work(cancer: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = cancer
    given = {"schema": schema, "progress": lambda stage, share: pytest.fail("work was begun")}
    refused(
        SchemaError,
        "the synthetic table has other columns.*'target' are missing",
        frame,
        frame.drop(columns="target"),
        **given,
    )
    refused(SchemaError, "'extra' are extra", frame, frame.assign(extra=1), **given)
    refused(DataError, "the synthetic table: .*no rows", frame, frame[:0], **given)
    refused(
        DataError, "the holdout: .*'mean area'.*not numbers", frame, frame, frame.assign(**{"mean area": "x"}), **given
    )
    refused(DataError, "'target' holds text in one table and numbers", frame, frame.assign(target=1), **given)
    refused(SchemaError, "target 'nothing' is not a column", frame, frame, target="nothing", **given)
    refused(DataError, "choose a target that varies", frame[frame["target"] == "benign"], frame, **given)
    refused(InputError, "seed must be", frame, frame, seed=-1, **given)
    refused(InputError, "expected a DataFrame", frame, [1, 2], **given)


def test_identifier_as_target_is_refused(every_kind: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = every_kind
    refused(SchemaError, "kind identifier, which cannot be predicted", frame, frame, target="id", schema=schema)


def test_tiny_tables() -> None:
    schema = Schema.from_dict({"columns": {"x": {"kind": "numeric"}}})
    one = pd.DataFrame({"x": [1.0]})
    report = evaluate(one, one, one, schema=schema, sdmetrics=False)
    assert {name for name in report.scores if not name.startswith("real_")} == {"shape_error", "dcr_share", "copies"}
    assert "fewer than six rows" in " ".join(report.notes)
    assert report.to_html()


@pytest.mark.parametrize("blank", [0, 1])
def test_a_column_without_values_is_judged_and_noted(blank: int) -> None:
    rng = np.random.default_rng(0)
    frames = [pd.DataFrame({"x": rng.normal(size=120), "y": rng.choice(["a", "b"], 120)}) for _ in range(3)]
    frames[blank]["x"] = np.nan
    schema = Schema.from_dict({"columns": {"x": {"kind": "numeric", "nullable": True}, "y": {"kind": "categorical"}}})
    report = evaluate(*frames, target="y", schema=schema, sdmetrics=False)
    assert report.scores["detection_auc"].value > 0.95
    assert report.scores["shape_error"].detail[0].value == 100
    assert any("has only missing values in 'x'" in note for note in report.notes)


def test_one_row_is_too_few_to_be_called_close() -> None:
    frame = pd.DataFrame({"x": np.arange(100.0)})
    schema = Schema.from_dict({"columns": {"x": {"kind": "numeric"}}})
    assert "too few rows" in evaluate(frame, frame[50:51], schema=schema, sdmetrics=False).verdict.text


def test_without_sdmetrics(narrow: tuple[pd.DataFrame, Schema], monkeypatch: pytest.MonkeyPatch) -> None:
    frame, schema = narrow
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    report = evaluate(frame[:200], frame[200:], schema=schema)
    assert "sdmetrics is not installed" in report.notes[-1]
    with pytest.raises(MissingDependencyError, match=r"sdmetrics: run pip install \'\.\[sdv\]\'"):
        evaluate(frame[:200], frame[200:], schema=schema, sdmetrics=True)


def test_sdmetrics_side_by_side(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sdmetrics")
    ours = 100 - report.scores["shape_error"].value
    assert report.scores["sdmetrics_column_shapes"].value == pytest.approx(ours, abs=1e-6)
    assert {"sdmetrics_quality", "sdmetrics_column_pair_trends", "sdmetrics_diagnostic"} <= set(report.scores)
    assert capsys.readouterr().out == ""


def test_fingerprint_is_that_of_the_csv(wine: tuple[pd.DataFrame, Schema]) -> None:
    import hashlib

    frame, _ = wine
    assert fingerprint(frame) == hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()


def test_a_table_of_one_column_of_categories_is_evaluated() -> None:
    frame = pd.DataFrame({"a": ["x", "y", "y"] * 40})
    scores = evaluate(frame, frame.iloc[:100], sdmetrics=False).scores
    assert scores["shape_error"].value < 5
    assert "subgroup_error" not in scores


def test_wide_tables_have_no_scores_of_sdmetrics_unless_asked(
    narrow: tuple[pd.DataFrame, Schema], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, schema = narrow
    module = importlib.import_module("tabsynth.evaluation.evaluate")
    monkeypatch.setattr(module, "MAX_SDMETRICS_COLUMNS", len(schema) - 1)
    monkeypatch.setattr(module, "is_installed", lambda: True)
    report = evaluate(frame[:200], frame[200:], schema=schema)
    assert not any(name.startswith("sdmetrics") for name in report.scores)
    assert "sdmetrics=True adds them" in report.notes[-1]
