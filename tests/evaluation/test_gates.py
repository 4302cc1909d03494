"""Gates: limits, names, and waivers with a person, a reason and an expiry date."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from tabsynth.cli import main
from tabsynth.errors import InputError, SourceError
from tabsynth.evaluation.evaluate import evaluate
from tabsynth.evaluation.gates import apply_gates, failed_gates, read_gates, unmet_requirements
from tabsynth.evaluation.metric_specs import SPECS, USES, area_of
from tabsynth.evaluation.report import Report
from tabsynth.schema import Schema

TODAY = date(2030, 6, 1)
WAIVER = {"gate": "trend_error", "who": "A. Analyst", "why": "pilot | only", "until": "2030-06-01"}


@pytest.fixture(scope="module")
def report(wine: tuple[pd.DataFrame, Schema]) -> Report:
    frame, schema = wine
    return evaluate(frame[:90], frame[90:], schema=schema, sdmetrics=False, thorough=False)


def test_a_gate_is_met_or_missed(report: Report) -> None:
    value = report.scores["trend_error"].value
    for limit, good in (({"max": value + 1}, True), ({"max": value - 1}, False), ({"min": value + 1}, False)):
        held = apply_gates(report, read_gates({"gates": {"fidelity.trend_error": limit}}), TODAY)
        assert held.gates[0]["met"] is good
        assert bool(failed_gates(held)) is not good
    far = replace(report.scores["trend_error"], value=90.0, interval=(80.0, 95.0), floor=10.0)
    worse = replace(report, scores={"trend_error": far})
    held = apply_gates(worse, read_gates({"gates": {"trend_error": {"above_floor": 63}}}), TODAY)
    assert failed_gates(held) == ["trend_error: 90.0 % exceeds its floor by 63.2 % beyond chance; the limit is 63.0 %"]
    assert not failed_gates(apply_gates(worse, read_gates({"gates": {"trend_error": {"above_floor": 64}}}), TODAY))


def test_a_waiver_lets_through_until_its_day(report: Report) -> None:
    gates = read_gates({"gates": {"fidelity.trend_error": {"max": 0.0}}, "waivers": [WAIVER]})
    held = apply_gates(report, gates, TODAY)
    assert failed_gates(held) == []
    assert "waived by A. Analyst until 2030-06-01 (pilot | only)" in held.gates[0]["text"]
    assert held.gates[0]["waiver"] == {"who": "A. Analyst", "why": "pilot | only", "until": "2030-06-01"}
    late = apply_gates(report, gates, date(2030, 6, 2))
    assert "the waiver by A. Analyst expired on 2030-06-01" in failed_gates(late)[0]
    assert Report.from_dict(late.to_dict()).gates == late.gates
    assert "❌ trend\\_error" in late.to_markdown() or "❌ trend_error" in late.to_markdown()


def test_what_was_not_measured_is_missed_unless_it_may(report: Report) -> None:
    asked = {"gates": {"memorisation.copies": {"max": 1}}}
    assert "was not measured" in failed_gates(apply_gates(report, read_gates(asked), TODAY))[0]
    assert not failed_gates(apply_gates(report, read_gates({**asked, "unmeasured": "skip"}), TODAY))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"gates": {"fidelity.trend_eror": {"max": 2}}},
            "no score is called 'fidelity.trend_eror'; did you mean 'trend_",
        ),
        ({"gates": {"utility.trend_error": {"max": 2}}}, "did you mean 'fidelity.trend_error'"),
        ({"gates": {"trend_error": {"most": 2}}}, "must be one or more of max, min, above_floor"),
        ({"gates": {"trend_error": {"max": "low"}}}, "'low' is not a number"),
        ({"gates": {"trend_error": {"max": 1}, "fidelity.trend_error": {"max": 2}}}, "two gates"),
        ({"gates": {}}, "write 'gates:'"),
        ({"gates": {"trend_error": {"max": 1}}, "waivers": 5}, "waivers must be a list, not 5"),
        ({"gates": {"trend_error": {"max": 1}}, "waivers": False}, "waivers must be a list, not False"),
        ({"gates": {"copies": {"max": 1}}, "waivers": [WAIVER]}, "there is no gate"),
        (
            {"gates": {"trend_error": {"max": 1}}, "waivers": [{"gate": "trend_error", "who": "me"}]},
            "who, why and until",
        ),
        ({"gates": {"trend_error": {"max": 1}}, "waivers": [{**WAIVER, "until": "soon"}]}, "must be a date"),
        ({"gates": {"trend_error": {"max": 1}}, "waiver": []}, "unknown key 'waiver'"),
    ],
)
def test_a_wrong_file_is_refused(data: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_gates(data)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot read the gates file"):
        read_gates(tmp_path / "none.yaml")
    (tmp_path / "g.yaml").write_text("gates: [")
    with pytest.raises(SourceError, match="is not YAML"):
        read_gates(tmp_path / "g.yaml")


def test_default_gates_are_the_limits_of_poor() -> None:
    for gate in read_gates("default"):
        limits = SPECS[gate.name].limits
        assert limits is not None
        assert gate.limit == {"above_floor": limits[1]}
        assert gate.optional


def test_every_metric_spec_is_consistent() -> None:
    for name, spec in SPECS.items():
        assert spec.title, name
        assert set(spec.uses) <= set(USES), name
        assert spec.limits is None or 0 < spec.limits[0] < spec.limits[1], name
        assert spec.limits is not None or not (spec.gate or spec.verdict or spec.uses), name
    assert {use for spec in SPECS.values() for use in spec.uses} == set(USES)
    assert area_of("sdmetrics_quality") == "sdmetrics"
    assert area_of("beauty") == "other"


def test_command_line(
    wine: tuple[pd.DataFrame, Schema],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    frame, schema = wine
    frame = frame[["alcohol", "ash", "hue", "proline", "flavanoids", "target"]]  # each takes seconds
    schema = Schema({name: schema[name] for name in frame})
    frame[:90].to_csv("train.csv", index=False)
    frame[90:].to_csv("made.csv", index=False)
    schema.to_json("schema.json")
    line = ["evaluate", "train.csv", "made.csv", "--schema", "schema.json"]
    assert main([*line, "--gates", "default"]) == 0
    line.append("--quick")
    Path("gates.yaml").write_text("gates: {fidelity.trend_error: {max: 0.001}}\n")
    assert main([*line, "--gates", "gates.yaml", "--output", "r.html"]) == 3
    assert "not met: trend_error" in capsys.readouterr().err
    assert "! failed" in Path("r.html").read_text("utf-8")
    Path("gates.yaml").write_text("gates: {fidelity.tend_error: {max: 0.001}}\n")
    assert main([*line, "--gates", "gates.yaml"]) == 2
    assert "did you mean 'trend_error'" in capsys.readouterr().err
    assert main([*line, "--also", "half=made.csv", "--output", "both.html"]) == 0
    assert "2 synthetic tables" in Path("both.html").read_text("utf-8")
    assert main([*line, "--also", "made=made.csv"]) == 2


def test_a_missed_requirement_names_the_distance_from_a_target(report: Report) -> None:
    auc = replace(
        report.scores["trend_error"], name="detection_auc", value=0.3855, better="target", target=0.5, unit=""
    )
    only = replace(report, scores={"detection_auc": auc})
    assert unmet_requirements(only, {"detection_auc": 0.05}) == (
        "detection_auc is 0.3855, 0.1145 from its target 0.5; required: a distance of at most 0.05",
    )
    assert unmet_requirements(only, {"detection_auc": 0.12}) == ()
